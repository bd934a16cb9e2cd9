"""What uses a row, so that it is not deleted under whoever needs it.

A column says by its `info` (`uses`) that its row uses another one; the folders of agents, numbers
and tools need not know of those above them. `refuse` asks all such columns.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from chorus import errors
from chorus.db import Base, Tenant
from chorus.errors import Problem

_KEY = "chorus_uses"
_NAMED_AT_MOST = 20


@dataclass(frozen=True, slots=True)
class _Use:
    table: str
    noun: str
    name: str
    until: str | None
    through: str | None


def uses(
    table: str,
    *,
    noun: str,
    name: str = "name",
    until: str | None = None,
    through: str | None = None,
) -> dict[str, Any]:
    """The `info` of a column that holds an id of `table`. Its row is told as `noun` with the column
    `name`; it uses the other until its column `until` has a value. `through` is the column of a
    table between two that holds the id of the one that uses."""
    return {_KEY: _Use(table, noun, name, until, through)}


async def refuse(session: AsyncSession, row: Tenant, noun: str) -> None:
    """Raises `Error` 409 `in_use` while something uses `row`, naming it. Lock the row first: who
    comes to use it then waits, and finds that it is gone."""
    table = cast("sa.Table", sa.inspect(type(row)).local_table)
    details: list[Problem] = []
    count = 0
    for column, use in _uses_of(table.name):
        users = _users(row, column, use)
        count += await session.scalar(sa.select(sa.func.count()).select_from(users.subquery())) or 0
        named = users.limit(_NAMED_AT_MOST - len(details))
        for id, name in await session.execute(named):
            details.append(Problem("id", f"Used by the {use.noun} {name!r} ({id})"))
    if details:
        if count > len(details):
            details.append(Problem("id", f"Used by {count - len(details)} more"))
        raise errors.conflict("in_use", f"The {noun} is in use and cannot be deleted", *details)


def _uses_of(table: str) -> Sequence[tuple[sa.Column[Any], _Use]]:
    """What uses it for good goes before what will be over by itself."""
    found = [
        (column, use)
        for other in Base.metadata.sorted_tables
        for column in other.columns
        if (use := column.info.get(_KEY)) is not None and use.table == table
    ]
    return sorted(found, key=lambda pair: pair[1].until is not None)


def _users(row: Tenant, column: sa.Column[Any], use: _Use) -> sa.Select[uuid.UUID, str]:
    """Those that use `row` by `column`: id and name."""
    user = column.table
    query = sa.select()
    if use.through is not None:
        link = column.table.c[use.through]
        [key] = link.foreign_keys
        user = key.column.table
        query = query.join_from(column.table, user, link == user.c.id)
    query = query.add_columns(user.c.id, user.c[use.name]).where(
        column == row.id, user.c.organization_id == row.organization_id
    )
    if use.until is not None:
        query = query.where(user.c[use.until].is_(None))
    ordered = query.order_by(user.c[use.name], user.c.id)
    return cast("sa.Select[uuid.UUID, str]", ordered)
