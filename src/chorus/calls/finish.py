"""The end of a call on its row: one transaction with everything that the conversation left.

`finish` writes the happenings that still wait, the status, and what the record shows. It keeps
trying while the database is away: a conversation that was held is not lost because of that.
`finish_unanswered` is for calls that never came to a conversation.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from chorus.calls import journal as journals
from chorus.calls.journal import CallJournal
from chorus.calls.status import Status, advance
from chorus.db import Database, utcnow
from chorus.lines.line import LineCause, LineEnded
from chorus.talk.call import Outcome

log = logging.getLogger(__name__)

RETRY_S = (0.2, 0.5, 1.0, 2.0, 5.0)
GIVE_UP_AFTER_S = 600.0

_UNANSWERED: dict[LineCause, tuple[Status, str]] = {
    LineCause.BUSY: ("failed", "busy"),
    LineCause.NO_ANSWER: ("no_answer", "no_answer"),
    LineCause.REJECTED: ("failed", "rejected"),
    LineCause.CANCELED: ("no_answer", "cancelled"),
    LineCause.FAR_END: ("no_answer", "customer_ended"),
    LineCause.LOCAL: ("failed", "cancelled"),
    LineCause.DROPPED: ("failed", "provider_error"),
    LineCause.FAILED: ("failed", "provider_error"),
}


async def finish(
    database: Database, journal: CallJournal, outcome: Outcome, recording_path: str | None
) -> None:
    """Write the record of a conversation."""
    waited_s = 0.0
    for delay_s in _delays():
        try:
            await _write(database, journal, outcome, recording_path)
        except (SQLAlchemyError, OSError) as failure:
            if waited_s >= GIVE_UP_AFTER_S:
                # The lease sweep will end the row; what was said is at least in the log.
                log.critical("record of call %s lost: %s", journal.call_id, failure)
                raise
            log.warning("record of call %s waits for the database: %s", journal.call_id, failure)
            await asyncio.sleep(delay_s)
            waited_s += delay_s
        else:
            return


async def finish_unanswered(
    database: Database, call_id: uuid.UUID, organization_id: uuid.UUID, ended: LineEnded
) -> bool:
    """Close a call that was not answered; False if it was answered or is over already."""
    status, reason = _UNANSWERED[ended.cause]
    async with database.writing() as session:
        return await advance(
            session,
            call_id,
            organization_id,
            status,
            event={"reason": reason, "detail": ended.detail},
            ended_reason=reason,
            ended_at=utcnow(),
            duration_seconds=0,
        )


async def _write(
    database: Database, journal: CallJournal, outcome: Outcome, recording_path: str | None
) -> None:
    waiting = list(journal.pending)
    async with database.writing() as session:
        await journals.write(session, journal.call_id, journal.organization_id, waiting)
        timeline: dict[str, Any] = {"turns": journal.turns}
        if outcome.recording_fault:
            timeline["recordingFault"] = outcome.recording_fault
        if journal.lost:
            timeline["eventsLost"] = journal.lost
        moved = await advance(
            session,
            journal.call_id,
            journal.organization_id,
            outcome.status,
            at_ms=outcome.duration_ms,
            event={"reason": outcome.reason, "detail": outcome.detail},
            ended_reason=outcome.reason,
            ended_at=utcnow(),
            duration_seconds=(outcome.duration_ms + 500) // 1000,
            turn_count=outcome.turn_count,
            transcript=[{"role": x.role, "content": x.content} for x in outcome.transcript],
            timeline=timeline,
            recording_path=recording_path,
        )
    journal.pending.clear()
    if not moved:
        log.error("call %s was over before its conversation ended", journal.call_id)


def _delays() -> Any:
    yield from RETRY_S
    while True:
        yield RETRY_S[-1]
