"""Sums over calls: how many there were, how they ended, and how long callers waited for answers.

Counts come from sums that the database keeps by hours (`CallHour`). Latencies are read from the
timelines of the latest `SAMPLE` calls of the time that is asked for, and of as many that are spread
over its buckets, and counted in a thread: they are JSON, and no call may wait for its being parsed.
"""

from __future__ import annotations

import asyncio
import math
import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Any, Literal, cast

import orjson
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from chorus.calls.schemas import FINAL
from chorus.calls.tables import ALL_AGENTS, CallHour, CallRow
from chorus.db import UtcDateTime, utcnow
from chorus.talk.timeline import STAGES

Interval = Literal["day", "hour"]

SAMPLE = 1000
BUCKETS = 100
"""As many of a time, the newest, say how long answers took."""
SLOWEST = 5
REASONS = 50
VENDORS = 20
MILLION = 1_000_000

_HOUR = timedelta(hours=1)

_calls = cast("sa.Table", CallRow.__table__).c
_hours = cast("sa.Table", CallHour.__table__).c


@dataclass(frozen=True, slots=True)
class Wait:
    """One turn: from the end of the caller's speech to the first sound of the answer."""

    call_id: uuid.UUID
    customer_number: str
    turn: int
    sent_ms: int


@dataclass(slots=True)
class VendorFailures:
    """Of one vendor at one stage of the work: how often, in how many calls, the latest of them."""

    vendor: str
    stage: str
    failures: int
    calls: int
    last_call_id: uuid.UUID


_REACHED = ("detector", *STAGES)
"""Of a turn, in their order; a timeline has when each was reached, since the end of speech."""


@dataclass(frozen=True, slots=True)
class Latency:
    """`stages`: by its name with `_ms`, the median of when a stage was reached."""

    calls: int
    turns: int
    p50_ms: int | None
    p95_ms: int | None
    stages: dict[str, int | None]
    slowest: tuple[Wait, ...]
    vendors: tuple[VendorFailures, ...]


@dataclass(frozen=True, slots=True)
class BucketLatency:
    """How long the answers of a bucket took, of the calls that were looked at."""

    turns: int
    p50_ms: int | None
    p95_ms: int | None


@dataclass(frozen=True, slots=True)
class Sums:
    """Of calls of one status and reason, made in one bucket. `start` is the bucket's, as text of
    ISO 8601 in UTC; `reason` is None for calls that are not over."""

    start: str
    status: str
    reason: str | None
    calls: int
    seconds: int
    micros: int


async def sums(
    session: AsyncSession,
    organization_id: uuid.UUID,
    start: datetime,
    end: datetime,
    agent_id: uuid.UUID | None,
    interval: Interval,
) -> list[Sums]:
    """What there is in each day or hour, in their order. Calls that are over come from the sums of
    their hours, those of a part of an hour and those under way from their own rows."""
    sqlite = session.get_bind().dialect.name == "sqlite"
    first, last = _whole_hours(start, end, utcnow())
    of_hours = sa.select(
        _bucket(_hours.hour, interval, sqlite).label("start"),
        _hours.status.label("status"),
        sa.func.nullif(_hours.reason, "").label("reason"),
        _hours.calls.label("calls"),
        _hours.seconds.label("seconds"),
        _hours.cost_micros.label("micros"),
    ).where(
        _hours.organization_id == organization_id,
        _hours.agent_id == (agent_id or ALL_AGENTS),
        _hours.hour >= first,
        _hours.hour < last,
        _hours.calls > 0,
    )
    of_rows = sa.select(
        _bucket(_calls.created_at, interval, sqlite),
        _calls.status,
        _calls.ended_reason,
        sa.literal(1),
        sa.func.coalesce(_calls.duration_seconds, 0),
        sa.func.coalesce(_calls.cost_micros, 0),
    )
    edges = [
        of_rows.where(*conditions(organization_id, since, until, agent_id))
        for since, until in ((start, min(first, end)), (max(last, first), end))
        if since < until
    ]
    under_way = of_rows.where(*_under_way(organization_id, agent_id, first, last, sqlite))
    each = sa.union_all(of_hours, *edges, under_way).subquery().c
    rows = await session.execute(
        sa.select(
            *(each.start, each.status, each.reason),
            # Of Postgres sums of large integers are Decimals.
            *(sa.func.sum(each[name]).label(name) for name in ("calls", "seconds", "micros")),
        )
        .group_by(each.start, each.status, each.reason)
        .order_by(each.start, each.status, each.reason)
    )
    return [
        Sums(
            start=row["start"],
            status=row["status"],
            reason=row["reason"],
            calls=int(row["calls"]),
            seconds=int(row["seconds"]),
            micros=int(row["micros"]),
        )
        for row in rows.mappings()
    ]


