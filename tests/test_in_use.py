"""What is in use is not deleted, and it is said what uses it."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import sqlalchemy as sa
from tests.fakes.api import Api

from chorus.calls.tables import CallRow
from chorus.db import utcnow
from chorus.numbers.tables import PhoneNumber

NUMBER = {"number": "+14155551234", "twilioAccountSid": "AC", "twilioAuthToken": "t"}


async def refused(api: Api, path: str) -> list[str]:
    """The sentences that say what uses it."""
    answer = await api.delete(path)
    assert (answer.status_code, answer.json()["code"]) == (409, "in_use"), answer.text
    assert (await api.get(path)).status_code == 200
    assert {detail["field"] for detail in answer.json()["details"]} == {"id"}
    return [detail["message"] for detail in answer.json()["details"]]


async def agent_and_number(api: Api) -> tuple[dict[str, Any], dict[str, Any]]:
    agent = await api.made("/v1/agents", {"name": "a"})
    return agent, await api.made("/v1/phone-numbers", {**NUMBER, "name": "Front desk"})


async def test_while_a_call_is_queued_or_live(api: Api):
    agent, number = await agent_and_number(api)
    wish = {"agentId": agent["id"], "phoneNumberId": number["id"], "to": "+14155550000"}
    call = await api.made("/v1/calls", wish)
    used = [f"Used by the call to '+14155550000' ({call['id']})"]
    assert await refused(api, f"/v1/agents/{agent['id']}") == used
    assert await refused(api, f"/v1/phone-numbers/{number['id']}") == used
    async with api.process.database.writing() as session:
        row = await session.get(CallRow, uuid.UUID(call["id"]))
        assert row is not None
        row.status = "in_progress"
    assert await refused(api, f"/v1/agents/{agent['id']}") == used
    async with api.process.database.writing() as session:
        await session.execute(sa.update(CallRow).values(status="completed", ended_at=utcnow()))
    for path in (f"/v1/agents/{agent['id']}", f"/v1/phone-numbers/{number['id']}"):
        assert (await api.delete(path)).status_code == 200
    assert (await api.get(f"/v1/calls/{call['id']}")).json()["data"]["agentId"] == agent["id"]


async def test_of_many_the_first_are_named(api: Api):
    agent, number = await agent_and_number(api)
    await api.patch(f"/v1/phone-numbers/{number['id']}", json={"agentId": agent["id"]})
    organization_id = await api.organization_id()
    async with api.process.database.writing() as session:
        session.add_all(
            CallRow(
                organization_id=organization_id,
                agent_id=uuid.UUID(agent["id"]),
                provider="twilio",
                direction="inbound",
                status="in_progress",
                customer_number=f"+1415555{n:04}",
            )
            for n in range(30)
        )
    said = await refused(api, f"/v1/agents/{agent['id']}")
    assert len(said) == 21
    assert f"Used by the phone number 'Front desk' ({number['id']})" in said
    assert said[-1] == "Used by 11 more"


async def test_who_comes_to_use_it_meanwhile(api: Api):
    agent, number = await agent_and_number(api)
    path = f"/v1/phone-numbers/{number['id']}"
    deleted, given = await asyncio.gather(
        api.delete(f"/v1/agents/{agent['id']}"), api.patch(path, json={"agentId": agent["id"]})
    )
    agent_id = (await api.get(path)).json()["data"]["agentId"]
    if deleted.status_code == 200:
        assert (given.status_code, agent_id) == (400, None)
    else:
        assert (deleted.status_code, given.status_code, agent_id) == (409, 200, agent["id"])


async def test_who_came_to_use_it_a_moment_before(api: Api):
    agent, number = await agent_and_number(api)
    async with api.process.database.writing() as session:
        row = await session.get(PhoneNumber, uuid.UUID(number["id"]))
        assert row is not None
        row.agent_id = uuid.UUID(agent["id"])
        await session.flush()
        deleting = asyncio.create_task(api.delete(f"/v1/agents/{agent['id']}"))
        done, _ = await asyncio.wait({deleting}, timeout=0.5)
        assert not done
    assert (await deleting).status_code == 409
    shown = await api.get(f"/v1/phone-numbers/{number['id']}")
    assert shown.json()["data"]["agentId"] == agent["id"]
