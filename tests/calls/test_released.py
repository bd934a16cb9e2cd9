"""What the carrier says of a call that it went on with after Chorus had left."""

from __future__ import annotations

import uuid
from datetime import timedelta

import pytest
import sqlalchemy as sa
from tests.calls.test_desk import OURS, SID, Carrier, carrier, stream
from tests.calls.test_room import board, waiting
from tests.fakes.api import Api

from chorus.billing.tables import LedgerLine
from chorus.calls import journal
from chorus.calls.lost import end_leg
from chorus.calls.released import MOST_AGAIN, ask_over, count_released, over_there
from chorus.calls.tables import CallEvent, CallRow, Transfer
from chorus.db import utcnow
from chorus.lines.carrier import CarrierFailed
from chorus.lines.desk import Connection
from chorus.lines.twilio.carrier import TwilioCarrier
from chorus.talk.timeline import Happening

__all__ = ["carrier"]
OTHER = "CA" + "6" * 32


async def two(carrier: Carrier, *, released: bool = True) -> tuple[uuid.UUID, uuid.UUID]:
    """A call and its second call, that were connected and are over here."""
    id = uuid.UUID(stream(await carrier.ring())["callId"])
    now = utcnow()
    was = {
        "status": "completed",
        "ended_reason": "transferred",
        "transfer_type": "warm",
        "transfer_status": "completed",
        "answered_at": now - timedelta(seconds=90),
        "ended_at": now - timedelta(seconds=80),
        "duration_seconds": 10,
        "lease_owner": None,
    }
    async with carrier.api.process.database.writing() as session:
        first = await session.get_one(CallRow, id)
        second = CallRow(
            id=uuid.uuid4(),
            organization_id=first.organization_id,
            agent_id=first.agent_id,
            phone_number_id=first.phone_number_id,
            provider="twilio",
            direction="outbound",
            customer_number="+14155558888",
            call_sid=OTHER,
            parent_call_id=id,
            **was,
        )
        session.add(second)
        for name, value in was.items():
            setattr(first, name, value)
        await session.flush()
        session.add(
            Transfer(
                organization_id=first.organization_id,
                call_id=id,
                leg_id=second.id,
                name="Sales",
                number="+14155558888",
                type="warm",
                by="api",
                status="completed",
                ended_at=now,
            )
        )
        happened = [Happening(10_000, "status_changed", {"status": "completed"})]
        if released:
            happened.append(Happening(10_000, "leg_transferred", {"leg": "caller"}))
        for call_id in (id, second.id):
            await journal.write(session, call_id, first.organization_id, happened)
        return id, second.id


class Ending:
    """Instead of the carrier: which legs it is told to end."""

    def __init__(self) -> None:
        self.ended: list[str] = []

    async def end(self, connection: Connection, leg_id: str) -> None:
        self.ended.append(leg_id)


@pytest.fixture
def ending(carrier: Carrier, monkeypatch: pytest.MonkeyPatch) -> Ending:
    ending = Ending()
    monkeypatch.setitem(board(carrier.api).carriers, "twilio", ending)
    return ending


async def told(carrier: Carrier, id: uuid.UUID, sid: str, seconds: int) -> None:
    fields = {"CallSid": sid, "CallStatus": "completed", "CallDuration": str(seconds)}
    answer = await carrier.post(f"/twilio/status/{id}", **fields)
    assert answer.status_code == 204


async def lasted(api: Api, id: uuid.UUID) -> list[int]:
    async with api.process.database.reading() as session:
        found = await session.scalars(
            sa.select(CallEvent.at_ms).where(
                CallEvent.call_id == id, CallEvent.kind == "released_over"
            )
        )
        return list(found)


async def test_what_it_lasted_there_is_counted_once(carrier: Carrier, ending: Ending):
    id, second = await two(carrier)
    await told(carrier, id, SID, 85)
    await told(carrier, id, SID, 85)
    assert await lasted(carrier.api, id) == [85_000]
    # Whoever the carrier had connected it with is not left alone.
    assert await waiting(carrier.api, "end_leg") == [f"end_leg:{second}"]
    await end_leg(board(carrier.api), str(second))
    assert ending.ended == [OTHER]
    await told(carrier, second, OTHER, 61)
    assert await lasted(carrier.api, second) == [61_000]
    assert len(await waiting(carrier.api, "end_leg")) == 1, "the first is over already"
    assert ending.ended == [OTHER]
    for each in (id, second):
        await count_released(board(carrier.api), str(each))
    async with carrier.api.process.database.reading() as session:
        found = await session.execute(
            sa.select(LedgerLine.call_id, sa.func.sum(LedgerLine.quantity))
            .where(LedgerLine.meter == "telephony")
            .group_by(LedgerLine.call_id)
        )
    assert {row[0]: row[1] for row in found.all()} == {id: 120, second: 120}


