"""The Protocols of hearing and speaking, and what passes through them: what a vendor's adapter
has to fulfil.

Engines are owned by the process and hold models, workers and connections; streams and sessions
are owned by a call. Audio goes in by plain calls (fifty a second a call) and words come back
by plain callbacks on the event loop; a voice, which yields a few chunks a second, is an
async iterator and is cancelled by closing it.

An adapter says in which audio format it works (`takes`, `gives`), and the call converts, once.
It says how long it may take (`Endpointing.final_within_ms`, `Voice.deadline_ms`), and the call
goes over to the next engine of its ranking when that is over; an adapter needs no failover.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

from chorus.audio.frame import AudioFormat

FailureKind = Literal[
    "key", "credit", "busy", "full", "request", "gone", "late", "garbage", "other"
]
"""Why: the key is refused; the account has no money or quota left; the vendor has too much to do,
or was asked too often; the account has as much under way as it may; what was asked for is not
there or not allowed; there is no connection, or it broke; no answer in time; an answer that cannot
be read; anything else."""


class EngineFailed(Exception):
    """An engine, or the vendor behind it, did not do its part. `detail` carries no secrets."""

    def __init__(self, vendor: str, stage: str, detail: str, kind: FailureKind = "other") -> None:
        super().__init__(f"{vendor} {stage}: {detail}")
        self.vendor = vendor
        self.stage = stage
        self.detail = detail
        self.kind: FailureKind = kind


# --- hearing: what was said -------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class WordTime:
    """A word and when it was spoken, in milliseconds of audio fed to the stream."""

    text: str
    start_ms: float
    end_ms: float


@dataclass(frozen=True, slots=True)
class Words:
    """What a transcriber understood. All times are milliseconds of audio fed to the stream.

    Interim `text` is everything since the last final; a final `text` replaces the interims
    before it, and the next text starts anew. `spoken_at_ms` is where the last word ended.

    `heard_to_ms` is how far the vendor has listened: of what was said before it nothing is
    missing in this text and the finals before it. The caller's pause counts as transcribed when
    a final has listened past its beginning, so a final that the vendor gave unasked, of the first
    half of a sentence, ends no turn. The answer to a `finalize` has listened to where that fell.

    `turn_over` is the vendor's own verdict, where it gives one: the probability 0..1 that the
    caller's turn is over, and 0.5 means yes. `words` are the times of the words of `text`,
    `language` (BCP 47) is what was spoken, and `confidence` 0..1, where the vendor tells.
    """

    text: str
    final: bool
    spoken_at_ms: float
    heard_to_ms: float
    words: tuple[WordTime, ...] = ()
    language: str | None = None
    confidence: float | None = None
    turn_over: float | None = None


@dataclass(frozen=True, slots=True)
class Hints:
    """What is known before the caller speaks. `languages`: BCP 47, the likeliest first; empty
    when none is known. `phrases`: whole utterances that are expected; an engine may restrict
    itself to them, or ignore them."""

    languages: tuple[str, ...] = ()
    phrases: tuple[str, ...] = ()

    @property
    def language(self) -> str | None:
        """The likeliest, for an engine that takes one."""
        return self.languages[0] if self.languages else None


@dataclass(frozen=True, slots=True)
class Endpointing:
    """How an engine's words become final.

    `finalize_after_ms`: the silence after which it is to be asked, by `Transcription.finalize`.
    Not at the first silent frame: the closure of a "t" is silent for up to 80 ms, and half an
    utterance is transcribed worse. None: it finds the ends of utterances by itself and is never
    asked. `final_within_ms`: what it may take to answer a `finalize`; after that it has failed.
    `judges_turns`: its words carry `turn_over`, and no other end-of-turn model is asked.
    """

    finalize_after_ms: float | None = 96
    final_within_ms: float = 1500
    judges_turns: bool = False


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
        by one final `Words` whose `heard_to_ms` is not before this place, with empty text where
        nothing (more) was understood."""
        ...

    async def close(self) -> None: ...


class Transcriber(Protocol):
    @property
    def name(self) -> str: ...

    @property
    def endpointing(self) -> Endpointing: ...

    def takes(self, line: AudioFormat) -> AudioFormat:
        """The format in which it wants to be fed the audio of a line of `line`, which is G.711
        or pcm16 at 8 or 16 kHz. The nearest that it has: what it is given is converted from
        `line`, so a higher rate brings nothing."""
        ...

    async def open(
        self,
        format: AudioFormat,
        hints: Hints,
        on_words: Callable[[Words], None],
        on_failed: Callable[[EngineFailed], None],
    ) -> Transcription:
        """`format` is one that `takes` gave. Raises `EngineFailed` if no stream can be had. After
        `on_failed` an engine that recovered by itself goes on delivering; `EngineFailed.stage ==
        "lost"` means that it never will."""
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
    """A turn so far: its audio from onset to now (8000 or 16000 Hz), its words, and the silence
    at its end. `context`: what the caller had heard the agent say before it, the last words of
    it."""

    pcm16: bytes
    rate_hz: int
    text: str
    silence_ms: float
    context: str = ""


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
class Mark:
    """The first `chars_end` characters of a clause (code points of the text that `speak` was
    given) have been spoken by `end_ms`, counted from the clause's first sample."""

    chars_end: int
    end_ms: float


@dataclass(frozen=True, slots=True)
class Spoken:
    """A piece of speech in the format that the session was opened with, whole samples. `clause`
    is the index of the clause that it belongs to; `marks` come with a piece of their clause or
    before it, rising, for each word or character, where the engine knows them; `last` marks the
    final piece of the clause (its audio may be empty)."""

    audio: bytes
    clause: int
    marks: tuple[Mark, ...] = ()
    last: bool = False


class VoiceSession(Protocol):
    """One call's: a connection that is warm before the greeting and kept over the turns."""

    def speak(self, clauses: AsyncIterator[str]) -> AsyncGenerator[Spoken, None]:
        """Speak clauses in order as they come; the first audio does not wait for the second
        clause. Joined they are the text: a clause begins with the space before it. Ends after
        the last piece of the last clause. Closing the generator stops the vendor's work at once.
        A second one may run beside the first (a draft while the agent speaks). Raises
        `EngineFailed`; a session that lost its connection opens another with the next `speak`."""
        ...

    async def aclose(self) -> None:
        """The call is over. No `speak` runs any more."""
        ...


class Voice(Protocol):
    @property
    def name(self) -> str: ...

    @property
    def deadline_ms(self) -> float:
        """What it may take from a text to its first audio, and from one piece to the next while
        more is owed; after that it has failed."""
        ...

    def gives(self, line: AudioFormat) -> AudioFormat:
        """The format in which it can speak for a line of `line`: that one, if it has it, or else
        what is to be converted."""
        ...

    async def open(self, format: AudioFormat, style: VoiceStyle) -> VoiceSession:
        """`format` is one that `gives` gave. Raises `EngineFailed` if no session can be had, as
        for a voice that does not exist."""
        ...


@runtime_checkable
class PlainVoice(Protocol):
    """What a `Voice` is too that reads "$3.50" or "3. Mai" as they stand, and so needs them
    written out. Most hosted voices do that by themselves, and are none."""

    def plain_language(self, style: VoiceStyle) -> str | None:
        """In which language (BCP 47) it is to be written out for a voice of `style`; None leaves
        the text as it stands."""
        ...
