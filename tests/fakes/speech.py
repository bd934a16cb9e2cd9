"""Scriptable stand-ins for the four Protocols of `chorus.speech.engines`, on virtual time.

    FakeTranscriber   the test says what was heard: `.hear("yes")`, `.understands("yes")`
    FakeVoice         a tone, 50 ms a character, with word times, a delay and failures
    FakeDetector      loud is speech, or a script of probabilities
    FakeEndOfTurn     a script of verdicts, delays and failures

Each keeps what it was asked in plain lists for the test to read. None starts a task.
"""

from __future__ import annotations

import asyncio
import math
import struct
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable

from chorus.audio import codec
from chorus.audio.frame import AudioFormat
from chorus.speech.engines import (
    VAD_FRAME_MS,
    Endpointing,
    EngineFailed,
    Heard,
    Hints,
    Mark,
    Spoken,
    VoiceStyle,
    Words,
)
from chorus.talk.text.units import units


class FakeTranscription:
    """One open stream. `started_ms` holds where each `speech_started` said that speech began,
    `finalized_ms` where each `finalize` fell, both in milliseconds of audio fed."""

    def __init__(
        self,
        engine: FakeTranscriber,
        format: AudioFormat,
        hints: Hints,
        on_words: Callable[[Words], None],
        on_failed: Callable[[EngineFailed], None],
    ) -> None:
        self.format = format
        self.hints = hints
        self.fed_ms = 0.0
        self.started_ms: list[float] = []
        self.finalized_ms: list[float] = []
        self.closed = False
        self._engine = engine
        self._on_words = on_words
        self._on_failed = on_failed
        self._answers: deque[tuple[asyncio.TimerHandle, float]] = deque()

    def feed(self, audio: bytes) -> None:
        if self.closed:
            return
        self.fed_ms += self.format.ms(len(audio))
        segments = self._engine.segments
        while segments and self.fed_ms >= segments[0][1] + segments[0][2]:
            text, at_ms, _ = segments.pop(0)
            self._on_words(Words(text, True, at_ms, at_ms))

    def speech_started(self, ago_ms: float) -> None:
        self.started_ms.append(self.fed_ms - ago_ms)

    def finalize(self) -> None:
        self.finalized_ms.append(self.fed_ms)
        if self.closed or self._engine.final_after_ms is None:
            return
        loop = asyncio.get_running_loop()
        timer = loop.call_later(self._engine.final_after_ms / 1000, self._answer)
        self._answers.append((timer, self.fed_ms))

    async def close(self) -> None:
        self.closed = True
        while self._answers:
            self._answers.popleft()[0].cancel()

    def hear(
        self,
        text: str,
        final: bool = True,
        at_ms: float | None = None,
        heard_to_ms: float | None = None,
        turn_over: float | None = None,
    ) -> None:
        """Words now, of all that was fed unless `heard_to_ms` says less; a final one also answers
        the oldest `finalize` that it has listened to and that still waits."""
        if self.closed:
            return
        heard_to_ms = self.fed_ms if heard_to_ms is None else heard_to_ms
        if final and self._answers and self._answers[0][1] <= heard_to_ms:
            self._answers.popleft()[0].cancel()
        spoken_at_ms = heard_to_ms if at_ms is None else at_ms
        self._on_words(Words(text, final, spoken_at_ms, heard_to_ms, turn_over=turn_over))

    def fail(self, stage: str = "lost", detail: str = "scripted") -> None:
        if not self.closed:
            self._on_failed(EngineFailed(self._engine.name, stage, detail))

    def _answer(self) -> None:
        self._answers.popleft()
        queue = self._engine.understood
        self._on_words(Words(queue.popleft() if queue else "", True, self.fed_ms, self.fed_ms))


