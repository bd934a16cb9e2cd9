"""A call for `analysis/`: what there is to read, and where the result goes."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from chorus.calls import journal
from chorus.calls.tables import CallEvent, CallRow
from chorus.talk.timeline import Happening

_KINDS = ("analysed", "analysis_skipped")


@dataclass(frozen=True, slots=True)
class Conversation:
    organization_id: uuid.UUID
    agent_id: uuid.UUID
    agent_version: int | None
    """None where it was held with changes that were not saved."""
    transcript: Sequence[Mapping[str, Any]]
    variables: Mapping[str, Any]
    day: date
    """On which it began, in UTC."""


async def to_analyse(session: AsyncSession, call_id: uuid.UUID) -> Conversation | None:
    """None unless the call is over, holds something that the customer said, and was not analysed
    before. The second call of a transfer is not: its agent's questions are for the caller."""
    call = await session.get(CallRow, call_id)
    if call is None or call.ended_at is None or not call.transcript:
        return None
    if call.parent_call_id is not None:
        return None
    if not any(each["role"] == "user" and each["content"].strip() for each in call.transcript):
        return None
    if await _is_analysed(session, call_id):
        return None
    return Conversation(
        call.organization_id,
        call.agent_id,
        call.agent_version,
        call.transcript,
        call.context_variables,
        (call.started_at or call.created_at).date(),
    )


async def keep(
    session: AsyncSession,
    call_id: uuid.UUID,
    organization_id: uuid.UUID,
    analysis: Mapping[str, Any] | None,
    happenings: Sequence[tuple[str, Mapping[str, Any]]],
) -> bool:
    """Write the analysis and what is to be noted of it. False if somebody else has, or if what
    was said has been deleted meanwhile. (What was used is noted even so.)"""
    held = sa.select(CallRow.transcript_deleted_at).where(CallRow.id == call_id).with_for_update()
    row = (await session.execute(held)).first()
    if row is None:
        return False
    kept = row.transcript_deleted_at is None and not await _is_analysed(session, call_id)
    if kept and analysis is not None:
        await session.execute(
            sa.update(CallRow)
            .where(CallRow.id == call_id)
            .values(analysis=dict(analysis), updated_at=CallRow.updated_at)
        )
    mine = CallEvent.call_id == call_id
    last_ms = await session.scalar(sa.select(sa.func.max(CallEvent.at_ms)).where(mine)) or 0
    noted = [
        Happening(last_ms, kind, data) for kind, data in happenings if kept or kind not in _KINDS
    ]
    await journal.write(session, call_id, organization_id, noted)
    return kept


async def _is_analysed(session: AsyncSession, call_id: uuid.UUID) -> bool:
    query = sa.select(CallEvent.id).where(CallEvent.call_id == call_id, CallEvent.kind.in_(_KINDS))
    return (await session.scalar(query.limit(1))) is not None
