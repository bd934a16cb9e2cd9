"""A process died while its carrier was to connect the caller with somebody else."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest
import sqlalchemy as sa
from tests.calls.test_calls_api import parties, stored
from tests.calls.test_recover import ends, keeper, rounds
from tests.calls.test_room import board, waiting
from tests.fakes.api import Api

from chorus.calls import journal, lost_release, recover
from chorus.calls.recover import end_own_calls
from chorus.calls.tables import CallEvent, CallRow, Transfer
from chorus.db import utcnow
from chorus.lines.carrier import CarrierFailed
from chorus.lines.desk import Connection
from chorus.lines.twilio.carrier import TwilioCarrier
from chorus.talk.timeline import Happening

LOST, RELEASED = ("failed", "worker_lost"), ("completed", "transferred")
MS = 12_000
"""What is known of each call ends then."""


class Asked(TwilioCarrier):
    """Says of each leg what it is told to, and ends none."""

    def __init__(self) -> None:
        super().__init__("http://chorus.test", "http://carrier.test")
        self.says: dict[str, bool | None] = {}
        self.asked: list[tuple[str, str | None]] = []

    async def has_connected(
        self, connection: Connection, call_id: str, leg_id: str, other_leg_id: str | None
    ) -> bool:
        self.asked.append((leg_id, other_leg_id))
        if (said := self.says[leg_id]) is None:
            raise CarrierFailed("not now")
        return said


@dataclass(frozen=True)
class Case:
    """A transfer as a dead process has left it. `second`: there is a call to the person. The
    carrier is `asked` whether it has connected the two, and `says` so (None: it gives no answer).
    `noted`: of which call it is written down that the carrier has it."""

    type: str
    status: str
    ends: tuple[str, str]
    merge: str = "release"
    second: bool = True
    asked: bool = False
    says: bool | None = None
    noted: str = ""
    provider: str = "twilio"


cold = partial(Case, "cold", second=False)
CASES = {
    "it rings": cold("ringing", LOST, asked=True, says=False),
    "somebody answered": cold("ringing", RELEASED, asked=True, says=True),
    "written: connected": cold("connected", RELEASED, asked=True, says=True),
    "no answer": cold("ringing", LOST, asked=True),
    "nobody to ask": cold("ringing", LOST, provider="jambonz"),
    "not rung yet": cold("initiated", LOST),
    "came back": cold("no_answer", LOST),
    "Chorus calls": Case("cold", "ringing", LOST),
    "briefing": Case("warm", "briefing", LOST),
    "bridged": Case("warm", "connected", LOST, merge="bridge"),
    "one alone": Case("warm", "connected", LOST, asked=True, says=False),
    "both there": Case("warm", "connected", RELEASED, asked=True, says=True),
    "of the first": Case("warm", "connected", RELEASED, noted="first"),
    "of the second": Case("warm_briefing", "connected", RELEASED, noted="second"),
    "trunk": Case("warm", "connected", RELEASED, noted="first", provider="sip"),
}


@dataclass
class Left:
    case: Case
    calls: list[uuid.UUID]
    transfer_id: uuid.UUID = field(default_factory=uuid.uuid4)


async def left_behind(api: Api, number_id: uuid.UUID, name: str, case: Case) -> Left:
    """The rows and events of two calls, or of one, that this process held in its last life."""
    row: dict[str, Any] = {
        "status": "in_progress",
        "answered_at": utcnow(),
        "lease_owner": board(api).heartbeat.name,
        "phone_number_id": number_id,
        "provider": case.provider,
        "transfer_status": case.status,
        "transfer_type": case.type,
    }
    [first] = await stored(api, {**row, "call_sid": f"{name} 1"})
    left = Left(case, [first])
    if case.second:
        left.calls += await stored(api, {**row, "call_sid": f"{name} 2", "parent_call_id": first})
    whose = await api.organization_id()
    async with api.process.database.writing() as session:
        session.add(
            Transfer(
                id=left.transfer_id,
                organization_id=whose,
                call_id=first,
                leg_id=left.calls[1] if case.second else None,
                name="Sales",
                number="+14155558888",
                type=case.type,
                by="api",
                status=case.status,
            )
        )
        for id, who in zip(left.calls, ("first", "second"), strict=False):
            happened = [Happening(0, "answered", {"transcriber": "simulated"})]
            if who == "first":
                happened.append(Happening(4000, "transfer_initiated", {"merge": case.merge}))
            happened.append(Happening(MS, "usage", {}))
            if case.noted == who:
                happened.append(Happening(MS, "leg_transferred", {"leg": "caller"}))
            await journal.write(session, id, whose, happened)
    return left


@pytest.fixture
async def number_id(api: Api) -> uuid.UUID:
    return uuid.UUID((await parties(api))["phoneNumberId"])


async def test_who_talks_goes_on_and_who_waits_is_hung_up(
    api: Api, number_id: uuid.UUID, monkeypatch: pytest.MonkeyPatch
):
    carrier, switchboard = Asked(), board(api)
    monkeypatch.setitem(switchboard.carriers, "twilio", carrier)
    found = {name: await left_behind(api, number_id, name, CASES[name]) for name in CASES}
    carrier.says = {f"{name} 1": case.says for name, case in CASES.items() if case.asked}
    await end_own_calls(switchboard)
    asked = {name: left for name, left in found.items() if left.case.asked}
    for name, left in found.items():
        expected = ("in_progress", None) if name in asked else left.case.ends
        assert await ends(api, left.calls) == [expected] * len(left.calls), name
    assert sorted(await waiting(api, "lost_release")) == sorted(
        f"lost_release:{left.transfer_id}" for left in asked.values()
    )
    assert carrier.asked == []
    for left in asked.values():
        for _ in range(2):  # it may die in the middle
            await lost_release.decide(switchboard, str(left.transfer_id))
    hung_up, expected = set(await waiting(api, "end_leg")), set[str]()
    for name, left in found.items():
        assert await ends(api, left.calls) == [left.case.ends] * len(left.calls), name
        if left.case.ends == LOST:
            expected |= {f"end_leg:{id}" for id in left.calls}
        await check(api, name, left)
    assert hung_up == expected
    # The two may have parted before anybody asked: what it lasted is asked at once.
    connected = [left for left in asked.values() if left.case.ends == RELEASED]
    assert sorted(await waiting(api, "ask_over")) == sorted(
        f"ask_over:{id}:0" for left in connected for id in left.calls
    )
    other = {name: f"{name} 2" if left.case.second else None for name, left in asked.items()}
    assert set(carrier.asked) == {(f"{name} 1", other[name]) for name in asked}


async def check(api: Api, name: str, left: Left) -> None:
    released = left.case.ends == RELEASED
    async with api.process.database.reading() as session:
        transfer = await session.get_one(Transfer, left.transfer_id)
        for id in left.calls:
            call = await session.get_one(CallRow, id)
            assert call.duration_seconds == MS // 1000
            assert call.transfer_status == transfer.status
            kinds = await session.execute(
                sa.select(CallEvent.kind, CallEvent.at_ms).where(CallEvent.call_id == id)
            )
            happened = [(kind, at_ms) for kind, at_ms in kinds]
            # By which its time at the carrier is counted, when that says what it was.
            assert happened.count(("leg_transferred", MS)) == int(released), name
            if left.case.asked:
                told = "the carrier has connected the two" if released else lost_release.UNDECIDED
                assert call.ended_detail == told
    assert transfer.ended_at is not None or left.case.status == "no_answer"
    if left.case.status != "no_answer":
        was_connected = released or left.case.status == "connected"
        assert transfer.status == ("completed" if was_connected else "cancelled"), name


async def test_a_carrier_that_is_not_asked_in_time(
    api: Api, number_id: uuid.UUID, monkeypatch: pytest.MonkeyPatch
):
    """No process does durable work, say: the call ends all the same, and what is decided later
    changes nothing."""
    carrier, switchboard = Asked(), board(api)
    monkeypatch.setitem(switchboard.carriers, "twilio", carrier)
    left = await left_behind(api, number_id, "late", CASES["both there"])
    async with api.process.database.writing() as session:
        gone = sa.update(CallRow).where(CallRow.id.in_(left.calls)).values(lease_owner="gone")
        await session.execute(gone)
    made, time = keeper(api, monkeypatch)
    await rounds(made, time, recover.ROUND_S)
    assert await ends(api, left.calls) == [("in_progress", None)] * 2
    await rounds(made, time, recover.UNHELD_S + 2 * recover.ROUND_S)
    assert await ends(api, left.calls) == [LOST] * 2
    assert sorted(await waiting(api, "end_leg")) == sorted(f"end_leg:{id}" for id in left.calls)
    carrier.says = {"late 1": True}
    await lost_release.decide(switchboard, str(left.transfer_id))
    assert await ends(api, left.calls) == [LOST] * 2
