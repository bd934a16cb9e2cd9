"""A call of the stand-in, from the first ring to the last status: its verbs, and its webhooks."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import time
import uuid
from collections.abc import Awaitable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.lines.happenings import Happenings
from tests.lines.jambonz.standin_stream import Stream
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Subprotocol

if TYPE_CHECKING:
    from tests.lines.jambonz.standin import Jambonz

ACCOUNT = "9351f46a-678c-43f5-b8a6-d4eb58d131af"


@dataclass
class Person:
    """Who is at the far end of the calls that come next."""

    answer: int = 200
    """The SIP status, or 0: lets it ring until somebody gives up."""
    ring_s: float = 0.05
    amd: tuple[str, ...] = ()
    connects: bool = True
    """Whether the media server reaches the websocket."""


@dataclass
class Room:
    """A conference."""

    inside: list[Call] = field(default_factory=list["Call"])
    over: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass
class Call(Happenings):
    """A call, from the first ring to the last status."""

    board: Jambonz
    direction: str
    from_: str
    to: str
    hook: str
    status_hook: str
    person: Person
    wish: dict[str, Any] = field(default_factory=dict[str, Any])
    sip: dict[str, Any] | None = None
    sid: str = field(default_factory=lambda: str(uuid.uuid4()))
    status: str = "trying"
    stream: Stream | None = None
    room: Room | None = None
    heard_there: bytearray = field(default_factory=bytearray)
    """In conferences."""
    answered_s: float | None = None
    pressed: str = ""
    """Keys, by the API."""
    _verbs: list[dict[str, Any]] = field(default_factory=list[Any])
    _over: asyncio.Event = field(default_factory=asyncio.Event)
    _replaced: asyncio.Event = field(default_factory=asyncio.Event)
    """The verb that is under way is to end, since another application takes its place."""
    _by: str = "jambonz"
    _final: tuple[str, int] | None = None

    def tell(self, kind: str, **facts: Any) -> None:
        super().tell(kind, **facts)
        self.board.printed(self, kind, facts)

    async def run(self) -> None:
        try:
            await (self._outbound() if self.direction == "outbound" else self._inbound())
        finally:
            self.board.calls.pop(self.sid, None)
            self.tell("over", status=self.status)

    async def _outbound(self) -> None:
        await self._is("trying", 100)
        await self._is("ringing", 180)
        limit_s = min(self.wish.get("timeout", 60), 60 if not self.person.answer else 3600)
        try:
            async with asyncio.timeout(self.person.ring_s if self.person.answer else limit_s):
                await self._over.wait()
        except TimeoutError:
            pass
        if self._final is not None or self.person.answer != 200:
            sip = self._final[1] if self._final else self.person.answer or 487
            status = {486: "busy", 603: "busy", 487: "no-answer"}.get(sip, "failed")
            await self._is(status, sip)
            return
        await self._answer()
        if self.wish.get("amd"):
            self.board.spawn(self._detect())
        await self._application(await self._post(self.hook, self._facts()))

    async def _inbound(self) -> None:
        facts = self._facts() | ({"sip": self.sip} if self.sip else {})
        await self._application(await self._post(self.hook, facts))

    async def _application(self, verbs: Any) -> None:
        if not isinstance(verbs, list) or not verbs:
            await self._is("failed" if self.answered_s is None else "completed", 603)
            return
        self._verbs = list(verbs)
        while self._verbs and not self._over.is_set():
            verb = self._verbs.pop(0)
            self._replaced.clear()
            self.tell("verb", **verb)
            match verb["verb"]:
                case "sip:decline":
                    await self._is("failed", verb["status"])
                    return
                case "listen":
                    await self._answer()
                    await self._listen(verb)
                case "dial":
                    await self._dial(verb)
                case "conference":
                    await self._answer()
                    await self._confer(verb)
                case "hangup":
                    break
                case other:
                    raise AssertionError(f"jambonz knows no verb {other}")
        if self.answered_s is None:
            await self._is("no-answer", 487)
            return
        lasted = round(time.monotonic() - self.answered_s)
        await self._is("completed", 200, duration=lasted, call_termination_by=self._by)

    async def _dial(self, verb: dict[str, Any]) -> None:
        """Somebody else is called, for as long as `timeout` says, and the two talk until one hangs
        up. What the `actionHook` answers is done next, if it answers anything."""
        callee, leg_sid, limit_s = self.board.callee, str(uuid.uuid4()), verb.get("timeout", 60)
        rings_s = callee.ring_s if callee.answer else limit_s
        leg = {"call_sid": leg_sid, "parent_call_sid": self.sid, "direction": "outbound"}
        leg |= {"from": verb["callerId"], "to": "them"}
        try:
            async with asyncio.timeout(min(rings_s, limit_s)):
                await self._over.wait()
                return
        except TimeoutError:
            pass
        if callee.answer == 200 and rings_s <= limit_s:
            status, sip = "completed", 200
            told = {"call_status": "in-progress", "sip_status": 200}
            await self._post(self.status_hook, self._facts() | leg | told)
            await self._over.wait()
        elif rings_s > limit_s or not callee.answer:
            status, sip = "no-answer", 487
        else:
            status, sip = ("busy" if callee.answer == 486 else "failed"), callee.answer
        result = {"dial_call_status": status, "dial_sip_status": sip, "dial_call_sid": leg_sid}
        verbs = await self._post(verb["actionHook"], self._facts() | result)
        if isinstance(verbs, list) and verbs:
            self._verbs = list(verbs)

    async def _confer(self, verb: dict[str, Any]) -> None:
        """In a conference until the person hangs up, is sent elsewhere, or it is over: because one
        with `endConferenceOnExit` has left. What follows is the next verb."""
        room = self.board.rooms.setdefault(verb["name"], Room())
        if len(room.inside) >= verb.get("maxParticipants", 250):
            self.tell("conference_full")
            return
        room.inside.append(self)
        self.room = room
        self.tell("joined", members=len(room.inside))
        try:
            await self._first(self._over.wait(), self._replaced.wait(), room.over.wait())
        finally:
            self.room = None
            room.inside.remove(self)
            if verb.get("endConferenceOnExit"):
                room.over.set()
            is_over = room.over.is_set() or not room.inside
            if is_over and self.board.rooms.get(verb["name"]) is room:
                del self.board.rooms[verb["name"]]
            self.tell("left")

    async def _first(self, *waited: Awaitable[object]) -> None:
        tasks = [asyncio.ensure_future(each) for each in waited]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()

    async def _answer(self) -> None:
        if self.answered_s is None:
            self.answered_s = time.monotonic()
            await self._is("in-progress", 200)

    async def _listen(self, verb: dict[str, Any]) -> None:
        both = verb["bidirectionalAudio"]
        assert both["streaming"], "the caller would hear nothing"
        assert both["sampleRate"] == verb["sampleRate"]
        if not self.person.connects:
            self.tell("unreachable")
            return
        try:
            ws = await connect(
                verb["url"],
                subprotocols=[Subprotocol("audio.jambonz.org")],
                compression=None,
                max_size=None,
            )
        except (OSError, InvalidStatus) as error:
            self.tell("unreachable", error=str(error))
            return
        facts = {"sampleRate": verb["sampleRate"], "mixType": verb["mixType"]}
        facts |= {"callSid": self.sid, "direction": self.direction, "from": self.from_}
        await ws.send(json.dumps(facts | self.board.start))
        self.stream = Stream(ws, verb["sampleRate"], self.tell)
        self.tell("listening", subprotocol=ws.subprotocol)
        running = asyncio.create_task(self.stream.run())
        await self._first(asyncio.shield(running), self._over.wait(), self._replaced.wait())
        self.stream.over = True
        await running
        self.tell("listened", code=ws.close_code)
        if not self._over.is_set():
            await self._post(verb["actionHook"], self._facts())

    async def _detect(self) -> None:
        for kind in self.person.amd:
            await self._post(self.wish["amd"]["actionHook"], {"type": kind, **self._facts()})

    # What others do to it.

    def hang_up(self, by: str = "caller") -> None:
        self._by = by
        if self.stream is not None:
            self.stream.over = True
        self._over.set()

    def give_up(self) -> None:
        self._final = ("no-answer", 487)
        self._over.set()

    async def redirect(self, hook: str) -> None:
        """Live call control with a `call_hook`: 202 went out already. Without an answer the call
        goes on as it was (call-session.js, `updateCall`)."""
        if self.board.unreachable and self.board.unreachable in hook:
            return
        verbs = await self._post(hook, self._facts())
        if isinstance(verbs, list) and verbs:
            self._verbs = list(verbs)
            self._replaced.set()

    def say(self, sound: bytes) -> None:
        """To the others in the conference."""
        assert self.room is not None
        for other in self.room.inside:
            if other is not self:
                other.heard_there += sound

    # To the application.

    def _facts(self) -> dict[str, Any]:
        facts: dict[str, Any] = {
            "call_sid": self.sid,
            "direction": self.direction,
            "from": self.from_,
            "to": self.to,
            "call_id": f"{self.sid}@sip",
            "sip_status": 200 if self.answered_s is not None else 100,
            "call_status": self.status,
            "account_sid": ACCOUNT,
            "trace_id": "f" * 32,
        }
        if self.wish.get("tag"):
            facts["customerData"] = self.wish["tag"]
        return facts

    async def _is(self, status: str, sip_status: int, **more: Any) -> None:
        self.status = status
        self.tell("status", status=status, sip=sip_status)
        reason = {200: "OK", 486: "Busy Here", 603: "Decline"}.get(sip_status, "")
        facts = {"call_status": status, "sip_status": sip_status, "sip_reason": reason, **more}
        await self._post(self.status_hook, self._facts() | facts)

    async def _post(self, url: str, payload: dict[str, Any]) -> Any:
        body = json.dumps(payload, separators=(",", ":")).encode()
        headers = {"Content-Type": "application/json", **signature(body, self.board.secret)}
        answer = await self.board.http.post(url, content=body, headers=headers)
        self.tell("webhook", url=url, status=answer.status_code)
        if answer.status_code not in (200, 202, 204):
            return None
        is_json = "application/json" in answer.headers.get("content-type", "")
        return answer.json() if is_json else ""


def signature(body: bytes, secret: str, at_s: int | None = None) -> dict[str, str]:
    stamp = str(int(time.time()) if at_s is None else at_s)
    digest = hmac.new(secret.encode(), f"{stamp}.".encode() + body, hashlib.sha256).hexdigest()
    return {"Jambonz-Signature": f"t={stamp},v1={digest}"}