class FakeTranscriber:
    """Understands what the test tells it to.

    Every `finalize` is answered after `final_after_ms` with the next text of `understands`, or
    with empty text; `final_after_ms=None` never answers, as a hung vendor. `fail_opens` counts
    the opens that raise before one works. `format` is what it takes; None takes the line's.
    `segments` are finals that come unasked, as vendors of streams give them every few seconds:
    (text, where in the audio it ends, how many milliseconds later it is told).
    """

    def __init__(
        self,
        *,
        name: str = "fake",
        final_after_ms: float | None = 100,
        fail_opens: int = 0,
        endpointing: Endpointing | None = None,
        format: AudioFormat | None = None,
        segments: Iterable[tuple[str, float, float]] = (),
    ) -> None:
        self.name = name
        self.segments = list(segments)
        self.endpointing = endpointing or Endpointing()
        self.format = format
        self.final_after_ms = final_after_ms
        self.fail_opens = fail_opens
        self.understood: deque[str] = deque()
        self.streams: list[FakeTranscription] = []

    def takes(self, line: AudioFormat) -> AudioFormat:
        return self.format or line

    async def open(
        self,
        format: AudioFormat,
        hints: Hints,
        on_words: Callable[[Words], None],
        on_failed: Callable[[EngineFailed], None],
    ) -> FakeTranscription:
        if self.fail_opens:
            self.fail_opens -= 1
            raise EngineFailed(self.name, "open", "scripted")
        stream = FakeTranscription(self, format, hints, on_words, on_failed)
        self.streams.append(stream)
        return stream

    @property
    def stream(self) -> FakeTranscription:
        """The stream that was opened last."""
        return self.streams[-1]

    def understands(self, *texts: str) -> None:
        """Queue the answers to the next calls of `finalize`."""
        self.understood.extend(texts)

    def hear(
        self,
        text: str,
        final: bool = True,
        at_ms: float | None = None,
        heard_to_ms: float | None = None,
        turn_over: float | None = None,
    ) -> None:
        """Words now, on the stream that was opened last."""
        self.stream.hear(text, final, at_ms, heard_to_ms, turn_over)

    def fail(self, stage: str = "lost", detail: str = "scripted") -> None:
        self.stream.fail(stage, detail)


class Clauses:
    """An iterator over texts that are there already, for `VoiceSession.speak`. Not a generator, so
    that dropping it half-read leaves nothing to be closed."""

    def __init__(self, *texts: str) -> None:
        self._texts = deque(texts)

    def __aiter__(self) -> Clauses:
        return self

    async def __anext__(self) -> str:
        if not self._texts:
            raise StopAsyncIteration
        return self._texts.popleft()


class HeldClauses(Clauses):
    """The last of them comes when `more` is set."""

    def __init__(self, *texts: str) -> None:
        super().__init__(*texts)
        self.more = asyncio.Event()

    async def __anext__(self) -> str:
        if len(self._texts) == 1:
            await self.more.wait()
        return await super().__anext__()


def tone(format: AudioFormat, ms: float, hz: float = 220.0, amplitude: int = 6000) -> bytes:
    """`ms` of a sine wave in `format`."""
    count = int(ms * format.rate_hz / 1000)
    step = 2 * math.pi * hz / format.rate_hz
    pcm = struct.pack(f"<{count}h", *(int(amplitude * math.sin(step * i)) for i in range(count)))
    return codec.encode(format, pcm)


class FakeVoice:
    """Speaks a tone of `ms_per_char` for each character.

    The first chunk of the first clause comes `first_audio_ms` after its text, the rest
    `speed` times faster than real time, in chunks of `chunk_ms`; the marks of a clause, one a
    word (`marks="words"`), one a character or none, come with its first chunk. `fail_at` is the
    number of chunks after which `EngineFailed` is raised; it counts over all calls of `speak` and
    fails once. `fail_opens` counts the opens that raise before one works. `format` is what it
    gives; None gives the line's. `clauses` is what was asked for, `closed_early` how many
    generators were closed before their end, `sessions` are those that were opened.
    """

    def __init__(
        self,
        *,
        name: str = "fake",
        ms_per_char: float = 50,
        chunk_ms: float = 100,
        first_audio_ms: float = 100,
        speed: float = 4.0,
        marks: str | None = "words",
        fail_at: int | None = None,
        fail_opens: int = 0,
        open_ms: float = 0,
        deadline_ms: float = 3000,
        format: AudioFormat | None = None,
    ) -> None:
        self.name = name
        self.ms_per_char = ms_per_char
        self.chunk_ms = chunk_ms
        self.first_audio_ms = first_audio_ms
        self.speed = speed
        self.marks = marks
        self.fail_at = fail_at
        self.fail_opens = fail_opens
        self.open_ms = open_ms
        self.deadline_ms = deadline_ms
        self.format = format
        self.clauses: list[str] = []
        self.styles: list[VoiceStyle] = []
        self.sessions: list[FakeSession] = []
        self.speaking = 0
        self.closed_early = 0
        self.chunks = 0

    def gives(self, line: AudioFormat) -> AudioFormat:
        return self.format or line

    async def open(self, format: AudioFormat, style: VoiceStyle) -> FakeSession:
        await asyncio.sleep(self.open_ms / 1000)
        if self.fail_opens:
            self.fail_opens -= 1
            raise EngineFailed(self.name, "open", "scripted")
        self.styles.append(style)
        self.sessions.append(FakeSession(self, format))
        return self.sessions[-1]


