"""Handing the caller to a person, from the wish to what came of it. Read it top down.

    initiated → ringing → briefing → connected → completed
    and from each of the first three: failed, declined, no_answer, cancelled

The caller waits on hold while a second call is placed to the person. Until both are connected
nothing has changed for the caller at the carrier, so whatever goes wrong costs one thing: the hold
music stops and the agent goes on. Once they are, this process passes their sound on, records both,
and ends both when one hangs up. One transfer at a time in a call.

`Exchange` is what `calls/` does for it: place the second call, take it back, keep the record.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NoReturn, Protocol

from chorus.audio.frame import AudioFormat
from chorus.lines.line import JoinableLine, LineCause, LineMove, MoveRefused, TransferableLine
from chorus.talk import briefing
from chorus.talk.hold import Hold, connect_tone
from chorus.talk.second_leg import SecondLeg
from chorus.talk.spec import TransferTarget
from chorus.talk.talk import Talk
from chorus.talk.text import phrases

if TYPE_CHECKING:
    from chorus.talk.call import Call

Status = Literal[
    "initiated",
    "ringing",
    "briefing",
    "connected",
    "completed",
    "failed",
    "declined",
    "no_answer",
    "cancelled",
]
By = Literal["agent", "api"]
FINAL: frozenset[Status] = frozenset({"completed", "failed", "declined", "no_answer", "cancelled"})

OF_TRANSFER = frozenset({"reason", "callerNumber"})
"""The variables that the texts of a target have besides the call's."""
DECIDE_S = 90.0
"""From the answer to yes or no."""
ANSWER_GRACE_S = 5.0
"""For the sound of a call that was answered in the moment in which it was given up."""
LONGEST_S = 4 * 3600.0
"""Of two people who are connected: nobody's maximum for a talk with an agent counts."""
TAKEN_BACK_S = 60.0
"""A caller who is taken back has at least so long, whatever the agent's maximum is."""

_MISSED: dict[str, Status] = {
    "no_answer": "no_answer",
    "busy": "no_answer",
    "rejected": "declined",
    "customer_ended": "declined",
    "not_accepted": "declined",
    "screened_out": "no_answer",
}


@dataclass(frozen=True, slots=True)
class Wish:
    """`reason` is what the person is told; `by` is who wants it."""

    target: TransferTarget
    reason: str = ""
    by: By = "agent"


class NotPlaced(Exception):
    """The second call was not placed. The text is a sentence fit for the call's record."""


class Exchange(Protocol):
    """For the transfers of one call. `begin` and `moved` return at once; the record is written in
    their order."""

    def begin(self, wish: Wish, leg: SecondLeg) -> None:
        """The transfer is `initiated`."""
        ...

    async def place(self, wish: Wish, leg: SecondLeg) -> None:
        """Write the second call and have it dialled. What becomes of it is said
        to `leg`. Raises `NotPlaced`."""
        ...

    async def withdraw(self, leg: SecondLeg, cause: LineCause) -> None:
        """Stop ringing, for `cause`. `leg` is over then, unless it was answered in that moment."""
        ...

    def moved(self, leg: SecondLeg, status: Status, detail: str) -> None: ...

    async def music(self, url: str | None, format: AudioFormat) -> tuple[bytes, str | None]:
        """For the caller on hold, pcm16 at the format's rate, from `url` or else Chorus's own; and
        a sentence if the URL's could not be had. Never raises."""
        ...


