"""Reading calls."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from chorus import lists
from chorus.calls import far, search
from chorus.calls.schemas import (
    FINAL,
    CallFilters,
    CallOut,
    CallQuery,
    ExportQuery,
    ListedCall,
    TransferCall,
)
from chorus.calls.tables import CallEvent, CallRow
from chorus.db import Database, scoped
from chorus.process import Process
from chorus.wire import Found

# As rows of the table, not as objects: a list of calls is what dashboards ask for all day.
_table = cast("sa.Table", CallRow.__table__)
_UNLISTED = ("transcript", "analysis", "timeline", "token_hash", "forward_token", "updated_at")
_LISTED = [column for column in _table.columns if column.name not in _UNLISTED]


async def page(
    session: AsyncSession, organization_id: uuid.UUID, wanted: CallQuery, process: Process
) -> tuple[list[ListedCall], Found]:
    """One page of calls."""
    query = sa.select(*_LISTED).where(*await _conditions(session, organization_id, wanted))
    skipped = await far.skipped(session, organization_id, wanted)
    key = (_table.c.created_at, _table.c.id)
    rows, found = await lists.page(session, query, key, wanted, skipped)
    transferred = [row["id"] for row in rows if row["transfer_type"] is not None]
    legs = await _legs(session, organization_id, transferred, process)
    shown = [
        ListedCall.model_validate({**_shown(row, process), "transfer_calls": legs[row["id"]]})
        for row in rows
    ]
    return shown, found


async def exported(
    database: Database, organization_id: uuid.UUID, wanted: ExportQuery
) -> AsyncGenerator[Sequence[sa.RowMapping], None]:
    """Rows of calls for an export, a hundred at a time."""
    columns = [*_LISTED, _table.c.transcript, _table.c.analysis] if wanted.texts else _LISTED
    async with database.reading() as session:
        query = sa.select(*columns).where(*await _conditions(session, organization_id, wanted))
    key = (_table.c.created_at, _table.c.id)
    async for rows in lists.batches(database, query, key, wanted.sort):
        yield rows


async def count(
    session: AsyncSession, organization_id: uuid.UUID, wanted: CallFilters, most: int
) -> int:
    """How many there are, up to one more than `most`."""
    query = sa.select(_table.c.id).where(*await _conditions(session, organization_id, wanted))
    return await lists.count(session, query, most)


async def _legs(
    session: AsyncSession, organization_id: uuid.UUID, calls: Sequence[uuid.UUID], process: Process
) -> Mapping[uuid.UUID, list[dict[str, Any]]]:
    """The legs of each call's transfers, the first leg first."""
    legs: defaultdict[uuid.UUID, list[dict[str, Any]]] = defaultdict(list)
    if calls:
        rows = await session.execute(
            sa.select(*_LISTED).where(
                _table.c.parent_call_id.in_(calls), _table.c.organization_id == organization_id
            )
        )
        # Not by the database: SQLite would read all calls in their order instead of a few by their
        # parents.
        for row in sorted(rows.mappings(), key=lambda row: (row["created_at"], row["id"])):
            legs[row["parent_call_id"]].append(_shown(row, process))
    return legs


async def _conditions(
    session: AsyncSession, organization_id: uuid.UUID, wanted: CallFilters
) -> list[sa.ColumnElement[bool]]:
    found = await search.conditions(session, organization_id, wanted)
    direction: sa.ColumnElement[str] = _table.c.direction
    narrower = (wanted.status, wanted.ended_reason, wanted.agent_id, wanted.phone_number_id)
    if any(narrower) and session.get_bind().dialect.name == "sqlite":
        # With a plus SQLite takes no index by it, which may seem the best and holds half of all.
        direction = sa.literal_column("+calls.direction", sa.String)
    for column, value in (
        (_table.c.status, wanted.status),
        (direction, wanted.direction),
        (_table.c.ended_reason, wanted.ended_reason),
        (_table.c.agent_id, wanted.agent_id),
        (_table.c.phone_number_id, wanted.phone_number_id),
    ):
        if value is not None:
            found.append(column == value)
    if wanted.from_ is not None:
        found.append(_table.c.created_at >= wanted.from_)
    if wanted.to is not None:
        found.append(_table.c.created_at < wanted.to)
    return found


async def one(
    session: AsyncSession,
    organization_id: uuid.UUID,
    id: uuid.UUID,
    *,
    lock: lists.Lock | None = None,
) -> CallRow:
    """Raises `Error` 404. `lock` holds off other writers until the transaction ends."""
    query = scoped(CallRow, organization_id).where(CallRow.id == id)
    return await lists.one(session, query, "Call", lock=lock)


async def events(
    session: AsyncSession,
    organization_id: uuid.UUID,
    call_id: uuid.UUID,
    limit: int,
    offset: int,
    *,
    after: int = 0,
) -> tuple[Sequence[CallEvent], Found]:
    """A call's events in their order, those with a `seq` above `after`. Raises `Error` 404."""
    await one(session, organization_id, call_id)
    mine = sa.select(CallEvent).where(CallEvent.call_id == call_id, CallEvent.seq > after)
    total = await session.scalar(sa.select(sa.func.count()).select_from(mine.subquery()))
    found = await session.scalars(mine.order_by(CallEvent.seq).limit(limit).offset(offset))
    rows, total = found.all(), total or 0
    more = bool(rows) and offset + len(rows) < total
    return rows, Found(total, next_cursor=str(rows[-1].seq) if more else None)


async def present(
    session: AsyncSession, call: CallRow, process: Process, *, turns: bool = False
) -> CallOut:
    """The call as the API shows it, with the legs of its transfers."""
    legs: Sequence[CallRow] = ()
    if call.transfer_type is not None:
        query = scoped(CallRow, call.organization_id).where(CallRow.parent_call_id == call.id)
        # As in `_legs`.
        legs = sorted(await session.scalars(query), key=lambda leg: (leg.created_at, leg.id))
    values = _values(call, process)
    if call.transcript is not None:
        values["transcript_url"] = process.links.url("transcript", call.id)
    values["transfer_calls"] = [TransferCall.model_validate(_values(leg, process)) for leg in legs]
    values["line_quality"] = (call.timeline or {}).get("line")
    if turns:
        values["turns"] = (call.timeline or {}).get("turns", [])
    return CallOut.model_validate(values)


def as_exported(row: Mapping[Any, Any]) -> dict[str, Any]:
    """A row as exports have it: without links."""
    cost = row["cost_micros"]
    return {
        **row,
        "is_final": row["status"] in FINAL,
        "cost": None if cost is None else cost / 1_000_000,
    }


def _values(call: CallRow, process: Process) -> dict[str, Any]:
    row = {column.key: getattr(call, column.key) for column in sa.inspect(CallRow).columns}
    return _shown({**row, "metadata": call.meta}, process)


def _shown(row: Mapping[Any, Any], process: Process) -> dict[str, Any]:
    return {
        **as_exported(row),
        "recording_url": process.links.url("recording", row["id"])
        if row["recording_path"]
        else None,
    }
