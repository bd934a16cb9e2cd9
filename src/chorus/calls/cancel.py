"""Cancelling a call that was not dialled yet."""

from __future__ import annotations

import uuid

from sqlalchemy.ext.asyncio import AsyncSession

from chorus import errors
from chorus.calls import queries
from chorus.calls.status import end
from chorus.calls.switchboard import Switchboard
from chorus.calls.tables import CallRow


async def cancel(
    session: AsyncSession, switchboard: Switchboard, organization_id: uuid.UUID, id: uuid.UUID
) -> CallRow:
    """End a call that waits; cancelling it again changes nothing. Raises `Error` 404, or 409 once
    it has been dialled: whether it is dialled or cancelled, never both, is decided by its row."""
    await end(
        session,
        switchboard,
        id,
        organization_id,
        "failed",
        "cancelled",
        only_if=(CallRow.status == "queued", CallRow.dialled_at.is_(None)),
        duration_seconds=0,
    )
    call = await queries.one(session, organization_id, id)
    if call.dialled_at is not None or call.ended_reason != "cancelled":
        raise errors.conflict("call_not_queued", f"The call is {call.status}, no longer queued")
    return call
