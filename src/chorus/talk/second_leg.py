"""The call to the person whom a caller is handed to, as the transfer sees it.

`calls/` places it, as a call of its own with an agent, a record and a price of its own, and says
here what becomes of it; whoever answers it decides, by key or by voice, whether to take the caller.
Everything is called on the event loop, in any order, and the first word stands.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Literal

from chorus.lines.line import Line
from chorus.talk.answered.verdict import Verdict
from chorus.talk.spec import AgentSpec
from chorus.talk.tools.tool import Tool

if TYPE_CHECKING:
    from chorus.talk.call import Call

Decision = Literal["accepted", "declined", "mailbox"]


class SecondLeg:
    """`agent` speaks to whoever answers, with `tools`; without a `model` it says what `repeats`
    holds to whatever it is asked. `keys`: 1 takes the caller and 2 does not. `digits` are sent
    once it is answered; `headers` with the call, where the carrier sends any."""

    digits: str
    """Those that are still to be sent: a carrier may have pressed them itself."""

    def __init__(
        self,
        agent: AgentSpec,
        tools: tuple[Tool, ...] = (),
        *,
        repeats: str | None = None,
        keys: bool = False,
        silent: bool = False,
        digits: str = "",
        headers: tuple[tuple[str, str], ...] = (),
    ) -> None:
        loop = asyncio.get_running_loop()
        self.agent = agent
        self.tools = tools
        self.repeats = repeats
        self.keys = keys
        self.silent = silent
        self.digits = digits
        self._behind_menu = bool(digits)
        self.headers = headers
        self.rings: asyncio.Future[None] = loop.create_future()
        self.answered: asyncio.Future[Call] = loop.create_future()
        self.decided: asyncio.Future[tuple[Decision, str]] = loop.create_future()
        self.over: asyncio.Future[tuple[str, str]] = loop.create_future()
        """The call's reason to have ended, and the sentence that says more."""

    def is_ringing(self) -> None:
        if not self.rings.done():
            self.rings.set_result(None)

    def join(self, call: Call, line: Line, ending: asyncio.Future[tuple[str, str]]) -> None:
        """`call`, which comes to `ending`, is this call."""
        if self.digits:
            line.send_digits(self.digits)
        if self.silent:
            call.suspend()
        self.was_answered(call)
        ending.add_done_callback(self._call_ended)

    def was_answered(self, call: Call) -> None:
        if not self.answered.done():
            self.answered.set_result(call)

    def machine_detected(self, who: str) -> None:
        """By the carrier, to which a menu is one."""
        if not self._behind_menu:
            self.decide("mailbox", who)

    def was_heard(self, verdict: Verdict) -> None:
        """Who answered, as it was heard. Silence may be a person; a program that screens calls is
        told who calls."""
        if verdict.who in ("person", "silence", "screening"):
            return
        if not (self._behind_menu and verdict.on_the_way):
            self.decide("mailbox", verdict.who)

    def decide(self, decision: Decision, detail: str = "") -> None:
        if not self.decided.done():
            self.decided.set_result((decision, detail))

    def has_ended(self, reason: str, detail: str = "") -> None:
        if not self.over.done():
            self.over.set_result((reason, detail))

    def _call_ended(self, ending: asyncio.Future[tuple[str, str]]) -> None:
        self.has_ended(*(("internal_error", "") if ending.cancelled() else ending.result()))

    def pressed(self, digit: str) -> bool:
        """Whether the key meant something here."""
        if not self.keys or digit not in "12":
            return False
        self.decide("accepted" if digit == "1" else "declined", "by key")
        return True

    @property
    def call(self) -> Call | None:
        """While somebody is on it."""
        if self.over.done() or not self.answered.done():
            return None
        return self.answered.result()