async def test_a_call_that_chorus_held_to_its_end_is_over_already(carrier: Carrier, ending: Ending):
    id, _ = await two(carrier, released=False)
    await told(carrier, id, SID, 12)
    assert await lasted(carrier.api, id) == []
    assert await waiting(carrier.api, "end_leg") == []
    assert ending.ended == []


async def test_what_the_carrier_says_before_the_record_is_written_is_not_lost(
    carrier: Carrier, ending: Ending, caplog: pytest.LogCaptureFixture
):
    id, second = await two(carrier)
    row = sa.update(CallRow).where(CallRow.id == id)
    api, switchboard = carrier.api, board(carrier.api)
    async with api.process.database.writing() as session:
        await session.execute(row.values(status="in_progress", ended_at=None))
    await told(carrier, id, SID, 85)
    await told(carrier, id, SID, 85)
    assert await waiting(api, "over_there") == [f"over_there:{id}"]
    await over_there(switchboard, str(id), 85)
    assert "not written yet" in caplog.text
    assert await lasted(api, id) == []
    async with api.process.database.writing() as session:
        await session.execute(row.values(status="completed", ended_at=utcnow()))
    for _ in range(2):
        await over_there(switchboard, str(id), 85)
    assert await lasted(api, id) == [85_000]
    assert await waiting(api, "end_leg") == [f"end_leg:{second}"]
    assert ending.ended == []


class Asked(TwilioCarrier):
    """Says that each call lasted `lasted`: None, it goes on; a text, why it does not say."""

    def __init__(self, lasted: int | str | None) -> None:
        super().__init__("http://chorus.test", "http://carrier.test")
        self.lasted = lasted

    async def lasted_s(self, connection: Connection, leg_id: str) -> int | None:
        assert (connection.number, leg_id) == (OURS, SID)
        if isinstance(self.lasted, str):
            raise CarrierFailed(self.lasted)
        return self.lasted


async def to_be_asked(api: Api) -> list[tuple[str, bool]]:
    """The durable work of asking, and whether it is for later."""
    query = "SELECT workflow_uuid, status FROM workflow_status WHERE name = 'ask_over'"
    async with api.process.database.reading() as session:
        return [(id, status == "DELAYED") for id, status in await session.execute(sa.text(query))]


async def uncounted(api: Api, id: uuid.UUID) -> list[str]:
    async with api.process.database.reading() as session:
        found = await session.scalars(
            sa.select(CallEvent.data).where(
                CallEvent.call_id == id, CallEvent.kind == "released_uncounted"
            )
        )
        return [data["detail"] for data in found]


async def test_a_carrier_that_has_not_told_is_asked(
    carrier: Carrier, monkeypatch: pytest.MonkeyPatch
):
    id, second = await two(carrier)
    api, switchboard = carrier.api, board(carrier.api)
    for answer in (None, "busy"):
        monkeypatch.setitem(switchboard.carriers, "twilio", Asked(answer))
        await ask_over(switchboard, str(id), 0)
        assert await to_be_asked(api) == [(f"ask_over:{id}:1", True)]
        assert await lasted_of(api, id) == ([], [])
    monkeypatch.setitem(switchboard.carriers, "twilio", Asked(85))
    for _ in range(2):
        await ask_over(switchboard, str(id), 1)
    assert await lasted_of(api, id) == ([85_000], [])
    assert await waiting(api, "end_leg") == [f"end_leg:{second}"]
    await count_released(switchboard, str(id))
    async with api.process.database.reading() as session:
        query = sa.select(sa.func.sum(LedgerLine.quantity)).where(
            LedgerLine.call_id == id, LedgerLine.meter == "telephony"
        )
        assert await session.scalar(query) == 120
    # It has told, so it is not asked.
    monkeypatch.setitem(switchboard.carriers, "twilio", Asked("nobody asks"))
    await ask_over(switchboard, str(id), 2)
    assert await to_be_asked(api) == [(f"ask_over:{id}:1", True)]


async def lasted_of(api: Api, id: uuid.UUID) -> tuple[list[int], list[str]]:
    return await lasted(api, id), await uncounted(api, id)


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        (Asked("busy"), "it gives no answer: busy"),
        (Asked(None), "it still goes on there"),
        (Ending(), "it has not told, and Chorus cannot ask it"),
    ],
    ids=["no answer", "goes on", "nobody to ask"],
)
async def test_what_no_carrier_says_is_said_to_be_missing(
    carrier: Carrier,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    answers: Asked | Ending,
    said: str,
):
    id, _ = await two(carrier)
    api, switchboard = carrier.api, board(carrier.api)
    monkeypatch.setitem(switchboard.carriers, "twilio", answers)
    for _ in range(2):
        await ask_over(switchboard, str(id), MOST_AGAIN)
    assert await lasted_of(api, id) == ([], [said])
    assert caplog.text.count(f"call {id}: what it lasted at twilio is not counted: {said}") == 1
    assert await to_be_asked(api) == []
    # And is counted all the same, if it tells in the end.
    await told(carrier, id, SID, 85)
    assert await lasted_of(api, id) == ([85_000], [said])
