"""Supervising over the API: who may, once, where the call is, and by real sound."""

from __future__ import annotations

import asyncio
import uuid
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
import sqlalchemy as sa
from tests.calls.test_calls_api import FINISHED, stored
from tests.calls.test_live import LIVE, board, live_call, waiting
from tests.fakes.api import Api
from tests.fakes.server import Server, serving
from tests.lines.browser.page import Page

from chorus.accounts.tables import AuditEntry
from chorus.audio.codec import decode, rms
from chorus.calls.supervise import PATH, Grant, SupervisorDesk
from chorus.durable.tables import Executor
from chorus.lines.browser.messages import MAX_TEXT_CHARS
from chorus.lines.desk import NotHere
from chorus.talk import call as talk


async def supervised(api: Api, id: uuid.UUID, hears: str = "both") -> dict[str, Any]:
    answer = await api.post(f"/v1/calls/{id}/supervisors", json={"hears": hears})
    assert answer.status_code == 201, answer.text
    return answer.json()["data"]


async def test_a_token_is_good_once_and_where_the_call_is(sqlite_api: Api):
    api = sqlite_api
    id = await live_call(api)
    begun = await supervised(api, id)
    assert len(begun["token"]) <= MAX_TEXT_CHARS
    desk = SupervisorDesk(board(api))
    with pytest.raises(NotHere):
        await desk.claim(begun["id"], begun["token"])
    board(api).live[id] = cast("talk.Call", object())
    assert not await desk.claim(str(uuid.uuid4()), begun["token"])
    assert not await desk.claim(begun["id"], begun["token"][:-1] + "x")
    assert not await desk.claim(begun["id"], "no token")
    assert await desk.claim(begun["id"], begun["token"])
    assert not await desk.claim(begun["id"], begun["token"])
    body, _, _ = begun["token"].partition(".")
    grant = Grant.unpacked(body)
    late = Grant(*(getattr(grant, name) for name in Grant.__slots__[:-1]), 1)
    signed = f"{late.packed()}.{board(api).secrets.sign('supervision', late.packed())}"
    assert not await SupervisorDesk(board(api)).claim(begun["id"], signed)
    del board(api).live[id]


async def test_the_address_is_that_of_the_process_that_holds_the_call(api: Api):
    id = await live_call(api, "another")
    async with api.process.database.writing() as session:
        row = {"id": "another", "incarnation": uuid.uuid4(), "media_url": "wss://two.example"}
        await session.execute(sa.insert(Executor).values(row))
    begun = await supervised(api, id)
    path, _, proof = begun["url"].rpartition("/")
    assert path == f"wss://two.example{PATH}/{begun['id']}"
    assert SupervisorDesk(board(api)).proved_s_ago(begun["id"], None, proof) is not None
    assert SupervisorDesk(board(api)).proved_s_ago(str(id), None, proof) is None
    mine = await live_call(api, board(api).heartbeat.name)
    begun = await supervised(api, mine)
    assert begun["url"].startswith(f"{board(api).settings.media_base}{PATH}/{begun['id']}/")


async def test_modes_get_to_whoever_holds_the_call(api: Api):
    told: list[tuple[str, str]] = []

    class Supervisors:
        def set_mode(self, id: str, mode: str) -> None:
            told.append((id, mode))

    class Call:
        supervisors = Supervisors()

    id, who = await live_call(api), str(uuid.uuid4())
    board(api).live[id] = cast("talk.Call", Call())
    answer = await api.post(f"/v1/calls/{id}/supervisors/{who}/mode", json={"mode": "talk"})
    assert answer.status_code == 202, answer.text
    assert told == [(who, "talk")]
    elsewhere = await live_call(api, "another")
    answer = await api.post(f"/v1/calls/{elsewhere}/supervisors/{who}/mode", json={"mode": "talk"})
    assert answer.status_code == 202
    assert [(each.call_id, each.verb) for each in await waiting(api)] == [(elsewhere, "supervise")]
    async with api.process.database.reading() as session:
        actions = (await session.scalars(sa.select(AuditEntry.action))).all()
    assert list(actions).count("setSupervisorMode") == 2
    del board(api).live[id]


