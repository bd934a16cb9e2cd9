"""Sums over calls: how many there were, how they ended, and how long callers waited for answers.

Counts are the database's, by day or hour. Latencies are read from the timelines of the latest
`SAMPLE` calls of the time that is asked for, and counted in a thread: they are JSON, and no call
may wait for its being parsed.
"""

from __future__ import annotations

import asyncio
import math
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, cast

import orjson
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from chorus.calls.tables import CallRow

Interval = Literal["day", "hour"]

SAMPLE = 1000
SLOWEST = 5
MILLION = 1_000_000

_calls = cast("sa.Table", CallRow.__table__).c


@dataclass(frozen=True, slots=True)
class Wait:
    """One turn: from the end of the caller's speech to the first sound of the answer."""

    call_id: uuid.UUID
    customer_number: str
    turn: int
    sent_ms: int


@dataclass(frozen=True, slots=True)
class Latency:
    calls: int
    turns: int
    p50_ms: int | None
    p95_ms: int | None
    slowest: tuple[Wait, ...]


async def buckets(
    session: AsyncSession, conditions: Sequence[sa.ColumnElement[bool]], interval: Interval
) -> list[dict[str, Any]]:
    """One for each day or hour in which a call was made, in their order."""
    key = _key(session, interval)
    rows = await session.execute(
        sa.select(key.label("start"), *_SUMS).where(*conditions).group_by(key).order_by(key)
    )
    return [_sums(row._mapping) for row in rows]  # pyright: ignore[reportPrivateUsage]  its public name


async def totals(
    session: AsyncSession, conditions: Sequence[sa.ColumnElement[bool]]
) -> dict[str, Any]:
    row = (await session.execute(sa.select(*_SUMS).where(*conditions))).one()
    return _sums(row._mapping)  # pyright: ignore[reportPrivateUsage]  its public name


async def reasons(
    session: AsyncSession, conditions: Sequence[sa.ColumnElement[bool]]
) -> list[dict[str, Any]]:
    """How calls ended, the most frequent first."""
    count = sa.func.count()
    rows = await session.execute(
        sa.select(_calls.status, _calls.ended_reason.label("reason"), count.label("calls"))
        .where(*conditions, _calls.ended_at.is_not(None))
        .group_by(_calls.status, _calls.ended_reason)
        .order_by(count.desc())
        .limit(50)
    )
    return [dict(row) for row in rows.mappings()]


async def latency(session: AsyncSession, conditions: Sequence[sa.ColumnElement[bool]]) -> Latency:
    rows = await session.execute(
        sa.select(_calls.id, _calls.customer_number, sa.cast(_calls.timeline, sa.Text))
        .where(*conditions, _calls.timeline.is_not(None), _calls.turn_count > 0)
        .order_by(_calls.created_at.desc())
        .limit(SAMPLE)
    )
    found = [(id, number, timeline) for id, number, timeline in rows]
    return await asyncio.to_thread(_counted, found)


def conditions(
    organization_id: uuid.UUID, start: datetime, end: datetime, agent_id: uuid.UUID | None
) -> list[sa.ColumnElement[bool]]:
    found = [
        _calls.organization_id == organization_id,
        _calls.created_at >= start,
        _calls.created_at < end,
    ]
    return found if agent_id is None else [*found, _calls.agent_id == agent_id]


def _key(session: AsyncSession, interval: Interval) -> sa.ColumnElement[str]:
    if session.get_bind().dialect.name == "sqlite":
        form = "%Y-%m-%dT00:00:00Z" if interval == "day" else "%Y-%m-%dT%H:00:00Z"
        return sa.func.strftime(form, _calls.created_at, type_=sa.String)
    form = 'YYYY-MM-DD"T00:00:00Z"' if interval == "day" else 'YYYY-MM-DD"T"HH24":00:00Z"'
    utc = sa.func.timezone(sa.literal_column("'UTC'"), _calls.created_at)
    return sa.func.to_char(utc, sa.literal_column(f"'{form}'"), type_=sa.String)


def _count(status: str) -> sa.Label[int]:
    return sa.func.sum(sa.case((_calls.status == status, 1), else_=0)).label(status)


_SUMS = (
    sa.func.count().label("calls"),
    _count("completed"),
    _count("failed"),
    _count("no_answer"),
    sa.func.coalesce(sa.func.sum(_calls.duration_seconds), 0).label("seconds"),
    sa.func.coalesce(sa.func.sum(_calls.cost_micros), 0).label("micros"),
)


def _sums(row: Any) -> dict[str, Any]:
    found = {name: row[name] or 0 for name in ("calls", "completed", "failed", "no_answer")}
    found["seconds"] = int(row["seconds"])
    found["cost"] = int(row["micros"]) / MILLION
    if "start" in row:
        found["start"] = row["start"]
    return found


def _counted(rows: Sequence[tuple[uuid.UUID, str, str]]) -> Latency:
    waits: list[Wait] = []
    for call_id, customer_number, timeline in rows:
        for turn in orjson.loads(timeline).get("turns", ()):
            sent = turn.get("sentMs")
            if sent is not None:
                waits.append(Wait(call_id, customer_number, int(turn.get("turn", 0)), int(sent)))
    waits.sort(key=lambda wait: wait.sent_ms)
    slowest = tuple(reversed(waits[-SLOWEST:]))
    times = [wait.sent_ms for wait in waits]
    return Latency(len(rows), len(waits), _quantile(times, 0.5), _quantile(times, 0.95), slowest)


def _quantile(times: Sequence[int], share: float) -> int | None:
    """Of sorted values, the least that `share` of them do not exceed."""
    return times[math.ceil(share * len(times)) - 1] if times else None
