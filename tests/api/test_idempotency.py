"""Idempotency-Key: once and only once, whatever is sent again."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
import sqlalchemy as sa
from tests.fakes.api import Api

from chorus.accounts import idempotency
from chorus.accounts.tables import IdempotentRequest
from chorus.db import utcnow

HEADERS = {"Idempotency-Key": "order-1"}
BODY = {"name": "An agent"}


async def count(api: Api) -> int:
    return (await api.get("/v1/agents")).json()["pagination"]["total"]


async def test_the_first_answer_again(api: Api):
    first = await api.post("/v1/agents", json=BODY, headers=HEADERS)
    again = await api.post("/v1/agents", json=BODY, headers=HEADERS)
    assert (again.status_code, again.content) == (201, first.content)
    assert again.headers["Idempotency-Replayed"] == "true"
    assert await count(api) == 1


async def test_another_body_is_a_conflict(api: Api):
    await api.post("/v1/agents", json=BODY, headers=HEADERS)
    response = await api.post("/v1/agents", json={"name": "Other"}, headers=HEADERS)
    assert response.status_code == 409
    assert response.json()["code"] == "idempotency_conflict"
    assert await count(api) == 1


async def test_many_at_once_make_one(api: Api):
    answers = await asyncio.gather(
        *(api.post("/v1/agents", json=BODY, headers=HEADERS) for _ in range(10))
    )
    statuses = {answer.status_code for answer in answers}
    assert statuses <= {201, 409}
    assert {a.json()["code"] for a in answers if a.status_code == 409} <= {
        "idempotency_in_progress"
    }
    assert len({a.content for a in answers if a.status_code == 201}) == 1
    assert await count(api) == 1


async def test_the_second_while_the_first_is_under_way(api: Api, monkeypatch: pytest.MonkeyPatch):
    entered, go_on = asyncio.Event(), asyncio.Event()

    async def slow(*_: object) -> None:
        entered.set()
        await go_on.wait()

    if api.process.settings.is_sqlite:
        # One writer at a time: while the first works, the second waits. What it finds when the
        # first has only claimed is what counts.
        organization = await api.organization_id()
        database, secrets = api.process.database, api.process.secrets
        body = b'{"name":"An agent"}'
        made = await idempotency.claim(
            database, secrets, organization, "/v1/agents", "order-1", body
        )
        assert isinstance(made, idempotency.Claim)
        response = await api.post("/v1/agents", json=BODY, headers=HEADERS)
        assert response.json()["code"] == "idempotency_in_progress"
        return
    monkeypatch.setattr("chorus.agents.edit._give_tools", slow)
    first = asyncio.create_task(api.post("/v1/agents", json=BODY, headers=HEADERS))
    await entered.wait()
    second = await api.post("/v1/agents", json=BODY, headers=HEADERS)
    assert (second.status_code, second.json()["code"]) == (409, "idempotency_in_progress")
    go_on.set()
    assert (await first).status_code == 201


@pytest.mark.parametrize(
    "body",
    [
        {"name": ""},
        # Found by the verb, not by the schema: it is the same to whoever asks.
        {"name": "a", "voiceId": "0d2f5e0c-6f0e-4a53-9a0a-3f6f1d1f4b11"},
    ],
)
async def test_what_was_not_valid_may_be_sent_again_corrected(api: Api, body: dict[str, str]):
    refused = await api.post("/v1/agents", json=body, headers=HEADERS)
    assert refused.status_code == 400
    accepted = await api.post("/v1/agents", json=BODY, headers=HEADERS)
    assert accepted.status_code == 201


async def test_a_refusal_is_given_again(api: Api):
    number = {"number": "+14155551234", "twilioAccountSid": "AC", "twilioAuthToken": "t"}
    taken = await api.made("/v1/phone-numbers", number)
    first = await api.post("/v1/phone-numbers", json=number, headers=HEADERS)
    assert (first.status_code, first.json()["code"]) == (409, "phone_number_taken")
    # Even when the same request would succeed by now.
    await api.delete(f"/v1/phone-numbers/{taken['id']}")
    again = await api.post("/v1/phone-numbers", json=number, headers=HEADERS)
    assert (again.status_code, again.content) == (409, first.content)
    assert again.headers["Idempotency-Replayed"] == "true"
    other = await api.post("/v1/phone-numbers", json={**number, "name": "a"}, headers=HEADERS)
    assert other.json()["code"] == "idempotency_conflict"
    assert (await api.post("/v1/phone-numbers", json=number)).status_code == 201


async def test_what_is_not_found_is_given_again(api: Api):
    nobody = "0d2f5e0c-6f0e-4a53-9a0a-3f6f1d1f4b11"
    call = {"agentId": nobody, "phoneNumberId": nobody, "to": "+14155550000"}
    first = await api.post("/v1/calls", json=call, headers=HEADERS)
    again = await api.post("/v1/calls", json=call, headers=HEADERS)
    assert (first.status_code, again.content) == (404, first.content)


@pytest.mark.parametrize("status", [400, 401, 413, 429, 500, 503])
def test_what_is_not_kept(status: int):
    assert not idempotency.is_kept(status)


async def test_too_many_calls_may_be_asked_for_again(api: Api):
    agent = await api.made("/v1/agents", {"name": "a"})
    number = {"number": "+14155551234", "twilioAccountSid": "AC", "twilioAuthToken": "t"}
    number = await api.made("/v1/phone-numbers", number)
    await api.patch("/v1/organization", json={"maxConcurrentCalls": 1})
    call = {"agentId": agent["id"], "phoneNumberId": number["id"], "to": "+14155550000"}
    queued = await api.made("/v1/calls", call)
    full = await api.post("/v1/calls", json=call, headers=HEADERS)
    assert (full.status_code, full.json()["code"]) == (429, "too_many_concurrent_calls")
    assert full.json()["retryAfter"] == int(full.headers["Retry-After"]) > 0
    assert (await api.post(f"/v1/calls/{queued['id']}/cancel")).status_code == 200
    assert (await api.post("/v1/calls", json=call, headers=HEADERS)).status_code == 201


async def test_a_failed_request_leaves_nothing(api: Api, monkeypatch: pytest.MonkeyPatch):
    async def broken(*_: object) -> None:
        raise RuntimeError("after the row was written")

    with monkeypatch.context() as patch:
        patch.setattr("chorus.agents.edit._give_tools", broken)
        response = await api.post("/v1/agents", json=BODY, headers=HEADERS)
        assert response.status_code == 500
    assert await count(api) == 0
    assert (await api.post("/v1/agents", json=BODY, headers=HEADERS)).status_code == 201


async def test_keys_belong_to_an_organization_and_a_path(api: Api):
    other = await api.another_organization()
    for client, path, body in (
        (api.client, "/v1/agents", BODY),
        (other, "/v1/agents", {"name": "Theirs"}),
        (
            api.client,
            "/v1/tools",
            {"name": "t", "description": "d", "config": {"url": "https://a.example"}},
        ),
    ):
        response = await client.post(path, json=body, headers=HEADERS)
        assert response.status_code == 201, response.text


async def test_after_a_day_a_key_is_new(api: Api):
    first = await api.post("/v1/agents", json=BODY, headers=HEADERS)
    async with api.process.database.writing() as session:
        await session.execute(
            sa.update(IdempotentRequest).values(
                created_at=utcnow() - timedelta(hours=24, seconds=1)
            )
        )
    second = await api.post("/v1/agents", json=BODY, headers=HEADERS)
    assert second.json()["data"]["id"] != first.json()["data"]["id"]


async def test_old_keys_are_swept(api: Api):
    await api.post("/v1/agents", json=BODY, headers=HEADERS)
    async with api.process.database.writing() as session:
        await session.execute(
            sa.update(IdempotentRequest).values(created_at=utcnow() - timedelta(days=2))
        )
    await idempotency.sweep(api.process.database)
    async with api.process.database.reading() as session:
        left = await session.scalar(sa.select(sa.func.count()).select_from(IdempotentRequest))
    assert left == 0


async def test_a_claim_of_a_dead_process_is_taken_over(api: Api):
    database, secrets = api.process.database, api.process.secrets
    organization = await api.organization_id()
    dead = await idempotency.claim(database, secrets, organization, "/v1/agents", "k", b"b")
    assert isinstance(dead, idempotency.Claim)
    async with database.writing() as session:
        await session.execute(
            sa.update(IdempotentRequest).values(created_at=utcnow() - timedelta(seconds=61))
        )
    taken = await idempotency.claim(database, secrets, organization, "/v1/agents", "k", b"b")
    assert isinstance(taken, idempotency.Claim)
    # Should the first one still live after all, it must not store its work.
    with pytest.raises(Exception, match="still under way"):
        async with database.writing() as session:
            await dead.keep(session, idempotency.Answer(201, b"{}"))


@pytest.mark.parametrize("key", ["", "x" * 256, "a\tb"])
async def test_a_key_that_is_none(sqlite_api: Api, key: str):
    response = await sqlite_api.post("/v1/agents", json=BODY, headers={"Idempotency-Key": key})
    assert response.status_code == 400
    assert response.json()["details"][0]["field"] == "Idempotency-Key"
