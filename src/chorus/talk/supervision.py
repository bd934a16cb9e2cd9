"""Supervisors of one call: they hear it, whisper to the person whom a caller was handed to, or take
the caller over from the agent and hand them back.

A supervisor is another leg of the call. What it hears and who hears it are routes of the call's
`Bridge` and nothing else: no frame of the caller or the agent takes another way because of it.

    listen     hears the caller, the agent or both; nobody hears it
    whisper    the person of a transfer hears it too, the caller does not
    talk       it speaks with the caller, and the agent is silent

Called on the event loop. Who leaves while they talk hands the caller back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from chorus.lines.line import Line
from chorus.talk.hold import connect_tone
from chorus.talk.leg import Leg

if TYPE_CHECKING:
    from chorus.talk.call import Call

Hears = Literal["caller", "agent", "both"]
Mode = Literal["listen", "whisper", "talk"]
MOST = 5
TOOK_OVER = "A colleague has taken over and speaks with the caller; you are not heard."
HANDED_ON = "A colleague has spoken with the caller and hands them to somebody else."
HANDED_BACK = (
    "A colleague has spoken with the caller and has handed them back to you. Go on from what the "
    "caller says."
)


class NotSupervised(Exception):
    """The text is a sentence for whoever asked."""


@dataclass(slots=True, eq=False)
class _Supervisor:
    leg: Leg
    hears: Hears
    by: str
    mode: Mode = "listen"
    over: asyncio.Event = field(default_factory=asyncio.Event)
    unrecord: Callable[[], None] | None = None


class Supervisors:
    """By the ids of their supervisions."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._here: dict[str, _Supervisor] = {}
        self._person: Leg | None = None
        self._private = False

    @property
    def talking(self) -> bool:
        return any(each.mode == "talk" for each in self._here.values())

    def join(
        self, id: str, line: Line, hears: Hears, by: str, *, tone: bool, announcement: str | None
    ) -> asyncio.Event:
        """Take an answered line in; it hears from now on. `tone` and `announcement` tell the caller
        of it. What is returned is set when it is over. Raises `NotSupervised`."""
        call = self._call
        if call.talk is None:
            raise NotSupervised("nobody talks on the call any more")
        if len(self._here) >= MOST:
            raise NotSupervised(f"at most {MOST} may supervise a call at once")
        try:
            leg = call.add_leg(f"supervisor {id}", line, recorded=False)
        except (RuntimeError, ValueError) as failure:
            raise NotSupervised(str(failure)) from failure
        here = self._here[id] = _Supervisor(leg, hears, by)
        call.note("supervisor_joined", id=id, by=by, hears=hears)
        if tone:
            call.caller.mouth.send(connect_tone(call.caller.format), call.call_ms)
        if announcement:
            call.talk.say(announcement)
        self._listen(here)
        return here.over

    def set_mode(self, id: str, mode: Mode) -> None:
        """Nothing, but a note, where it cannot be: they have left, there is nobody to whisper to,
        or somebody else talks."""
        here, call = self._here.get(id), self._call
        why = self._why_not(here, mode)
        if here is None or why is not None:
            call.note("supervision_refused", id=id, mode=mode, detail=why)
            return
        if here.mode == mode:
            return
        before, here.mode = here.mode, mode
        call.note("supervisor_mode", id=id, by=here.by, mode=mode)
        if before == "talk":
            self._hand_back(here)
        elif before == "whisper" and self._person is not None:
            call.bridge.cut(here.leg, self._person)
        if mode == "whisper" and self._person is not None:
            call.bridge.route(here.leg, self._person)
        elif mode == "talk":
            self._take_over(here)

    def hand_on(self) -> None:
        """The caller is to be handed to a person: a supervisor who speaks with them stops, and
        listens."""
        for id, here in self._here.items():
            if here.mode == "talk":
                here.mode = "listen"
                self._call.note("supervisor_mode", id=id, by=here.by, mode="listen")
                self._hand_back(here, HANDED_ON)

    def person_joined(self, person: Leg) -> None:
        """The caller was handed to a person, who may be whispered to."""
        self._person = person
        for here in self._here.values():
            if here.hears != "caller":
                self._call.bridge.route(person, here.leg)

    def person_left(self) -> None:
        self._person = None
        for here in self._here.values():
            if here.mode == "whisper":
                here.mode = "listen"

    def left(self, leg: Leg) -> bool:
        """A leg has ended; whether it was one of these."""
        for id, here in list(self._here.items()):
            if here.leg is leg:
                del self._here[id]
                if here.mode == "talk":
                    self._hand_back(here)
                self._call.note("supervisor_left", id=id, by=here.by)
                here.over.set()
                return True
        return False

    def tick(self, *, private: bool) -> None:
        """`private`: the caller enters a secret, which nobody hears."""
        if private == self._private:
            return
        self._private = private
        for here in self._here.values():
            if private:
                self._call.bridge.cut(self._call.caller, here.leg)
            elif here.hears != "agent" or here.mode == "talk":
                self._call.bridge.route(self._call.caller, here.leg)

    def close(self) -> None:
        """The call is over."""
        for here in self._here.values():
            here.over.set()
        self._here.clear()

    # --- routes -----------------------------------------------------------------------------------

    def _why_not(self, here: _Supervisor | None, mode: Mode) -> str | None:
        if here is None:
            return "the supervisor is not on the call"
        if mode == "whisper" and self._person is None:
            return "there is no person to whisper to: tell the model with inject"
        if mode == "talk" and self.talking and here.mode != "talk":
            return "another supervisor talks with the caller"
        if mode == "talk" and self._call.transfers.under_way:
            return "the caller is being transferred"
        return None

    def _listen(self, here: _Supervisor) -> None:
        bridge, caller = self._call.bridge, self._call.caller
        if here.hears != "agent" and not self._private:
            bridge.route(caller, here.leg)
        if here.hears != "caller":
            bridge.route(caller.mouth, here.leg)
            if self._person is not None:
                bridge.route(self._person, here.leg)

    def _take_over(self, here: _Supervisor) -> None:
        call = self._call
        if call.talk is not None:
            call.talk.dialogue.note(TOOK_OVER)
        call.suspend()
        call.bridge.route(here.leg, call.caller)
        if not self._private:
            call.bridge.route(call.caller, here.leg)
        here.unrecord = call.record(here.leg)

    def _hand_back(self, here: _Supervisor, told: str = HANDED_BACK) -> None:
        call = self._call
        call.bridge.cut(here.leg, call.caller)
        if here.hears == "agent":
            call.bridge.cut(call.caller, here.leg)
        if here.unrecord is not None:
            here.unrecord()
            here.unrecord = None
        if call.talk is not None:
            call.talk.resume()
            call.talk.advise(told)
