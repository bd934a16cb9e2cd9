"""`chorus secrets rotate`: every encrypted column, encrypted anew with the newest key.

Table by table, in the order of the primary key, some hundred rows to a transaction, so that a
server that is running hardly notices. A value that already has the newest key is left as it is:
whoever stops this and starts it again goes on where it stopped. A value that was changed
meanwhile is not overwritten. One that no key can read is counted, named, and left.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from chorus.accounts.encrypted import columns
from chorus.accounts.secrets import Secrets, SecretsUnreadable
from chorus.db import Database

_BATCH = 200


@dataclass(slots=True)
class Count:
    """What was found in one column. `unreadable` are primary keys."""

    column: str
    renewed: int = 0
    newest_already: int = 0
    unreadable: list[str] = field(default_factory=list[str])


async def rotate(
    database: Database, secrets: Secrets, metadata: sa.MetaData, *, batch: int = _BATCH
) -> list[Count]:
    """One count for each encrypted column."""
    return [await _column(database, secrets, c, batch) for c in columns(metadata)]


async def _column(
    database: Database, secrets: Secrets, column: sa.Column[str], batch: int
) -> Count:
    count = Count(f"{column.table.name}.{column.name}")
    last: tuple[Any, ...] | None = None
    while True:
        async with database.writing() as session:
            found = await _rows(session, column, last, batch)
            for *key, stored in found:
                await _renew(session, secrets, column, tuple(key), stored, count)
        if len(found) < batch:
            return count
        *key, _ = found[-1]
        last = tuple(key)


async def _rows(session: Any, column: sa.Column[str], last: Any, batch: int) -> list[Any]:
    key = list(column.table.primary_key)
    query = sa.select(*key, column).where(column.is_not(None)).order_by(*key).limit(batch)
    if last is not None:
        query = query.where(sa.tuple_(*key) > sa.tuple_(*_bound(key, last)))
    return list((await session.execute(query)).all())


def _bound(key: list[sa.Column[Any]], values: tuple[Any, ...]) -> list[Any]:
    return [sa.literal(value, column.type) for column, value in zip(key, values, strict=True)]


async def _renew(
    session: Any,
    secrets: Secrets,
    column: sa.Column[str],
    key: tuple[Any, ...],
    stored: str,
    count: Count,
) -> None:
    if secrets.is_newest(stored):
        count.newest_already += 1
        return
    try:
        renewed = secrets.renew(stored)
    except SecretsUnreadable:
        count.unreadable.append(", ".join(map(str, key)))
        return
    table = column.table
    values: dict[str, Any] = {column.name: renewed}
    if "updated_at" in table.columns:
        values["updated_at"] = table.columns["updated_at"]
    where = [c == value for c, value in zip(table.primary_key, key, strict=True)]
    done = await session.execute(sa.update(table).where(*where, column == stored).values(values))
    count.renewed += done.rowcount
