"""Bring a database to this version's schema: under a lock, whole or not at all.

Two processes that start at once must not both do it. SQLite's write lock and, on Postgres, an
advisory lock make the second wait and then find nothing to do.
"""

from __future__ import annotations

import functools
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.engine import Connection

from chorus.db import Database
from chorus.durable import schema as durable

_LOCK = 0x43484F52  # any number that is Chorus's own


class MigrationFailed(Exception):
    """The schema could not be brought up to date; the database is as it was before."""


def config(connection: Connection | None = None) -> Config:
    alembic = Config()
    alembic.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    alembic.attributes["connection"] = connection
    return alembic


@functools.cache
def head() -> str:
    """The revision of this version's schema. Alembic reads every migration to find it."""
    revision = ScriptDirectory.from_config(config()).get_current_head()
    assert revision, "the package holds no migration"
    return revision


async def current(database: Database) -> str | None:
    """The revision of the database, None for an empty one."""
    async with database.engine.connect() as connection:
        return await connection.run_sync(_current)


async def upgrade(database: Database, revision: str = "head") -> tuple[str | None, str | None]:
    """Run what is missing; returns the revision before and after. Raises `MigrationFailed`."""
    async with database.engine.connect() as connection:
        sqlite = connection.dialect.name == "sqlite"
        if sqlite:
            await connection.execution_options(chorus_writes=True)
            raw = await connection.get_raw_connection()
            await raw.driver_connection.execute("PRAGMA foreign_keys = OFF")  # pyright: ignore[reportOptionalMemberAccess]  a live connection has a driver's
        try:
            async with connection.begin():
                if not sqlite:
                    await connection.execute(
                        sa.text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK}
                    )
                before = await connection.run_sync(_current)
                if revision != "head" or before != head():
                    await connection.run_sync(_upgrade, revision)
                after = await connection.run_sync(_current)
                if sqlite and after != before:  # it reads every row: not at every start
                    await connection.run_sync(_check_foreign_keys)
        finally:
            if sqlite:
                # Back to the pool with what every other connection has.
                await connection.invalidate()
    await durable.upgrade(database.settings)
    return before, after


def _current(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _upgrade(connection: Connection, revision: str) -> None:
    try:
        command.upgrade(config(connection), revision)
    except command.util.CommandError as error:
        raise MigrationFailed(
            f"The database has a schema that this version of Chorus does not know ({error}). "
            "It was probably made by a newer version."
        ) from error


def _check_foreign_keys(connection: Connection) -> None:
    broken = connection.exec_driver_sql("PRAGMA foreign_key_check").all()
    if broken:
        raise MigrationFailed(
            f"{len(broken)} rows would point at nothing, the first in table {broken[0][0]}"
        )
