"""Which replies are made in advance, of which words: at most two at a time, and three in a turn.

A draft is worth what it is made of: it is used if the turn ends with its words. Words that go on
end it; words that are changed ("for two" becomes "for 2", and perhaps back) leave it beside the
next one, until the transcriber has decided.
"""

from __future__ import annotations

from collections import deque

from chorus.talk.turns.events import CancelDraft, Draft, Event
from chorus.talk.turns.words import OpenTurn, same_words, tokens

_KEPT = 2
_IN_A_TURN = 3


class Drafts:
    """One call's, the oldest first. Its events go to `events`."""

    __slots__ = ("_events", "_kept")

    def __init__(self, events: deque[Event]) -> None:
        self._events = events
        self._kept: list[Draft] = []

    def __bool__(self) -> bool:
        return bool(self._kept)

    def begin(self, turn: OpenTurn, pause: int, text: str, *, spare: int = 0) -> bool:
        """Draft a reply to `text`, unless there is one; False where there may be none, because
        only `spare` are left in the turn."""
        if any(same_words(draft.text, text) for draft in self._kept):
            return True
        if turn.drafts >= _IN_A_TURN - spare:
            return False
        if len(self._kept) == _KEPT:
            self._cancel(self._kept[0])
        turn.drafts += 1
        draft = Draft(turn.id, pause, text, turn.onset_ms)
        self._kept.append(draft)
        self._events.append(draft)
        return True

    def words(self, text: str) -> None:
        """The turn's words are `text` now, and may change again."""
        now = tokens(text)
        for draft in list(self._kept):
            before = tokens(draft.text)
            if len(before) < len(now) and now[: len(before)] == before:
                self._cancel(draft)

    def cancel(self, *, unless: str | None = None) -> None:
        """Cancel all, but for one of these words, whatever their case and punctuation."""
        for draft in list(self._kept):
            if unless is None or not same_words(draft.text, unless):
                self._cancel(draft)

    def hand_over(self, text: str) -> None:
        """The turn is committed with `text`: a draft of it is the owner's now."""
        self.cancel(unless=text)
        self._kept.clear()

    def _cancel(self, draft: Draft) -> None:
        self._kept.remove(draft)
        self._events.append(CancelDraft(draft.turn, draft.pause, draft.text))
