"""Migrations: they make the schema of the models, on both databases, and keep what is there."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import ScriptDirectory
from dbos._schemas.system_database import SystemSchema
from sqlalchemy.engine import Connection
from sqlalchemy.exc import IntegrityError
from tests.conftest import settings_for

from chorus.accounts.tables import Member, Organization
from chorus.agents.tables import Agent, AgentTool
from chorus.calls.tables import CallEvent, CallRow
from chorus.db import Database
from chorus.migrations import run
from chorus.migrations.schema import metadata
from chorus.settings import Settings
from chorus.tools.tables import Tool

SEARCH = ("knowledge_words", "call_words", "call_places", "ix_calls_terms")
DBOS_TABLES = {"dbos_migrations", *(t.name for t in SystemSchema.metadata_obj.tables.values())}


@pytest.fixture(params=["sqlite", "postgres"])
async def empty(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncGenerator[Database, None]:
    """A database with nothing in it."""
    changes: dict[str, Any] = {}
    if request.param == "postgres":
        server = request.getfixturevalue("postgres")
        url = server.empty()
        changes["database_url"] = Settings.read({"CHORUS_DATABASE_URL": url}).database_url
    database = Database(settings_for(tmp_path, **changes))
    yield database
    await database.close()
    if changes:
        server.drop(url)  # pyright: ignore[reportPossiblyUnboundVariable]  the same condition


async def count(database: Database, table: Any) -> int:
    async with database.reading() as session:
        return await session.scalar(sa.select(sa.func.count()).select_from(table)) or 0


async def fill(database: Database) -> None:
    """A row in every table that others hang on, and one that hangs on it."""
    organization, agent_id, tool_id, call_id = (uuid.uuid4() for _ in range(4))
    async with database.writing() as session:
        session.add(Organization(id=organization, name="o"))
        await session.flush()
        session.add(
            Tool(
                id=tool_id,
                organization_id=organization,
                name="t",
                description="d",
                type="http",
                config={},
            )
        )
        session.add(
            Agent(
                id=agent_id,
                organization_id=organization,
                name="a",
                system_prompt="",
                voice_speed=1,
                voice_stability=0.5,
                allow_end_call=True,
                is_active=True,
                post_call_summary_enabled=False,
                post_call_extraction_schema=[],
                first_speaker="user",
                agent_greeting_enabled=False,
                first_message_uninterruptible=False,
                first_message_delay=0,
                max_call_duration_seconds=600,
                background_sound_volume=0.15,
                knowledge_base_ids=[],
                transfer_targets=[],
            )
        )
        session.add(
            CallRow(
                id=call_id,
                organization_id=organization,
                agent_id=agent_id,
                provider="twilio",
                direction="inbound",
                customer_number="+1",
            )
        )
        await session.flush()
        session.add(AgentTool(agent_id=agent_id, tool_id=tool_id, position=0))
        session.add(
            CallEvent(organization_id=organization, call_id=call_id, seq=1, at_ms=0, kind="k")
        )


async def test_models_and_migrations_agree(empty: Database):
    before, after = await run.upgrade(empty)
    assert (before, after) == (None, run.head())

    def differences(connection: Connection) -> list[Any]:
        options = {
            "compare_type": True,
            "compare_server_default": True,
            # On SQLite the tables of DBOS are beside Chorus's own. What words are found by is each
            # database's own, and in no model.
            "include_name": lambda name, kind, _: (
                kind not in ("table", "index")
                or (name not in DBOS_TABLES and not name.startswith(SEARCH))
            ),
        }
        return list(
            compare_metadata(MigrationContext.configure(connection, opts=options), metadata)
        )

    async with empty.engine.connect() as connection:
        assert await connection.run_sync(differences) == []


async def test_again_there_is_nothing_to_do(empty: Database):
    await run.upgrade(empty)
    await fill(empty)
    said: list[str] = []

    def note(_: Any, __: Any, statement: str, *___: Any) -> None:
        said.append(statement)

    sa.event.listen(empty.engine.sync_engine, "before_cursor_execute", note)
    assert await run.upgrade(empty) == (run.head(), run.head())
    # It reads every row: on a million calls 8 s at the least, at every start.
    assert not any("foreign_key_check" in statement for statement in said), said
    assert await count(empty, CallEvent) == 1


async def test_many_at_once_do_it_once(empty: Database):
    results = await asyncio.gather(*(run.upgrade(empty) for _ in range(4)))
    assert sorted(results, key=str) == [(run.head(), run.head())] * 3 + [(None, run.head())]


def revisions() -> list[str]:
    script = ScriptDirectory.from_config(run.config())
    return [revision.revision for revision in script.walk_revisions()][::-1]


async def fill_first_schema(database: Database) -> None:
    """The rows of `fill`, column by column, because today's models have more of those."""
    now = datetime.now(UTC)
    organization, agent, tool, call = (uuid.uuid4() for _ in range(4))
    times = {"created_at": now, "updated_at": now}
    owned = {"organization_id": organization, **times}
    agent_row = {
        "system_prompt": "",
        "voice_speed": 1,
        "voice_stability": 0.5,
        "allow_end_call": True,
        "is_active": True,
        "post_call_summary_enabled": False,
        "post_call_extraction_schema": [],
        "first_speaker": "user",
        "agent_greeting_enabled": False,
        "first_message_uninterruptible": False,
        "first_message_delay": 0,
        "max_call_duration_seconds": 600,
        "background_sound_volume": 0.15,
        "knowledge_base_ids": [],
        "transfer_targets": [],
    }
    call_row = {
        "agent_id": agent,
        "provider": "twilio",
        "direction": "inbound",
        "status": "in_progress",
        "customer_number": "+1",
        "turn_count": 0,
        "context_variables": {},
        "metadata": {},
    }
    event = {"call_id": call, "seq": 1, "at_ms": 0, "kind": "k", "data": {}, "created_at": now}
    http = {"name": "t", "description": "d", "type": "http", "config": {}}
    rows: list[tuple[str, dict[str, Any]]] = [
        ("organizations", {"id": organization, "name": "o", **times}),
        ("tools", {"id": tool, **http, **owned}),
        ("agents", {"id": agent, "name": "a", **agent_row, **owned}),
        ("agent_tools", {"agent_id": agent, "tool_id": tool, "position": 0}),
        ("calls", {"id": call, **call_row, **owned}),
        ("call_events", {"organization_id": organization, **event}),
    ]
    async with database.writing() as session:
        for name, values in rows:
            today = metadata.tables[name]
            columns = [sa.column(column, today.c[column].type) for column in values]
            await session.execute(sa.insert(sa.table(name, *columns)).values(**values))


