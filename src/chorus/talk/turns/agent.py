"""What turn-taking knows of the agent: its reply, how much of it was heard, what holds it."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

from chorus.talk.text.backchannel import is_echo, is_question
from chorus.talk.turns.words import OpenTurn

_ECHO_MS = 300  # how late the agent's own words come back


@dataclass(slots=True, eq=False)
class Agent:
    """`answered` is the turn whose reply was not heard yet, `committed_at` when it was over.
    `effects`: a tool with effects has begun. `heard_ms` is how much of the reply was heard,
    `position_ms` what was told last, which is less while a word is repeated. `said` is the text
    that was heard; `asked`: it is, or is about to be, a question. `sound_end` is when the agent
    was last audible, `cooldown_end` until when a sound may be its echo.

    `held_voice` is the voice (ms) of the interruption that holds the agent, `confirmed` that its
    words are those of one; `resumed` is the candidate that held the agent in vain, and until when.
    """

    answered: OpenTurn | None = None
    committed_at: float = -inf
    effects: bool = False
    uninterruptible: bool = False
    heard_ms: float = 0.0
    position_ms: float = 0.0
    said: str = ""
    asked: bool = False
    sound_end: float = -inf
    cooldown_end: float = -inf
    held_voice: int = 0
    confirmed: bool = False
    resumed: tuple[OpenTurn, float] | None = None

    def begin_reply(self) -> None:
        """Nothing of it was heard yet."""
        self.heard_ms = self.position_ms = 0.0
        self.said = ""
        self.asked = False
        self.effects = self.confirmed = False
        self.resumed = None

    def says(self, text: str, soon: str) -> None:
        self.said = text
        self.asked = is_question(text) or is_question(soon)

    def echoed_by(self, text: str, spoken_at: float) -> bool:
        """Whether `text` is the agent's own words, come back in the caller's microphone."""
        heard_by_then = spoken_at <= self.sound_end + _ECHO_MS
        return heard_by_then and bool(self.said) and is_echo(text, self.said)
