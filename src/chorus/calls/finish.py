"""The end of a call on its row: one transaction with everything that the conversation left.

`finish` writes the happenings that still wait, the status, and what the record shows. It keeps
trying while the database is away: a conversation that was held is not lost because of that.
`finish_unanswered` is for calls that never came to a conversation.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from chorus.calls import journal as journals
from chorus.calls import latency
from chorus.calls.journal import CallJournal
from chorus.calls.released import expect_end
from chorus.calls.status import Final, end
from chorus.calls.switchboard import Switchboard
from chorus.calls.tables import CallRow
from chorus.db import utcnow
from chorus.lines.line import LineCause, LineEnded
from chorus.talk.call import Outcome
from chorus.talk.dialogue import TranscriptLine

log = logging.getLogger(__name__)

RETRY_S = (0.2, 0.5, 1.0, 2.0, 5.0)
GIVE_UP_AFTER_S = 600.0
MOST_FAILURES = 20
"""Kinds of failures that are kept of a call."""

_UNANSWERED: dict[LineCause, tuple[Final, str]] = {
    LineCause.BUSY: ("failed", "busy"),
    LineCause.NO_ANSWER: ("no_answer", "no_answer"),
    LineCause.REJECTED: ("failed", "rejected"),
    LineCause.CANCELED: ("no_answer", "cancelled"),
    LineCause.FAR_END: ("no_answer", "customer_ended"),
    LineCause.TRANSFERRED: ("completed", "transferred"),
    LineCause.LOCAL: ("failed", "cancelled"),
    LineCause.DROPPED: ("failed", "provider_error"),
    LineCause.FAILED: ("failed", "provider_error"),
}


async def finish(
    switchboard: Switchboard, journal: CallJournal, outcome: Outcome, recording_path: str | None
) -> None:
    """Write the record of a conversation."""
    await persist(
        f"the record of call {journal.call_id}",
        lambda: _write(switchboard, journal, outcome, recording_path),
    )


async def persist(what: str, write: Callable[[], Awaitable[object]]) -> None:
    """Try until the database takes it. Raises what the last attempt raised, after ten minutes;
    the row will then be ended as one that nobody holds."""
    waited_s = 0.0
    for delay_s in _delays():
        try:
            await write()
        except (SQLAlchemyError, OSError) as failure:
            if waited_s >= GIVE_UP_AFTER_S:
                log.critical("%s is lost: %s", what, failure)
                raise
            log.warning("%s waits for the database: %s", what, failure)
            await asyncio.sleep(delay_s)
            waited_s += delay_s
        else:
            return


async def finish_unanswered(
    switchboard: Switchboard,
    call_id: uuid.UUID,
    organization_id: uuid.UUID,
    ended: LineEnded,
    only_if: tuple[sa.ColumnElement[bool], ...] = (),
) -> bool:
    """Close a call on which no conversation was held; False if it is over already, or `only_if`
    does not hold."""
    status, reason = _UNANSWERED[ended.cause]
    async with switchboard.database.writing() as session:
        return await end(
            session,
            switchboard,
            call_id,
            organization_id,
            status,
            reason,
            detail=ended.detail,
            duration_seconds=0,
            only_if=only_if,
        )


async def _write(
    switchboard: Switchboard, journal: CallJournal, outcome: Outcome, recording_path: str | None
) -> None:
    waiting = list(journal.pending)
    async with switchboard.database.writing() as session:
        await journals.write(session, journal.call_id, journal.organization_id, waiting)
        await latency.count(session, [(journal.target, waiting)], utcnow())
        timeline: dict[str, Any] = {"turns": journal.turns}
        if journal.failures:
            timeline["failures"] = [
                {"vendor": vendor, "stage": stage, "count": count}
                for (vendor, stage), count in journal.failures.most_common(MOST_FAILURES)
            ]
        if outcome.recording_fault:
            timeline["recordingFault"] = outcome.recording_fault
        if journal.lost:
            timeline["eventsLost"] = journal.lost
        record: dict[str, Any] = {
            "duration_seconds": (outcome.duration_ms + 500) // 1000,
            "turn_count": outcome.turn_count,
            "transcript": [_entry(line) for line in outcome.transcript],
            "timeline": timeline,
            "recording_path": recording_path,
        }
        if (verdict := outcome.answered_by) is not None:
            record["answered_by"] = {
                "who": verdict.who,
                "confidence": verdict.confidence,
                "atMs": round(verdict.at_ms),
            }
        moved = await end(
            session,
            switchboard,
            journal.call_id,
            journal.organization_id,
            outcome.status,
            outcome.reason,
            detail=outcome.detail,
            at_ms=outcome.duration_ms,
            **record,
        )
        if moved and outcome.reason == "transferred":
            await expect_end(session, switchboard, journal.call_id)
        if not moved:
            # Given up for lost while this process could not be seen: what was said is kept.
            mine = sa.and_(
                CallRow.id == journal.call_id,
                sa.or_(CallRow.transcript.is_(None), CallRow.ended_reason == "worker_lost"),
                CallRow.transcript_deleted_at.is_(None),
            )
            await session.execute(sa.update(CallRow).where(mine).values(record))
    journal.pending.clear()
    if not moved:
        log.error("call %s was over before its conversation ended", journal.call_id)


def _entry(line: TranscriptLine) -> dict[str, Any]:
    entry: dict[str, Any] = {"role": line.role, "content": line.content}
    if line.sources:
        entry["sources"] = [source.as_data() for source in line.sources]
    return entry


def _delays() -> Any:
    yield from RETRY_S
    while True:
        yield RETRY_S[-1]
