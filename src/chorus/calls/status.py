"""The status of a call: it moves only forward, here and nowhere else.

    queued → ringing → in_progress → completed | failed | no_answer

`advance` and, for the last step, `end` change the row and write the event in the caller's
transaction. Two that want to move the same call at once are decided by the row itself: the one
that finds it already there or further on changes nothing and is told so. What follows a call's
end is enqueued with it, so it happens exactly if the call ended.
"""

from __future__ import annotations

import logging
import uuid
from functools import partial
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from chorus.calls import journal, transfer_record
from chorus.calls.after import AFTER_CALL
from chorus.calls.schemas import Final, Status
from chorus.calls.switchboard import Switchboard
from chorus.calls.tables import CallRow
from chorus.db import after_commit, utcnow
from chorus.talk.timeline import Happening

log = logging.getLogger(__name__)

Underway = Literal["ringing", "in_progress"]

_BEFORE: dict[Underway | Final, tuple[Status, ...]] = {
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
    status: Underway,
    **columns: Any,
) -> bool:
    """Move the call to `status` and set `columns` with it. False, and nothing changed, if the
    call is there already, further on, or over."""
    return await _move(session, call_id, organization_id, status, [], 0, {}, columns)


async def end(
    session: AsyncSession,
    switchboard: Switchboard,
    call_id: uuid.UUID,
    organization_id: uuid.UUID,
    status: Final,
    reason: str,
    *,
    detail: str = "",
    at_ms: int = 0,
    only_if: tuple[sa.ColumnElement[bool], ...] = (),
    **columns: Any,
) -> bool:
    """End the call and enqueue what follows. False, and nothing changed, if it is over already
    or `only_if` does not hold."""
    event = {"reason": reason, **({"detail": detail} if detail else {})}
    columns = {
        "ended_reason": reason,
        "ended_detail": detail or None,
        "ended_at": utcnow(),
        "lease_owner": None,
        "agent_changes": None,
        "forward_token": None,
        **columns,
    }
    conditions = list(only_if)
    moved = await _move(
        session, call_id, organization_id, status, conditions, at_ms, event, columns
    )
    if moved:
        id = str(call_id)
        await switchboard.durable.enqueue(session, AFTER_CALL, id, id=f"after_call:{id}")
        await transfer_record.close_open(session, switchboard, call_id)
        after_commit(session, partial(switchboard.second_leg_over, call_id, reason, detail))
        # There is room for another call now.
        await switchboard.news.tell(session, "calls queued")
        await switchboard.news.tell(session, "events")
        if status == "failed":
            said = f"{reason}: {detail}" if detail else reason
            after_commit(session, partial(log.warning, "call %s failed: %s", id, said))
    return moved


async def _move(
    session: AsyncSession,
    call_id: uuid.UUID,
    organization_id: uuid.UUID,
    status: Underway | Final,
    only_if: list[sa.ColumnElement[bool]],
    at_ms: int,
    event: dict[str, Any],
    columns: dict[str, Any],
) -> bool:
    moved = await session.execute(
        sa.update(CallRow)
        .where(
            CallRow.id == call_id,
            CallRow.organization_id == organization_id,
            CallRow.status.in_(_BEFORE[status]),
            *only_if,
        )
        .values(status=status, **columns)
        .execution_options(synchronize_session=False)
    )
    if moved.rowcount != 1:  # type: ignore[attr-defined] # an UPDATE yields a CursorResult
        return False
    data = {"status": status, **event}
    await journal.write(
        session, call_id, organization_id, [Happening(at_ms, "status_changed", data)]
    )
    return True
