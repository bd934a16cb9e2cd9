"""Ways to rows, as SQLite and Postgres say that they would go them, and which are too long.

A table grows unless `FEW` says why it does not. No statement may read all of one that grows, by its
rows or through an index; nor all that an organization has of one of those that `rows.fill` fills,
unless it is a page of a list, which ends when it has its rows: those are held more strictly by
`tests/test_query_plans.py`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from tests.plans.heard import Asked
from tests.plans.rows import FILLED

from chorus import app
from chorus.db import Base, Database

assert app  # with it, all tables are known

FEW = {
    "organizations": "as many as the operator makes; the rules of retention are read of all",
    "executors": "as many as there are processes",
    "seals": "one row",
    "balance_holds": "as many as there are live calls",
    "call_commands": "whoever does a command deletes it first",
    "rate_counts": "of the keys that were used within two minutes",
}
PARTIAL = {
    "ix_calls_live": "calls that are not over",
    "ix_calls_room": "calls that are not over",
    "ix_calls_unsettled": "recordings that are on their way to the store",
    "ix_webhook_deliveries_due": "what is to be sent",
    "ix_latency_windows_unjudged": "windows of the last quarter of an hour",
}
"""Indexes of what is under way: as many rows as there are live calls."""
WIDE = frozenset(("organization_id", "direction", "provider", "kind", "meter", "action"))
"""Columns that lead to a good part of a table, all together. Those that ring or are talked on are
few, so a status may be asked for."""
WHOLE = {
    ("accounts/seal.py", "ensure"): "until a database has its seal: at its first start",
    ("accounts/sessions.py", "sweep"): "once an hour, of who is logged in",
    ("knowledge/library.py", "warm"): "at a start, up to the first base with pieces",
}
"""What may read a table as a whole: a file, a function in it, and why."""


def growing() -> set[str]:
    return {name for name in Base.metadata.tables if name not in FEW}


@dataclass(frozen=True, slots=True)
class Schema:
    """`tables` that grow, and of which of the filled ones each index is."""

    sqlite: bool
    tables: frozenset[str]
    of_index: dict[str, str]

    @classmethod
    async def of(cls, database: Database) -> Schema:
        sqlite = database.settings.is_sqlite
        query = (
            "SELECT name, tbl_name FROM sqlite_master WHERE type = 'index'"
            if sqlite
            else "SELECT indexname, tablename FROM pg_indexes WHERE schemaname = 'public'"
        )
        async with database.reading() as session:
            found = (await session.execute(sa.text(query))).all()
        indexes = {str(name): str(table) for name, table in found if table in FILLED}
        return cls(sqlite, frozenset(growing()), indexes)

    def is_long(self, asked: Asked, plan: list[str]) -> bool:
        """Whether some step reads more of a table than may be."""
        if self.sqlite:
            ways = list(_sqlite_ways(plan, self._names(asked.statement)))
        else:
            ways = list(_postgres_ways(plan, self.of_index))
        return any(
            way.table in self.tables
            and way.index not in PARTIAL
            and (way.by is None or (_is_wide(way) and not _ends(asked, plan)))
            for way in ways
        )

    def _names(self, statement: str) -> dict[str, str]:
        """SQLite calls a table by what the statement calls it."""
        found = re.findall(r'"?\b(\w+)\b"? AS "?(\w+)"?', statement)
        aliases = {alias: table for table, alias in found if table in self.tables}
        return {table: table for table in self.tables} | aliases


@dataclass(frozen=True, slots=True)
class Way:
    """Into a table: `by` these columns of its index, or by none at all."""

    table: str
    index: str
    by: frozenset[str] | None


def _is_wide(way: Way) -> bool:
    return way.table in FILLED and way.by is not None and way.by <= WIDE


def _ends(asked: Asked, plan: list[str]) -> bool:
    """A page of a list, read in the order of its index."""
    sorts = any(re.search(r"USE TEMP B-TREE|\bSort\b", step) for step in plan)
    return not sorts and any(site.file == "lists.py" for site in asked.by)


_STEP = re.compile(r"(SCAN|SEARCH) (\w+)")
_SEARCH = re.compile(
    r"SEARCH \w+ USING (?:(?:COVERING )?INDEX (\w+)|(?:INTEGER )?PRIMARY KEY) \((.*)\)"
    r"(?: LEFT-JOIN)?$"
)
_SCAN = re.compile(r"SCAN \w+ USING (?:COVERING )?INDEX (\w+)")


def _sqlite_ways(plan: list[str], names: dict[str, str]) -> Iterator[Way]:
    for step in plan:
        found = _STEP.match(step)
        if found is None or found[2] not in names:
            continue
        table = names[found[2]]
        if search := _SEARCH.match(step):
            yield Way(table, search[1] or "", _columns(search[2], "="))
        else:
            # Of an index that is made for the one statement, the whole table is read.
            scan = _SCAN.match(step)
            yield Way(table, scan[1] if scan else "", None)


_NODE = re.compile(
    r"(?:Parallel )?(?:Seq Scan on (?P<all>\w+)|"
    r"Index (?:Only )?Scan(?: Backward)? using (?P<index>\w+) on \w+|"
    r"Bitmap Index Scan on (?P<bitmap>\w+))"
)


def _postgres_ways(plan: list[str], of_index: dict[str, str]) -> Iterator[Way]:
    for step, next_step in zip(plan, [*plan[1:], ""], strict=True):
        found = _NODE.search(step)
        if found is None:
            continue
        if found["all"]:
            yield Way(found["all"], "", None)
            continue
        index = found["index"] or found["bitmap"]
        condition = re.search(r"Index Cond: \((.*)\)$", next_step)
        yield Way(of_index.get(index, ""), index, condition and _columns(condition[1], " = "))


def _columns(condition: str, equals: str) -> frozenset[str]:
    """Those that are equal to something; a range is another."""
    found: set[str] = set()
    for part in condition.split(" AND "):
        equal = re.match(rf"\(*(?:\w+\.)?(\w+)\)?(?:::[\w ]+)?{equals}", part)
        found.add(equal[1] if equal else "a range")
    return frozenset(found)


# --- asking the database ----------------------------------------------------------------------


async def plans(database: Database, asked: Iterable[Asked]) -> list[tuple[str, list[str]]]:
    """Each statement, and the steps by which the database would do it."""
    return [(each.statement, plan) for each, plan in await _plans(database, asked)]


async def _plans(database: Database, asked: Iterable[Asked]) -> list[tuple[Asked, list[str]]]:
    """Postgres is kept from reading whole tables where there is any other way: of few rows it
    would, rightly."""
    found: list[tuple[Asked, list[str]]] = []
    sqlite = database.settings.is_sqlite
    explain = "EXPLAIN QUERY PLAN " if sqlite else "EXPLAIN "
    seen: set[str] = set()
    async with database.engine.connect() as connection:
        if not sqlite:
            await connection.exec_driver_sql("SET enable_seqscan = off")
        for each in asked:
            if not each.reads or each.statement in seen:
                continue
            seen.add(each.statement)
            values: Any = each.values
            rows = (await connection.exec_driver_sql(explain + each.statement, values)).all()
            found.append((each, [str(row[-1]) for row in rows]))
    return found


async def walks(database: Database, asked: Iterable[Asked], *, counted: bool) -> list[str]:
    """The statements that read too much, with their plans. A Postgres that has not `counted` its
    rows takes any of the indexes that fit; it counts by itself, soon. It does so, too, where it has
    counted hardly any: of tables that are not filled it only must not read the rows themselves."""
    schema = await Schema.of(database)
    found: list[str] = []
    for each, plan in await _plans(database, asked):
        if any((site.file, site.function) in WHOLE for site in each.by):
            continue
        if schema.sqlite or counted:
            long = schema.is_long(each, plan)
        else:
            long = any(way.table in schema.tables for way in _postgres_ways(plan, {}))
        if long:
            steps = "\n      ".join(plan)
            found.append(f"{each.statement}\n   by {each.by[:3]}\n   -> {steps}")
    return found


async def count_rows(database: Database) -> None:
    """Have the database know what is in its tables, as it does after a while."""
    if not database.settings.is_sqlite:
        async with database.writing() as session:
            await session.execute(sa.text("ANALYZE"))
        return
    await database.optimize()
    async with database.writing() as session:
        known = await session.scalar(
            sa.text("SELECT count(*) FROM sqlite_stat1 WHERE tbl = 'calls'")
        )
        assert known
        # One with hardly a row in it would be read as a whole, and rightly.
        for name in await _statistics(session):
            filled = ", ".join(f"'{table}'" for table in FILLED)
            few = f"DELETE FROM {name} WHERE tbl NOT IN ({filled})"
            await session.execute(sa.text(few))
    await database.close()  # connections keep what they have read


async def forget_rows(database: Database) -> None:
    """Have SQLite know nothing of what is in its tables, as in its first hour."""
    if database.settings.is_sqlite:
        async with database.writing() as session:
            for name in await _statistics(session):
                await session.execute(sa.text(f"DROP TABLE {name}"))
        await database.close()


async def _statistics(session: AsyncSession) -> Sequence[str]:
    names = "SELECT name FROM sqlite_master WHERE name LIKE 'sqlite_stat_'"
    return (await session.scalars(sa.text(names))).all()
