"""Callers of the kill test who are handed to a person, and what must hold of it afterwards.

    async with Handing(dice) as handing:
        await handing.prepare(rig)             # a webhook endpoint for the three events
        await handing.one(rig, to)             # a call whose caller is handed on, in a round
        problems = await handing.problems(rig)

The people are such that all states of a transfer last for a while: some let it ring, some take the
caller, decline, or are busy; callers hang up in the middle of any of it. Whatever the server died
in: each transfer is over, and so are both of its calls, at the carrier too; the person was called
at most once; whoever was called was told of, when it began and when it ended, with one body.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter, defaultdict
from collections.abc import AsyncGenerator
from types import TracebackType
from typing import TYPE_CHECKING, Any

from standardwebhooks import Webhook, WebhookVerificationError
from tests.fakes.http_peer import Asked, HttpPeer, respond

from chorus.demo.carrier.person import HangUp, Person, Press, Say, Step, Wait, WaitQuiet
from chorus.webhooks.sign import key_of

if TYPE_CHECKING:
    from tests.soak.rig import Rig

STARTED, COMPLETED, FAILED = "transfer.started", "transfer.completed", "transfer.failed"
OPEN = ("initiated", "ringing", "briefing", "connected")
TRY_S = 6.0
OVER_S = 45.0
TOLD_S = 120.0
REFUSED = 0.1


class Handing:
    def __init__(self, dice: random.Random) -> None:
        self.wished = 0
        """Transfers that the API has accepted."""
        self._dice = dice
        self._numbers = (f"+1666{n:07}" for n in range(1, 10_000_000))
        self._receiver = HttpPeer(self._answer)
        self._secret = ""
        self._taken: set[str] = set()
        self._seen: set[str] = set()
        self._forged: list[str] = []
        self._wrong: list[str] = []

    async def __aenter__(self) -> Handing:
        await self._receiver.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._receiver.__aexit__(kind, error, trace)

    async def prepare(self, rig: Rig) -> None:
        hook = {"url": self._receiver.url, "events": [STARTED, COMPLETED, FAILED]}
        async with rig.http() as http:
            answer = await http.post("/v1/webhook-endpoints", json=hook)
        assert answer.status_code == 201, answer.text
        self._secret = answer.json()["data"]["secret"]

    def caller(self) -> Person:
        """Who stays long enough to be handed on, or hangs up in the middle of it."""
        wait_ms = self._dice.randrange(1500, 12_000)
        return Person(ring_ms=self._dice.randrange(200), steps=[Wait(ms=wait_ms), HangUp()])

    async def one(self, rig: Rig, to: str) -> None:
        """Ask for a person as soon as somebody talks on the call to `to`."""
        number = next(self._numbers)
        type, person = self._person()
        await rig.carrier.expect(number, person, times=9)
        target = {"name": "Sales", "number": number, "type": type, "ringTimeoutSeconds": 5}
        wish = {"to": target, "reason": "Anna wants a hundred chairs."}
        deadline = asyncio.get_running_loop().time() + TRY_S
        while asyncio.get_running_loop().time() < deadline:
            answer = await rig.post(f"/v1/calls/{rig.accepted[to]}/transfer", wish)
            if answer is None:
                return
            if answer.status_code == 202:
                self.wished += 1
                return
            if answer.status_code != 409 or answer.json()["code"] != "call_not_live":
                self._wrong.append(f"a transfer: {answer.status_code} {answer.text[:300]!r}")
                return
            await asyncio.sleep(0.1)

    def _person(self) -> tuple[str, Person]:
        dice = self._dice
        ring_ms = dice.randrange(1500)
        talk: list[Step] = [Say(sound="tone", ms=400), Wait(ms=dice.randrange(500, 5000)), HangUp()]
        match dice.randrange(6):
            case 0:
                return "cold", Person(ring_ms=ring_ms, steps=talk)
            case 1:
                return "cold", Person(answer=dice.choice(("busy", "reject", "no_answer")))
            case 2:
                return "warm", Person(ring_ms=ring_ms, steps=[WaitQuiet(), Press(digits="2")])
            case 3:
                return "warm_briefing", Person(ring_ms=ring_ms, steps=[Wait(ms=2500), HangUp()])
            case _:
                return "warm", Person(
                    ring_ms=ring_ms, steps=[Wait(ms=600), Press(digits="1"), *talk]
                )

    async def _answer(self, asked: Asked) -> AsyncGenerator[bytes]:
        try:
            Webhook(key_of(self._secret)).verify(asked.body, asked.headers)
        except WebhookVerificationError as wrong:
            self._forged.append(f"the signature of a transfer's webhook does not hold: {wrong}")
        id = asked.headers["webhook-id"]
        refused = id not in self._seen and self._dice.random() < REFUSED
        self._seen.add(id)
        if not refused:
            self._taken.add(id)
        yield respond(503 if refused else 204)

    # --- afterwards -------------------------------------------------------------------------------

    async def problems(self, rig: Rig) -> list[str]:
        """Once all calls are settled."""
        calls = {call["id"]: call for call in await rig.calls()}
        transfers = await self._transfers(rig)
        return [
            *self._forged,
            *self._wrong,
            *_of_states(transfers, calls),
            *await _left_at_the_carrier(rig),
            *await self._untold(transfers),
        ]

    async def _transfers(self, rig: Rig) -> list[dict[str, Any]]:
        names = ("id", "call_id", "leg_id", "number", "status", "ended")
        query = "SELECT id, call_id, leg_id, number, status, ended_at IS NOT NULL FROM transfers"
        return [dict(zip(names, row, strict=True)) for row in await rig.rows(query)]

    async def _untold(self, transfers: list[dict[str, Any]]) -> list[str]:
        """Each that had a second call was told of, when it began and when it ended."""
        expected = {
            (_plain(each["id"]), event)
            for each in transfers
            if each["leg_id"] is not None
            for event in (STARTED, COMPLETED if each["status"] == "completed" else FAILED)
        }
        try:
            async with asyncio.timeout(TOLD_S):
                while not expected <= set(self._told()):
                    await asyncio.sleep(0.5)
        except TimeoutError:
            pass  # said below
        told = self._told()
        ids = {_plain(each["id"]) for each in transfers}
        return [
            *(f"nobody was told {event} of transfer {id}" for id, event in expected - set(told)),
            *(
                f"{event} of {id} was told in several ways"
                for (id, event), n in told.items()
                if n > 1
            ),
            *(f"{event} of {id}, which is no transfer" for id, event in told if id not in ids),
        ]

    def _told(self) -> dict[tuple[str, str], int]:
        """In how many ways: by webhooks that the receiver took, of different ids or bodies."""
        ways = defaultdict[tuple[str, str], set[tuple[str, bytes]]](set)
        for asked in self._receiver.requests:
            id = asked.headers["webhook-id"]
            if id in self._taken:
                body = asked.json
                ways[_plain(body["transferId"]), body["event"]].add((id, asked.body))
        return {what: len(found) for what, found in ways.items()}


def _of_states(transfers: list[dict[str, Any]], calls: dict[str, dict[str, Any]]) -> list[str]:
    problems: list[str] = []
    by_id = {_plain(id): call for id, call in calls.items()}
    for each in transfers:
        if not each["ended"] or each["status"] in OPEN:
            problems.append(f"transfer {each['id']} is still {each['status']}")
        if each["leg_id"] is None:
            continue
        first, second = by_id[_plain(each["call_id"])], by_id[_plain(each["leg_id"])]
        if second["parentCallId"] != first["id"]:
            problems.append(f"call {second['id']} is nobody's second call")
        if each["status"] == "completed" and first["endedReason"] not in (
            "transferred",
            "worker_lost",
        ):
            problems.append(f"call {first['id']} was connected and is {first['endedReason']}")
        if each["status"] != "completed" and first["endedReason"] == "transferred":
            problems.append(f"call {first['id']} is transferred, its transfer {each['status']}")
    seconds = Counter(_plain(each["leg_id"]) for each in transfers if each["leg_id"] is not None)
    orphans = {_plain(c["id"]) for c in calls.values() if c["parentCallId"]} - set(seconds)
    return problems + [f"second call {id} belongs to no transfer" for id in orphans]


async def _left_at_the_carrier(rig: Rig) -> list[str]:
    """Nobody rings, waits or talks to nobody there once everything is over here."""

    def left() -> set[str]:
        events = rig.carrier.events
        began = {e["call"] for e in events if e["kind"] == "call.status"}
        return began - {e["call"] for e in events if e["kind"] == "call.over"}

    try:
        async with asyncio.timeout(OVER_S):
            while left():
                await asyncio.sleep(0.2)
    except TimeoutError:
        pass
    return [f"call {sid} is not over at the carrier" for sid in left()]


def _plain(id: object) -> str:
    """SQLite has ids without dashes."""
    return str(id).replace("-", "")