async def test_each_step_keeps_the_data(empty: Database):
    """From the first schema to the last with rows in it."""
    first, *later = revisions()
    await run.upgrade(empty, first)
    await fill_first_schema(empty)
    for revision in later:
        await run.upgrade(empty, revision)
    assert [await count(empty, t) for t in (Agent, AgentTool, CallRow, CallEvent)] == [1, 1, 1, 1]


async def test_members_become_identities_of_their_own(empty: Database):
    """Two with one address may be two people; who was only invited has no identity yet."""
    await run.upgrade(empty, "0030")
    now = datetime.now(UTC)
    ids = [uuid.uuid4() for _ in range(3)]
    async with empty.writing() as session:
        for n, id in enumerate(ids):
            when = {"created_at": now, "updated_at": now}
            await _insert(session, "organizations", {"id": id, "name": "o", **when})
            person = {"organization_id": id, "email": "a@example.com", "role": "owner", **when}
            values = {"id": id, **person, "password_hash": f"hash {n}" if n < 2 else None}
            columns = {"password_hash": sa.String(), **_types("members", person)}
            table = sa.table("members", *(sa.column(c, columns.get(c, sa.Uuid())) for c in values))
            await session.execute(sa.insert(table).values(**values))
    await run.upgrade(empty)
    async with empty.reading() as session:
        found = {row.id: row.identity for row in await session.scalars(sa.select(Member))}
    assert [each and each.password_hash for each in map(found.get, ids)] == [
        *("hash 0", "hash 1"),
        None,
    ]
    assert not any(each and each.password_is_own for each in found.values())


def _types(table: str, values: dict[str, Any]) -> dict[str, Any]:
    return {name: metadata.tables[table].c[name].type for name in values}


async def _insert(session: Any, name: str, values: dict[str, Any]) -> None:
    types = _types(name, values)
    table = sa.table(name, *(sa.column(column, types[column]) for column in values))
    await session.execute(sa.insert(table).values(**values))


async def test_changing_a_parent_table_keeps_its_children(
    empty: Database, monkeypatch: pytest.MonkeyPatch
):
    """On SQLite a change copies the table and drops the old one; with foreign keys enforced that
    would delete every row that hangs on it."""
    await run.upgrade(empty)
    await fill(empty)

    def rebuild(connection: Connection, _: str) -> None:
        operations = Operations(MigrationContext.configure(connection))
        for table in ("organizations", "agents", "calls"):
            with operations.batch_alter_table(table, recreate="auto") as batch:
                batch.add_column(sa.Column("extra", sa.Text()))
                batch.alter_column("created_at", nullable=True)

    with monkeypatch.context() as patch:
        patch.setattr(run, "_upgrade", rebuild)
        await run.upgrade(empty)
    assert [await count(empty, t) for t in (Agent, AgentTool, CallRow, CallEvent)] == [1, 1, 1, 1]
    # And they are enforced again.
    with pytest.raises(IntegrityError):
        async with empty.writing() as session:
            session.add(AgentTool(agent_id=uuid.uuid4(), tool_id=uuid.uuid4(), position=0))


async def test_a_step_that_fails_leaves_nothing(empty: Database, monkeypatch: pytest.MonkeyPatch):
    def broken(connection: Connection, revision: str) -> None:
        command.upgrade(run.config(connection), revision)
        raise RuntimeError("half way")

    monkeypatch.setattr(run, "_upgrade", broken)
    with pytest.raises(RuntimeError, match="half way"):
        await run.upgrade(empty)
    assert await run.current(empty) is None
    async with empty.engine.connect() as connection:
        names = await connection.run_sync(lambda c: sa.inspect(c).get_table_names())
    assert names == []


async def test_a_newer_schema_is_refused_with_a_sentence(empty: Database):
    await run.upgrade(empty)
    async with empty.writing() as session:
        await session.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(run.MigrationFailed, match="newer version"):
        await run.upgrade(empty)
