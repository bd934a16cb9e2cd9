"""How many calls an organization may have at once: exact, whoever comes when."""

from __future__ import annotations

import asyncio
import uuid
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from tests.calls.test_calls_api import parties, stored
from tests.conftest import settings_for
from tests.fakes.api import Api, running
from tests.fakes.ringing import rings

from chorus.accounts.tables import Organization
from chorus.calls.answer import Declined, Taken, answer
from chorus.calls.converse import claim
from chorus.calls.dispatch import Dispatch
from chorus.calls.switchboard import Switchboard
from chorus.calls.tables import CallRow
from chorus.db import utcnow
from chorus.numbers import routing
from chorus.numbers.routing import Route

TOO_MANY = "Too many concurrent calls. Please try again later."


async def limited(api: Api, calls: int | None, queued: int = 0) -> None:
    async with api.process.database.writing() as session:
        await session.execute(
            sa.update(Organization).values(max_concurrent_calls=calls, max_queued_calls=queued)
        )


async def waiting(api: Api, workflow: str) -> list[str]:
    """Ids of the durable work that is enqueued and not begun."""
    table = "workflow_status" if api.process.settings.is_sqlite else "dbos.workflow_status"
    query = f"SELECT workflow_uuid FROM {table} WHERE name = :name AND status = 'ENQUEUED'"
    async with api.process.database.reading() as session:
        return list((await session.scalars(sa.text(query), {"name": workflow})).all())


def board(api: Api) -> Switchboard:
    return api.app.state.switchboard


async def rows(api: Api) -> list[CallRow]:
    async with api.process.database.reading() as session:
        return list(await session.scalars(sa.select(CallRow).order_by(CallRow.created_at)))


async def placed(api: Api, wish: dict[str, Any], **more: Any) -> int:
    return (await api.post("/v1/calls", json={**wish, **more})).status_code


async def test_over_the_limit_a_call_is_refused(api: Api):
    await limited(api, 2)
    wish = await parties(api)
    assert [await placed(api, wish) for _ in range(2)] == [201, 201]
    refused = await api.post("/v1/calls", json=wish)
    assert refused.status_code == 429
    assert refused.json()["error"] == TOO_MANY
    assert refused.json()["code"] == "too_many_concurrent_calls"
    # One that is over makes room for one.
    id = str((await rows(api))[0].id)
    assert (await api.post(f"/v1/calls/{id}/cancel")).status_code == 200
    assert [await placed(api, wish) for _ in range(2)] == [201, 429]


async def test_many_at_once_take_no_more_than_there_is(api: Api):
    await limited(api, 5)
    wish = await parties(api)
    codes = await asyncio.gather(*(placed(api, wish) for _ in range(20)))
    assert sorted(codes) == [201] * 5 + [429] * 15


async def test_some_may_wait_in_line(api: Api):
    await limited(api, 1, queued=2)
    wish = await parties(api)
    assert [await placed(api, wish) for _ in range(4)] == [201, 201, 201, 429]


async def test_without_a_limit_of_its_own_the_servers_counts(api: Api):
    await limited(api, None)
    wish = await parties(api)
    await stored(api, *[{"status": "in_progress", "call_sid": f"CA{n}"} for n in range(99)])
    assert [await placed(api, wish) for _ in range(2)] == [201, 429]


async def test_calls_that_are_over_and_those_of_others_take_no_room(api: Api):
    await limited(api, 1)
    wish = await parties(api)
    await stored(api, *[{"status": "completed", "ended_at": utcnow()} for _ in range(3)])
    other = await api.another_organization()
    await limited(api, 1)
    async with other:
        theirs = {
            "agentId": (await other.post("/v1/agents", json={"name": "B"})).json()["data"]["id"],
            "phoneNumberId": (
                await other.post(
                    "/v1/phone-numbers",
                    json={
                        "number": "+14155550001",
                        "twilioAccountSid": "AC" + "1" * 32,
                        "twilioAuthToken": "t",
                    },
                )
            ).json()["data"]["id"],
            "to": "+14155551234",
        }
        assert (await other.post("/v1/calls", json=theirs)).status_code == 201
    assert await placed(api, wish) == 201


