"""Deleting what was said in a call deletes it in the log of webhooks too."""

from __future__ import annotations

import hashlib
import uuid

import orjson
import sqlalchemy as sa
from tests.fakes.api import Api
from tests.recordings.kept_calls import call

from chorus.calls.tables import CallRow
from chorus.db import utcnow
from chorus.recordings.retention import keep_to_rules
from chorus.webhooks.tables import WebhookAttempt, WebhookDelivery

BODY = orjson.dumps(
    {
        "event": "call.completed",
        "transcript": [{"role": "user", "content": "my secret"}],
        "summary": "my secret",
        "extractedData": {"what": "my secret"},
        "transcriptUrl": "https://x/my secret",
        "contextVariables": {"name": "my secret"},
        "endedReason": "agent_ended",
    }
).decode()


async def delivered(api: Api, call_id: uuid.UUID, status: str, event: str) -> str:
    now = utcnow()
    row = WebhookDelivery(
        organization_id=await api.organization_id(),
        call_id=call_id,
        event=event,
        target_kind="agent",
        target_id=uuid.uuid4(),
        url="https://example.com",
        host="example.com",
        body=BODY,
        status=status,
        tries=1,
        attempts=1,
        created_at=now,
    )
    async with api.process.database.writing() as session:
        session.add(row)
        await session.flush()
        session.add(
            WebhookAttempt(
                delivery_id=row.id,
                number=1,
                status_code=200,
                response_body="you said my secret",
                started_at=now,
            )
        )
    return str(row.id)


async def a_call(api: Api) -> tuple[uuid.UUID, str, str]:
    id = await call(
        api.process.database,
        await api.organization_id(),
        context_variables={"name": "my secret"},
    )
    over = await delivered(api, id, "delivered", "call.completed")
    return id, over, await delivered(api, id, "pending", "call.failed")


async def nothing_is_left(api: Api, id: uuid.UUID, over: str, to_come: str) -> None:
    for path in (f"calls/{id}", f"webhook-deliveries/{over}", f"webhook-deliveries/{to_come}"):
        assert "my secret" not in (await api.get(f"/v1/{path}")).text, path
    shown = (await api.get(f"/v1/webhook-deliveries/{over}")).json()["data"]
    assert shown["requestBody"] is None
    assert shown["bodySha256"] == hashlib.sha256(BODY.encode()).hexdigest()
    again = await api.post(f"/v1/webhook-deliveries/{over}/redeliver")
    assert (again.status_code, again.json()["code"]) == (409, "body_deleted")
    # What is still to be sent is sent without the texts.
    waits = (await api.get(f"/v1/webhook-deliveries/{to_come}")).json()["data"]
    assert (waits["status"], waits["requestBody"]["endedReason"]) == ("pending", "agent_ended")


async def test_by_request(api: Api):
    found = await a_call(api)
    assert (await api.delete(f"/v1/calls/{found[0]}/transcript")).status_code == 200
    await nothing_is_left(api, *found)


async def test_by_retention(api: Api):
    found = await a_call(api)
    assert (
        await api.patch("/v1/organization", json={"transcriptRetentionDays": 1})
    ).status_code == 200
    async with api.process.database.writing() as session:
        old = utcnow().replace(year=utcnow().year - 1)
        await session.execute(sa.update(CallRow).values(ended_at=old))
    assert await keep_to_rules(api.process.database, api.process.secrets) == (0, 1)
    await nothing_is_left(api, *found)
