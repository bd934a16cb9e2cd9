"""Finding the way through an automatic menu: what the model is told, and when it is of no use.

A menu is heard to its end, keys are pressed, and nothing is said to it unless it asks for words.
The same prompt for the third time is told to the model, for the fifth it is the end, and so is the
time limit.
"""

from __future__ import annotations

from difflib import SequenceMatcher
from typing import Literal

from chorus.talk.turns.words import tokens

PATIENCE_MS = 1800
"""Menus pause for longer between two options than people do in a sentence."""
ALIKE = 0.85
TOLD_AFTER, OVER_AFTER = 3, 5

_NOTE = (
    "An automatic telephone menu answered, not a person. {goal}Listen until you have heard all "
    "options, then call press_keys with the one that fits. Say nothing to a menu: what you write "
    "is not spoken while it talks. If it wants to hear a word, call say_to_menu. If a person "
    "answers, talk to them as usual. If there is no way, end the call."
)
AGAIN = (
    "You have heard this prompt three times. What you pressed led nowhere: try another option, 0 "
    "for an operator, or end the call."
)


def note(goal: str) -> str:
    """What the model is told of it; `goal`: what is to be reached."""
    return _NOTE.format(goal=f"What you want to reach: {goal.rstrip('. ')}. " if goal else "")


class Menu:
    """Of one call, from the moment in which a menu was noticed. Times are milliseconds."""

    def __init__(self, began_ms: float, limit_ms: float) -> None:
        self._until_ms = began_ms + limit_ms
        self._prompts: list[list[str]] = []

    def heard(self, text: str) -> Literal["again", "stuck"] | None:
        """One prompt, whole."""
        words = tokens(text)
        if not words:
            return None
        same = sum(_alike(words, earlier) for earlier in self._prompts) + 1
        self._prompts.append(words)
        if same >= OVER_AFTER:
            return "stuck"
        return "again" if same == TOLD_AFTER else None

    def too_long(self, now_ms: float) -> bool:
        return now_ms >= self._until_ms


def _alike(one: list[str], other: list[str]) -> bool:
    return SequenceMatcher(None, one, other, autojunk=False).ratio() >= ALIKE
