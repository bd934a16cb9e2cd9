"""What the agent says on its own account, waiting for its moment.

The first message, words of the operator, an apology. Each is a `Reply` whose sound is made
while it waits, so that it costs no time when its moment comes: when nobody speaks, or, for one
that may not be interrupted, whenever the agent itself is silent. Some are withdrawn once the caller
has been answered anyway; the operator's words never are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from chorus.talk.dialogue import Dialogue
from chorus.talk.tasks import Tasks, once_in_time
from chorus.talk.thinking import Reply
from chorus.talk.turns.turns import State

SAID_WITHIN_S = 15.0
"""For what is said first of all, with what is being said when it comes up."""
DELIVERED_WITHIN_S = 90.0
"""For a message in a mailbox."""


@dataclass(slots=True, eq=False)
class Announcement:
    """`lasting`: it is to be said even after the caller was answered. `held_back`: its moment
    has not come, whoever speaks. `opening`: it is the agent's first message."""

    reply: Reply
    uninterruptible: bool = False
    lasting: bool = False
    held_back: bool = False
    opening: bool = False


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

    @property
    def opens(self) -> bool:
        """The agent's first message was not said yet."""
        return any(each.opening for each in self._waiting)

    def take_opening(self) -> Announcement | None:
        """The agent's first message, which is to be said instead of an answer to the first words
        of who was called."""
        for index, announcement in enumerate(self._waiting):
            if announcement.opening:
                return self._waiting.pop(index)
        return None


class Announcer:
    """Makes announcements. `new_reply` makes the reply of one, `discard` drops it; each sounds by
    itself when its moment comes."""

    def __init__(
        self,
        waiting: Announcements,
        dialogue: Dialogue,
        tasks: Tasks,
        new_reply: Callable[[], Reply],
        discard: Callable[[Reply], None],
    ) -> None:
        self._waiting = waiting
        self._dialogue = dialogue
        self._tasks = tasks
        self._new_reply = new_reply
        self._discard = discard
        self.leaving = False
        """The last words of the call are to be said, or were."""

    def say(self, text: str, *, lasting: bool = False) -> None:
        """`text` as soon as nobody speaks."""
        self._waiting.add(Announcement(self._reply(text), lasting=lasting))

    def say_first(self, text: str | None, then: Callable[[], None]) -> None:
        """`text`, or what the model makes of the dialogue, which may not be interrupted; `then` is
        called, once, when it was heard, or when it could not be in time."""
        once = once_in_time(self._tasks, then, SAID_WITHIN_S)
        reply = self._reply(text)
        reply.do_after_reply(once)
        self._waiting.add(Announcement(reply, uninterruptible=True, lasting=True))

    def speak_up(self, note: str | None) -> None:
        """Have the model speak now, with `note` to go by, instead of what was to be said."""
        if self.leaving:
            return
        self.withdraw()
        if note is not None:
            self._dialogue.note(note)
        self._waiting.add(Announcement(self._reply(None), lasting=True))

    def open_with(self, greeting: str | None, *, uninterruptible: bool) -> Announcement:
        """The agent's first message, held back until the owner lets it go. A caller who is faster
        is answered instead, unless the message may not be interrupted: then it must be heard."""
        opening = Announcement(
            self._reply(greeting or None),
            uninterruptible,
            lasting=uninterruptible,
            held_back=True,
            opening=True,
        )
        self._waiting.add(opening)
        return opening

    def deliver(self, text: str | None, end: Callable[[], None], reason: str) -> None:
        """A message in one go, `text` or the model's, instead of all that was to be said; the call
        ends for `reason` when it was heard, and by `end` if it could not be in time."""
        self.withdraw(everything=True)
        reply = self._reply(text, lambda reply: reply.end_after_reply(reason))
        self._waiting.add(Announcement(reply, uninterruptible=True, lasting=True))
        once_in_time(self._tasks, end, DELIVERED_WITHIN_S)

    def withdraw(self, *, everything: bool = False) -> None:
        for reply in self._waiting.withdraw(everything=everything):
            self._discard(reply)

    def _reply(self, text: str | None, first: Callable[[Reply], None] | None = None) -> Reply:
        """Its sound is being made: of `text`, or of what the model says."""
        reply = self._new_reply()
        if first is not None:
            first(reply)
        if text is None:
            reply.think(self._tasks, self._dialogue.messages())
        else:
            reply.say(self._tasks, text)
        return reply
