"""When a message may be left: a mailbox is recorded only after its greeting.

The agent is silent from the moment in which it is known that a machine has picked up. The greeting
is over when the beep is heard or the carrier says so; where neither comes, when the mailbox has
spoken and been quiet for a while; and whatever it does, after a time.
"""

from __future__ import annotations

from collections.abc import Callable

QUIET_MS = 2000.0
"""Longer than the pauses within a greeting, shorter than a mailbox waits before it hangs up."""
GREETING_MS = 30_000.0
"""A greeting that is longer is spoken over."""

LEAVE_MESSAGE = (
    "A mailbox or an answering machine has picked up, not a person, and its greeting is over: what "
    "you say now is recorded. Leave your message in one go, without questions, then end the call. "
    "If a message makes no sense here, only end the call."
)


class Mailbox:
    """`wait` silences the agent, `leave` has it leave a message; each is called once at most. A
    greeting of more than `longest_ms` is spoken over. Times are those of the audio, in
    milliseconds."""

    def __init__(
        self,
        wait: Callable[[], None],
        leave: Callable[[], None],
        longest_ms: float = GREETING_MS,
    ) -> None:
        self._longest_ms = longest_ms
        self._wait = wait
        self._leave = leave
        self._began_ms: float | None = None
        self._quiet_since_ms: float | None = None
        self._spoke = False
        self._greeting_over = False
        self._done = False

    def answered(self, now_ms: float, *, greeting_over: bool, spoke: bool = False) -> None:
        """A machine was heard, or the end of its greeting. `spoke`: it has begun its greeting."""
        if self._began_ms is None and not self._done:
            self._began_ms = now_ms
            self._spoke = spoke
            self._wait()
        self._greeting_over = self._greeting_over or greeting_over

    def forget(self) -> None:
        """Somebody else speaks on the line: no message is left any more."""
        self._done = True

    def frame(self, voiced: bool, now_ms: float) -> None:
        """What is heard, every frame."""
        if self._began_ms is None or self._done:
            return
        if self._greeting_over or self._sounds_over(voiced, now_ms, self._began_ms):
            self._done = True
            self._leave()

    def _sounds_over(self, voiced: bool, now_ms: float, began_ms: float) -> bool:
        if voiced:
            self._spoke, self._quiet_since_ms = True, None
        elif self._quiet_since_ms is None:
            self._quiet_since_ms = now_ms
        elif self._spoke and now_ms - self._quiet_since_ms >= QUIET_MS:
            return True
        return now_ms - began_ms >= self._longest_ms
