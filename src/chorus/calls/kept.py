"""What is kept of a call on its row and in its events, for `recordings/`: reading and deleting.

`recording_path` is the key of the recording in the store. A recording is settled when it is where
it belongs: stored, known to be missing, or deleted. Deleting unsettles it, and whoever settles
recordings (`recordings/archive.py`) erases the sound: the row decides, the file follows, and a
crash in between is made good by the next look.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, cast

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from chorus.accounts.secrets import Secrets
from chorus.calls import journal, kept_answers
from chorus.calls.case_tables import CaseRow
from chorus.calls.tables import CallEvent, CallRow, Transfer
from chorus.db import utcnow
from chorus.talk.timeline import Happening
from chorus.webhooks.forget import forget_texts

By = Literal["request", "retention"]

_OVER = CallRow.ended_at.is_not(None)
_HAS_SOUND = sa.and_(
    CallRow.answered_at.is_not(None),
    CallRow.recording_deleted_at.is_(None),
    sa.or_(CallRow.recording_path.is_not(None), CallRow.recording_settled_at.is_(None)),
)

# Of the texts in an event, those under these keys are Chorus's own words. Everything else may be
# what was said, and goes.
_OWN_WORDS = frozenset(
    [
        *("by", "callSid", "field", "id", "model", "name", "provider", "purpose", "reason"),
        *("remedy", "stage", "status", "transcriber", "vendor", "voice", "who", "why"),
    ]
)


@dataclass(frozen=True, slots=True)
class Kept:
    """`key` None: no recording, or none that is known yet."""

    id: uuid.UUID
    organization_id: uuid.UUID
    key: str | None
    settled: bool
    deleted: bool
    ended_at: datetime | None


_COLUMNS = (
    CallRow.id,
    CallRow.organization_id,
    CallRow.recording_path,
    CallRow.recording_settled_at,
    CallRow.recording_deleted_at,
    CallRow.ended_at,
)


def _kept(row: Any) -> Kept:
    id, organization_id, key, settled_at, deleted_at, ended_at = row
    return Kept(id, organization_id, key, settled_at is not None, deleted_at is not None, ended_at)


async def find(session: AsyncSession, call_id: uuid.UUID) -> Kept | None:
    """Of whichever organization: for those who came with a signed link."""
    row = (await session.execute(sa.select(*_COLUMNS).where(CallRow.id == call_id))).first()
    return None if row is None else _kept(row)


async def unsettled(session: AsyncSession, after: uuid.UUID | None, limit: int) -> list[Kept]:
    """Calls that are over and whose recording is not settled, by id."""
    query = sa.select(*_COLUMNS).where(
        _OVER, CallRow.answered_at.is_not(None), CallRow.recording_settled_at.is_(None)
    )
    if after is not None:
        query = query.where(CallRow.id > after)
    found = await session.execute(query.order_by(CallRow.id).limit(limit))
    return [_kept(row) for row in found]


async def settle(session: AsyncSession, kept: Kept, key: str | None) -> bool:
    """The recording is at `key`, or there is none. False if it was deleted or kept otherwise
    meanwhile."""
    deleted = CallRow.recording_deleted_at
    done = await session.execute(
        sa.update(CallRow)
        .where(
            CallRow.id == kept.id,
            CallRow.recording_settled_at.is_(None),
            deleted.is_not(None) if kept.deleted else deleted.is_(None),
        )
        .values(recording_path=key, recording_settled_at=utcnow(), updated_at=CallRow.updated_at)
    )
    if done.rowcount != 1:  # type: ignore[attr-defined] # an UPDATE yields a CursorResult
        return False
    if key is None and not kept.deleted:
        await _note(session, kept.id, kept.organization_id, "recording_missing", {})
    return True


async def transcript(session: AsyncSession, call_id: uuid.UUID) -> Mapping[str, Any] | None:
    """What a signed link to a transcript shows; None where there is none."""
    found = await session.execute(
        sa.select(
            CallRow.id, CallRow.agent_id, CallRow.answered_at, CallRow.ended_at, CallRow.transcript
        ).where(CallRow.id == call_id, CallRow.transcript.is_not(None))
    )
    row = found.mappings().first()
    return None if row is None else cast("Mapping[str, Any]", row)


# --- deleting -------------------------------------------------------------------------------


async def delete_recording(session: AsyncSession, call: CallRow, by: By) -> bool:
    """False where there is none. The sound is erased soon afterwards."""
    gone = await session.execute(
        sa.update(CallRow)
        .where(CallRow.id == call.id, _OVER, _HAS_SOUND)
        .values(
            recording_path=None,
            recording_deleted_at=utcnow(),
            recording_settled_at=None,
            updated_at=CallRow.updated_at,
        )
        .execution_options(synchronize_session=False)
    )
    if gone.rowcount != 1:  # type: ignore[attr-defined] # an UPDATE yields a CursorResult
        return False
    await _note(session, call.id, call.organization_id, "recording_deleted", {"by": by})
    return True


async def delete_texts(session: AsyncSession, secrets: Secrets, call: CallRow, by: By) -> bool:
    """The transcript, the analysis, the context variables, which the agent was told and may have
    said, what was said in the events, what webhooks told of it, and what is kept of answers; False
    if nothing was left of them. What happened and when stays."""
    emptied = await _empty_events(session, call.id)
    forgotten = await forget_texts(session, call.id)
    forgotten += await kept_answers.forget(session, secrets, call, with_copies=by != "retention")
    await session.execute(
        sa.update(Transfer)
        .where(sa.or_(Transfer.call_id == call.id, Transfer.leg_id == call.id))
        .values(detail=None, updated_at=Transfer.updated_at)
        .execution_options(synchronize_session=False)
    )
    deleted = 0
    if by != "retention":
        # Whoever has the words deleted means the copies as well; a retention ends only what is
        # kept by itself.
        copies = sa.delete(CaseRow).where(CaseRow.call_id == call.id).returning(CaseRow.id)
        deleted = len((await session.scalars(copies)).all())
    told = call.transcript or call.analysis or call.context_variables
    had_texts = bool(emptied or forgotten or told or deleted)
    await session.execute(
        sa.update(CallRow)
        .where(CallRow.id == call.id)
        .values(
            transcript=None,
            analysis=None,
            context_variables={},
            transcript_deleted_at=utcnow(),
            updated_at=CallRow.updated_at,
        )
        .execution_options(synchronize_session=False)
    )
    if had_texts:
        await _note(session, call.id, call.organization_id, "transcript_deleted", {"by": by})
    return had_texts


async def with_old_recordings(
    session: AsyncSession, organization_id: uuid.UUID, before: datetime, limit: int
) -> Sequence[CallRow]:
    return await _old(session, organization_id, before, limit, _HAS_SOUND)


async def with_old_texts(
    session: AsyncSession, organization_id: uuid.UUID, before: datetime, limit: int
) -> Sequence[CallRow]:
    """Calls never looked at for this; not all of them have texts."""
    return await _old(
        session, organization_id, before, limit, CallRow.transcript_deleted_at.is_(None)
    )


async def _old(
    session: AsyncSession,
    organization_id: uuid.UUID,
    before: datetime,
    limit: int,
    condition: sa.ColumnElement[bool],
) -> Sequence[CallRow]:
    found = await session.scalars(
        sa.select(CallRow)
        .where(CallRow.organization_id == organization_id, CallRow.ended_at < before, condition)
        .order_by(CallRow.ended_at)
        .limit(limit)
    )
    return found.all()


async def _empty_events(session: AsyncSession, call_id: uuid.UUID) -> int:
    found = await session.execute(
        sa.select(CallEvent.id, CallEvent.data).where(CallEvent.call_id == call_id)
    )
    changed = [
        {"event": id, "left": left} for id, data in found if (left := _without_words(data)) != data
    ]
    if changed:
        await session.execute(
            sa.update(CallEvent.__table__)  # type: ignore[arg-type] # a Table
            .where(CallEvent.id == sa.bindparam("event"))
            .values(data=sa.bindparam("left")),
            changed,
        )
    return len(changed)


def _without_words(data: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: value
        for key, value in data.items()
        if value is None
        or isinstance(value, bool | int | float)
        or (isinstance(value, str) and key in _OWN_WORDS)
    }


async def _note(
    session: AsyncSession,
    call_id: uuid.UUID,
    organization_id: uuid.UUID,
    kind: str,
    data: Mapping[str, Any],
) -> None:
    """An event after the last one: it is no part of the call's time."""
    last_ms = await session.scalar(
        sa.select(sa.func.max(CallEvent.at_ms)).where(CallEvent.call_id == call_id)
    )
    await journal.write(session, call_id, organization_id, [Happening(last_ms or 0, kind, data)])
