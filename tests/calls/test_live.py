"""Verbs for live calls: to whom they are refused, and how they get to the process that holds it."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any, cast

import pytest
import sqlalchemy as sa
from tests.calls.test_calls_api import FINISHED, parties, stored
from tests.fakes.api import Api

from chorus.accounts.tables import AuditEntry
from chorus.calls.live import Commands, sweep
from chorus.calls.switchboard import Switchboard
from chorus.calls.tables import CallCommand, CallRow
from chorus.talk import call as talk

LIVE = {"status": "in_progress", "ended_at": None, "ended_reason": None}
VERBS: tuple[tuple[str, dict[str, str]], ...] = (
    *(("hangup", {}), ("say", {"text": "a"}), ("inject", {"text": "a"})),
    ("keys", {"keys": "1"}),
)


class Told:
    """In place of a conversation: what it was told."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, ...]] = []

    def hang_up(self, reason: str, detail: str) -> None:
        self.heard.append(("hang_up", reason, detail))

    def say(self, text: str) -> None:
        self.heard.append(("say", text))

    def press_keys(self, keys: str) -> None:
        self.heard.append(("press_keys", keys))

    def advise(self, text: str) -> None:
        self.heard.append(("advise", text))


def board(api: Api) -> Switchboard:
    return api.app.state.switchboard


async def live_call(api: Api, held_by: str | None = None) -> uuid.UUID:
    [id] = await stored(api, {**FINISHED, **LIVE, "lease_owner": held_by})
    return uuid.UUID(str(id))


async def waiting(api: Api) -> list[CallCommand]:
    async with api.process.database.reading() as session:
        return list((await session.scalars(sa.select(CallCommand).order_by(CallCommand.id))).all())


async def test_it_is_done_at_once_where_the_call_is(api: Api):
    id, told = await live_call(api), Told()
    board(api).live[id] = cast("talk.Call", told)
    for verb, body in (
        ("say", {"text": " Hi. "}),
        ("inject", {"text": "n"}),
        ("keys", {"keys": "1w#"}),
        ("hangup", None),
    ):
        answer = await api.post(f"/v1/calls/{id}/{verb}", json=body)
        assert answer.status_code == 202, answer.text
        assert answer.json() == {"data": {"id": str(id), "accepted": True}}
    assert (await api.post(f"/v1/calls/{id}/hangup", json={"reason": "late"})).status_code == 202
    assert told.heard == [
        ("say", "Hi."),
        ("advise", "n"),
        ("press_keys", "1w#"),
        ("hang_up", "operator_ended", ""),
        ("hang_up", "operator_ended", "late"),
    ]
    assert await waiting(api) == []
    async with api.process.database.reading() as session:
        entries = (await session.scalars(sa.select(AuditEntry))).all()
    done = [entry.action for entry in entries if entry.resource_id == id]
    assert sorted(done) == [
        *("hangUpCall", "hangUpCall", "injectIntoCall", "pressKeysInCall", "sayInCall")
    ]


async def test_it_is_done_once_where_the_call_is_held(api: Api):
    me = board(api).heartbeat.name
    mine, others = await live_call(api, me), await live_call(api, "another")
    for n in range(10):
        answer = await api.post(f"/v1/calls/{mine}/say", json={"text": str(n)})
        assert answer.status_code == 202
    assert (await api.post(f"/v1/calls/{others}/inject", json={"text": "o"})).status_code == 202
    # It was answered a moment ago: not lost, not done.
    commands = Commands(board(api))
    assert list(await commands._take()) == []  # pyright: ignore[reportPrivateUsage]
    told = Told()
    board(api).live[mine] = cast("talk.Call", told)
    looking = [asyncio.create_task(Commands(board(api)).run()) for _ in range(3)]
    async with asyncio.timeout(10):
        while len(told.heard) < 10:
            await asyncio.sleep(0.05)
    await asyncio.sleep(0.3)
    for task in looking:
        task.cancel()
    assert sorted(told.heard) == [("say", str(n)) for n in range(10)]
    assert [command.call_id for command in await waiting(api)] == [others]
    del board(api).live[mine]


async def test_what_is_for_a_call_that_ended_is_dropped(api: Api):
    id = await live_call(api, "another")
    told = Told()
    assert (await api.post(f"/v1/calls/{id}/say", json={"text": "a"})).status_code == 202
    async with api.process.database.writing() as session:
        await session.execute(
            sa.update(CallRow).values(status="completed", ended_at=sa.func.now(), lease_owner=None)
        )
    await sweep(api.process.database)
    assert await waiting(api) == []
    assert told.heard == []


async def test_a_browser_has_no_keys(sqlite_api: Api):
    [id] = await stored(sqlite_api, {**FINISHED, **LIVE, "provider": "browser"})
    refused = await sqlite_api.post(f"/v1/calls/{id}/keys", json={"keys": "1"})
    assert (refused.status_code, refused.json()["code"]) == (409, "no_keys")


async def test_once_for_an_idempotency_key(sqlite_api: Api):
    api = sqlite_api
    id, told = await live_call(api), Told()
    board(api).live[id] = cast("talk.Call", told)
    for _ in range(2):
        answer = await api.post(
            f"/v1/calls/{id}/say", json={"text": "a"}, headers={"idempotency-key": "k"}
        )
        assert answer.status_code == 202
    assert told.heard == [("say", "a")]


async def test_calls_that_nobody_talks_on(api: Api):
    [done] = await stored(api, FINISHED)
    [rings] = await stored(api, {**FINISHED, **LIVE, "status": "ringing", "direction": "inbound"})
    queued = (await api.made("/v1/calls", await parties(api)))["id"]
    for id, says in ((done, "over"), (rings, "not answered"), (queued, f"calls/{queued}/cancel")):
        for verb, body in VERBS:
            refused = await api.post(f"/v1/calls/{id}/{verb}", json=body)
            assert (refused.status_code, refused.json()["code"]) == (409, "call_not_live")
            assert says in refused.json()["error"]
    assert await waiting(api) == []


async def test_calls_of_others(sqlite_api: Api):
    id = await live_call(sqlite_api)
    async with await sqlite_api.another_organization() as other:
        for verb, body in VERBS:
            assert (await other.post(f"/v1/calls/{id}/{verb}", json=body)).status_code == 404
    async with await sqlite_api.another_organization(scopes=("read",)) as reader:
        assert (await reader.post(f"/v1/calls/{id}/hangup")).status_code == 403


@pytest.mark.parametrize(
    ("verb", "body", "field"),
    [
        ("say", {}, "text"),
        ("say", None, "body"),
        ("say", {"text": ""}, "text"),
        ("say", {"text": " \n"}, "text"),
        ("say", {"text": "a" * 1001}, "text"),
        ("say", {"text": 1}, "text"),
        ("say", {"text": "a", "interrupt": True}, "interrupt"),
        ("inject", {"text": "a" * 2001}, "text"),
        ("keys", {}, "keys"),
        ("keys", {"keys": ""}, "keys"),
        ("keys", {"keys": "12x"}, "keys"),
        ("keys", {"keys": "1" * 33}, "keys"),
        ("hangup", {"reason": "a" * 501}, "reason"),
        ("hangup", [], "body"),
    ],
)
async def test_bodies_that_are_wrong(sqlite_api: Api, verb: str, body: Any, field: str):
    id = await live_call(sqlite_api)
    answer = await sqlite_api.post(f"/v1/calls/{id}/{verb}", json=body)
    assert answer.status_code == 400, answer.text
    assert [detail["field"] for detail in answer.json()["details"]] == [field]