class Transfer:
    """`run` once, as a task of the call; `close` when the call ends."""

    def __init__(self, call: Call, talk: Talk, exchange: Exchange, wish: Wish) -> None:
        self._call = call
        self._talk = talk
        self._exchange = exchange
        self._target = wish.target
        self._wish = wish
        self._status: Status | None = None
        self._hold: Hold | None = None
        self._holding = True  # until somebody is found, or is not
        self._playing = False
        self._not_released = asyncio.Event()
        self._let_go_done = False
        self._undo: list[Callable[[], None]] = []
        self._leg = briefing.second_leg(
            call.spec.agent,
            wish.target,
            reason=wish.reason,
            customer_number=call.spec.customer_number,
            filled=self._filled,
            transcript=talk.dialogue.transcript(),
        )

    def _filled(self, template: str) -> str:
        """The target's texts know why the caller is handed over, too."""
        number = self._call.spec.customer_number
        return self._call.filled(template, reason=self._wish.reason, callerNumber=number)

    @property
    def connected(self) -> bool:
        """Somebody has taken the caller, who may still be there or not."""
        return self._status in ("connected", "completed")

    # --- from beginning to end --------------------------------------------------------------------

    async def run(self, returned: Callable[[], None]) -> None:
        """`returned` is called when the agent has the caller back and the person is let go."""
        self._move("initiated")
        self._put_on_hold()
        self._leg.rings.add_done_callback(lambda _: self._move("ringing", only_from="initiated"))
        try:
            child = await self._reach()
        except NotReached as missed:
            await self._take_back(missed.status, missed.detail)
            returned()
            return
        self._connect(child)
        if self._target.release and self._target.type != "cold":
            self._call.spawn(self._leave_to_carrier(child), "release")
        reason, detail = await asyncio.shield(self._leg.over)
        self._call.hang_up("transferred", detail or f"the person's call ended: {reason}")

    async def _reach(self) -> Call:
        """The second call, with somebody on it who takes the caller. Raises `NotReached`."""
        leg = self._leg
        line = self._call.caller.line
        cold = self._target.type == "cold"
        if cold and self._target.release and isinstance(line, TransferableLine):
            await self._release(line)
        try:
            await self._exchange.place(self._wish, leg)
        except NotPlaced as failure:
            raise NotReached("failed", str(failure)) from failure
        await _first(leg.answered, leg.over, timeout_s=self._target.ring_timeout_s)
        if not leg.answered.done() and not leg.over.done():
            await self._exchange.withdraw(leg, LineCause.NO_ANSWER)
            await _first(leg.answered, leg.over, timeout_s=ANSWER_GRACE_S)
            if not leg.answered.done():
                raise NotReached("no_answer", f"nobody answered in {self._target.ring_timeout_s} s")
        if not cold:
            if not leg.over.done():
                self._move("briefing")
            await _first(leg.decided, leg.over, timeout_s=DECIDE_S)
            self._judge()
        if (child := leg.call) is None:
            reason, detail = leg.over.result()
            words = f"{reason.replace('_', ' ')}: {detail}" if detail else reason.replace("_", " ")
            raise NotReached(_MISSED.get(reason, "failed"), words)
        return child

    async def _release(self, line: TransferableLine) -> NoReturn:
        """The carrier connects the two: where it does, the caller's line ends, and the call with
        it. Raises `NotReached` where it does not."""
        try:
            await line.transfer(self._target.number, self._target.ring_timeout_s)
        except MoveRefused as failure:
            raise NotReached("failed", str(failure)) from failure
        self._move("ringing", only_from="initiated")
        await self._not_released.wait()
        raise NotReached("no_answer", "the carrier could not connect the caller")

    def moved(self, move: LineMove) -> None:
        """What the carrier says of the caller's line."""
        if not self._target.release or self._status in FINAL:
            return
        if self._target.type != "cold":
            self._left(move)
        elif move is LineMove.TRANSFERRED:
            self._move("connected")
        elif move is LineMove.NOT_TRANSFERRED:
            self._not_released.set()

    async def _leave_to_carrier(self, child: Call) -> None:
        """The carrier connects the two who talk already, and this process leaves. Where it does
        not, it stays between them."""
        line = self._call.caller.line
        try:
            if not isinstance(line, JoinableLine):
                raise MoveRefused(f"{line.provider} connects no two calls")
            await line.connect_with(child.caller.line)
        except MoveRefused as refused:
            self._call.note("transfer_bridged", detail=str(refused))

    def _left(self, move: LineMove) -> None:
        if self._status != "connected":
            return
        if move is LineMove.TRANSFERRED:
            self._call.note("transfer_released")
            if (child := self._leg.call) is not None:
                child.hang_up("transferred", "the carrier has connected the two")
        elif move is LineMove.NOT_TRANSFERRED:
            self._call.note("transfer_bridged", detail="the carrier could not connect the two")

    def _judge(self) -> None:
        """Raises `NotReached` unless the caller is wanted."""
        if not self._leg.decided.done():
            if self._leg.over.done():
                return  # its own end says more
            raise NotReached("no_answer", f"nobody took the caller within {DECIDE_S:.0f} s")
        decision, detail = self._leg.decided.result()
        if decision == "mailbox":
            raise NotReached("no_answer", "a mailbox or a menu answered")
        if decision == "declined":
            raise NotReached("declined", detail)

    # --- the caller -------------------------------------------------------------------------------

    def _put_on_hold(self) -> None:
        told = self._call.spec.agent.hold_message
        self._call.extend(LONGEST_S)
        if told and (told := self._call.filled(told)).strip():
            self._talk.say_first(told, self._begin_music)
        else:
            self._begin_music()
        self._call.spawn(self._load_music(), "hold-music")

    def _begin_music(self) -> None:
        if self._holding:
            self._talk.suspend()
            self._call.note("hold_started")
            self._playing = True

    async def _load_music(self) -> None:
        caller = self._call.caller
        url = self._call.spec.agent.hold_music_url
        music, problem = await self._exchange.music(url, caller.format)
        if problem is not None:
            self._call.note("hold_music_failed", detail=problem)
        self._hold = Hold(caller.mouth, music)

    def tick(self, now: float) -> None:
        if self._playing and self._hold is not None:
            self._hold.tick(now)

    def stop_hold(self) -> None:
        """The music ends at once, and is not begun again."""
        self._holding = False
        if self._playing:
            self._playing = False
            self._call.caller.mouth.clear(self._call.call_ms)
            self._call.note("hold_ended")

    async def _take_back(self, status: Status, detail: str) -> None:
        """Nobody takes the caller: the agent goes on, and says so."""
        self._move(status, detail)
        self.stop_hold()
        self._call.extend(TAKEN_BACK_S, at_least=True)
        language = self._call.spec.agent.language
        name = self._target.name
        self._talk.resume()
        self._talk.dialogue.note(
            f"The transfer to {name} did not succeed ({status.replace('_', ' ')}"
            f"{f': {detail}' if detail else ''}). The caller was told so and is with you again."
        )
        told = self._filled(self._target.when_unavailable or "").strip()
        self._talk.say(told or phrases.nobody_free(language))
        await self._let_go("not_accepted", politely=status == "declined")

    # --- the person -------------------------------------------------------------------------------

    def _connect(self, child: Call) -> None:
        """Both hear a tone, then each other; each call records both."""
        call = self._call
        self.stop_hold()
        self._talk.suspend()
        child.suspend()
        caller, person = call.caller, child.caller
        for each, at in ((caller, call.call_ms), (person, child.call_ms)):
            each.mouth.send(connect_tone(each.format), at)
        call.bridge.connect(caller, person)
        call.supervisors.person_joined(person)
        self._undo = [
            call.supervisors.person_left,
            lambda: call.bridge.remove(person),
            call.record(person),
            child.record(caller),
        ]
        self._listen(child)
        child.extend(LONGEST_S)
        call.extend(LONGEST_S)
        self._leg.over.add_done_callback(lambda _: self._disconnect())
        self._move("connected")

    def _listen(self, child: Call) -> None:
        """To what the two say, if it is wanted: the person's words are the caller's record too."""
        dialogue, note = self._talk.dialogue, self._call.note

        def person_said(text: str) -> None:
            dialogue.person_said(text)
            note("person_said", text=text)

        transcribe = self._target.transcribe
        self._talk.between_people(_nothing if transcribe else None)
        if child.talk is not None:
            child.talk.between_people(person_said if transcribe else None)

    def _disconnect(self) -> None:
        undo, self._undo = self._undo, []
        for each in undo:
            each()

    async def _let_go(self, reason: str, *, politely: bool = False) -> None:
        """The person is not needed any more, whatever state their call is in."""
        leg = self._leg
        if leg.over.done() or self._let_go_done:
            return
        child = leg.call
        if child is None:
            await self._exchange.withdraw(leg, LineCause.CANCELED)
            # Answered in the same moment: they are not left with silence.
            leg.answered.add_done_callback(lambda answered: answered.result().hang_up(reason))
        elif politely:
            child.take_leave(phrases.not_connected(child.spec.agent.language), reason)
        else:
            child.hang_up(reason)
        self._let_go_done = True

    # --- the end ----------------------------------------------------------------------------------

    async def close(self) -> None:
        """The call is over, for whatever reason: so is everything that belongs to the transfer,
        and nobody talks to a caller who is gone. `run` has been cancelled, or will be."""
        self._holding = self._playing = False
        self._disconnect()
        if self._status is None:
            return
        if self._status in FINAL:
            await self._let_go("caller_ended")  # the caller left while the agent took them back
            return
        if self._status == "connected":
            self._move("completed")
            if (child := self._leg.call) is not None:
                child.hang_up("caller_ended")
            return
        child = self._leg.call
        self._move("cancelled", "the caller's call ended")
        if child is not None:
            child.take_leave(phrases.caller_left(child.spec.agent.language), "caller_ended")
        else:
            await self._let_go("caller_ended")

    def _move(self, status: Status, detail: str = "", *, only_from: Status | None = None) -> None:
        if self._status in FINAL or (only_from is not None and self._status != only_from):
            return
        self._status = status
        told = {"detail": detail} if detail else {}
        first = status == "initiated"
        what = self._told() if first else {}
        self._call.note(f"transfer_{status}", **what, **told)
        if first:
            self._exchange.begin(self._wish, self._leg)
        else:
            self._exchange.moved(self._leg, status, detail)

    def _told(self) -> dict[str, object]:
        """What is wanted. Whether the carrier is to connect the two is looked for there if this
        process dies (`calls/lost_release.py`)."""
        target = self._target
        merge = "release" if target.release else "bridge"
        return {"name": target.name, "type": target.type, "merge": merge}


def _nothing(text: str) -> None:
    """The caller's words are in the caller's record anyway."""


class NotReached(Exception):
    """Nobody takes the caller."""

    def __init__(self, status: Status, detail: str) -> None:
        super().__init__(detail)
        self.status: Status = status
        self.detail = detail


async def _first(*waited: asyncio.Future[Any], timeout_s: float) -> None:
    """Until one of them is done, or the time is over; none is cancelled."""
    await asyncio.wait(waited, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