async def route(api: Api) -> Route:
    wish = await parties(api)
    path = f"/v1/phone-numbers/{wish['phoneNumberId']}"
    assert (await api.patch(path, json={"agentId": wish["agentId"]})).status_code == 200
    async with api.process.database.reading() as session:
        (found,) = await routing.of_number(session, "twilio", "+14155550000", board(api).secrets)
    return found


async def test_one_that_stops_turns_calls_away_and_one_that_retires_takes_them(api: Api):
    """For the others of its machine, to whom their audio goes."""
    dialled = await route(api)
    board(api).draining = True
    assert isinstance(await answer(board(api), dialled, rings()), Declined)
    board(api).retiring = True
    assert isinstance(await answer(board(api), dialled, rings()), Taken)


async def test_inbound_over_the_limit_is_busy(api: Api):
    await limited(api, 2)
    dialled = await route(api)
    came = await asyncio.gather(*(answer(board(api), dialled, rings(f"CA{n}")) for n in range(6)))
    assert len([x for x in came if isinstance(x, Taken)]) == 2
    declined = [x for x in came if isinstance(x, Declined)]
    assert [x.busy for x in declined] == [True] * 4
    # The carrier asks again for a call that was taken: the same room.
    sid = next(call.call_sid for call in await rows(api))
    assert isinstance(await answer(board(api), dialled, rings(sid or "")), Taken)


async def test_a_carrier_that_asks_twice_at_once_has_one_call(api: Api):
    dialled = await route(api)
    came = await asyncio.gather(*(answer(board(api), dialled, rings()) for _ in range(6)))
    assert len({x.call_id for x in came if isinstance(x, Taken)}) == 1
    assert len(await rows(api)) == 1


async def test_inbound_and_outbound_share_the_room(api: Api):
    await limited(api, 1)
    dialled = await route(api)
    assert isinstance(await answer(board(api), dialled, rings()), Taken)
    agent_id, number_id = str(dialled.agent_id), str(dialled.phone_number_id)
    wish = {"agentId": agent_id, "phoneNumberId": number_id, "to": "+14155551234"}
    assert await placed(api, wish) == 429


