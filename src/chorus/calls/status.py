"""The status of a call: it moves only forward, here and nowhere else.

    queued → ringing → in_progress → completed | failed | no_answer

`advance` changes the row and writes the event in the caller's transaction. Two that want to
move the same call at once are decided by the row itself: the one that finds it already there
or further on changes nothing and is told so.
"""

from __future__ import annotations

import uuid
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from chorus.calls import journal
from chorus.calls.tables import Call
from chorus.talk.timeline import Happening

Status = Literal["queued", "ringing", "in_progress", "completed", "failed", "no_answer"]

FINAL: tuple[Status, ...] = ("completed", "failed", "no_answer")

_BEFORE: dict[Status, tuple[Status, ...]] = {
    "queued": (),
    "ringing": ("queued",),
    "in_progress": ("queued", "ringing"),
    "completed": ("queued", "ringing", "in_progress"),
    "failed": ("queued", "ringing", "in_progress"),
    "no_answer": ("queued", "ringing"),
}


async def advance(
    session: AsyncSession,
    call_id: uuid.UUID,
    organization_id: uuid.UUID,
    status: Status,
    *,
    at_ms: int = 0,
    event: dict[str, Any] | None = None,
    **columns: Any,
) -> bool:
    """Move the call to `status` and set `columns` with it. False, and nothing changed, if the
    call is there already, further on, or over."""
    moved = await session.execute(
        sa.update(Call)
        .where(
            Call.id == call_id,
            Call.organization_id == organization_id,
            Call.status.in_(_BEFORE[status]),
        )
        .values(status=status, **columns)
        .execution_options(synchronize_session=False)
    )
    if moved.rowcount != 1:  # type: ignore[attr-defined] # an UPDATE yields a CursorResult
        return False
    data = {"status": status, **(event or {})}
    await journal.write(
        session, call_id, organization_id, [Happening(at_ms, "status_changed", data)]
    )
    return True
