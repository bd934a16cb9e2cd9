"""One organization reaches nothing of another's, by no route that there is.

A new route with an id in its path makes this fail until something of its kind is made here.
"""

from __future__ import annotations

import uuid
from typing import Any

import httpx
import sqlalchemy as sa
from tests.accounts.people import browser, filled, member, prepared, routes
from tests.fakes.api import Api

from chorus.accounts.tables import MemberSession, View
from chorus.calls.tables import CallRow
from chorus.db import utcnow

# What everybody may see, because it is the platform's.
OF_ALL = {"voices", "slm-models", "transcribers", "background-sounds"}
# What keys have none of.
OF_MEMBERS = {"sessions", "views"}
# A body that is right, where an empty one would be refused before anything is looked for.
BODIES: dict[str, dict[str, Any]] = {
    "/v1/agents/{id}/chat": {"messages": [{"role": "user", "content": "a"}]},
    "/v1/agents/{id}/draft": {"agent": {}, "base": 1},
    "/v1/calls/{id}/keys": {"keys": "1"},
    "/v1/calls/{id}/supervisors": {"hears": "both"},
    "/v1/calls/{id}/supervisors/{supervisorId}/mode": {"mode": "listen"},
    "/v1/calls/{id}/say": {"text": "a"},
    "/v1/provider-keys/{id}/rotate": {"apiKey": "k"},
    "/v1/calls/{id}/inject": {"text": "a"},
    "/v1/knowledge-bases/{id}/documents": {"name": "a", "text": "a"},
    "/v1/knowledge-bases/{id}/search": {"query": "a"},
}


async def make_everything(api: Api) -> dict[str, str]:
    """One of everything in the first organization: resource → id."""
    agent = await api.made("/v1/agents", {"name": "wall-agent"})
    tool = {"name": "wall-tool", "description": "d", "config": {"url": "https://a.example"}}
    number = {
        "name": "wall-number",
        "number": "+14155551234",
        "twilioAccountSid": "AC",
        "twilioAuthToken": "t",
        "agentId": agent["id"],
    }
    made = {
        "agents": agent["id"],
        "tools": (await api.made("/v1/tools", tool))["id"],
        "phone-numbers": (await api.made("/v1/phone-numbers", number))["id"],
        "api-keys": (await api.made("/v1/api-keys", {"name": "wall-key"}))["id"],
        "members": (await api.made("/v1/members", {"email": "wall@example.com", "role": "viewer"}))[
            "id"
        ],
    }
    made["knowledge-bases"] = (await api.made("/v1/knowledge-bases", {"name": "wall-base"}))["id"]
    wall_key = {"provider": "custom", "name": "wall-provider", "baseUrl": "https://a.example/v1"}
    wall_key["apiKey"] = "k"
    made["provider-keys"] = (await api.made("/v1/provider-keys", wall_key))["id"]
    call = {"agentId": agent["id"], "phoneNumberId": made["phone-numbers"], "to": "+14155550000"}
    made["calls"] = (await api.made("/v1/calls", call))["id"]
    published = {"agentId": agent["id"], "name": "wall-page", "origins": ["https://wall.example"]}
    made["publishable-tokens"] = (await api.made("/v1/publishable-tokens", published))["id"]
    await spoken(api, made["calls"])
    made["test-cases"] = (
        await api.made("/v1/test-cases", {"callId": made["calls"], "name": "wall-case"})
    )["id"]
    endpoint = await api.made("/v1/webhook-endpoints", {"url": "https://a.example/wall"})
    made["webhook-endpoints"] = endpoint["id"]
    delivery = await api.made(f"/v1/webhook-endpoints/{endpoint['id']}/test", {})
    made["webhook-deliveries"] = delivery["id"]
    async with api.process.database.writing() as session:
        row = MemberSession(
            organization_id=await api.organization_id(),
            member_id=uuid.UUID(made["members"]),
            token_hash="0" * 64,
            expires_at=utcnow(),
            last_seen_at=utcnow(),
            address="",
            user_agent="",
        )
        session.add(row)
        view = View(
            organization_id=row.organization_id,
            member_id=row.member_id,
            name="wall-view",
            page="calls",
            query="",
        )
        session.add(view)
    made |= {"sessions": str(row.id), "views": str(view.id)}
    return made


