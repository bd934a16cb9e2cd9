"""The database: column types, the engine, sessions, and the tenant's select.

`Database` owns the engine. `reading()` and `writing()` open one session, which is one
transaction: a writing one commits when its block ends and rolls back when it raises, a reading
one sees one moment of the database and refuses to have changed anything. On SQLite a writing
transaction takes the write lock when it begins, because one that starts by reading and then writes
fails where another wrote between.
"""

from __future__ import annotations

import asyncio
import sys
import time
import uuid
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime
from typing import Any, TypeVar

import orjson
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.engine import Connection, Dialect, make_url
from sqlalchemy.engine.default import DefaultExecutionContext
from sqlalchemy.exc import IntegrityError
from sqlalchemy.exc import TimeoutError as DatabaseBusy
from sqlalchemy.ext.asyncio import (
    AsyncEngine,
    AsyncSession,
    async_sessionmaker,
    create_async_engine,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from chorus import clock, sqlite_hops
from chorus.settings import Settings

_BUSY_TIMEOUT_S = 10
_WRITES = "chorus_writes"
_AFTERWARDS = "chorus_afterwards"


class UtcDateTime(sa.TypeDecorator[datetime]):
    """A time in UTC, timezone-aware in Python on every database."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without a time zone cannot be stored")
        utc = value.astimezone(UTC)
        return utc.replace(tzinfo=None) if dialect.name == "sqlite" else utc

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


Json = sa.JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")


def choice(*values: str, name: str) -> sa.Enum:
    """A column of a fixed set of words: text with a check, the same on every database."""
    return sa.Enum(*values, name=name, native_enum=False, create_constraint=True, length=32)


class Base(DeclarativeBase):
    metadata = sa.MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


def utcnow() -> datetime:
    return clock.SystemClock().utcnow()


def when_created(context: DefaultExecutionContext) -> datetime:
    """The default of `updated_at`: a new row was never updated."""
    return context.get_current_parameters()["created_at"]


class Tenant:
    """Columns of every row that belongs to an organization."""

    id: Mapped[uuid.UUID] = mapped_column(
        sa.Uuid, primary_key=True, default=uuid.uuid4, sort_order=-2
    )
    organization_id: Mapped[uuid.UUID] = mapped_column(
        sa.Uuid, sa.ForeignKey("organizations.id", ondelete="CASCADE"), sort_order=-1
    )
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utcnow, sort_order=1)
    updated_at: Mapped[datetime] = mapped_column(
        UtcDateTime, default=when_created, onupdate=utcnow, sort_order=2
    )


T = TypeVar("T", bound=Tenant)


def scoped(table: type[T], organization_id: uuid.UUID) -> sa.Select[T]:
    """The rows of one organization; every query of a tenant's table starts here."""
    return sa.select(table).where(table.organization_id == organization_id)


def named_like(column: Any, search: str) -> sa.ColumnElement[bool]:
    """`column` contains `search`, whatever the case; `%` and `_` mean themselves."""
    return sa.func.lower(column).contains(search.lower(), autoescape=True)


def breaks_unique(error: IntegrityError, table: type[Base], *columns: str) -> bool:
    """Whether it was this unique constraint that the database refused by."""
    name = table.__tablename__
    sqlite = ", ".join(f"{name}.{column}" for column in columns)
    text = str(error.orig)
    return sqlite in text or f"uq_{name}_{'_'.join(columns)}" in text


def after_commit(session: AsyncSession, call: Callable[[], None]) -> None:
    """Have `call` made when, and only if, the transaction of a writing session has committed."""
    session.info.setdefault(_AFTERWARDS, []).append(call)


class Database:
    """One engine and its pool, for the life of the process."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.engine = _engine(settings)
        self._writer = asyncio.Lock()
        self.watch: Callable[[float, float, str], None] | None = None
        """Is told of each writing transaction that is over: seconds that it waited for its turn,
        seconds that it took from then on, and which function asked for it (`module.function`)."""
        writes = self.engine.execution_options(**{_WRITES: True})
        reads = self.engine
        if not settings.is_sqlite:
            # Else each query of a reading session sees another moment, and a row may contradict
            # the rows that belong to it. On SQLite a transaction has always one.
            reads = self.engine.execution_options(isolation_level="REPEATABLE READ")
        self._reading = async_sessionmaker(reads, expire_on_commit=False, autoflush=False)
        self._writing = async_sessionmaker(writes, expire_on_commit=False)

    def session(
        self, *, writes: bool, by: Callable[..., Any]
    ) -> AbstractAsyncContextManager[AsyncSession]:
        """`by`: what is done in it, for those who look at who writes."""
        return self._write(f"{by.__module__}.{by.__qualname__}") if writes else self.reading()

    @asynccontextmanager
    async def reading(self) -> AsyncGenerator[AsyncSession, None]:
        async with self._reading() as session:
            yield session
            if session.new or session.dirty or session.deleted:
                raise RuntimeError("a reading session was asked to change the database")

    def writing(self) -> AbstractAsyncContextManager[AsyncSession]:
        # The caller's frame is at hand for 0.2 µs, where a name given at each of a hundred
        # places would one day be another's.
        caller = sys._getframe(1)  # pyright: ignore[reportPrivateUsage]
        return self._write(f"{caller.f_globals['__name__']}.{caller.f_code.co_qualname}")

    @asynccontextmanager
    async def _write(self, by: str) -> AsyncGenerator[AsyncSession, None]:
        asked_s = time.monotonic()
        async with self._turn():
            began_s = time.monotonic()
            try:
                async with self._writing() as session:
                    yield session
                    await session.commit()
                    for call in session.info.pop(_AFTERWARDS, ()):
                        call()
            finally:
                if self.watch is not None:
                    self.watch(began_s - asked_s, time.monotonic() - began_s, by)

    @asynccontextmanager
    async def _turn(self) -> AsyncGenerator[None, None]:
        """SQLite has one writer at a time. Those of this process queue here, because in SQLite
        they would sleep and try again, and the unlucky ones would never come through. Raises
        SQLAlchemy's `TimeoutError` rather than wait for ever, say for a session that this one is
        inside of."""
        if not self.settings.is_sqlite:
            yield
            return
        try:
            async with asyncio.timeout(_BUSY_TIMEOUT_S):
                await self._writer.acquire()
        except TimeoutError:
            raise DatabaseBusy("another transaction does not end") from None
        try:
            yield
        finally:
            self._writer.release()

    async def optimize(self) -> None:
        """Have SQLite count what is in its indexes, of which it chooses: it never does so by
        itself. Looks at 1000 entries of each at most, some 10 ms. Postgres does it by itself."""
        if not self.settings.is_sqlite:
            return
        async with self.writing() as session:
            await session.execute(sa.text("PRAGMA analysis_limit = 1000"))
            await session.execute(sa.text("ANALYZE"))

    async def close(self) -> None:
        await self.engine.dispose()


def _engine(settings: Settings) -> AsyncEngine:
    options: dict[str, Any] = {
        "json_serializer": _dump_json,
        "json_deserializer": orjson.loads,
        # Else an error tells, and the log keeps, the values of the statement that failed.
        "hide_parameters": True,
    }
    url = make_url(settings.database_url)
    if not settings.is_sqlite:
        engine = create_async_engine(
            url, pool_pre_ping=True, pool_size=10, max_overflow=20, **options
        )
        event.listen(engine.sync_engine, "connect", _prepare_postgres)
        return engine
    engine = create_async_engine(
        url, pool_size=8, max_overflow=24, connect_args={"timeout": _BUSY_TIMEOUT_S}, **options
    )
    sqlite_hops.install(engine.sync_engine)
    event.listen(engine.sync_engine, "connect", _prepare_sqlite)
    event.listen(engine.sync_engine, "begin", _begin_sqlite)
    return engine


def _dump_json(value: Any) -> str:
    return orjson.dumps(value).decode()


def _prepare_postgres(connection: Any, _: Any) -> None:
    # To begin helpers takes Postgres longer (8 ms of two cores) than any query here needs them.
    cursor = connection.cursor()
    cursor.execute("SET max_parallel_workers_per_gather = 0")
    cursor.close()
    connection.commit()  # else the first rollback takes it back


def _prepare_sqlite(connection: Any, _: Any) -> None:
    # The driver's own BEGIN comes late and is never IMMEDIATE: `_begin_sqlite` sends it.
    connection.isolation_level = None
    # SQLite's own lower() knows ASCII only.
    connection.create_function("lower", 1, _lower, deterministic=True)
    cursor = connection.cursor()
    for pragma in (
        "journal_mode = WAL",
        "synchronous = NORMAL",
        "foreign_keys = ON",
        f"busy_timeout = {_BUSY_TIMEOUT_S * 1000}",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _lower(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get(_WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
