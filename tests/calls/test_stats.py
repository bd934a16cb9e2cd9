"""/v1/call-stats."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from importlib import import_module
from typing import Any

import pytest
import sqlalchemy as sa
from tests.fakes.api import Api

from chorus.accounts.tables import Organization
from chorus.calls import stats
from chorus.calls.tables import ALL_AGENTS, CallHour, CallRow
from chorus.db import utcnow

NOON = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


async def put(api: Api, at: datetime, **values: Any) -> uuid.UUID:
    async with api.process.database.writing() as session:
        call = CallRow(
            **{
                "id": uuid.uuid4(),
                "organization_id": await api.organization_id(),
                "agent_id": uuid.uuid4(),
                "provider": "twilio",
                "direction": "inbound",
                "status": "completed",
                "customer_number": "+14155550199",
                "ended_reason": "customer_ended",
                "ended_at": at,
                "created_at": at,
                "context_variables": {},
                "meta": {},
                **values,
            }
        )
        session.add(call)
    return call.id


async def asked(api: Api, **query: Any) -> dict[str, Any]:
    answer = await api.get("/v1/call-stats", params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]


SPAN = {"from": "2026-03-09T00:00:00Z", "to": "2026-03-12T00:00:00Z"}


async def test_calls_are_counted_by_day_and_hour(api: Api):
    await put(api, NOON, duration_seconds=60, cost_micros=250_000)
    await put(api, NOON + timedelta(hours=1), duration_seconds=30, cost_micros=50_000)
    await put(api, NOON + timedelta(days=1), status="failed", ended_reason="busy")
    await put(api, NOON - timedelta(days=5))
    found = await asked(api, **SPAN)
    assert found["total"] == {
        "calls": 3, "completed": 2, "failed": 1, "noAnswer": 0, "seconds": 90, "cost": 0.3
    }  # fmt: skip
    assert [(b["start"], b["calls"]) for b in found["buckets"]] == [
        ("2026-03-10T00:00:00.000Z", 2),
        ("2026-03-11T00:00:00.000Z", 1),
    ]
    assert found["ended"] == [
        {"status": "completed", "reason": "customer_ended", "calls": 2},
        {"status": "failed", "reason": "busy", "calls": 1},
    ]
    hours = await asked(api, **SPAN, interval="hour")
    assert [b["start"][11:13] for b in hours["buckets"]] == ["12", "13", "12"]


async def test_parts_of_hours_and_calls_under_way_are_counted_too(api: Api):
    agent = uuid.uuid4()
    for minutes in (-31, -29, 20, 70, 100, 119, 121):  # from 11:29 to 14:01
        await put(api, NOON + minutes * MINUTE, agent_id=agent, duration_seconds=1)
    live = {"status": "in_progress", "ended_at": None, "ended_reason": None}
    for minutes in (-29, 30, 100):
        await put(api, NOON + minutes * MINUTE, agent_id=agent, **live)
    await put(api, NOON + 30 * MINUTE, duration_seconds=1)
    span = {"from": "2026-03-10T11:30:00Z", "to": "2026-03-10T13:59:30Z", "interval": "hour"}
    found = await asked(api, **span)
    assert [(b["start"][11:13], b["calls"], b["completed"]) for b in found["buckets"]] == [
        ("11", 2, 1), ("12", 3, 2), ("13", 4, 3)
    ]  # fmt: skip
    assert (found["total"]["calls"], found["total"]["seconds"]) == (9, 6)
    of_agent = (await asked(api, **span, agentId=str(agent)))["total"]
    assert (of_agent["calls"], of_agent["completed"]) == (8, 5)
    within = {"from": "2026-03-10T12:10:00Z", "to": "2026-03-10T12:25:00Z"}
    assert (await asked(api, **within))["total"]["calls"] == 1
    assert found["ended"] == [{"status": "completed", "reason": "customer_ended", "calls": 6}]


async def test_the_sums_follow_whatever_happens_to_a_call(api: Api):
    organization_id = await api.organization_id()
    agents = [uuid.uuid4() for _ in range(3)]
    live = {"status": "queued", "ended_at": None, "ended_reason": None}
    ids: list[uuid.UUID] = []
    for n in range(24):
        values = live if n % 2 else {"duration_seconds": n}
        ids.append(await put(api, NOON + 7 * n * MINUTE, agent_id=agents[n % 3], **values))
    over = {"ended_at": NOON, "status": "failed", "ended_reason": None, "duration_seconds": 3}
    table = CallRow.__table__
    async with api.process.database.writing() as session:
        for changed, values in (
            (ids[1:9:2], over),
            (ids[2:9], {"cost_micros": 700}),
            (ids[4:6], {"ended_reason": "worker_lost", "duration_seconds": None}),
            (ids[0:3], {"updated_at": NOON}),
            (ids[6:8], {"cost_micros": 20}),
        ):
            update = sa.update(table).where(table.c.id.in_(changed))  # type: ignore[arg-type]
            await session.execute(update.values(**values))
        await session.execute(sa.delete(table).where(table.c.id.in_(ids[4:12])))  # type: ignore[arg-type]

    async def kept() -> list[sa.Row[Any]]:
        async with api.process.database.reading() as session:
            rows = await session.execute(sa.select(*hours).where(hours.calls > 0).order_by(*hours))
            return list(rows)

    hours = CallHour.__table__.c
    before = await kept()
    assert sum(row.calls for row in before if row.agent_id == ALL_AGENTS) == 10
    module = import_module("chorus.migrations.versions.0030_calls_by_hours")
    async with api.process.database.writing() as session:
        connection = await session.connection()
        for statement in module.rebuilt(connection.dialect.name):
            await connection.exec_driver_sql(statement)
    assert await kept() == before
    async with api.process.database.writing() as session:
        await session.execute(sa.delete(Organization).where(Organization.id == organization_id))
    assert await kept() == []


async def test_latencies_are_of_turns_and_name_the_slowest(api: Api):
    turns: list[dict[str, Any]] = [{"turn": n, "sentMs": 100 * n} for n in range(1, 21)]
    turns[3] |= {"tokenMs": 90, "wordsMs": None}
    id = await put(api, NOON, turn_count=20, timeline={"turns": turns})
    await put(api, NOON, turn_count=1, timeline={"turns": [{"turn": 1, "sentMs": None}]})
    found = (await asked(api, **SPAN))["latency"]
    assert (found["calls"], found["turns"], found["p50Ms"], found["p95Ms"]) == (2, 20, 1000, 1900)
    reached = {"sentMs": 1000, "tokenMs": 90}
    stages = ("detector", "words", "verdict", "committed", "token", "audio", "sent")
    assert found["stages"] == {f"{each}Ms": reached.get(f"{each}Ms") for each in stages}
    assert found["slowest"][0] == {
        "callId": str(id), "customerNumber": "+14155550199", "turn": 20, "sentMs": 2000
    }  # fmt: skip


async def test_failures_of_vendors_are_told_of_the_worst_first(api: Api):
    def failed(vendor: str, count: int) -> dict[str, Any]:
        return {"vendor": vendor, "stage": "voice", "count": count}

    await put(api, NOON, timeline={"turns": [], "failures": [failed("a", 9)]})
    await put(api, NOON, timeline={"turns": [], "failures": [failed("b", 1)]})
    last = await put(api, NOON + MINUTE, timeline={"failures": [failed("b", 2)]})
    await put(api, NOON + 2 * MINUTE, timeline={"turns": []})
    worst, other = (await asked(api, **SPAN))["vendorFailures"]
    assert worst == {
        "vendor": "b", "stage": "voice", "failures": 3, "calls": 2, "lastCallId": str(last)
    }  # fmt: skip
    assert (other["vendor"], other["failures"]) == ("a", 9)


async def test_of_one_agent_alone_and_of_nothing(api: Api):
    agent = uuid.uuid4()
    await put(api, NOON, agent_id=agent)
    await put(api, NOON)
    assert (await asked(api, **SPAN, agentId=str(agent)))["total"]["calls"] == 1
    nothing = await asked(api)
    assert (nothing["total"]["calls"], nothing["buckets"]) == (0, [])
    assert nothing["latency"]["p50Ms"] is None


async def test_what_cannot_be_asked(api: Api):
    for query, field in (
        ({"from": "2026-03-12T00:00:00Z", "to": "2026-03-09T00:00:00Z"}, "from"),
        (
            {"from": "2026-01-01T00:00:00Z", "to": "2026-03-09T00:00:00Z", "interval": "hour"},
            "interval",
        ),
        ({"interval": "week"}, "interval"),
    ):
        answer = await api.get("/v1/call-stats", params=query)
        assert answer.json()["details"][0]["field"] == field, answer.text


async def test_another_organization_sees_none_of_it(api: Api):
    await put(api, utcnow() - timedelta(hours=1))
    other = await api.another_organization()
    assert (await other.get("/v1/call-stats")).json()["data"]["total"]["calls"] == 0


async def test_each_bucket_says_how_long_answers_took(api: Api):
    def answers(*times: int | None) -> dict[str, Any]:
        return {"turns": [{"turn": n, "sentMs": ms} for n, ms in enumerate(times, 1)]}

    await put(api, NOON, timeline=answers(400, None, 600))
    await put(api, NOON + MINUTE, timeline=answers(900))
    await put(api, NOON + timedelta(days=1), timeline=answers(5000))
    await put(api, NOON + timedelta(days=1, hours=1), status="no_answer")
    # Outside of the time that is asked for, and of another organization.
    await put(api, NOON - timedelta(days=5), timeline=answers(1))
    found = await asked(api, **SPAN)
    assert [(b["turns"], b["p50Ms"], b["p95Ms"]) for b in found["buckets"]] == [
        (3, 600, 900),
        (1, 5000, 5000),
    ]
    hours = await asked(api, **SPAN, interval="hour")
    assert [(b["turns"], b["p95Ms"]) for b in hours["buckets"]] == [(3, 900), (1, 5000), (0, None)]
    part = await asked(api, **{**SPAN, "from": (NOON + MINUTE).isoformat()})
    assert (part["buckets"][0]["turns"], part["buckets"][0]["p50Ms"]) == (1, 900)


async def test_of_many_buckets_the_newest_say_how_long_answers_took(
    api: Api, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(stats, "BUCKETS", 2)
    monkeypatch.setattr(stats, "SAMPLE", 4)
    for day in range(3):
        for minute in range(3):
            at = NOON + timedelta(days=day - 1, minutes=minute)
            await put(api, at, timeline={"turns": [{"turn": 1, "sentMs": 100 * (minute + 1)}]})
    found = await asked(api, **SPAN)
    assert [bucket["calls"] for bucket in found["buckets"]] == [3, 3, 3]
    # Of four calls in two buckets, the latest two of each.
    assert [(b["turns"], b["p50Ms"], b["p95Ms"]) for b in found["buckets"]] == [
        (0, None, None),
        (2, 200, 300),
        (2, 200, 300),
    ]
