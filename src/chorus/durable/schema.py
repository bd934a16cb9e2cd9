"""DBOS's own tables, in Chorus's database: beside its tables on SQLite, because work is enqueued
in the transaction that makes it necessary; in the schema `dbos` on Postgres."""

from __future__ import annotations

import asyncio
import logging
import re
import sqlite3

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import Engine, ExceptionContext, make_url
from sqlalchemy.exc import OperationalError

from chorus.settings import Settings

_BUSY_TIMEOUT_S = 30
_UNWRITABLE = re.compile("disk is full|disk I/O error|unable to open database|readonly database")


async def upgrade(settings: Settings) -> None:
    """Bring them to what the library needs. Safe if several do it at once."""
    await asyncio.to_thread(_upgrade, url(settings))


def _upgrade(database_url: str) -> None:
    from dbos import DBOS

    logging.getLogger("dbos").setLevel(logging.WARNING)
    DBOS.migrate(database_url)


def url(settings: Settings) -> str:
    """The application's database, for a driver that blocks: DBOS works in threads."""
    address = make_url(settings.database_url)
    if settings.is_sqlite:
        address = address.set(drivername="sqlite")
    return address.render_as_string(hide_password=False)


def engine(settings: Settings) -> Engine:
    """What the library would make by itself, but for SQLite without a wait for the disk in each
    of its many small commits, during which nobody else could write."""
    if not settings.is_sqlite:
        return sa.create_engine(
            url(settings),
            pool_size=5,
            max_overflow=15,
            pool_pre_ping=True,
            connect_args={"application_name": "chorus-durable", "connect_timeout": 10},
        )
    made = sa.create_engine(
        url(settings), pool_size=5, max_overflow=15, connect_args={"timeout": _BUSY_TIMEOUT_S}
    )

    @event.listens_for(made, "handle_error")
    def wait(context: ExceptionContext) -> None:  # pyright: ignore[reportUnusedFunction]  a listener
        """The library waits for as long as the database is locked, and would give a workflow up
        until the next start if it cannot be written for another reason."""
        failure = context.original_exception
        if isinstance(failure, sqlite3.OperationalError) and _UNWRITABLE.search(str(failure)):
            locked = sqlite3.OperationalError(f"database is locked ({failure})")
            raise OperationalError(context.statement, None, locked) from failure

    @event.listens_for(made, "connect")
    def prepare(connection: sqlite3.Connection, _: object) -> None:  # pyright: ignore[reportUnusedFunction]  a listener
        connection.isolation_level = "IMMEDIATE"
        cursor = connection.cursor()
        for pragma in ("journal_mode = WAL", "synchronous = NORMAL", "foreign_keys = ON"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    return made