class Dials(Dispatch):
    """Fences, and notes instead of dialling."""

    def __init__(self, switchboard: Switchboard) -> None:
        super().__init__(switchboard)
        self.dialled: list[uuid.UUID] = []

    async def _dial(self, fenced: Any) -> None:
        self.dialled.append(fenced.call.id)

    async def once(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            await self._look(tasks)


async def test_the_line_is_served_in_order_and_only_as_there_is_room(api: Api):
    await limited(api, 2, queued=10)
    wish = await parties(api)
    for _ in range(5):
        assert await placed(api, wish) == 201
    waiting = [call.id for call in await rows(api)]
    dials = Dials(board(api))
    await dials.once()
    await dials.once()
    assert dials.dialled == waiting[:2]
    board(api).queued.clear()
    async with api.process.database.writing() as session:
        from chorus.calls.status import end

        owner = await api.organization_id()
        assert await end(session, board(api), waiting[0], owner, "completed", "agent_ended")
    assert board(api).queued.is_set()
    await dials.once()
    assert dials.dialled == waiting[:3]


async def test_two_dispatchers_dial_each_call_once(api: Api):
    await limited(api, 7, queued=30)
    wish = await parties(api)
    for _ in range(20):
        assert await placed(api, wish) == 201
    dispatchers = [Dials(board(api)) for _ in range(4)]
    await asyncio.gather(*(dials.once() for dials in dispatchers))
    dialled = [id for dials in dispatchers for id in dials.dialled]
    assert len(dialled) == len(set(dialled)) == 7


async def test_one_organization_that_is_full_does_not_hold_up_another(api: Api):
    await limited(api, 1, queued=100)
    wish = await parties(api)
    for _ in range(25):
        assert await placed(api, wish) == 201
    other = await api.another_organization()
    async with other:
        agent = (await other.post("/v1/agents", json={"name": "B"})).json()["data"]["id"]
        number = {
            "number": "+14155550001",
            "twilioAccountSid": "AC" + "1" * 32,
            "twilioAuthToken": "t",
        }
        phone = (await other.post("/v1/phone-numbers", json=number)).json()["data"]["id"]
        wish = {"agentId": agent, "phoneNumberId": phone, "to": "+14155551234"}
        theirs = (await other.post("/v1/calls", json=wish)).json()["data"]["id"]
    dials = Dials(board(api))
    await dials.once()
    assert len(dials.dialled) == 2
    assert uuid.UUID(theirs) in dials.dialled


async def test_a_call_for_later(api: Api):
    await limited(api, 1)
    wish = await parties(api)
    soon = utcnow() + timedelta(seconds=3600)
    for _ in range(2):  # those for later take no room now
        made = await api.post("/v1/calls", json={**wish, "scheduledAt": soon.isoformat()})
        assert made.status_code == 201
        assert made.json()["data"]["scheduledAt"].startswith(soon.isoformat()[:19])
    dials = Dials(board(api))
    await dials.once()
    assert dials.dialled == []
    async with api.process.database.writing() as session:
        past = utcnow() - timedelta(seconds=1)
        await session.execute(sa.update(CallRow).values(scheduled_at=past))
    await dials.once()
    assert len(dials.dialled) == 1


@pytest.mark.parametrize(
    ("when", "message"),
    [
        ("2999-01-01T00:00:00Z", "Scheduled at must be within a year from now"),
        ("tomorrow", "Scheduled at must be a time such as 2025-01-31T12:00:00Z"),
        ("2026-01-01T00:00:00", "Scheduled at must have a time zone, such as 2025-01-31T12:00:00Z"),
        (17, "Scheduled at must be a time such as 2025-01-31T12:00:00Z"),
    ],
)
async def test_a_time_that_is_none(sqlite_api: Api, when: Any, message: str):
    wish = await parties(sqlite_api)
    answer = await sqlite_api.post("/v1/calls", json={**wish, "scheduledAt": when})
    assert answer.status_code == 400
    [detail] = answer.json()["details"]
    assert detail["field"] == "scheduledAt"
    assert detail["message"] == message


async def test_a_suspended_organization_takes_no_calls(api: Api):
    dialled = await route(api)
    async with api.process.database.writing() as session:
        await session.execute(sa.update(Organization).values(suspended_at=utcnow()))
    declined = await answer(board(api), dialled, rings())
    assert declined == Declined("the organization is suspended")
    assert await rows(api) == []


async def test_calls_for_later_are_limited(tmp_path: Path):
    async with running(settings_for(tmp_path, max_scheduled_calls=2)) as api:
        wish = {**await parties(api), "scheduledAt": (utcnow() + timedelta(days=9)).isoformat()}
        answers = [await api.post("/v1/calls", json=wish) for _ in range(3)]
        assert [answer.status_code for answer in answers] == [201, 201, 429]
        assert answers[2].json()["code"] == "too_many_scheduled_calls"
        # They take nothing from those of now.
        del wish["scheduledAt"]
        assert (await api.post("/v1/calls", json=wish)).status_code == 201


async def test_a_token_that_somebody_made_up_costs_no_turn_of_the_writer(sqlite_api: Api):
    id = (await sqlite_api.made("/v1/calls", await parties(sqlite_api)))["id"]
    switchboard = sqlite_api.app.state.switchboard
    async with sqlite_api.process.database.writing():
        async with asyncio.timeout(20):
            assert not await claim(switchboard, id, "made up")