def total(found: Sequence[Sums]) -> dict[str, Any]:
    return {
        "calls": sum(each.calls for each in found),
        **{
            status: sum(each.calls for each in found if each.status == status)
            for status in ("completed", "failed", "no_answer")
        },
        "seconds": sum(each.seconds for each in found),
        "cost": sum(each.micros for each in found) / MILLION,
    }


def bucket_starts(found: Sequence[Sums]) -> list[str]:
    """Of the days or hours in which a call was made, in their order."""
    return list(dict.fromkeys(each.start for each in found))


def buckets(found: Sequence[Sums], latencies: Mapping[str, BucketLatency]) -> list[dict[str, Any]]:
    """One for each day or hour in which a call was made, in their order."""
    nothing = BucketLatency(0, None, None)
    return [
        {"start": start, **total(list(some)), **asdict(latencies.get(start, nothing))}
        for start, some in groupby(found, key=lambda each: each.start)
    ]


def reasons(found: Sequence[Sums]) -> list[dict[str, Any]]:
    """How calls ended, the most frequent first."""
    counts: Counter[tuple[str, str | None]] = Counter()
    for each in found:
        if each.status in FINAL:
            counts[each.status, each.reason] += each.calls
    return [
        {"status": status, "reason": reason, "calls": calls}
        for (status, reason), calls in counts.most_common(REASONS)
    ]


async def latency(session: AsyncSession, conditions: Sequence[sa.ColumnElement[bool]]) -> Latency:
    rows = await session.execute(
        sa.select(_calls.id, _calls.customer_number, sa.cast(_calls.timeline, sa.Text))
        .where(*conditions, _calls.timeline.is_not(None))
        .order_by(_calls.created_at.desc())
        .limit(SAMPLE)
    )
    found = [(id, number, timeline) for id, number, timeline in rows]
    return await asyncio.to_thread(_counted, found)


