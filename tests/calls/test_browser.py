"""POST /v1/calls/test on both databases: the call, its token, and what is refused."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from tests.calls.test_recover import ends, keeper, rounds
from tests.calls.test_room import board
from tests.fakes.api import Api

from chorus.calls import recover
from chorus.calls.browser import TOKEN_LASTS
from chorus.calls.desk import CallDesk
from chorus.calls.tables import CallRow
from chorus.db import utcnow


async def begin(api: Api, **more: Any) -> httpx.Response:
    agent = await api.made("/v1/agents", {"name": "Ada", "isActive": False})
    return await api.post("/v1/calls/test", json={"agentId": agent["id"], **more})


async def row(api: Api, begun: dict[str, Any]) -> CallRow:
    async with api.process.database.reading() as session:
        return await session.get_one(CallRow, uuid.UUID(begun["callId"]))


async def test_a_call_begins_with_what_a_page_needs(api: Api):
    variables = {"who": "Ann"}
    answer = await begin(
        api,
        contextVariables=variables,
        metadata={"a": 1},
        agent={"agentGreeting": "Hi {{who}}", "postCallWebhookSecret": "hidden-hidden-hidden"},
    )
    assert answer.status_code == 201, answer.text
    begun = answer.json()["data"]
    path, _, proof = begun["url"].rpartition("/")
    base = f"ws{api.process.settings.url.removeprefix('http')}/browser/media"
    assert path == f"{base}/{begun['callId']}"
    call = (await api.get(f"/v1/calls/{begun['callId']}")).json()["data"]
    assert {name: call[name] for name in ("provider", "direction", "status", "customerNumber")} == {
        "provider": "browser",
        "direction": "inbound",
        "status": "ringing",
        "customerNumber": "browser",
    }
    assert (call["contextVariables"], call["metadata"]) == (variables, {"a": 1})
    stored = await row(api, begun)
    assert stored.agent_changes == {"agentGreeting": "Hi {{who}}"}
    assert begun["token"] not in str(vars(stored))

    desk = CallDesk(board(api), "browser")
    assert desk.proved_s_ago(begun["callId"], None, proof) == pytest.approx(0, abs=60)
    assert desk.proved_s_ago(str(uuid.uuid4()), None, proof) is None
    assert desk.proved_s_ago(begun["callId"], "", proof) is None
    assert not await desk.claim(begun["callId"], "guess")
    assert await desk.claim(begun["callId"], begun["token"])
    assert not await desk.claim(begun["callId"], begun["token"])


async def test_a_token_is_good_for_a_minute(api: Api):
    begun = (await begin(api)).json()["data"]
    async with api.process.database.writing() as session:
        earlier = utcnow() - TOKEN_LASTS - timedelta(seconds=1)
        await session.execute(sa.update(CallRow).values(started_at=earlier))
    assert not await CallDesk(board(api), "browser").claim(begun["callId"], begun["token"])


async def test_a_call_to_which_nobody_comes_ends_and_makes_room(
    api: Api, monkeypatch: pytest.MonkeyPatch
):
    limits = {"maxConcurrentCalls": 1}
    assert (await api.patch("/v1/organization", json=limits)).status_code == 200
    begun = (await begin(api, agent={"name": "Other"})).json()["data"]
    full = await begin(api)
    assert (full.status_code, full.json()["code"]) == (429, "too_many_concurrent_calls")
    made, time = keeper(api, monkeypatch)
    await rounds(made, time, recover.NOT_COME_S - 10)
    id = uuid.UUID(begun["callId"])
    assert await ends(api, [id]) == [("ringing", None)]
    await rounds(made, time, 20)
    assert await ends(api, [id]) == [("no_answer", "no_answer")]
    assert (await row(api, begun)).agent_changes is None
    assert (await begin(api)).status_code == 201


async def test_what_is_refused(api: Api):
    unknown = await api.post("/v1/calls/test", json={"agentId": str(uuid.uuid4())})
    assert unknown.status_code == 404
    wrong = await begin(api, agent={"voiceId": str(uuid.uuid4())})
    assert wrong.status_code == 400
    assert [each["field"] for each in wrong.json()["details"]] == ["voiceId"]
    assert (await begin(api, agent={"nonsense": 1})).status_code == 400
    reads = await api.another_organization(scopes=["read"])
    refused = await reads.post("/v1/calls/test", json={"agentId": str(uuid.uuid4())})
    assert refused.status_code == 403
    # Nobody else's agent, whatever is known of it.
    agent = await api.made("/v1/agents", {"name": "Ada"})
    other = await api.another_organization()
    theirs = await other.post("/api/calls/test", json={"agentId": agent["id"]})
    assert theirs.status_code == 404
    async with api.process.database.reading() as session:
        assert await session.scalar(sa.select(sa.func.count()).select_from(CallRow)) == 0
    board(api).draining = True
    assert (await begin(api)).status_code == 503
    board(api).draining = False


async def test_no_number_can_be_of_a_browser(api: Api):
    number = {"number": "+14155550001", "provider": "browser"}
    assert (await api.post("/v1/phone-numbers", json=number)).status_code == 400


async def test_a_token_that_is_made_up_takes_no_turn_of_the_writer(sqlite_api: Api):
    """Strangers can send as many as they like; what writes waits for its turn on SQLite."""
    begun = (await begin(sqlite_api)).json()["data"]
    writes: list[float] = []
    database = sqlite_api.process.database

    def wrote(waited_s: float, took_s: float, by: str) -> None:
        writes.append(took_s)

    watch, database.watch = database.watch, wrote
    try:
        desk = CallDesk(board(sqlite_api), "browser")
        for id in (begun["callId"], str(uuid.uuid4()), "no id"):
            assert not await desk.claim(id, "made up")
        assert writes == []
        assert await desk.claim(begun["callId"], begun["token"])
        assert len(writes) == 1
    finally:
        database.watch = watch
