"""What a process finds when it starts: calls whose process is gone.

On SQLite there is one process, so every call that is not over was its predecessor's. One that
was behind its fence, or was being talked on, ends as `worker_lost`: it may have rung, so it is
never dialled again. One that only waited in the queue is left to dispatch.
"""

from __future__ import annotations

import logging

import sqlalchemy as sa

from chorus.calls.status import FINAL, advance
from chorus.calls.switchboard import Switchboard
from chorus.calls.tables import Call
from chorus.db import utcnow

log = logging.getLogger(__name__)


async def end_lost_calls(switchboard: Switchboard) -> int:
    """End them; returns how many there were."""
    async with switchboard.database.writing() as session:
        found = await session.execute(
            sa.select(Call.id, Call.organization_id).where(
                Call.ended_at.is_(None),
                Call.status.not_in(FINAL),
                sa.or_(Call.direction == "inbound", Call.dialled_at.is_not(None)),
            )
        )
        lost = found.all()
        for call_id, organization_id in lost:
            await advance(
                session,
                call_id,
                organization_id,
                "failed",
                event={"reason": "worker_lost"},
                ended_reason="worker_lost",
                ended_at=utcnow(),
            )
    if lost:
        log.warning("%d calls were lost when the last process ended", len(lost))
    return len(lost)
