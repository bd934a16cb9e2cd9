"""Windows that are over are judged, once each: did the agent keep to its target?

Whoever judges a window locks its row, writes what came of it and announces `latency.breached` in
one transaction. So it is told once, however many processes look and whenever one of them dies.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import sqlalchemy as sa

from chorus.agents import queries as agents
from chorus.calls.latency import LEAST_TURNS, SHARE, WINDOW
from chorus.calls.tables import LatencyWindow
from chorus.webhooks import announce
from chorus.webhooks.payload import LatencyPayload

if TYPE_CHECKING:
    from chorus.calls.switchboard import Switchboard

log = logging.getLogger(__name__)

JUDGE_EVERY_S = 15
SETTLE = timedelta(seconds=30)
"""Turns are counted a moment after they were heard. What comes later still, because the database
was away, counts in the window in which it comes."""
AT_ONCE = 100


async def judge(switchboard: Switchboard, now: datetime) -> int:
    """Judge all windows that are over; returns how many fell short."""
    short = 0
    while True:
        async with switchboard.database.reading() as session:
            if await session.scalar(_over(now).limit(1)) is None:
                return short
        short += await _some(switchboard, now)


async def _some(switchboard: Switchboard, now: datetime) -> int:
    async with switchboard.database.writing() as session:
        over = _over(now).order_by(LatencyWindow.start).limit(AT_ONCE)
        found = (await session.scalars(over.with_for_update())).all()
        short = [window for window in found if _is_short(window)]
        for window in found:
            window.breached = window in short
        for window in short:
            agent = await agents.find(session, window.organization_id, window.agent_id)
            payload = LatencyPayload(
                event="latency.breached",
                organization_id=window.organization_id,
                agent_id=window.agent_id,
                agent_name=None if agent is None else agent.name,
                window_start=window.start,
                window_end=window.start + WINDOW,
                target_ms=window.target_ms,
                target_share=SHARE,
                turns=window.turns,
                turns_within=window.within,
                share=window.within / window.turns,
            )
            await announce.latency_breached(session, switchboard, payload)
    for window in short:
        switchboard.telemetry.metrics.breaches.add(1)
        log.warning(
            "agent %s answered %d of %d turns within %d ms in the quarter of an hour from %s on",
            *(window.agent_id, window.within, window.turns, window.target_ms),
            window.start.isoformat(timespec="minutes"),
        )
    return len(short)


def _over(now: datetime) -> sa.Select[LatencyWindow]:
    return sa.select(LatencyWindow).where(
        LatencyWindow.breached.is_(None), LatencyWindow.start <= now - WINDOW - SETTLE
    )


def _is_short(window: LatencyWindow) -> bool:
    return window.turns >= LEAST_TURNS and window.within < SHARE * window.turns
