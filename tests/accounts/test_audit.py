"""The audit log: every change, by whom, with names and no values, or not at all."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from tests.accounts.people import PASSWORD, browser, member, prepared
from tests.fakes.api import Api

from chorus.accounts.tables import AuditEntry

TOOL = {
    "name": "t",
    "description": "d",
    "config": {"url": "https://a.example", "headers": [{"key": "Authorization", "value": "hush"}]},
}


async def test_who_what_and_where(api: Api):
    prepared(api)
    person = await member(api.process, await api.organization_id(), "developer")
    client = await browser(api, person)
    made = await client.post("/v1/tools", json=TOOL, headers={"X-Request-Id": "r-1"})
    id = made.json()["data"]["id"]
    await api.patch(f"/v1/tools/{id}", json={"name": "u"}, headers={"X-Request-Id": "r-2"})
    await api.delete(f"/v1/tools/{id}")
    answer = await api.get(f"/v1/audit-log?resourceId={id}")
    assert answer.json()["pagination"]["total"] == 3
    deleted, changed, created = answer.json()["data"]
    assert (created["actor"], created["actorId"]) == ("member", str(person.id))
    assert created["actorName"] == "developer@example.com"
    assert (created["action"], created["resource"]) == ("createTool", "tools")
    assert created["fields"] == ["config", "description", "name"]
    assert (created["requestId"], created["address"]) == ("r-1", "127.0.0.1")
    assert (changed["actor"], changed["action"]) == ("key", "updateTool")
    assert changed["actorName"].startswith("First key (sk_live_tttt")
    assert (changed["fields"], changed["requestId"]) == (["name"], "r-2")
    assert deleted["action"] == "deleteTool"
    assert "hush" not in answer.text


async def test_filters(api: Api):
    prepared(api)
    agent = await api.made("/v1/agents", {"name": "a"})
    await api.patch(f"/v1/agents/{agent['id']}", json={"name": "b"})
    await api.made("/v1/tools", TOOL)
    entries = (await api.get("/v1/audit-log")).json()["data"]
    middle = entries[1]["createdAt"]

    async def found(query: str) -> list[str]:
        answer = await api.get(f"/v1/audit-log?{query}")
        assert answer.status_code == 200, answer.text
        return [entry["action"] for entry in answer.json()["data"]]

    assert await found("") == ["createTool", "updateAgent", "createAgent"]
    assert await found("action=updateAgent") == ["updateAgent"]
    assert await found("resource=agents") == ["updateAgent", "createAgent"]
    assert await found("actor=member") == []
    assert await found(f"actorId={entries[0]['actorId']}&limit=1&offset=2") == ["createAgent"]
    assert set(await found(f"until={middle}")) <= {"createAgent", "updateAgent"}
    assert "createTool" in await found(f"since={middle}")
    assert (await api.get("/v1/audit-log?since=yesterday")).status_code == 400


async def test_what_came_to_nothing_is_not_there(api: Api, monkeypatch: pytest.MonkeyPatch):
    await api.post("/v1/agents", json={"name": ""})
    await api.get("/v1/agents")

    async def broken(*_: object) -> None:
        raise RuntimeError("after the row was written")

    with monkeypatch.context() as patch:
        patch.setattr("chorus.agents.edit._give_tools", broken)
        assert (await api.post("/v1/agents", json={"name": "a"})).status_code == 500
    assert (await api.get("/v1/audit-log")).json()["data"] == []
    # And nothing is changed without its entry.
    monkeypatch.setattr("chorus.accounts.audit.AuditEntry", broken)
    assert (await api.post("/v1/agents", json={"name": "a"})).status_code == 500
    assert (await api.get("/v1/agents")).json()["data"] == []


async def test_a_repeated_request_is_one_entry(api: Api):
    for _ in range(2):
        await api.post("/v1/agents", json={"name": "a"}, headers={"Idempotency-Key": "k"})
    assert (await api.get("/v1/audit-log")).json()["pagination"]["total"] == 1


async def test_members_and_sessions_too(api: Api):
    prepared(api)
    body = {"email": "a@example.com", "role": "viewer", "password": PASSWORD}
    made = await api.made("/v1/members", body)
    await api.patch(f"/v1/members/{made['id']}", json={"role": "admin"})
    await api.client_with(None).post(
        "/v1/sessions", json={"email": "a@example.com", "password": PASSWORD}
    )
    async with api.process.database.reading() as session:
        rows = (await session.scalars(sa.select(AuditEntry).order_by(AuditEntry.created_at))).all()
    assert [row.action for row in rows] == ["createMember", "updateMember", "createSession"]
    assert rows[0].fields == ["email", "password", "role"]
    assert rows[1].detail == {"role": ["viewer", "admin"]}
    assert (rows[2].actor, rows[2].actor_name) == ("member", "a@example.com")
