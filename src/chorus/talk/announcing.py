"""What the agent says on its own account, waiting for its moment.

The first message, words of the operator, an apology. Each is a `Reply` whose sound is made
while it waits, so that it costs no time when its moment comes: when nobody speaks, or, for one
that may not be interrupted, whenever the agent itself is silent. Some are withdrawn once the caller
has been answered anyway; the operator's words never are.
"""

from __future__ import annotations

from dataclasses import dataclass

from chorus.talk.thinking import Reply
from chorus.talk.turns.turns import State


@dataclass(slots=True, eq=False)
class Announcement:
    """`lasting`: it is to be said even after the caller was answered. `held_back`: its moment
    has not come, whoever speaks."""

    reply: Reply
    uninterruptible: bool = False
    lasting: bool = False
    held_back: bool = False


class Announcements:
    """In the order in which they are to be said."""

    def __init__(self) -> None:
        self._waiting: list[Announcement] = []

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def add(self, announcement: Announcement) -> None:
        self._waiting.append(announcement)

    def next(self, state: State) -> Announcement | None:
        """Taken off: the first that is not held back and that `state` lets the agent begin, if it
        has something to be heard (or has failed to), or a tool that waits for its moment."""
        for index, announcement in enumerate(self._waiting):
            free = state == "idle" or (announcement.uninterruptible and state in ("user", "pause"))
            if announcement.held_back or not free:
                continue
            reply = announcement.reply
            utterance = reply.utterance
            if utterance.audio or utterance.finished or reply.waits_for_commit:
                return self._waiting.pop(index)
            return None
        return None

    def withdraw(self, *, everything: bool = False) -> list[Reply]:
        """Take off what nobody needs any more, the caller having been answered."""
        gone = [a for a in self._waiting if everything or not a.lasting]
        self._waiting = [a for a in self._waiting if a not in gone]
        return [announcement.reply for announcement in gone]
