"""Offline transcription by PocketSphinx, in worker processes that calls share.

In order: a stream keeps the last moments of audio and decodes nothing until
`speech_started`; from there an utterance is recorded, a worker is leased for it, and its
audio goes out in pieces of 100 ms, until `finalize` asks for the final words and the worker
is free for the next call. While all workers are busy, audio waits: they decode many times
faster than people speak.

A worker that dies or does not answer is replaced; `on_failed` is told (`worker_died`), and
the utterance is sent again from its start. Where the expected phrases are known, a pause
within a phrase must not break it in two: an utterance of which nothing was understood is
put in front of the next one if that begins within a second.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from chorus.audio.frame import AudioFormat
from chorus.speech.engines import Endpointing, EngineFailed, Hints, Words
from chorus.speech.stt import pocketsphinx_worker as worker
from chorus.speech.worker_pool import PoolWorker, WorkerPool

log = logging.getLogger(__name__)

_RING_MS = 600  # before the onset
_PIECE_MS = 100
_JOIN_MS = 1000
# An utterance without end is noise; it is ended here, so that it costs no more than this.
_LONGEST_MS = 20_000
_ATTEMPTS = 3


@dataclass(slots=True, eq=False)
class _Utterance:
    """Audio from `start_ms` of the stream on; `sent` bytes of it are with the worker."""

    start_ms: float
    audio: bytearray
    number: int
    wanted: bool = True  # False: nothing was said, and the answer is empty
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    end_ms: float = 0.0
    joined_ms: float = 0.0  # how much of `audio` comes from the utterance before
    sent: int = 0
    leased: PoolWorker | None = None
    overdue: asyncio.TimerHandle | None = None


class PocketSphinxStream:
    def __init__(
        self,
        engine: PocketSphinx,
        format: AudioFormat,
        phrases: tuple[str, ...],
        on_words: Callable[[Words], None],
        on_failed: Callable[[EngineFailed], None],
    ) -> None:
        self._engine = engine
        self._format = format
        self._phrases = phrases
        self._on_words = on_words
        self._on_failed = on_failed
        self._fed = 0  # bytes
        self._ring = bytearray()
        self._ring_size = format.size(_RING_MS)
        self._piece = format.size(_PIECE_MS)
        self._current: _Utterance | None = None
        self._queue: deque[_Utterance] = deque()
        self._last: _Utterance | None = None  # nothing was understood of it
        self._numbers = 0
        self._task: asyncio.Task[None] | None = None
        self._closed = False

    def feed(self, audio: bytes) -> None:
        if self._closed:
            return
        self._fed += len(audio)
        utterance = self._current
        if utterance is None:
            self._ring += audio
            if len(self._ring) > self._ring_size:
                del self._ring[: len(self._ring) - self._ring_size]
            return
        utterance.audio += audio
        if len(utterance.audio) - utterance.sent >= self._piece:
            self._push(utterance)
            if self._format.ms(len(utterance.audio)) - utterance.joined_ms > _LONGEST_MS:
                self._end()
                self._begin(0)

    def speech_started(self, ago_ms: float) -> None:
        if self._current is None and not self._closed:
            self._begin(ago_ms)

    def finalize(self) -> None:
        if self._closed:
            return
        if self._current is None:
            # Answered in its turn, after those that are still being decoded.
            self._add(_Utterance(self._fed_ms, bytearray(), 0, wanted=False, end_ms=self._fed_ms))
        else:
            self._end()

    async def close(self) -> None:
        self._closed = True
        self._current = None
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    @property
    def _fed_ms(self) -> float:
        return self._format.ms(self._fed)

    def _begin(self, ago_ms: float) -> None:
        size = min(len(self._ring), self._format.size(max(0.0, ago_ms)))
        audio = bytearray(self._ring[len(self._ring) - size :])
        self._ring.clear()
        self._numbers += 1
        start_ms = self._fed_ms - self._format.ms(size)
        self._current = _Utterance(start_ms, audio, self._numbers)
        self._add(self._current)

    def _end(self) -> None:
        utterance, self._current = self._current, None
        if utterance is not None:
            utterance.ended.set()
            utterance.end_ms = self._fed_ms
            self._push(utterance)

    def _add(self, utterance: _Utterance) -> None:
        self._queue.append(utterance)
        if self._task is None:
            self._task = asyncio.create_task(self._work(), name="pocketsphinx")

    def _push(self, utterance: _Utterance) -> None:
        """Send what is new to the worker, if there is one yet."""
        leased = utterance.leased
        if leased is None:
            return
        number = worker.NUMBER.pack(utterance.number)
        if utterance.sent < len(utterance.audio):
            leased.send(worker.AUDIO, number + utterance.audio[utterance.sent :])
            utterance.sent = len(utterance.audio)
        if utterance.ended.is_set() and utterance.overdue is None:
            leased.send(worker.FINALIZE, number)
            utterance.overdue = asyncio.get_running_loop().call_later(
                self._engine.deadline_s, leased.kill
            )

    # --- the task: one utterance after another ---

    async def _work(self) -> None:
        """Decode what is queued; ends when nothing is."""
        while self._queue:
            utterance = self._queue[0]
            answer: dict[str, Any] = {"text": "", "end_ms": 0.0, "confidence": None}
            if utterance.wanted:
                self._join(utterance)
                try:
                    answer = await self._decode(utterance)
                except EngineFailed as failure:
                    self._tell_failed(failure)
                    # A final answers a `finalize`: not before it was asked for.
                    await utterance.ended.wait()
            self._queue.popleft()
            if self._phrases and utterance.wanted:
                self._last = None if answer["text"] else utterance
            if not self._queue:
                self._task = None  # before the words: what they cause may be new work
            self._tell(utterance, answer, final=True)
            if self._task is None:
                return

    def _join(self, utterance: _Utterance) -> None:
        last, self._last = self._last, None
        if last is None or utterance.start_ms - last.end_ms > _JOIN_MS:
            return
        if self._format.ms(len(last.audio)) > _LONGEST_MS / 2:
            return
        utterance.joined_ms = self._format.ms(len(last.audio))
        utterance.audio[:0] = last.audio

    async def _decode(self, utterance: _Utterance) -> dict[str, Any]:
        failure = EngineFailed(self._engine.name, "worker", "no attempt")
        for _ in range(_ATTEMPTS):
            leased = await self._engine.pool.lease()
            final: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
            try:
                self._hand_over(utterance, leased, final)
                return await final
            except EngineFailed as error:
                failure = error
                self._tell_failed(error)
            finally:
                if utterance.overdue is not None:
                    utterance.overdue.cancel()
                if not final.done() or final.cancelled():
                    leased.send(worker.ABORT, worker.NUMBER.pack(utterance.number))
                utterance.leased, utterance.overdue, utterance.sent = None, None, 0
                self._engine.pool.release(leased)
        raise EngineFailed(
            self._engine.name, "lost", f"{_ATTEMPTS} workers failed: {failure.detail}"
        )

    def _hand_over(
        self, utterance: _Utterance, leased: PoolWorker, final: asyncio.Future[dict[str, Any]]
    ) -> None:
        """Give the utterance so far to a worker; `final` will hold its answer."""
        number = worker.NUMBER.pack(utterance.number)

        def on_message(kind: int, payload: bytes) -> None:
            if payload[: worker.NUMBER.size] != number or final.done():
                return
            said: Any = json.loads(payload[worker.NUMBER.size :])
            if kind == worker.INTERIM:
                self._tell(utterance, said, final=False)
            elif kind == worker.FINAL:
                final.set_result(said)
            elif kind == worker.LEFT_OUT:
                log.warning("pocketsphinx: not in its dictionary, left out: %s", said)

        def on_gone() -> None:
            if not final.done():
                final.set_exception(
                    EngineFailed(self._engine.name, "worker_died", "its utterance is sent again")
                )

        if not leased.alive:  # between the lease and now
            on_gone()
            return
        leased.on_message, leased.on_gone = on_message, on_gone
        order = {
            "encoding": self._format.encoding,
            "rate_hz": self._format.rate_hz,
            "phrases": self._phrases,
        }
        leased.send(worker.BEGIN, number + json.dumps(order).encode())
        utterance.leased = leased
        self._push(utterance)

    def _tell(self, utterance: _Utterance, said: dict[str, Any], *, final: bool) -> None:
        if self._closed:
            return
        # An utterance that still grows has been heard as far as its audio has come.
        heard_to_ms = utterance.end_ms if final else self._fed_ms
        spoken_at_ms = heard_to_ms
        if said["text"]:
            own_ms = max(0.0, float(said["end_ms"]) - utterance.joined_ms)
            spoken_at_ms = min(utterance.start_ms + own_ms, self._fed_ms)
        try:
            self._on_words(
                Words(said["text"], final, spoken_at_ms, heard_to_ms, confidence=said["confidence"])
            )
        except Exception:  # the stream goes on; the listener's fault is in the log
            log.exception("pocketsphinx: a listener failed")

    def _tell_failed(self, failure: EngineFailed) -> None:
        log.warning("%s", failure)
        if not self._closed:
            self._on_failed(failure)


class PocketSphinx:
    """`Transcriber` by PocketSphinx (BSD), English only.

    With `Hints.phrases` it hears these and nothing else, which is what makes it usable on the
    telephone; without, it takes free dictation, badly. `workers` processes of about 100 MB
    (one per processor by default, at most four) serve all calls; `deadline_s` is how long
    final words may take before their worker is given up. End it with `aclose`.
    """

    name = "pocketsphinx"

    def __init__(self, *, workers: int | None = None, deadline_s: float = 4.0) -> None:
        if deadline_s <= 0:
            raise ValueError(f"deadline_s must be positive: {deadline_s}")
        count = workers if workers is not None else min(4, os.cpu_count() or 1)
        self.pool = WorkerPool(self.name, worker.__name__, count, worker.READY)
        self.deadline_s = deadline_s
        self.endpointing = Endpointing(final_within_ms=(deadline_s + 1) * 1000)

    def takes(self, line: AudioFormat) -> AudioFormat:
        """The workers bring it to their own rate."""
        return line

    async def warm(self) -> None:
        """Start the workers ahead of the first call. Raises `EngineFailed`."""
        await self.pool.warm()

    @property
    def worker_pids(self) -> tuple[int, ...]:
        return self.pool.pids

    async def open(
        self,
        format: AudioFormat,
        hints: Hints,
        on_words: Callable[[Words], None],
        on_failed: Callable[[EngineFailed], None],
    ) -> PocketSphinxStream:
        if hints.languages and not any(_is_english(tag) for tag in hints.languages):
            known = ", ".join(hints.languages)
            raise EngineFailed(self.name, "open", f"it knows English, not {known}")
        return PocketSphinxStream(self, format, hints.phrases, on_words, on_failed)

    async def aclose(self) -> None:
        await self.pool.aclose()


def _is_english(tag: str) -> bool:
    return tag.lower().split("-")[0] == "en"
