"""The offline voice: espeak-ng, in worker processes that all calls share.

In order, for each clause: a worker is leased, given the text, and released as soon as it
has answered, milliseconds later; the answer is handed out in pieces as the caller asks for
them. So a call holds no worker while it speaks, a closed generator leaves no work behind,
and calls are served in turn. A worker that dies or hangs is replaced and the clause is
spoken again.

espeak-ng ends a text without a pause, so the pause that a clause's punctuation asks for is
put in front of the next clause, where it delays nothing.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Sequence

from chorus.audio.frame import AudioFormat
from chorus.speech.engines import EngineFailed, Mark, Spoken, VoiceStyle
from chorus.speech.tts import espeak_worker as worker
from chorus.speech.tts.espeak_voices import DEFAULT, EspeakVoiceInfo, espeak_voices, pick_voice
from chorus.speech.worker_pool import PoolWorker, WorkerPool

_PIECE_MS = 80
_MAX_PART = 200  # characters: what is synthesised at once
_PAUSES_MS = {".": 220, "!": 220, "?": 220, "…": 220, ",": 90, ";": 120, ":": 120}
_ATTEMPTS = 2


class EspeakVoice:
    """`Voice` by espeak-ng (GPL-3, hence a separate process). `stability` has no meaning to it.

    `deadline_s` is how long one part of a clause may take before its worker is killed.
    `close` it with `aclose`.
    """

    name = "espeak"

    def __init__(self, *, workers: int = 1, deadline_s: float = 5.0) -> None:
        if deadline_s <= 0:
            raise ValueError(f"deadline_s must be positive: {deadline_s}")
        self._pool = WorkerPool(self.name, worker.__name__, workers, worker.READY)
        self._deadline_s = deadline_s
        # A clause may be tried twice, and another call's may be before it.
        self.deadline_ms = (deadline_s * _ATTEMPTS + 1) * 1000

    @staticmethod
    def voices() -> tuple[EspeakVoiceInfo, ...]:
        return espeak_voices()

    async def warm(self) -> None:
        """Start the workers ahead of the first call. Raises `EngineFailed`."""
        await self._pool.warm()

    @property
    def worker_pids(self) -> tuple[int, ...]:
        return self._pool.pids

    async def aclose(self) -> None:
        await self._pool.aclose()

    def gives(self, line: AudioFormat) -> AudioFormat:
        """The workers bring it to the line's rate."""
        return line

    def plain_language(self, style: VoiceStyle) -> str:
        """The language of the voice that will be picked."""
        voice = pick_voice(style.voice, style.language)
        return voice.language if voice else DEFAULT

    async def open(self, format: AudioFormat, style: VoiceStyle) -> EspeakSession:
        """Raises `EngineFailed` for a voice or a language that there is not."""
        voice = pick_voice(style.voice, style.language)
        if voice is None:
            raise EngineFailed(self.name, "voice", f"there is no voice {style.voice!r}")
        return EspeakSession(self, voice.file, format, style.speed)

    async def render(self, job: bytes) -> tuple[bytes, list[tuple[int, float]]]:
        """A worker's audio, and where its words end: characters and milliseconds."""
        payload = await self._answer(worker.SPEAK, job)
        at = worker.SIZE.size + worker.SIZE.unpack_from(payload)[0]
        return payload[at:], json.loads(payload[worker.SIZE.size : at])

    async def phonemes(self, voice: str, texts: Sequence[str]) -> list[str]:
        """How a voice of espeak-ng would say texts without punctuation, in IPA, for voices that
        do not know. Raises `EngineFailed`."""
        job = json.dumps({"voice": voice, "texts": list(texts)}).encode()
        return json.loads(await self._answer(worker.PHONEMES, job))

    async def _answer(self, kind: int, job: bytes) -> bytes:
        failure = EngineFailed(self.name, "worker", "no attempt")
        for _ in range(_ATTEMPTS):
            leased = await self._pool.lease()
            try:
                said, payload = await self._ask(leased, kind, job)
            except EngineFailed as error:
                failure = error
                continue
            if said == worker.FAILED:
                raise EngineFailed(self.name, "speak", payload.decode("utf-8", "replace"))
            return payload
        raise failure

    async def _ask(self, leased: PoolWorker, kind: int, job: bytes) -> tuple[int, bytes]:
        """One question, one answer. The worker is released when the answer is there, and killed
        when it is overdue, whether anybody still waits for it or not: a caller who interrupts a
        worker that hangs must not leave it to nobody."""
        if not leased.alive:  # between the lease and now
            raise EngineFailed(self.name, "worker", "it died")
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[tuple[int, bytes]] = loop.create_future()
        late = False

        def give_up() -> None:
            nonlocal late
            late = True
            leased.kill()

        def on_message(said: int, payload: bytes) -> None:
            overdue.cancel()
            self._pool.release(leased)
            if not answer.done():
                answer.set_result((said, payload))

        def on_gone() -> None:
            overdue.cancel()
            if not answer.done():
                why = "it did not answer in time" if late else "it died"
                answer.set_exception(EngineFailed(self.name, "worker", why))

        overdue = loop.call_later(self._deadline_s, give_up)
        leased.on_message, leased.on_gone = on_message, on_gone
        leased.send(kind, job)
        return await answer


