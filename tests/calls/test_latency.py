"""Targets of latency: what counts, in which window, what is told of it, and how often."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from tests.calls.test_calls_api import FINISHED, stored
from tests.fakes.api import Api

from chorus.calls import latency, latency_watch
from chorus.calls.journal import Journals
from chorus.calls.latency import LEAST_TURNS, WINDOW, Target
from chorus.calls.latency_watch import SETTLE
from chorus.calls.switchboard import Switchboard
from chorus.calls.tables import LatencyWindow
from chorus.talk.timeline import Happening
from chorus.webhooks.tables import WebhookDelivery

NOON = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)
TARGET_MS = 800
IN_TIME, LATE = [TARGET_MS], [TARGET_MS + 1]
OVER = NOON + WINDOW + SETTLE
DAY = {"from": "2026-03-10T00:00:00Z", "to": "2026-03-11T00:00:00Z"}


def turns(sent_ms: Sequence[int | None]) -> list[Happening]:
    return [Happening(0, "turn_latency", {"turn": 1, "sentMs": sent}) for sent in sent_ms]


def board(api: Api) -> Switchboard:
    return api.app.state.switchboard


async def target(api: Api, agent_id: uuid.UUID | None = None) -> Target:
    return Target(await api.organization_id(), agent_id or uuid.uuid4(), TARGET_MS)


async def count(
    api: Api, whose: Target | None, sent_ms: Sequence[int | None], at: datetime = NOON
) -> None:
    async with api.process.database.writing() as session:
        await latency.count(session, [(whose, turns(sent_ms))], at)


async def windows(api: Api) -> list[LatencyWindow]:
    async with api.process.database.reading() as session:
        found = await session.scalars(sa.select(LatencyWindow).order_by(LatencyWindow.start))
        return list(found)


async def told(api: Api) -> list[dict[str, Any]]:
    async with api.process.database.reading() as session:
        found = await session.scalars(
            sa.select(WebhookDelivery).where(WebhookDelivery.event == "latency.breached")
        )
        return [json.loads(each.body) for each in found]


async def endpoint(api: Api, *events: str) -> dict[str, Any]:
    wish = {"url": "https://example.com/hook", "events": list(events)}
    return await api.made("/v1/webhook-endpoints", wish)


async def share(api: Api, **query: Any) -> dict[str, Any]:
    answer = await api.get("/v1/call-stats", params={**DAY, **query})
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]["latencyTarget"]


async def test_turns_are_counted_by_agent_and_quarter_of_an_hour(api: Api):
    ours, other = await target(api), await target(api)
    await count(api, ours, [*IN_TIME * 3, *LATE, None], NOON)
    await count(api, ours, LATE, NOON + timedelta(minutes=14, seconds=59))
    await count(api, ours, IN_TIME, NOON + timedelta(minutes=15))
    await count(api, other, LATE, NOON)
    await count(api, None, LATE, NOON)  # its agent has no target
    one, breached = {"turns": 6, "within": 4, "share": 4 / 6, "windows": 2}, {"breached": 0}
    assert await share(api, agentId=str(ours.agent_id)) == one | breached
    assert await share(api, agentId=str(ours.agent_id), **{"from": "2026-03-10T12:15:00Z"}) == {
        "turns": 1, "within": 1, "share": 1.0, "windows": 1, "breached": 0
    }  # fmt: skip
    assert (await share(api))["turns"] == 7
    nothing = await share(api, agentId=str(uuid.uuid4()))
    assert (nothing["turns"], nothing["share"], nothing["windows"]) == (0, None, 0)


async def test_a_window_that_falls_short_is_told_once(api: Api):
    agent = await api.made("/v1/agents", {"name": "Anna", "latencyTargetMs": TARGET_MS})
    whose = await target(api, uuid.UUID(agent["id"]))
    await endpoint(api, "latency.breached", "call.failed")
    await endpoint(api, "call.completed")
    await count(api, whose, IN_TIME * 18 + LATE * 2)
    assert await latency_watch.judge(board(api), OVER - timedelta(seconds=1)) == 0
    assert await told(api) == []
    # Two processes look at the same moment, and again later.
    found = await asyncio.gather(*(latency_watch.judge(board(api), OVER) for _ in range(2)))
    assert sum(found) == 1
    assert await latency_watch.judge(board(api), OVER + timedelta(days=1)) == 0
    assert await told(api) == [
        {
            "event": "latency.breached",
            "organizationId": str(whose.organization_id),
            "agentId": agent["id"],
            "agentName": "Anna",
            "windowStart": "2026-03-10T12:00:00.000Z",
            "windowEnd": "2026-03-10T12:15:00.000Z",
            "targetMs": TARGET_MS,
            "targetShare": 0.95,
            "turns": 20,
            "turnsWithin": 18,
            "share": 0.9,
        }
    ]
    # A turn that was written too late is counted, and is no news.
    await count(api, whose, LATE)
    assert await latency_watch.judge(board(api), OVER + timedelta(days=1)) == 0
    assert len(await told(api)) == 1
    assert (await share(api))["breached"] == 1
    [listed] = (await api.get("/v1/webhook-deliveries?event=latency.breached")).json()["data"]
    assert listed["callId"] is None


@pytest.mark.parametrize(
    ("in_time", "late"), [(19, 1), (0, LEAST_TURNS - 1), (95, 5)], ids=["95%", "few", "100"]
)
async def test_what_keeps_to_it_or_is_too_little_is_not_told(
    sqlite_api: Api, in_time: int, late: int
):
    await endpoint(sqlite_api, "latency.breached")
    await count(sqlite_api, await target(sqlite_api), IN_TIME * in_time + LATE * late)
    assert await latency_watch.judge(board(sqlite_api), OVER) == 0
    assert await told(sqlite_api) == []
    assert [window.breached for window in await windows(sqlite_api)] == [False]


async def test_an_announcement_that_fails_is_made_by_the_next_who_looks(
    api: Api, monkeypatch: pytest.MonkeyPatch
):
    """What judges and what tells is one transaction."""
    await endpoint(api, "latency.breached")
    await count(api, await target(api), LATE * LEAST_TURNS)

    async def dies(*_: object) -> None:
        raise OSError("killed")

    with monkeypatch.context() as patch:
        patch.setattr("chorus.calls.latency_watch.announce.latency_breached", dies)
        with pytest.raises(OSError, match="killed"):
            await latency_watch.judge(board(api), OVER)
    assert [window.breached for window in await windows(api)] == [None]
    assert await latency_watch.judge(board(api), OVER) == 1
    assert len(await told(api)) == 1


async def test_more_windows_than_are_judged_at_once(
    sqlite_api: Api, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(latency_watch, "AT_ONCE", 2)
    await endpoint(sqlite_api, "latency.breached")
    owner = await sqlite_api.organization_id()
    many = 5
    async with sqlite_api.process.database.writing() as session:
        whose = [Target(owner, uuid.uuid4(), TARGET_MS) for _ in range(many)]
        await latency.count(session, [(each, turns(LATE * LEAST_TURNS)) for each in whose], NOON)
    assert await latency_watch.judge(board(sqlite_api), OVER) == many
    assert len(await told(sqlite_api)) == many


async def test_what_is_written_of_live_calls_is_counted_with_it(api: Api):
    whose = await target(api)
    switchboard = board(api)
    journals = Journals(switchboard.database, switchboard.news)
    for sent in (IN_TIME, LATE):  # two calls of one agent
        journal = journals.open(
            uuid.UUID(str((await stored(api, FINISHED))[0])), whose.organization_id
        )
        journal.target = whose
        for happening in turns(sent):
            journal.note(happening)
    await journals.flush()
    await journals.flush()
    [window] = await windows(api)
    assert (window.turns, window.within, window.target_ms) == (2, 1, TARGET_MS)
    # Events and counts are one transaction: of a call that is not there, neither is kept.
    journal = journals.open(uuid.uuid4(), whose.organization_id)
    journal.target = whose
    journal.note(turns(LATE)[0])
    with pytest.raises(IntegrityError):
        await journals.flush()
    assert [window.turns for window in await windows(api)] == [2]
