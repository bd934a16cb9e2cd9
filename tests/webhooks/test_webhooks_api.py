"""/v1/webhook-endpoints, -deliveries, -secret and agents' webhooks, with a real receiver."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks import Webhook
from tests.conftest import settings_for
from tests.fakes.api import Api, running
from tests.webhooks.conftest import CALL, Receiver

from chorus.calls.tables import CallRow
from chorus.webhooks import announce
from chorus.webhooks.edit import MOST_ENDPOINTS

PATH = "/v1/webhook-endpoints"


@pytest.fixture
async def api(tmp_path: Path, database_url: str) -> AsyncGenerator[Api, None]:
    settings = settings_for(tmp_path, database_url=database_url, allow_private_addresses=True)
    async with running(settings) as found:
        yield found


async def over(api: Api, agent_id: str | None = None) -> uuid.UUID:
    """A call that is over, and announced."""
    agent = uuid.UUID(agent_id) if agent_id else uuid.uuid4()
    async with api.process.database.writing() as session:
        call = CallRow(organization_id=await api.organization_id(), **{**CALL, "agent_id": agent})
        session.add(call)
        await session.flush()
    await announce.call_over(api.app.state.switchboard, call.id)
    return call.id


async def ended(api: Api, id: str, status: str = "delivered") -> dict[str, Any]:
    """A delivery, once it has this status and nothing is under way."""
    async with asyncio.timeout(20):
        while True:
            found = (await api.get(f"/v1/webhook-deliveries/{id}")).json()["data"]
            if found["status"] == status and found["attempts"][-1:] and told(found["attempts"][-1]):
                return found
            await asyncio.sleep(0.02)


def told(attempt: dict[str, Any]) -> bool:
    return attempt["statusCode"] is not None or attempt["error"] is not None


async def test_the_five_verbs(api: Api):
    wish = {"url": "https://example.com/x", "events": ["call.failed"], "description": "Ops"}
    made = await api.made(PATH, wish)
    assert made["secret"].startswith("whsec_")
    assert made["isActive"] is True
    shown = {name: value for name, value in made.items() if name != "secret"}
    path = f"{PATH}/{made['id']}"
    assert (await api.get(path)).json()["data"] == shown
    assert (await api.get(f"{PATH}?search=OPS")).json()["data"] == [shown]
    assert (await api.get(f"{PATH}?search=nobody")).json()["data"] == []
    changed = (await api.patch(path, json={"isActive": False, "events": ["call.started"]})).json()
    assert changed["data"]["isActive"] is False
    assert changed["data"]["events"] == ["call.started"]
    assert changed["data"]["url"] == wish["url"]
    assert (await api.delete(path)).json()["data"] == {"id": made["id"], "deleted": True}
    assert (await api.get(path)).status_code == 404


@pytest.mark.parametrize(
    ("wish", "field"),
    [
        ({}, "url"),
        ({"url": "ftp://example.com"}, "url"),
        ({"url": "https://a:b@example.com"}, "url"),
        ({"url": "https://example.com", "events": []}, "events"),
        ({"url": "https://example.com", "events": ["call.ended"]}, "events.0"),
        ({"url": "https://example.com", "events": ["call.started"] * 2}, "events"),
        ({"url": "https://example.com", "secret": "mine"}, "secret"),
    ],
)
async def test_what_is_refused(api: Api, wish: dict[str, Any], field: str):
    response = await api.post(PATH, json=wish)
    assert response.status_code == 400
    assert [detail["field"] for detail in response.json()["details"]] == [field]


@pytest.mark.parametrize("url", ["http://example.com", "HTTP://example.com"])
async def test_http_needs_the_operators_leave(sqlite_api: Api, url: str):
    response = await sqlite_api.post(PATH, json={"url": url})
    assert response.status_code == 400
    assert response.json()["details"] == [
        {"field": "url", "message": "URL must begin with https://"}
    ]


async def test_there_is_a_limit(sqlite_api: Api):
    for _ in range(MOST_ENDPOINTS):
        await sqlite_api.made(PATH, {"url": "https://example.com"})
    response = await sqlite_api.post(PATH, json={"url": "https://example.com"})
    assert (response.status_code, response.json()["code"]) == (409, "too_many_webhook_endpoints")


async def test_the_log_of_a_delivery(api: Api, receiver: Receiver):
    endpoint = await api.made(PATH, {"url": receiver.url})
    call_id = await over(api)
    [listed] = (await api.get(f"/v1/webhook-deliveries?callId={call_id}")).json()["data"]
    found = await ended(api, listed["id"])
    assert found["endpointId"] == endpoint["id"]
    assert found["agentId"] is None
    assert found["requestBody"] == receiver.requests[0].json
    [tried] = found["attempts"]
    assert tried["statusCode"] == 200
    assert tried["responseBody"] == "answered"
    assert tried["url"] == receiver.url
    assert tried["requestHeaders"]["webhook-id"] == found["id"]
    assert tried["durationMs"] >= 0
    Webhook(endpoint["secret"]).verify(receiver.requests[0].body, receiver.requests[0].headers)

    async def count(query: str) -> int:
        response = await api.get(f"/v1/webhook-deliveries?{query}")
        return response.json()["pagination"]["total"]

    for query, wanted in (
        (f"endpointId={endpoint['id']}", 1),
        (f"endpointId={uuid.uuid4()}", 0),
        (f"agentId={uuid.uuid4()}", 0),
        ("status=delivered&event=call.completed", 1),
        ("status=pending", 0),
        ("event=call.failed", 0),
        (f"callId={uuid.uuid4()}", 0),
    ):
        assert await count(query) == wanted, query
    assert (await api.get("/v1/webhook-deliveries?event=x")).status_code == 400


async def test_redelivery_is_the_same_again(api: Api, receiver: Receiver):
    endpoint = await api.made(PATH, {"url": receiver.url})
    await over(api)
    [listed] = (await api.get("/v1/webhook-deliveries")).json()["data"]
    await ended(api, listed["id"])
    response = await api.post(f"/v1/webhook-deliveries/{listed['id']}/redeliver")
    assert response.status_code == 200
    assert response.json()["data"]["status"] == "pending"
    found = await ended(api, listed["id"])
    assert [tried["number"] for tried in found["attempts"]] == [1, 2]
    first, second = receiver.requests
    assert first.body == second.body
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    await api.patch(f"{PATH}/{endpoint['id']}", json={"isActive": False})
    refused = await api.post(f"/v1/webhook-deliveries/{listed['id']}/redeliver")
    assert (refused.status_code, refused.json()["code"]) == (409, "endpoint_inactive")
    await api.delete(f"{PATH}/{endpoint['id']}")
    refused = await api.post(f"/v1/webhook-deliveries/{listed['id']}/redeliver")
    assert (refused.status_code, refused.json()["code"]) == (409, "endpoint_deleted")


async def test_what_waits_is_tried_now(api: Api, receiver: Receiver):
    receiver.statuses = [500, 500]
    await api.made(PATH, {"url": receiver.url})
    await over(api)
    [listed] = (await api.get("/v1/webhook-deliveries")).json()["data"]
    waiting = await ended(api, listed["id"], "pending")
    assert waiting["nextAttemptAt"] is not None
    for _ in range(2):
        await api.post(f"/v1/webhook-deliveries/{listed['id']}/redeliver")
        await asyncio.sleep(0.1)
    assert len((await ended(api, listed["id"]))["attempts"]) == 3


async def test_deleting_an_endpoint_cancels_what_waits(api: Api, receiver: Receiver):
    receiver.statuses = [500]
    endpoint = await api.made(PATH, {"url": receiver.url})
    await over(api)
    [listed] = (await api.get("/v1/webhook-deliveries")).json()["data"]
    await ended(api, listed["id"], "pending")
    await api.delete(f"{PATH}/{endpoint['id']}")
    found = await ended(api, listed["id"], "cancelled")
    assert found["reason"] == "endpoint_deleted"
    assert found["nextAttemptAt"] is None


async def test_a_test_is_tried_once(api: Api, receiver: Receiver):
    receiver.statuses = [500]
    endpoint = await api.made(PATH, {"url": receiver.url})
    made = await api.made(f"{PATH}/{endpoint['id']}/test", {})
    found = await ended(api, made["id"], "failed")
    assert (found["event"], len(found["attempts"])) == ("webhook.test", 1)
    assert receiver.requests[0].json["endpointId"] == endpoint["id"]
    await api.patch(f"{PATH}/{endpoint['id']}", json={"isActive": False})
    assert (await api.post(f"{PATH}/{endpoint['id']}/test")).status_code == 409


async def test_a_secret_is_replaced(api: Api, receiver: Receiver):
    endpoint = await api.made(PATH, {"url": receiver.url})
    answer = (await api.post(f"{PATH}/{endpoint['id']}/rotate-secret")).json()["data"]
    assert answer["secret"] != endpoint["secret"]
    assert answer["previousSecretUntil"] is not None
    made = await api.made(f"{PATH}/{endpoint['id']}/test", {})
    await ended(api, made["id"])
    for secret in (endpoint["secret"], answer["secret"]):
        Webhook(secret).verify(receiver.requests[0].body, receiver.requests[0].headers)


async def test_an_agents_webhook(api: Api, receiver: Receiver):
    receiver.statuses = [200, 410]
    agent = await api.made("/v1/agents", {"name": "Ada", "postCallWebhookUrl": receiver.url})
    path = f"/v1/agents/{agent['id']}/webhook"
    secret = (await api.get("/v1/webhook-secret")).json()["data"]["secret"]
    assert (await api.get("/v1/webhook-secret")).json()["data"]["secret"] == secret
    made = await api.made(f"{path}/test", {})
    await ended(api, made["id"])
    Webhook(secret).verify(receiver.requests[0].body, receiver.requests[0].headers)
    state = (await api.get(path)).json()["data"]
    assert (state["isActive"], state["signedWith"]) == (True, "organization")
    await over(api, agent["id"])
    query = f"/v1/webhook-deliveries?agentId={agent['id']}&event=call.completed"
    [listed] = (await api.get(query)).json()["data"]
    await ended(api, listed["id"], "failed")
    state = (await api.get(path)).json()["data"]
    assert state["isActive"] is False
    assert state["disabledAt"] is not None
    refused = await api.post(f"/v1/webhook-deliveries/{listed['id']}/redeliver")
    assert (refused.status_code, refused.json()["code"]) == (409, "webhook_gone")
    assert (await api.post(f"{path}/test")).status_code == 409
    assert (await api.post(f"{path}/enable")).json()["data"]["isActive"] is True
    await api.post(f"/v1/webhook-deliveries/{listed['id']}/redeliver")
    await ended(api, listed["id"])
    await api.patch(f"/v1/agents/{agent['id']}", json={"postCallWebhookSecret": "own"})
    assert (await api.get(path)).json()["data"]["signedWith"] == "agent"
    rotated = (await api.post("/v1/webhook-secret/rotate")).json()["data"]
    assert rotated["secret"] != secret
    # The agent is deleted with its mark.
    assert (await api.delete(f"/v1/agents/{agent['id']}")).status_code == 200


async def test_another_organization_sees_nothing(api: Api, receiver: Receiver):
    receiver.statuses = [500]
    endpoint = await api.made(PATH, {"url": receiver.url})
    agent = await api.made("/v1/agents", {"name": "Ada", "postCallWebhookUrl": receiver.url})
    await over(api)
    [listed] = (await api.get("/v1/webhook-deliveries")).json()["data"]
    mine = (await api.get("/v1/webhook-secret")).json()["data"]["secret"]
    async with await api.another_organization() as other:
        assert (await other.get(PATH)).json()["data"] == []
        assert (await other.get("/v1/webhook-deliveries")).json()["data"] == []
        assert (await other.get("/v1/webhook-secret")).json()["data"]["secret"] != mine
        for method, path in (
            ("GET", f"{PATH}/{endpoint['id']}"),
            ("DELETE", f"{PATH}/{endpoint['id']}"),
            ("POST", f"{PATH}/{endpoint['id']}/test"),
            ("POST", f"{PATH}/{endpoint['id']}/rotate-secret"),
            ("GET", f"/v1/webhook-deliveries/{listed['id']}"),
            ("POST", f"/v1/webhook-deliveries/{listed['id']}/redeliver"),
            ("GET", f"/v1/agents/{agent['id']}/webhook"),
            ("POST", f"/v1/agents/{agent['id']}/webhook/enable"),
            ("POST", f"/v1/agents/{agent['id']}/webhook/test"),
        ):
            assert (await other.request(method, path)).status_code == 404, path
    assert (await api.get(f"{PATH}/{endpoint['id']}")).status_code == 200


async def test_a_key_that_may_only_look_sees_no_secret(api: Api):
    async with await api.another_organization(scopes=("read",)) as reader:
        assert (await reader.get(PATH)).status_code == 200
        assert (await reader.get("/v1/webhook-secret")).status_code == 403