async def test_who_may_not(sqlite_api: Api):
    id = await live_call(sqlite_api)
    [over] = await stored(sqlite_api, FINISHED)
    wish, mode = {"hears": "both"}, {"mode": "talk"}
    refused = await sqlite_api.post(f"/v1/calls/{over}/supervisors", json=wish)
    assert (refused.status_code, refused.json()["code"]) == (409, "call_not_live")
    wrong = await sqlite_api.post(f"/v1/calls/{id}/supervisors", json={"hears": "all"})
    assert (wrong.status_code, wrong.json()["details"][0]["field"]) == (400, "hears")
    path = f"/v1/calls/{id}/supervisors"
    async with await sqlite_api.another_organization() as other:
        assert (await other.post(path, json=wish)).status_code == 404
        assert (await other.post(f"{path}/{uuid.uuid4()}/mode", json=mode)).status_code == 404
    async with await sqlite_api.another_organization(scopes=("read",)) as reader:
        assert (await reader.post(path, json=wish)).status_code == 403
    assert LIVE["status"] == "in_progress"


async def test_the_organization_says_what_callers_are_told(sqlite_api: Api):
    change = {"supervisionTone": True, "supervisionAnnouncement": "A colleague listens."}
    answer = await sqlite_api.patch("/v1/organization", json=change)
    assert answer.status_code == 200, answer.text
    shown = answer.json()["data"]
    assert {name: shown[name] for name in change} == change


@pytest.mark.timeout(120)
async def test_by_real_sound(tmp_path: Path):
    with serving(tmp_path) as server:
        await _listen_and_take_over(server)


async def _listen_and_take_over(server: Server) -> None:
    long = "I have a great many things to tell you before you may speak. " * 2
    with server.client() as http:
        script = http.get("/v1/slm-models?search=script").json()["data"][0]["id"]
        agent = {"name": "Desk", "systemPrompt": "You say nothing.", "slmModelId": script}
        agent |= {"firstSpeaker": "agent", "agentGreeting": long, "agentGreetingEnabled": True}
        made = http.post("/v1/agents", json=agent).json()["data"]["id"]
        begun = http.post("/v1/calls/test", json={"agentId": made}).json()["data"]
        caller = Page(begun)
        await caller.open()
        await caller.event("reply_started")
        call = f"/v1/calls/{begun['callId']}"
        grant = http.post(f"{call}/supervisors", json={"hears": "both"}).json()["data"]
        supervisor = Page(grant | {"callId": grant["id"]})
        await supervisor.open()
        await supervisor.told("started")
        await supervisor.played(800)
        assert rms(decode(supervisor.format, bytes(supervisor.heard[-16000:]))) > 300

        again = Page(grant | {"callId": grant["id"]})
        await again.open()
        assert (await again.told("ended"))["reason"] == "refused"
        await again.close()

        mode = f"{call}/supervisors/{grant['id']}/mode"
        assert http.post(mode, json={"mode": "talk"}).status_code == 202
        await asyncio.sleep(0.5)
        heard = len(caller.heard)
        supervisor.microphone += b"\x00\x20\x00\xe0" * 16000  # 2 s of a loud tone at 8 kHz
        await asyncio.sleep(1.5)
        assert rms(decode(caller.format, bytes(caller.heard[heard:]))) > 1000
        desk = {"name": "Desk", "number": "+14155550177", "type": "warm"}
        assert http.post(f"{call}/transfer", json={"to": desk}).status_code == 202
        async with asyncio.timeout(20):
            while not (tried := await _of_transfer(http, call)):
                await asyncio.sleep(0.1)
        assert tried == ["supervisor_mode", "transfer_initiated"]
        assert http.post(f"{call}/hangup").status_code == 202
        assert (await supervisor.told("ended"))["reason"] == "ended"
        events = http.get(f"{call}/events?limit=100").json()["data"]
        kinds = [each["kind"] for each in events]
        assert {"supervisor_joined", "supervisor_mode"} <= set(kinds)
        await caller.close()
        await supervisor.close()


async def _of_transfer(http: httpx.Client, call: str) -> list[str]:
    """The kinds of the two events with which it begins, once they are there."""
    events = http.get(f"{call}/events?limit=100").json()["data"]
    kinds = [each["kind"] for each in events]
    if "transfer_initiated" not in kinds and "transfer_refused" not in kinds:
        return []
    return [kind for kind in kinds if kind.startswith(("supervisor_mode", "transfer_"))][1:3]
