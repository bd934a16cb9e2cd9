"""Publishable tokens on both databases: who may begin calls with one, and what stops them."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from tests.calls.test_room import board
from tests.fakes.api import Api

from chorus.calls.desk import CallDesk
from chorus.calls.publishable import longest_s
from chorus.calls.publishable_tables import PublishableCall, PublishableToken
from chorus.calls.tables import CallCommand, CallRow
from chorus.db import utcnow

SITE = "https://www.example.com"


async def published(api: Api, **more: Any) -> dict[str, Any]:
    agent = await api.made("/v1/agents", {"name": "Ada"})
    wish = {"agentId": agent["id"], "name": "Our site", "origins": [SITE], **more}
    return await api.made("/v1/publishable-tokens", wish)


async def call(
    api: Api, token: dict[str, Any], origin: str | None = SITE, **headers: str
) -> httpx.Response:
    sent = headers | ({} if origin is None else {"origin": origin})
    async with api.client_with(None) as page:
        return await page.post(f"/v1/publishable-tokens/{token['token']}/calls", headers=sent)


def why(answer: httpx.Response) -> tuple[int, str]:
    # Whoever is refused can read why, whatever page it is.
    assert answer.headers["access-control-allow-origin"] == "*"
    return answer.status_code, answer.json()["code"]


async def test_a_page_begins_a_call_and_connects_from_its_origin_alone(api: Api):
    token = await published(api, contextVariables={"shop": "Lind"}, maxCallSeconds=45)
    assert token["lastUsedAt"] is None
    answer = await call(api, token, "https://WWW.example.com")
    assert answer.status_code == 201, answer.text
    assert answer.headers["access-control-allow-origin"] == "https://WWW.example.com"
    assert "origin" in answer.headers["vary"].lower()
    begun = answer.json()["data"]
    shown = (await api.get(f"/v1/calls/{begun['callId']}")).json()["data"]
    assert (shown["provider"], shown["status"]) == ("browser", "ringing")
    assert shown["contextVariables"] == {"shop": "Lind"}
    path, _, proof = begun["url"].rpartition("/")
    assert path.endswith(f"/browser/media/{begun['callId']}")
    desk = CallDesk(board(api), "browser")
    assert desk.proved_s_ago(begun["callId"], SITE, proof) == pytest.approx(0, abs=60)
    for id, origin in (
        (begun["callId"], "https://evil.example"),
        (begun["callId"], ""),
        (begun["callId"], None),
        (str(uuid.uuid4()), SITE),
    ):
        assert desk.proved_s_ago(id, origin, proof) is None
    later = f"{int(proof.partition('.')[0]) + 1}.{proof.partition('.')[2]}"
    for guess in (later, "", ".", "1", proof[:-1], "x" * 300, "١." + "0" * 64):
        assert desk.proved_s_ago(begun["callId"], SITE, guess) is None
    assert await desk.claim(begun["callId"], begun["token"])
    async with api.process.database.reading() as session:
        assert await longest_s(session, uuid.UUID(begun["callId"])) == 45
        assert await longest_s(session, uuid.uuid4()) is None
    used = (await api.get(f"/v1/publishable-tokens/{token['id']}")).json()["data"]
    assert used["lastUsedAt"] is not None
    assert used["updatedAt"] == token["updatedAt"]


async def test_who_may_not_is_told_why(api: Api):
    token = await published(api)
    for origin in (None, "null", "https://evil.example", SITE + ":8443", "http://www.example.com"):
        assert why(await call(api, token, origin)) == (403, "origin_not_allowed")
    assert why(await call(api, {"token": "pk_live_guess"})) == (404, "publishable_token_not_found")
    for strange in ("sk", "pk_live_%00", "pk_live_" + "a" * 300):
        answer = await call(api, {"token": strange})
        assert why(answer) == (404, "publishable_token_not_found")
    off = await api.patch(f"/v1/agents/{token['agentId']}", json={"isActive": False})
    assert off.status_code == 200
    assert why(await call(api, token)) == (409, "agent_inactive")
    gone = await api.delete(f"/v1/publishable-tokens/{token['id']}")
    assert gone.status_code == 200, gone.text
    assert why(await call(api, token)) == (403, "publishable_token_revoked")
    assert (await api.get(f"/v1/publishable-tokens/{token['id']}")).status_code == 404
    assert (await api.get("/v1/publishable-tokens")).json()["data"] == []
    async with api.process.database.reading() as session:
        assert await session.scalar(sa.select(sa.func.count()).select_from(CallRow)) == 0


@pytest.mark.parametrize(
    ("limit", "code"),
    [
        ("maxCalls", "too_many_calls_concurrent"),
        ("maxCallsPerHour", "too_many_calls_hour"),
        ("maxCallsPerAddress", "too_many_calls_address"),
    ],
)
async def test_each_limit(api: Api, limit: str, code: str):
    token = await published(api, **{limit: 1})
    assert (await call(api, token)).status_code == 201
    full = await call(api, token)
    assert why(full) == (429, code)
    assert 0 < int(full.headers["retry-after"]) <= 3600
    changed = await api.patch(f"/v1/publishable-tokens/{token['id']}", json={limit: 2})
    assert changed.json()["data"][limit] == 2
    assert (await call(api, token)).status_code == 201
    assert why(await call(api, token)) == (429, code)
    # What counts is the hour, or that they are not over; and after a day it is forgotten.
    async with api.process.database.writing() as session:
        earlier = utcnow() - timedelta(hours=25)
        await session.execute(sa.update(PublishableCall).values(created_at=earlier))
        await session.execute(sa.update(CallRow).values(ended_at=earlier, status="completed"))
    assert (await call(api, token)).status_code == 201
    async with api.process.database.reading() as session:
        assert len((await session.scalars(sa.select(PublishableCall))).all()) == 1


async def test_calls_of_others_do_not_count(api: Api):
    first, other = await published(api, maxCalls=1), await published(api, maxCalls=1)
    assert [(await call(api, each)).status_code for each in (first, other)] == [201, 201]


async def test_revoking_ends_what_has_not_begun_and_what_is_asked_for(api: Api):
    token = await published(api)
    begun = [(await call(api, token)).json()["data"]["callId"] for _ in range(2)]
    async with api.process.database.writing() as session:
        talks = sa.update(CallRow).where(CallRow.id == uuid.UUID(begun[0]))
        await session.execute(
            talks.values(status="in_progress", answered_at=utcnow(), lease_owner="another-1")
        )
    gone = await api.delete(f"/v1/publishable-tokens/{token['id']}?endCalls=true")
    assert gone.json()["data"] == {"id": token["id"], "revoked": True, "endedCalls": 1}
    waiting = (await api.get(f"/v1/calls/{begun[1]}")).json()["data"]
    assert (waiting["status"], waiting["endedReason"]) == ("failed", "cancelled")
    async with api.process.database.reading() as session:
        [told] = await session.scalars(sa.select(CallCommand))
        assert (str(told.call_id), told.verb) == (begun[0], "hang_up")
    log = (await api.get("/v1/audit-log?limit=1")).json()["data"][0]
    assert log["action"] == "deletePublishableToken"
    assert log["detail"] == {"endCalls": True, "endedCalls": 1}


async def test_what_a_token_cannot_be(api: Api):
    agent = await api.made("/v1/agents", {"name": "Ada"})
    good = {"agentId": agent["id"], "name": "Site", "origins": [SITE]}
    cases: list[tuple[dict[str, Any], str]] = [
        ({"origins": []}, "origins"),
        ({"origins": ["*"]}, "origins.0"),
        ({"origins": ["https://*.example.com/a"]}, "origins.0"),
        ({"origins": ["http://www.example.com"]}, "origins.0"),
        ({"origins": ["https://a,b.example"]}, "origins.0"),
        ({"origins": ["https://ex\u00e4mple.com"]}, "origins.0"),
        ({"origins": [SITE + ":0443"]}, "origins.0"),
        ({"origins": [SITE, SITE]}, "origins"),
        ({"origins": [SITE, SITE + ":443"]}, "origins"),
        ({"maxCallSeconds": 1}, "maxCallSeconds"),
        ({"agentId": str(uuid.uuid4())}, "agentId"),
    ]
    for wrong, field in cases:
        answer = await api.post("/v1/publishable-tokens", json=good | wrong)
        assert (answer.status_code, answer.json()["details"][0]["field"]) == (400, field)
    local = await api.made(
        "/v1/publishable-tokens",
        good | {"origins": ["http://localhost:8080/", "https://A.example"]},
    )
    assert local["origins"] == ["http://localhost:8080", "https://a.example"]
    # An agent that pages call is in use until the token is revoked, and takes it along then.
    refused = await api.delete(f"/v1/agents/{agent['id']}")
    assert (refused.status_code, refused.json()["code"]) == (409, "in_use")
    await api.delete(f"/v1/publishable-tokens/{local['id']}")
    assert (await api.delete(f"/v1/agents/{agent['id']}")).status_code == 200
    async with api.process.database.reading() as session:
        assert (await session.scalars(sa.select(PublishableToken))).all() == []
