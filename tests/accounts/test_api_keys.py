"""/v1/api-keys and /v1/organization: keys that are shown once, and limits."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from tests.accounts.people import browser, member, prepared
from tests.conftest import settings_for
from tests.fakes.api import KEY, Api, running

from chorus.accounts import organizations
from chorus.db import utcnow


async def test_shown_once(api: Api):
    made = await api.made("/v1/api-keys", {"name": "shop"})
    key = made.pop("key")
    assert key.startswith(made["prefix"])
    assert len(made["prefix"]) == 12
    assert made["scopes"] == ["read", "write"]
    assert (await api.client_with(key).get("/v1/agents")).status_code == 200
    for path in ("/v1/api-keys", f"/v1/api-keys/{made['id']}", f"/v1/api-keys?prefix={key}"):
        answer = await api.get(path)
        assert key not in answer.text
        assert made["id"] in answer.text
    assert (await api.get("/v1/api-keys?prefix=sk_live_%25")).json()["data"] == []
    assert (await api.get("/v1/api-keys?search=sho")).json()["pagination"]["total"] == 1


async def test_changed_and_revoked_at_once(api: Api):
    made = await api.made("/v1/api-keys", {"name": "shop"})
    client = api.client_with(made["key"])
    assert (await client.get("/v1/agents")).headers["X-RateLimit-Limit"] == "100000"
    one = f"/v1/api-keys/{made['id']}"
    changed = await api.patch(one, json={"name": "store", "rateLimitPerMinute": 7})
    assert changed.json()["data"]["name"] == "store"
    assert (await client.get("/v1/agents")).headers["X-RateLimit-Limit"] == "7"
    assert (await api.patch(one, json={"key": "x"})).status_code == 400
    assert (await api.patch(one, json={"rateLimitPerMinute": None})).status_code == 200
    assert (await client.get("/v1/agents")).headers["X-RateLimit-Limit"] == "100000"
    assert (await api.delete(one)).json()["data"] == {"id": made["id"], "deleted": True}
    assert (await client.get("/v1/agents")).status_code == 401
    for answer in (await api.get(one), await api.delete(one), await api.patch(one, json={})):
        assert answer.status_code == 404
    assert made["id"] not in (await api.get("/v1/api-keys")).text


async def test_scopes_and_an_end(api: Api):
    ends = (utcnow() + timedelta(hours=1)).isoformat()
    body = {"name": "r", "scopes": ["read"], "expiresAt": ends}
    made = await api.made("/v1/api-keys", body)
    client = api.client_with(made["key"])
    assert made["scopes"] == ["read"]
    assert (await client.get("/v1/agents")).status_code == 200
    assert (await client.post("/v1/agents", json={"name": "a"})).json()["code"] == "forbidden"
    # Not even to become more than it is.
    assert (await client.post("/v1/api-keys", json={"name": "w"})).status_code == 403
    past = {"name": "r", "expiresAt": "2020-01-01T00:00:00Z"}
    for wrong in (past, {"name": "r", "scopes": []}, {"name": "r", "scopes": ["all"]}):
        assert (await api.post("/v1/api-keys", json=wrong)).status_code == 400


async def test_a_key_that_was_made_is_not_stored_with_the_answer(api: Api):
    headers = {"Idempotency-Key": "make-a-key"}
    first = await api.post("/v1/api-keys", json={"name": "k"}, headers=headers)
    again = await api.post("/v1/api-keys", json={"name": "k"}, headers=headers)
    assert again.content == first.content
    key = first.json()["data"]["key"]
    if api.process.settings.is_sqlite:
        path = api.process.settings.sqlite_path
        stored = b"".join(p.read_bytes() for p in path.parent.glob(path.name + "*"))
        assert b"make-a-key" in stored
        assert key.encode() not in stored


async def test_an_organization_sets_its_own_limits(api: Api):
    prepared(api)
    shown = (await api.get("/v1/organization")).json()["data"]
    assert shown["name"] == "Default"
    assert (shown["rateLimitPerMinute"], shown["maxConcurrentCalls"]) == (None, 100)
    body = {"name": "Acme", "maxConcurrentCalls": 5, "maxQueuedCalls": 3}
    changed = (await api.patch("/v1/organization", json=body)).json()["data"]
    assert {name: changed[name] for name in body} == body
    for wrong, field in (
        ({"maxConcurrentCalls": 101}, "maxConcurrentCalls"),
        ({"maxConcurrentCalls": 0}, "maxConcurrentCalls"),
        ({"rateLimitCeiling": 5}, "rateLimitCeiling"),
    ):
        answer = await api.patch("/v1/organization", json=wrong)
        assert answer.status_code == 400
        assert answer.json()["details"][0]["field"] == field
    ceilings = {"rate_limit_ceiling": 50, "concurrent_calls_ceiling": 4}
    organization_id = await api.organization_id()
    async with api.process.database.writing() as session:
        await organizations.set_ceilings(session, organization_id, dict(ceilings))
    shown = (await api.get("/v1/organization")).json()["data"]
    assert (shown["rateLimitPerMinute"], shown["maxConcurrentCalls"]) == (50, 4)
    answer = await api.patch("/v1/organization", json={"rateLimitPerMinute": 51})
    assert "at most 50" in answer.text
    answer = await api.patch("/v1/organization", json={"rateLimitPerMinute": 20})
    assert answer.json()["data"]["rateLimitPerMinute"] == 20
    # Its own limit stays, and null is the ceiling.
    async with api.process.database.writing() as session:
        await organizations.set_ceilings(session, organization_id, {"rate_limit_ceiling": 40})
    answer = await api.patch("/v1/organization", json={"name": "Acme"})
    assert answer.json()["data"]["rateLimitPerMinute"] == 20
    answer = await api.patch("/v1/organization", json={"rateLimitPerMinute": None})
    assert answer.json()["data"]["rateLimitPerMinute"] == 40


async def test_the_limit_of_the_whole_organization(tmp_path: Path):
    async with running(settings_for(tmp_path)) as api:
        prepared(api)
        person = await member(api.process, await api.organization_id(), "owner")
        two = await browser(api, person)
        await api.patch("/v1/organization", json={"rateLimitPerMinute": 3})
        answers = [await client.get("/v1/agents") for client in (api, two, api, two)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
        assert answers[0].headers["X-RateLimit-Limit"] == "3"
        assert answers[3].json()["retryAfter"] >= 1
        other = await api.another_organization()
        assert (await other.get("/v1/agents")).status_code == 200


@pytest.mark.parametrize("resumed", [False, True])
async def test_a_suspended_organization(sqlite_api: Api, resumed: bool):
    prepared(sqlite_api)
    process, organization_id = sqlite_api.process, await sqlite_api.organization_id()
    person = await member(process, organization_id, "owner")
    async with process.database.writing() as session:
        assert await organizations.suspend(session, organization_id, utcnow())
        assert await organizations.is_suspended(session, organization_id)
        if resumed:
            assert await organizations.suspend(session, organization_id, None)
    process.keys.forget_organization(organization_id)
    for client in (sqlite_api.client_with(KEY), await browser(sqlite_api, person)):
        answer = await client.get("/v1/agents")
        assert answer.status_code == (200 if resumed else 403)
        assert resumed or answer.json()["code"] == "organization_suspended"


async def made_with(api: Api, **body: object) -> tuple[dict[str, object], httpx.AsyncClient]:
    made = await api.made("/v1/api-keys", {"name": "k", **body})
    return made, api.client_with(made["key"])


async def test_a_key_cannot_make_more_than_itself(api: Api):
    ends = utcnow() + timedelta(hours=1)
    mighty = ["read", "write", "api-keys:write"]
    parent, client = await made_with(
        api, scopes=mighty, rateLimitPerMinute=50, expiresAt=ends.isoformat()
    )
    later = (ends + timedelta(hours=1)).isoformat()
    for more in (
        {"scopes": ["members:write"]},
        {"rateLimitPerMinute": 51},
        {"expiresAt": later},
    ):
        refused = await client.post("/v1/api-keys", json={"name": "c", **more})
        assert refused.status_code == 400, more
    child = (await client.post("/v1/api-keys", json={"name": "c"})).json()["data"]
    assert (child["rateLimitPerMinute"], child["expiresAt"]) == (50, parent["expiresAt"])
    assert child["createdBy"] == parent["id"]
    # Nor raise its own limit, or anybody's beyond it.
    for wish in (51, None):
        path = f"/v1/api-keys/{parent['id']}"
        raised = await client.patch(path, json={"rateLimitPerMinute": wish})
        assert raised.status_code == 400 or raised.json()["data"]["rateLimitPerMinute"] == 50
    # What it made ends with it.
    grandchild_scopes = await client.post("/v1/api-keys", json={"name": "g", "scopes": mighty})
    grown = api.client_with(grandchild_scopes.json()["data"]["key"])
    last = (await grown.post("/v1/api-keys", json={"name": "l"})).json()["data"]
    assert (await api.delete(f"/v1/api-keys/{parent['id']}")).status_code == 200
    for key in (child["key"], last["key"]):
        assert (await api.client_with(key).get("/v1/agents")).status_code == 401


async def test_to_write_is_not_to_make_keys_or_members(api: Api):
    prepared(api)
    admin = await member(api.process, await api.organization_id(), "admin")
    _, client = await made_with(api, scopes=["read", "write"])
    for path, body in (
        ("api-keys", {"name": "k"}),
        ("members", {"email": "x@example.com", "role": "viewer"}),
        (f"members/{admin.id}/invitation", None),
    ):
        refused = await client.post(f"/v1/{path}", json=body)
        assert (refused.status_code, refused.json()["code"]) == (403, "forbidden"), path
    # Not even who may change members becomes one of them.
    _, client = await made_with(api, scopes=["members:write"])
    assert (await client.post(f"/v1/members/{admin.id}/invitation")).status_code == 403
    invited = {"email": "new@example.com", "role": "viewer"}
    assert (await client.post("/v1/members", json=invited)).status_code == 201


async def test_scopes_by_resource(api: Api):
    made, client = await made_with(api, scopes=["calls:read", "agents:write"])
    assert made["scopes"] == ["agents:write", "calls:read"]
    assert (await client.get("/v1/calls")).status_code == 200
    assert (await client.post("/v1/agents", json={"name": "a"})).status_code == 201
    for path in ("agents", "webhook-secret", "audit-log", "members"):
        assert (await client.get(f"/v1/{path}")).status_code == 403, path
    assert (await client.post("/v1/calls", json={})).status_code == 403
    # Reading all and writing one thing is not seeing what an admin may.
    _, client = await made_with(api, scopes=["read", "calls:write"])
    assert (await client.get("/v1/agents")).status_code == 200
    assert (await client.get("/v1/webhook-secret")).status_code == 403
    assert (
        await api.post("/v1/api-keys", json={"name": "k", "scopes": ["x:y"]})
    ).status_code == 400
