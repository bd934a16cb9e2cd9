"""Cancelling a call: dialled or cancelled, never both."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import pytest
import sqlalchemy as sa
from tests.calls.test_calls_api import parties
from tests.calls.test_room import Dials, board, rows, waiting
from tests.fakes.api import Api

from chorus.calls.tables import CallEvent, CallRow


async def queued(api: Api) -> str:
    return (await api.made("/v1/calls", await parties(api)))["id"]


@pytest.mark.parametrize("verb", ["cancel", "delete"])
async def test_a_queued_call_is_cancelled(api: Api, verb: str):
    id = await queued(api)

    async def cancel() -> Any:
        path = f"/v1/calls/{id}"
        return await (api.delete(path) if verb == "delete" else api.post(f"{path}/cancel"))

    done = await cancel()
    assert done.status_code == 200
    call = done.json()["data"]
    assert (call["status"], call["endedReason"], call["durationSeconds"]) == (
        "failed",
        "cancelled",
        0,
    )
    assert call["endedAt"] is not None
    # Again: nothing changes.
    again = await cancel()
    assert again.status_code == 200
    assert again.json()["data"] == call
    async with api.process.database.reading() as session:
        events = await session.scalars(sa.select(CallEvent.kind))
        assert list(events) == ["status_changed"]
    dials = Dials(board(api))
    await dials.once()
    assert dials.dialled == []


async def test_one_that_was_dialled_is_not(api: Api):
    id = await queued(api)
    await Dials(board(api)).once()
    refused = await api.post(f"/v1/calls/{id}/cancel")
    assert refused.status_code == 409
    assert refused.json()["code"] == "call_not_queued"
    assert (await rows(api))[0].status == "queued"


async def test_cancelled_and_dialled_at_once(api: Api):
    wish = await parties(api)
    ids = [(await api.made("/v1/calls", wish))["id"] for _ in range(12)]
    dials = Dials(board(api))
    cancelled = asyncio.gather(*(api.post(f"/v1/calls/{id}/cancel") for id in reversed(ids)))
    await asyncio.gather(dials.once(), cancelled)
    codes = {id: r.status_code for id, r in zip(reversed(ids), await cancelled, strict=True)}
    dialled = {str(id) for id in dials.dialled}
    assert {id for id, code in codes.items() if code == 200} == set(ids) - dialled
    assert {id for id, code in codes.items() if code == 409} == dialled


async def test_one_that_is_over_or_not_there(api: Api):
    assert (await api.post(f"/v1/calls/{uuid.uuid4()}/cancel")).status_code == 404
    id = await queued(api)
    other = await api.another_organization()
    async with other:
        assert (await other.delete(f"/v1/calls/{id}")).status_code == 404
    assert (await rows(api))[0].status == "queued"
    async with api.process.database.writing() as session:
        await session.execute(sa.update(CallRow).values(status="completed", ended_reason="x"))
    assert (await api.delete(f"/v1/calls/{id}")).status_code == 409


async def test_what_follows_is_enqueued_with_it(api: Api):
    id = await queued(api)
    assert (await api.delete(f"/v1/calls/{id}")).status_code == 200
    assert await waiting(api, "after_call") == [f"after_call:{id}"]
