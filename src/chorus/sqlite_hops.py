"""SQLite in as few changes of thread as there can be.

aiosqlite gives each connection a thread, and each of its calls is one trip there and back, in
which two threads hand each other the interpreter's lock. SQLAlchemy makes four of a statement: to
open a cursor, to execute, to fetch all rows (it buffers them anyway), to close. `Connected` makes
them in one trip: `GET /v1/agents/{id}` takes 4 where it took 13.

It reaches into aiosqlite's connection for its queue, as SQLAlchemy's own dialect does: aiosqlite
has no call that gives rows, their description and the count of changed rows at once.
"""

from __future__ import annotations

import sqlite3
from collections import deque
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.dialects.sqlite.aiosqlite import (
    AsyncAdapt_aiosqlite_connection,
    AsyncAdapt_aiosqlite_cursor,
)
from sqlalchemy.util import await_only


class _Done(NamedTuple):
    """What a statement left."""

    rows: list[Any]
    description: Any
    rowcount: int
    lastrowid: int


_NOTHING = _Done([], None, -1, 0)


def _run(connection: sqlite3.Connection, many: bool, statement: str, values: Any) -> _Done:
    """In the connection's thread."""
    cursor = connection.cursor()
    try:
        if many:
            cursor.executemany(statement, values)
        else:
            cursor.execute(statement, values)
        rows = cursor.fetchall() if cursor.description else []
        return _Done(rows, cursor.description, cursor.rowcount, cursor.lastrowid or 0)
    finally:
        cursor.close()


class _Cursor(AsyncAdapt_aiosqlite_cursor):
    """One that is opened and closed within each execution."""

    __slots__ = ("_arraysize", "_done")

    def __init__(self, adapt_connection: Connected) -> None:
        self._adapt_connection = adapt_connection
        self._connection = adapt_connection.driver_connection
        self._rows = deque[Any]()
        self._done = _NOTHING
        self._arraysize = 1

    @property
    def description(self) -> Any:
        return self._done.description

    @property
    def rowcount(self) -> int:
        return self._done.rowcount

    @property
    def lastrowid(self) -> int:
        return self._done.lastrowid

    @property
    def arraysize(self) -> int:
        return self._arraysize

    @arraysize.setter
    def arraysize(self, value: int) -> None:
        self._arraysize = value

    def execute(self, operation: Any, parameters: Any = None) -> Any:
        return self._perform(False, operation, () if parameters is None else parameters)

    def executemany(self, operation: Any, seq_of_parameters: Any) -> Any:
        return self._perform(True, operation, seq_of_parameters)

    def _perform(self, many: bool, operation: Any, values: Any) -> Any:
        try:
            self._done = await_only(self._in_thread(many, operation, values))
        except Exception as error:
            connection: Any = self._adapt_connection
            connection._handle_exception(error)
        self._rows = deque(self._done.rows)
        return self

    async def _in_thread(self, many: bool, operation: Any, values: Any) -> _Done:
        adapted: Any = self._adapt_connection
        connection: Any = self._connection
        async with adapted._execute_mutex:
            return await connection._execute(_run, connection._conn, many, operation, values)

    async def _async_soft_close(self) -> None:
        """It is closed."""

    def close(self) -> None:
        self._rows.clear()


class Connected(AsyncAdapt_aiosqlite_connection):
    """A connection whose statements take one trip each, and that is not told to roll back what is
    over: SQLAlchemy says so again when it takes the connection back."""

    __slots__ = ("_clean",)

    _cursor_cls = _Cursor

    def __init__(self, dbapi: Any, connection: Any) -> None:
        super().__init__(dbapi, connection)
        self._clean = False

    def cursor(self, server_side: bool = False) -> Any:
        self._clean = False
        return super().cursor(server_side)

    def commit(self) -> None:
        super().commit()
        self._clean = True

    def rollback(self) -> None:
        if not self._clean:
            super().rollback()
            self._clean = True


def install(engine: sa.Engine) -> None:
    """Have `engine`, of the driver aiosqlite, connect so."""

    def connect(dialect: Any, _record: Any, args: Any, options: Any) -> Connected:
        plain = dialect.connect(*args, **options)
        return Connected(plain.dbapi, plain.driver_connection)

    event.listen(engine, "do_connect", connect)
