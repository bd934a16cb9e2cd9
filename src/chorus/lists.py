"""Rows of an organization: one, or a page of a list, how many there are, where the next begins.

Lists of the database are read by `page`, but for those with an order of their own: a call's events,
a document's chunks, a member's sessions. Rows are in the order in which they were made and, among
those of one moment, of their ids, so that each has one place. A page is asked for by `offset`,
which walks past all that it skips but for what somebody has the sums of (`Skipped`), or by the
cursor that the page before it told (`after`), to which an index leads however deep it is. For both,
an index that begins with what the list is narrowed to has to end in (created_at, id).

Counting is linear. Up to `COUNTED` rows `total` is exact; of more it is a number that is greater
than what was shown while there is more: who reads by `offset` until there are `total` gets all.
"""

from __future__ import annotations

import uuid
from collections.abc import AsyncGenerator, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, TypeVar

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from chorus import errors
from chorus.db import Database, Tenant, UtcDateTime, scoped
from chorus.wire import Cursor, Found, ListQuery

COUNTED = 10_000
BATCH = 100
_DEEP = 500
"""From this offset on its place is looked up in the index alone, before any row is read."""

_AT, _ID, _COUNT = "chorus_at", "chorus_id", "chorus_count"

T = TypeVar("T", bound=Tenant)
Sort = Literal["-createdAt", "createdAt"]
Rows = sa.Select[*tuple[Any, ...]]
Key = tuple[sa.ColumnElement[Any], sa.ColumnElement[Any]]


@dataclass(frozen=True, slots=True)
class Skipped:
    """What whoever knows of sums can say of an offset: the first `count` rows in the order of the
    list, fewer than the offset, are just those made before `until`, or from it on where the newest
    come first."""

    count: int
    until: datetime


async def page(
    session: AsyncSession, query: Rows, key: Key, wanted: ListQuery, skipped: Skipped | None = None
) -> tuple[Sequence[sa.RowMapping], Found]:
    """One page of `query`, which has no order yet. `key`: its columns created_at and id. Raises
    `Error` 400 for a cursor and an offset at once."""
    after = None if wanted.after is None else Cursor.of(wanted.after)
    if after is not None and wanted.offset:
        raise errors.invalid_field("offset", "Offset must not be given with after")
    if after is None and wanted.offset >= _DEEP:
        after = await _at(session, query, key, wanted, skipped)
        if after is None:
            return [], await _found(session, query, [], wanted)
        offset = 0
    else:
        offset = wanted.offset
    columns = (
        key[0].label(_AT),
        key[1].label(_ID),
        _count(query, COUNTED).scalar_subquery().label(_COUNT),
    )
    rows = await session.execute(
        _ordered(query.add_columns(*columns), key, wanted.sort, after)
        .limit(wanted.limit + 1)
        .offset(offset)
    )
    found = rows.mappings().all()
    return found[: wanted.limit], await _found(session, query, found, wanted)


async def of(
    session: AsyncSession, query: sa.Select[T], table: type[T], wanted: ListQuery
) -> tuple[list[T], Found]:
    """As `page`, of a tenant's table, as objects."""
    rows, found = await page(session, query, (table.created_at, table.id), wanted)  # type: ignore[arg-type]
    return [row[table] for row in rows], found


async def batches(
    database: Database, query: Rows, key: Key, sort: Sort
) -> AsyncGenerator[Sequence[sa.RowMapping], None]:
    """All rows of `query`, a hundred at a time, each from a session of its own: whoever takes
    them slowly holds none. What is added behind the place that has been reached is seen."""
    query = query.add_columns(key[0].label(_AT), key[1].label(_ID))
    after: Cursor | None = None
    while True:
        async with database.reading() as session:
            piece = _ordered(query, key, sort, after).limit(BATCH)
            rows = (await session.execute(piece)).mappings().all()
        if rows:
            yield rows
        if len(rows) < BATCH:
            return
        after = Cursor(rows[-1][_AT], rows[-1][_ID])


Lock = Literal["change", "delete"]
"""Why a row is locked. Whoever changes it lets others go on to insert rows that point to its key;
whoever deletes it has them wait, and finds those that came before."""


async def one(
    session: AsyncSession, query: sa.Select[T], what: str, *, lock: Lock | None = None
) -> T:
    """The one row of `query`. `lock` holds off other writers until the transaction ends. Raises
    `Error` 404, which says that there is no such `what`."""
    if lock is not None:
        query = query.with_for_update(key_share=lock == "change")
    row = await session.scalar(query)
    if row is None:
        raise errors.not_found(what)
    return row


async def missing(
    session: AsyncSession, table: type[T], organization_id: uuid.UUID, ids: Iterable[uuid.UUID]
) -> set[uuid.UUID]:
    """Those of `ids` by which the organization has no row."""
    wanted = set(ids)
    if not wanted:
        return wanted
    mine = scoped(table, organization_id).where(table.id.in_(wanted)).with_only_columns(table.id)
    return wanted - set((await session.scalars(mine)).all())


async def count(session: AsyncSession, query: Rows, most: int) -> int:
    """How many rows there are, up to one more than `most`."""
    return await session.scalar(_count(query, most)) or 0


async def _at(
    session: AsyncSession, query: Rows, key: Key, wanted: ListQuery, skipped: Skipped | None
) -> Cursor | None:
    """The place of the last row that `offset` skips; None beyond the end."""
    places = _ordered(query.with_only_columns(*key), key, wanted.sort, None)
    before = wanted.offset - 1
    if skipped is not None:
        oldest_first = wanted.sort == "createdAt"
        places = places.where(key[0] >= skipped.until if oldest_first else key[0] < skipped.until)
        before -= skipped.count
    row = (await session.execute(places.limit(1).offset(before))).first()
    return None if row is None else Cursor(row[0], row[1])


def _ordered(query: Rows, key: Key, sort: Sort, after: Cursor | None) -> Rows:
    oldest_first = sort == "createdAt"
    if after is not None:
        place = sa.tuple_(sa.literal(after.at, UtcDateTime), sa.literal(after.id, sa.Uuid))
        here = sa.tuple_(*key)
        query = query.where(here > place if oldest_first else here < place)
    return query.order_by(*(key if oldest_first else (column.desc() for column in key)))


def _count(query: Rows, most: int) -> sa.Select[int]:
    some = query.with_only_columns(sa.literal(1).label("one")).limit(most + 1).subquery()
    return sa.select(sa.func.count()).select_from(some)


async def _found(
    session: AsyncSession,
    query: Rows,
    rows: Sequence[sa.RowMapping],
    wanted: ListQuery,
) -> Found:
    """`rows`: those of the page and, where there is one, the row after them."""
    if rows:
        total: int = rows[0][_COUNT]
    elif wanted.offset or wanted.after is not None:
        total = await count(session, query, COUNTED)
    else:
        total = 0  # nothing was found from the beginning on
    more = len(rows) > wanted.limit
    shown = min(len(rows), wanted.limit)
    last = rows[shown - 1] if more else None
    cursor = None if last is None else Cursor(last[_AT], last[_ID]).text()
    if total <= COUNTED:
        return Found(total, True, cursor)
    so_far = wanted.offset + shown + more if rows else 0
    return Found(max(COUNTED, so_far), False, cursor)