async def spoken(api: Api, call_id: str) -> None:
    """The call is over, and its caller said something."""
    async with api.process.database.writing() as session:
        await session.execute(
            sa.update(CallRow)
            .where(CallRow.id == uuid.UUID(call_id))
            .values(
                status="completed",
                ended_at=utcnow(),
                transcript=[{"role": "user", "content": "wall-words"}],
            )
        )


async def strangers(api: Api) -> list[httpx.AsyncClient]:
    """A key of another organization, and its owner."""
    key = await api.another_organization()
    organization = (await key.get("/v1/organization")).json()["data"]
    owner = await member(api.process, uuid.UUID(organization["id"]), "owner")
    return [key, await browser(api, owner)]


async def everything_seen(api: Api, made: dict[str, str]) -> dict[str, Any]:
    """What the first organization sees of its own."""
    seen: dict[str, Any] = {}
    for resource, id in made.items():
        if resource not in OF_MEMBERS:
            answer = await api.get(f"/v1/{resource}/{id}")
            assert answer.status_code == 200, answer.text
            seen[resource] = answer.json()["data"]
    return seen


async def test_an_id_of_anothers_is_404_on_every_route(api: Api):
    prepared(api)
    made = await make_everything(api)
    before = await everything_seen(api, made)
    others = await strangers(api)
    walked = 0
    for method, path, route in routes(api):
        resource = path.split("/")[2]
        if "{" not in path or resource in OF_ALL:
            continue
        assert resource in made, f"make something of {resource} in make_everything"
        body = BODIES.get(path, {}) if route.body_field is not None else None
        for client in others:
            if resource in OF_MEMBERS and "authorization" in client.headers:
                continue  # keys have none at all
            answer = await client.request(method, filled(path, made[resource]), json=body)
            assert answer.status_code == 404, f"{method} {path}: {answer.text}"
            # And exactly as for what does not exist anywhere.
            nowhere = await client.request(method, filled(path, uuid.uuid4()), json=body)
            assert without_id(nowhere) == without_id(answer), f"{method} {path}"
            walked += 1
    assert walked > 40
    assert await everything_seen(api, made) == before


def without_id(answer: httpx.Response) -> dict[str, Any]:
    return {name: value for name, value in answer.json().items() if name != "requestId"}


async def test_no_list_shows_what_is_anothers(api: Api):
    prepared(api)
    made = await make_everything(api)
    own_organization = str(await api.organization_id())
    walked = 0
    for client in await strangers(api):
        for method, path, _ in routes(api):
            if method != "GET" or "{" in path:
                continue
            answer = await client.get(path)
            if path.split("/")[2] in ("sessions", "second-factor", "sso", "views"):
                assert answer.status_code in (200, 403)
            else:
                assert answer.status_code == 200, f"{path}: {answer.text}"
            shown = [id for id in (*made.values(), own_organization) if id in answer.text]
            assert shown == [], path
            assert "wall" not in answer.text, path
            walked += 1
    assert walked > 20


async def test_nothing_of_anothers_can_be_named_in_a_body(api: Api):
    prepared(api)
    made = await make_everything(api)
    client, _ = await strangers(api)
    own = (await client.post("/v1/agents", json={"name": "own"})).json()["data"]["id"]
    for path, body in (
        ("/v1/agents", {"name": "a", "toolIds": [made["tools"]]}),
        ("/v1/agents", {"name": "a", "knowledgeBaseIds": [made["knowledge-bases"]]}),
        (
            "/v1/phone-numbers",
            {
                "number": "+14155550001",
                "twilioAccountSid": "AC",
                "twilioAuthToken": "t",
                "agentId": made["agents"],
            },
        ),
        (
            "/v1/calls",
            {"agentId": own, "phoneNumberId": made["phone-numbers"], "to": "+14155550000"},
        ),
        ("/v1/calls", {"agentId": made["agents"], "phoneNumberId": own, "to": "+14155550000"}),
        ("/v1/test-cases", {"callId": made["calls"]}),
    ):
        answer = await client.post(path, json=body)
        assert answer.status_code in (400, 404), answer.text
        assert "not found" in answer.text
    for name, id in (("actorId", made["members"]), ("resourceId", made["agents"])):
        listed = await client.get("/v1/audit-log", params={name: id})
        assert listed.json()["data"] == []
