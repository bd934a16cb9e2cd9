"""How often an agent answers within its target: counted by quarters of an hour.

A turn counts if its caller heard the reply (`sentMs` of its `turn_latency`) and its agent had a
target when the call began. It is counted where its `turn_latency` is written, in the same
transaction, about half a second after it was heard: what the timeline of calls says and what is
counted are never apart. `latency_watch.py` judges each window once it is over.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession

from chorus.calls.tables import LatencyWindow
from chorus.talk.timeline import Happening

WINDOW = timedelta(minutes=15)
SHARE = 0.95
"""Of the turns of a window, those that are to come within the target."""
LEAST_TURNS = 20
"""A window with fewer is never short: one late answer would be one."""

_MINUTES = WINDOW // timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Target:
    """What the answers of one call are measured by."""

    organization_id: uuid.UUID
    agent_id: uuid.UUID
    ms: int


def window_of(at: datetime) -> datetime:
    """When the window began that `at` (in UTC) is in."""
    return at.replace(minute=at.minute - at.minute % _MINUTES, second=0, microsecond=0)


async def count(
    session: AsyncSession,
    written: Iterable[tuple[Target | None, Sequence[Happening]]],
    now: datetime,
) -> None:
    """Count what is written now, of several calls, in the caller's transaction."""
    found: dict[tuple[uuid.UUID, uuid.UUID], dict[str, Any]] = {}
    for target, happenings in written:
        if target is None:
            continue
        sent = [
            ms
            for happening in happenings
            if happening.kind == "turn_latency" and (ms := happening.data["sentMs"]) is not None
        ]
        if not sent:
            continue
        key = (target.organization_id, target.agent_id)
        row = found.setdefault(key, {"turns": 0, "within": 0})
        row["target_ms"] = target.ms
        row["turns"] += len(sent)
        row["within"] += sum(ms <= target.ms for ms in sent)
    if not found:
        return
    start = window_of(now)
    # In a fixed order, so that two processes never wait for each other.
    rows = [
        {"organization_id": owner, "agent_id": agent, "start": start, **found[owner, agent]}
        for owner, agent in sorted(found)
    ]
    dialect = sqlite if session.get_bind().dialect.name == "sqlite" else postgresql
    insert = dialect.insert(LatencyWindow)
    await session.execute(
        insert.on_conflict_do_update(
            index_elements=["organization_id", "agent_id", "start"],
            set_={
                "turns": LatencyWindow.turns + insert.excluded.turns,
                "within": LatencyWindow.within + insert.excluded.within,
                "target_ms": insert.excluded.target_ms,
            },
        ),
        rows,
    )


async def kept(
    session: AsyncSession,
    organization_id: uuid.UUID,
    start: datetime,
    end: datetime,
    agent_id: uuid.UUID | None,
) -> dict[str, Any]:
    """The share of the windows that begin from `start` to before `end`; `share` is None where
    there was no turn."""
    query = sa.select(
        sa.func.count(),
        sa.func.coalesce(sa.func.sum(LatencyWindow.turns), 0),
        sa.func.coalesce(sa.func.sum(LatencyWindow.within), 0),
        sa.func.count().filter(LatencyWindow.breached.is_(True)),
    ).where(
        LatencyWindow.organization_id == organization_id,
        LatencyWindow.start >= start,
        LatencyWindow.start < end,
    )
    if agent_id is not None:
        query = query.where(LatencyWindow.agent_id == agent_id)
    windows, turns, within, breached = (await session.execute(query)).one()
    return {
        "turns": turns,
        "within": within,
        "share": within / turns if turns else None,
        "windows": windows,
        "breached": breached,
    }
