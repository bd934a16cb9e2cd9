"""The record of a transfer: forward only, shown by both calls, and never left open."""

from __future__ import annotations

import asyncio
import itertools
import uuid
from typing import Any

import pytest
import sqlalchemy as sa
from tests.calls.test_calls_api import stored
from tests.calls.test_room import board
from tests.fakes.api import Api

from chorus.calls import kept, transfer_record
from chorus.calls.recover import end_own_calls
from chorus.calls.tables import CallRow, Transfer
from chorus.db import utcnow
from chorus.talk.spec import TransferTarget
from chorus.talk.transfer import FINAL, Status, Wish

SALES = TransferTarget("Sales", "+14155550123", "warm")
UNDER_WAY: tuple[Status, ...] = ("initiated", "ringing", "briefing", "connected")


async def begun(api: Api, *steps: Status, **parent: Any) -> tuple[uuid.UUID, uuid.UUID, uuid.UUID]:
    """A transfer that has come so far; its id, its call's and its second call's."""
    now = utcnow()
    talks = {"status": "in_progress", "answered_at": now, **parent}
    [call_id] = await stored(api, talks)
    leg = {"direction": "outbound", "status": "ringing", "dialled_at": now, "transfer_type": "warm"}
    [leg_id] = await stored(api, {**parent, **leg, "parent_call_id": call_id})
    id = uuid.uuid4()
    organization_id = await api.organization_id()
    async with api.process.database.writing() as session:
        await transfer_record.begin(session, id, call_id, organization_id, Wish(SALES))
        await transfer_record.placed(session, board(api), id, leg_id)
    for status in steps:
        assert await moved(api, id, status)
    return id, call_id, leg_id


async def moved(api: Api, id: uuid.UUID, status: Status, detail: str = "") -> bool:
    async with api.process.database.writing() as session:
        return await transfer_record.move(session, board(api), id, status, detail)


async def row(api: Api, id: uuid.UUID) -> Transfer:
    async with api.process.database.reading() as session:
        return await session.get_one(Transfer, id)


async def test_it_is_shown_by_both_calls(api: Api):
    id, call_id, leg_id = await begun(api, "ringing", "briefing", "connected")
    shown = (await api.get(f"/v1/calls/{call_id}")).json()["data"]
    assert (shown["transferType"], shown["transferStatus"]) == ("warm", "connected")
    [leg] = shown["transferCalls"]
    assert (leg["id"], leg["transferStatus"]) == (str(leg_id), "connected")
    assert (await row(api, id)).connected_at is not None
    listed = (await api.get("/v1/calls")).json()["data"]
    assert {call["id"]: [x["id"] for x in call["transferCalls"]] for call in listed} == {
        str(call_id): [str(leg_id)],
        str(leg_id): [],
    }


async def test_it_moves_only_forward(sqlite_api: Api):
    ways: dict[Status, tuple[Status, ...]] = {
        "initiated": (),
        "ringing": ("ringing",),
        "connected": UNDER_WAY[1:],
        "completed": ("connected", "completed"),
        "declined": ("declined",),
    }
    for (before, way), after in itertools.product(ways.items(), (*UNDER_WAY, *sorted(FINAL))):
        id, _, _ = await begun(sqlite_api, *way)
        if before in FINAL:
            allowed = False
        elif after == "completed":
            allowed = before == "connected"
        elif after in FINAL:
            allowed = before != "connected"
        else:
            allowed = UNDER_WAY.index(after) > UNDER_WAY.index(before)
        assert await moved(sqlite_api, id, after) is allowed, (before, after)


async def test_the_first_of_two_ends_stands(api: Api):
    id, _, _ = await begun(api, "ringing")
    assert await moved(api, id, "no_answer", "nobody answered")
    assert not await moved(api, id, "connected")
    assert not await moved(api, id, "cancelled")
    transfer = await row(api, id)
    assert (transfer.status, transfer.detail) == ("no_answer", "nobody answered")


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
async def test_its_step_waits_for_whoever_ends_its_call(api: Api):
    """Two processes: neither may hold what the other one needs next."""
    id, call_id, _ = await begun(api, "ringing")
    waiting = sa.text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
    async with api.process.database.writing() as session:
        ends = sa.update(CallRow).where(CallRow.id == call_id).values(ended_detail="over")
        await session.execute(ends)
        step = asyncio.create_task(moved(api, id, "connected"), name="step")
        async with asyncio.timeout(20), api.process.database.reading() as other:
            while not await other.scalar(waiting):
                assert not step.done()
                await other.rollback()  # what it sees is of one transaction
        await transfer_record.close_open(session, board(api), call_id)
    assert await step is False
    assert (await row(api, id)).status == "cancelled"


@pytest.mark.parametrize("state", UNDER_WAY)
async def test_the_end_of_a_lost_call_ends_its_transfer(api: Api, state: Status):
    me = board(api).heartbeat.name
    way = UNDER_WAY[1 : UNDER_WAY.index(state) + 1]
    id, call_id, leg_id = await begun(api, *way, lease_owner=me)
    assert await end_own_calls(board(api)) == 2
    transfer = await row(api, id)
    expected = "completed" if state == "connected" else "cancelled"
    assert (transfer.status, transfer.ended_at is not None) == (expected, True)
    async with api.process.database.reading() as session:
        found = await session.execute(
            sa.select(CallRow.ended_reason, CallRow.transfer_status).where(
                CallRow.id.in_([call_id, leg_id])
            )
        )
        assert found.all() == [("worker_lost", expected)] * 2


async def test_what_the_person_said_goes_with_the_texts_of_the_call(sqlite_api: Api):
    api = sqlite_api
    id, call_id, _ = await begun(api)
    assert await moved(api, id, "declined", "I am at lunch with Mr Smith.")
    async with api.process.database.writing() as session:
        call = await session.get_one(CallRow, call_id)
        await kept.delete_texts(session, api.process.secrets, call, "request")
    assert (await row(api, id)).detail is None
