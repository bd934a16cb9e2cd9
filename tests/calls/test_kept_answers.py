"""Deleting what was said in a call deletes it in the answers kept for Idempotency-Keys too."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from tests.fakes.api import Api
from tests.recordings.kept_calls import call
from tests.webhooks.test_forget import delivered

from chorus.accounts.secrets import Secrets
from chorus.accounts.tables import IdempotentRequest
from chorus.calls.tables import CallRow
from chorus.db import utcnow
from chorus.recordings.retention import keep_to_rules
from chorus.webhooks.tables import WebhookDelivery

SECRET = "my secret"


async def number(api: Api) -> dict[str, Any]:
    agent = await api.made("/v1/agents", {"name": "a"})
    wish = {
        "number": "+14155550100",
        "agentId": agent["id"],
        "twilioAccountSid": "AC" + "0" * 32,
        "twilioAuthToken": "t",
    }
    made = await api.made("/v1/phone-numbers", wish)
    return {"agentId": agent["id"], "phoneNumberId": made["id"], "to": "+14155551234"}


async def sent(api: Api, path: str, body: Any = None, key: str = "once") -> httpx.Response:
    return await api.post(path, json=body, headers={"Idempotency-Key": key})


async def in_database(api: Api) -> str:
    """All that is kept of answers, readable."""
    async with api.process.database.reading() as session:
        bodies = await session.scalars(sa.select(IdempotentRequest.body))
        return "\n".join(api.process.secrets.decrypt(body) for body in bodies if body is not None)


async def ended(api: Api, ago: timedelta = timedelta()) -> None:
    async with api.process.database.writing() as session:
        await session.execute(
            sa.update(CallRow)
            .where(CallRow.ended_at.is_not(None))
            .values(ended_at=utcnow() - ago, transcript=[{"role": "user", "content": SECRET}])
        )


async def delete_by(api: Api, by: str, id: str) -> None:
    if by == "request":
        answer = await api.delete(f"/v1/calls/{id}/transcript")
        assert answer.status_code == 200, answer.text
        return
    answer = await api.patch("/v1/organization", json={"transcriptRetentionDays": 1})
    assert answer.status_code == 200
    await ended(api, timedelta(days=2))
    assert await keep_to_rules(api.process.database, api.process.secrets) == (0, 1)


@pytest.mark.parametrize("by", ["request", "retention"])
@pytest.mark.parametrize("path", ["/v1/calls", "/api/calls/outbound"])
async def test_a_call_that_was_placed_and_cancelled(api: Api, by: str, path: str):
    wish = await number(api) | {"contextVariables": {"name": SECRET}, "metadata": {"n": 1}}
    first = await sent(api, path, wish)
    assert first.status_code == 201, first.text
    made = first.json()["data"]
    for n in range(3):  # others at the same time
        other = await sent(api, path, wish | {"contextVariables": {"name": f"other {n}"}}, f"{n}")
        assert other.status_code == 201
    # However the id is written.
    cancelled = await sent(api, f"/v1/calls/{made['id'].upper()}/cancel")
    assert cancelled.json()["data"]["contextVariables"] == {"name": SECRET}
    assert (await in_database(api)).count(SECRET) == 2
    await delete_by(api, by, made["id"])
    again = await sent(api, path, wish)
    assert (again.status_code, again.headers["Idempotency-Replayed"]) == (201, "true")
    assert again.json()["data"] == made | {"contextVariables": {}}
    again = await sent(api, f"/v1/calls/{made['id']}/cancel")
    assert again.headers["Idempotency-Replayed"] == "true"
    assert again.json()["data"]["contextVariables"] == {}
    kept = await in_database(api)
    assert SECRET not in kept
    assert all(f"other {n}" in kept for n in range(3))


async def test_a_test_case_and_a_webhook_that_was_sent_again(api: Api):
    organization_id = await api.organization_id()
    hook = {"postCallWebhookUrl": "https://hooks.example/1"}
    agent = await api.made("/v1/agents", {"name": "a", **hook})
    assert (await api.get("/v1/webhook-secret")).status_code == 200
    id = await call(
        api.process.database,
        organization_id,
        agent_id=uuid.UUID(agent["id"]),
        transcript=[{"role": "user", "content": SECRET}],
        context_variables={"name": SECRET},
    )
    delivery = await delivered(api, id, "delivered", "call.completed")
    async with api.process.database.writing() as session:
        await session.execute(sa.update(WebhookDelivery).values(target_id=uuid.UUID(agent["id"])))
    case = await sent(api, "/v1/test-cases", {"callId": str(id)})
    assert case.status_code == 201, case.text
    path = f"/v1/webhook-deliveries/{delivery}/redeliver"
    redelivered = await sent(api, path)
    assert redelivered.status_code == 200, redelivered.text
    assert SECRET in case.text
    assert SECRET in redelivered.text
    # A retention leaves the case, which is kept by itself, and its answer.
    await delete_by(api, "retention", str(id))
    again = await sent(api, "/v1/test-cases", {"callId": str(id)})
    assert again.content == case.content
    again = await sent(api, path)
    assert again.headers["Idempotency-Replayed"] == "true"
    assert again.json()["data"]["requestBody"] is None
    assert [each["responseBody"] for each in again.json()["data"]["attempts"]] == [None]
    await delete_by(api, "request", str(id))
    assert SECRET not in await in_database(api)
    again = await sent(api, "/v1/test-cases", {"callId": str(id)})
    assert again.headers["Idempotency-Replayed"] == "true"
    assert again.json()["data"]["script"] == []
    assert again.json()["data"]["id"] == case.json()["data"]["id"]


async def test_an_answer_that_cannot_be_read_is_in_nobodys_way(sqlite_api: Api):
    api = sqlite_api
    wish = await number(api) | {"contextVariables": {"name": SECRET}}
    made = (await sent(api, "/v1/calls", wish)).json()["data"]
    async with api.process.database.writing() as session:
        unreadable = Secrets(("another key",)).encrypt("lost")
        await session.execute(sa.update(IdempotentRequest).values(body=unreadable))
    assert (await api.post(f"/v1/calls/{made['id']}/cancel")).status_code == 200
    await delete_by(api, "request", made["id"])
    shown = (await api.get(f"/v1/calls/{made['id']}")).json()["data"]
    assert shown["contextVariables"] == {}