class FakeSession:
    def __init__(self, voice: FakeVoice, format: AudioFormat) -> None:
        self.closed = False
        self._voice = voice
        self._format = format

    async def aclose(self) -> None:
        self.closed = True

    async def speak(self, clauses: AsyncIterator[str]) -> AsyncGenerator[Spoken, None]:
        voice = self._voice
        assert not self.closed, "a session that was closed is asked to speak"
        voice.speaking += 1
        finished = False
        try:
            index = 0
            async for clause in clauses:
                voice.clauses.append(clause)
                if index == 0:
                    await asyncio.sleep(voice.first_audio_ms / 1000)
                for piece in self._pieces(clause, index):
                    if voice.chunks == voice.fail_at:
                        voice.fail_at = None
                        finished = True
                        raise EngineFailed(voice.name, "speak", "scripted")
                    voice.chunks += 1
                    yield piece
                    await asyncio.sleep(self._format.ms(len(piece.audio)) / voice.speed / 1000)
                index += 1
            finished = True
        finally:
            voice.speaking -= 1
            voice.closed_early += not finished

    def _pieces(self, clause: str, index: int) -> list[Spoken]:
        voice = self._voice
        total_ms = len(clause) * voice.ms_per_char
        count = max(1, math.ceil(total_ms / voice.chunk_ms))
        return [
            Spoken(
                tone(self._format, min(voice.chunk_ms, total_ms - i * voice.chunk_ms)),
                index,
                self._marks(clause) if i == 0 else (),
                last=i == count - 1,
            )
            for i in range(count)
        ]

    def _marks(self, clause: str) -> tuple[Mark, ...]:
        if self._voice.marks is None:
            return ()
        ends = units(clause) if self._voice.marks == "words" else range(1, len(clause) + 1)
        return tuple(Mark(end, end * self._voice.ms_per_char) for end in ends)


class FakeVadStream:
    def __init__(
        self, detector: FakeDetector, rate_hz: int, on_probability: Callable[[float], None]
    ) -> None:
        self.frames = 0
        self.resets = 0
        self.closed = False
        self._detector = detector
        self._size = rate_hz * VAD_FRAME_MS // 1000 * 2
        self._on_probability = on_probability
        self._waiting: deque[float] = deque()

    def feed(self, pcm16: bytes) -> None:
        if len(pcm16) != self._size:
            raise ValueError(f"a frame is {self._size} bytes, not {len(pcm16)}")
        self.frames += 1
        # A queue, because timers that are due at the same moment run in any order.
        self._waiting.append(self._detector.judge(pcm16))
        asyncio.get_running_loop().call_later(self._detector.delay_ms / 1000, self._answer)

    def _answer(self) -> None:
        probability = self._waiting.popleft()
        if not self.closed:
            self._on_probability(probability)

    def reset(self) -> None:
        self.resets += 1

    def close(self) -> None:
        self.closed = True


class FakeDetector:
    """Loud frames are speech (0.95), others not (0.02), unless `script` says otherwise."""

    def __init__(self, *, name: str = "fake", delay_ms: float = 8, loud: int = 500) -> None:
        self.name = name
        self.delay_ms = delay_ms
        self.loud = loud
        self.streams: list[FakeVadStream] = []
        self._script: deque[float] = deque()

    def open(self, rate_hz: int, on_probability: Callable[[float], None]) -> FakeVadStream:
        if rate_hz not in (8000, 16000):
            raise ValueError(f"8000 or 16000 Hz, not {rate_hz}")
        stream = FakeVadStream(self, rate_hz, on_probability)
        self.streams.append(stream)
        return stream

    def script(self, probabilities: Iterable[float]) -> None:
        """The answers to the next frames, whatever they hold."""
        self._script.extend(probabilities)

    def judge(self, pcm16: bytes) -> float:
        if self._script:
            return self._script.popleft()
        return 0.95 if codec.peak(pcm16) > self.loud else 0.02


class FakeEndOfTurn:
    """Answers `verdicts` in order, then `default`. A verdict that is an exception is raised;
    None never answers. `heard` is what was asked."""

    def __init__(
        self,
        *verdicts: float | Exception | None,
        default: float = 1.0,
        delay_ms: float = 40,
        threshold: float = 0.5,
        name: str = "fake",
    ) -> None:
        self.name = name
        self.threshold = threshold
        self.default = default
        self.delay_ms = delay_ms
        self.verdicts: deque[float | Exception | None] = deque(verdicts)
        self.heard: list[Heard] = []

    async def judge(self, heard: Heard) -> float:
        self.heard.append(heard)
        verdict = self.verdicts.popleft() if self.verdicts else self.default
        if verdict is None:
            # A day, not for ever: an eternal wait would look like a deadlock to the test's loop.
            await asyncio.sleep(86_400)
            raise EngineFailed(self.name, "judge", "never answered")
        await asyncio.sleep(self.delay_ms / 1000)
        if isinstance(verdict, Exception):
            raise verdict
        return verdict