async def bucket_latencies(
    session: AsyncSession,
    organization_id: uuid.UUID,
    start: datetime,
    end: datetime,
    agent_id: uuid.UUID | None,
    interval: Interval,
    starts: Sequence[str],
) -> dict[str, BucketLatency]:
    """How long answers took in each of the buckets that begin at `starts`, of the newest
    `BUCKETS` of them. Of each the latest calls are looked at, answered or not, so that what is
    read does not grow with the calls that there are: `SAMPLE` of all buckets together."""
    newest = starts[-BUCKETS:]
    if not newest:
        return {}
    each = max(1, SAMPLE // len(newest))
    length = timedelta(days=1) if interval == "day" else _HOUR
    parts: list[sa.Select[str, str]] = []
    for at in newest:
        begins = datetime.fromisoformat(at)
        since, until = max(begins, start), min(begins + length, end)
        latest = (
            sa.select(sa.literal(at).label("start"), _calls.timeline.label("timeline"))
            .where(*conditions(organization_id, since, until, agent_id))
            .order_by(_calls.created_at.desc())
            .limit(each)
            .subquery()
            .c
        )
        parts.append(
            sa.select(latest.start, sa.cast(latest.timeline, sa.Text)).where(
                latest.timeline.is_not(None)
            )
        )
    found = await session.execute(sa.union_all(*parts))
    rows = [(start, timeline) for start, timeline in found]
    return await asyncio.to_thread(_latencies_by_start, rows)


def _latencies_by_start(rows: Sequence[tuple[str, str]]) -> dict[str, BucketLatency]:
    times: dict[str, list[int]] = {}
    for start, timeline in rows:
        for turn in orjson.loads(timeline).get("turns", ()):
            if (sent := turn.get("sentMs")) is not None:
                times.setdefault(start, []).append(int(sent))
    return {start: _bucket_latency(sorted(some)) for start, some in times.items()}


def _bucket_latency(times: Sequence[int]) -> BucketLatency:
    return BucketLatency(len(times), _quantile(times, 0.5), _quantile(times, 0.95))


def conditions(
    organization_id: uuid.UUID, start: datetime, end: datetime, agent_id: uuid.UUID | None
) -> list[sa.ColumnElement[bool]]:
    found = [
        _calls.organization_id == organization_id,
        _calls.created_at >= start,
        _calls.created_at < end,
    ]
    return found if agent_id is None else [*found, _calls.agent_id == agent_id]


def _whole_hours(start: datetime, end: datetime, now: datetime) -> tuple[datetime, datetime]:
    """The whole hours from `start` to `end`: from the one to before the other. No call was made
    later than now, so an hour that is not over is whole up to now."""
    first = _hour(start)
    if first < start:
        first += _HOUR
    last = _hour(end) if end < now else _hour(now) + _HOUR
    return first, max(first, last)


def _hour(at: datetime) -> datetime:
    return at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def _under_way(
    organization_id: uuid.UUID,
    agent_id: uuid.UUID | None,
    start: datetime,
    end: datetime,
    sqlite: bool,
) -> list[sa.ColumnElement[bool]]:
    """By the index of those alone: they are few."""
    created_at, agent = _calls.created_at, _calls.agent_id
    if sqlite:
        # With a plus it takes no index of all calls of that time for it.
        created_at = sa.literal_column("+calls.created_at", UtcDateTime)
        agent = sa.literal_column("+calls.agent_id", sa.Uuid)
    found = [
        _calls.organization_id == organization_id,
        _calls.ended_at.is_(None),
        created_at >= start,
        created_at < end,
    ]
    return found if agent_id is None else [*found, agent == agent_id]


def _bucket(
    at: sa.ColumnElement[datetime], interval: Interval, sqlite: bool
) -> sa.ColumnElement[str]:
    if sqlite:
        form = "%Y-%m-%dT00:00:00Z" if interval == "day" else "%Y-%m-%dT%H:00:00Z"
        return sa.func.strftime(form, at, type_=sa.String)
    form = 'YYYY-MM-DD"T00:00:00Z"' if interval == "day" else 'YYYY-MM-DD"T"HH24":00:00Z"'
    utc = sa.func.timezone(sa.literal_column("'UTC'"), at)
    return sa.func.to_char(utc, sa.literal_column(f"'{form}'"), type_=sa.String)


def _counted(rows: Sequence[tuple[uuid.UUID, str, str]]) -> Latency:
    waits: list[Wait] = []
    vendors: dict[tuple[str, str], VendorFailures] = {}
    reached: dict[str, list[int]] = {stage: [] for stage in _REACHED}
    for call_id, customer_number, timeline in rows:  # the newest first
        told = orjson.loads(timeline)
        for each in told.get("failures", ()):
            key = (each["vendor"], each["stage"])
            known = vendors.setdefault(key, VendorFailures(*key, 0, 0, call_id))
            known.failures += each["count"]
            known.calls += 1
        for turn in told.get("turns", ()):
            sent = turn.get("sentMs")
            for stage, times in reached.items():
                if (at := turn.get(f"{stage}Ms")) is not None:
                    times.append(int(at))
            if sent is not None:
                waits.append(Wait(call_id, customer_number, int(turn.get("turn", 0)), int(sent)))
    waits.sort(key=lambda wait: wait.sent_ms)
    slowest = tuple(reversed(waits[-SLOWEST:]))
    times = [wait.sent_ms for wait in waits]
    p50, p95 = _quantile(times, 0.5), _quantile(times, 0.95)
    worst = sorted(vendors.values(), key=lambda each: -each.calls)[:VENDORS]
    stages = {f"{stage}_ms": _quantile(sorted(all_), 0.5) for stage, all_ in reached.items()}
    return Latency(len(rows), len(waits), p50, p95, stages, slowest, tuple(worst))


def _quantile(times: Sequence[int], share: float) -> int | None:
    """Of sorted values, the least that `share` of them do not exceed."""
    return times[math.ceil(share * len(times)) - 1] if times else None
