"""What turn-taking is set to, and what it says: the settings and events of `turns.Turns`.

Import them from `chorus.talk.turns.turns`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True)
class TurnSettings:
    """An agent's turn-taking, milliseconds and probabilities; see docs/turn-taking.md.
    `eot_threshold` None means the end-of-turn model's own."""

    frame_activation_threshold: float = 0.35
    turn_endpoint_delay_ms: int = 100
    min_turn_duration_ms: int = 50
    min_interruption_duration_ms: int = 100
    post_speech_cooldown_ms: int = 400
    eot_threshold: float | None = None
    speculative_silence_ms: int = 150
    fallback_silence_ms: int = 3000


@dataclass(frozen=True, slots=True)
class KeyRule:
    """How a number that is keyed in ends: with so many keys, with a key of its own, or when no key
    has come for `gap_ms`."""

    length: int | None = None
    terminator: str | None = "#"
    gap_ms: float = 1500.0

    def complete(self, digits: str) -> bool:
        ended = bool(self.terminator) and digits.endswith(self.terminator or "")
        return ended or (self.length is not None and len(digits) >= self.length)


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    """The caller began to speak; `turn` is new, or the turn that a Retract reopened."""

    turn: int
    onset_ms: float


@dataclass(frozen=True, slots=True)
class SpeechPaused:
    """The first unvoiced frame of a pause."""

    turn: int
    pause: int


@dataclass(frozen=True, slots=True)
class Draft:
    """A reply may be drafted now; its snapshot is the turn's `text` so far, whose sound begins at
    `onset_ms`."""

    turn: int
    pause: int
    text: str
    onset_ms: float = field(default=0.0, compare=False)


@dataclass(frozen=True, slots=True)
class CancelDraft:
    """Of the draft that was made of this text."""

    turn: int
    pause: int
    text: str


@dataclass(frozen=True, slots=True)
class AskEndOfTurn:
    """Ask the model whether the turn whose audio began at `onset_ms` is over; answer with
    `verdict(question, p, now)`."""

    question: int
    turn: int
    onset_ms: float
    silence_ms: float


@dataclass(frozen=True, slots=True)
class TurnCommitted:
    """The turn is over and to be answered. `text` is what the caller said (interim words where
    no final came), `digits` the keys pressed in it."""

    turn: int
    by: Literal["eot", "fallback", "digits"]
    text: str
    digits: str = ""
    onset_ms: float = 0.0
    speech_end_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class TurnDropped:
    turn: int
    reason: Literal["no_words", "too_short"]


@dataclass(frozen=True, slots=True)
class Unheard:
    """Three wordless turns in a row, or one that had silenced the agent: it should ask the caller
    to repeat."""


@dataclass(frozen=True, slots=True)
class Retract:
    """The caller went on before anything was heard of the reply: forget the reply to `turn`; the
    same turn goes on, and its earlier text will be part of the next commit."""

    turn: int


@dataclass(frozen=True, slots=True)
class PauseAgent:
    """Stop sounding at once; it may be resumed."""


@dataclass(frozen=True, slots=True)
class ResumeAgent:
    """Go on from the last whole word heard."""


@dataclass(frozen=True, slots=True)
class Interrupted:
    """The caller took the turn: forget the rest of what the agent was saying."""

    turn: int
    by: Literal["speech", "digit"]
    heard_ms: float


Event = (
    SpeechStarted
    | SpeechPaused
    | Draft
    | CancelDraft
    | AskEndOfTurn
    | TurnCommitted
    | TurnDropped
    | Unheard
    | Retract
    | PauseAgent
    | ResumeAgent
    | Interrupted
)
