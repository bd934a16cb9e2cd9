"""The Protocols of hearing and speaking, and what passes through them.

Engines are owned by the process and hold models, workers and connections; streams are
owned by a call. Audio goes in by plain calls (fifty a second a call) and words come back
by plain callbacks on the event loop; a voice, which yields a few chunks a second, is an
async iterator and is cancelled by closing it.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Protocol

from chorus.audio.frame import AudioFormat


class EngineFailed(Exception):
    """An engine, or the vendor behind it, did not do its part. `detail` carries no secrets."""

    def __init__(self, vendor: str, stage: str, detail: str) -> None:
        super().__init__(f"{vendor} {stage}: {detail}")
        self.vendor = vendor
        self.stage = stage
        self.detail = detail


# --- hearing: what was said -------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Words:
    """What a transcriber understood.

    Interim `text` is everything since the last final; a final `text` replaces the interims
    before it, and the next text starts anew. `spoken_at_ms` is where the last word ended, in
    milliseconds of audio fed to the stream.
    """

    text: str
    final: bool
    spoken_at_ms: float
    confidence: float | None = None


@dataclass(frozen=True, slots=True)
class Hints:
    """What is known before the caller speaks. `phrases`: whole utterances that are expected;
    an engine may restrict itself to them, or ignore them."""

    language: str | None = None
    phrases: tuple[str, ...] = ()


class Transcription(Protocol):
    """One call's stream. None of these blocks or raises; failures go to `on_failed`."""

    def feed(self, audio: bytes) -> None:
        """All of the caller's audio, silence too, in the format given to `open`."""
        ...

    def speech_started(self, ago_ms: float) -> None:
        """The voice detector heard speech begin `ago_ms` before the end of what was fed; told
        again when speech goes on after a `finalize`, in the same turn too. An engine that need
        not decode silence may wait for this; others ignore it."""
        ...

    def finalize(self) -> None:
        """The caller paused: give final words of everything fed so far, soon. Always answered
        by one final `Words`, with empty text where nothing was understood."""
        ...

    async def close(self) -> None: ...


class Transcriber(Protocol):
    @property
    def name(self) -> str: ...

    async def open(
        self,
        format: AudioFormat,
        hints: Hints,
        on_words: Callable[[Words], None],
        on_failed: Callable[[EngineFailed], None],
    ) -> Transcription:
        """Raises `EngineFailed` if no stream can be had, `ValueError` for a format that the
        engine cannot take. After `on_failed` an engine that recovered by itself goes on
        delivering; `EngineFailed.stage == "lost"` means that it never will."""
        ...


# --- hearing: whether anybody speaks ------------------------------------------------------

VAD_FRAME_MS = 32


class VadStream(Protocol):
    def feed(self, pcm16: bytes) -> None:
        """Exactly one frame of `VAD_FRAME_MS`, pcm16 at the rate given to `open`."""
        ...

    def reset(self) -> None:
        """Forget the past: called now and then in long silence."""
        ...

    def close(self) -> None: ...


class VoiceDetector(Protocol):
    @property
    def name(self) -> str: ...

    def open(self, rate_hz: int, on_probability: Callable[[float], None]) -> VadStream:
        """`on_probability` is called once a frame, in order, within about 10 ms of `feed`,
        with the probability 0..1 that it holds speech. `ValueError` unless 8000 or 16000 Hz."""
        ...


# --- hearing: whether the turn is over ------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Heard:
    """A turn so far: its audio from onset to now, its words, and the silence at its end."""

    pcm16: bytes
    rate_hz: int
    text: str
    silence_ms: float


class EndOfTurn(Protocol):
    @property
    def name(self) -> str: ...

    @property
    def threshold(self) -> float:
        """The probability from which this model means yes."""
        ...

    async def judge(self, heard: Heard) -> float:
        """The probability 0..1 that the caller has finished. Raises `EngineFailed`."""
        ...


# --- speaking ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class VoiceStyle:
    """`voice` is the engine's own id of a voice; speed 0.6-1.5, stability 0-1 where supported."""

    voice: str = ""
    speed: float = 1.0
    stability: float = 0.5
    language: str | None = None


@dataclass(frozen=True, slots=True)
class WordTime:
    """A word and when it is spoken, in milliseconds from the first sample of its clause."""

    text: str
    start_ms: float
    end_ms: float


@dataclass(frozen=True, slots=True)
class Spoken:
    """A piece of speech in the format asked for, whole samples. `clause` is the index of the
    clause that it belongs to; `words` come with a piece of their clause, where the engine knows
    them; `last` marks the final piece of the clause (its audio may be empty)."""

    audio: bytes
    clause: int
    words: tuple[WordTime, ...] = field(default=())
    last: bool = False


class Voice(Protocol):
    @property
    def name(self) -> str: ...

    def speak(
        self, clauses: AsyncIterator[str], format: AudioFormat, style: VoiceStyle
    ) -> AsyncGenerator[Spoken, None]:
        """Speak clauses in order as they come; the first audio does not wait for the second
        clause. Ends after the last piece of the last clause. Closing the generator stops the
        vendor's work at once. Raises `EngineFailed`."""
        ...