class EspeakSession:
    """One call's. Holds no worker: each clause leases one."""

    def __init__(self, engine: EspeakVoice, file: str, format: AudioFormat, speed: float) -> None:
        self._engine = engine
        self._file = file
        self._format = format
        self._speed = speed

    async def aclose(self) -> None:
        """Nothing is open."""

    async def speak(self, clauses: AsyncIterator[str]) -> AsyncGenerator[Spoken, None]:
        format = self._format
        index = -1
        pause_ms = 0
        async for clause in clauses:
            index += 1
            parts = split(clause)
            offset_ms = 0.0
            if not parts:
                yield Spoken(b"", index, last=True)
            for number, (at, part) in enumerate(parts):
                job = {
                    "text": part,
                    "voice": self._file,
                    "speed": self._speed,
                    "pause_ms": pause_ms,
                    "encoding": format.encoding,
                    "rate_hz": format.rate_hz,
                }
                pause_ms = 0
                audio, ends = await self._engine.render(json.dumps(job).encode())
                marks = [Mark(chars + at, end_ms + offset_ms) for chars, end_ms in ends]
                for piece in cut(audio, marks, format, index, offset_ms, number == len(parts) - 1):
                    yield piece
                offset_ms += format.ms(len(audio))
            if parts:
                pause_ms = _PAUSES_MS.get(parts[-1][1].rstrip("\"')]»”’ ")[-1:], 0)


def split(clause: str) -> list[tuple[int, str]]:
    """A clause as texts of at most 200 characters, each with its place in the clause, cut between
    words where there is a gap, and free of control characters; none where nothing would be left
    to say."""
    clean = "".join(c if c.isprintable() else " " for c in clause)
    parts: list[tuple[int, str]] = []
    at, end = 0, len(clean.rstrip())
    while at < end:
        if clean[at] == " ":
            at += 1
            continue
        stop = min(at + _MAX_PART, end)
        gap = clean.rfind(" ", at + 1, stop + 1) if stop < end else stop
        stop = gap if gap > 0 else stop
        parts.append((at, clean[at:stop].rstrip()))
        at = stop
    return parts


def cut(
    audio: bytes,
    marks: list[Mark],
    format: AudioFormat,
    clause: int,
    offset_ms: float,
    last: bool,
) -> list[Spoken]:
    """Audio in pieces of 80 ms, each with the marks that fall into it. `audio` begins `offset_ms`
    into its clause."""
    size = format.size(_PIECE_MS)
    count = max(1, -(-len(audio) // size))
    places: list[list[Mark]] = [[] for _ in range(count)]
    for mark in marks:
        place = min(count - 1, int((mark.end_ms - offset_ms) // _PIECE_MS))
        places[place].append(mark)
    return [
        Spoken(
            audio[i * size : (i + 1) * size],
            clause,
            tuple(places[i]),
            last=last and i == count - 1,
        )
        for i in range(count)
    ]
