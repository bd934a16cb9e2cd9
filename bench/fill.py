"""Fills a database with a year of calls: `python -m bench.fill DATABASE_URL [--calls 1000000]`.

An empty database gets this version's schema, an organization, and `bench.api.KEY` as its key. The
rows are made inside the database, so a million calls take minutes; indexes are dropped before and
built after, and triggers stay silent: what they would have kept is counted anew at the end.

Of each call there are a transcript of 900 characters, a timeline, four events and, if it was
answered, four lines of the ledger; of the last 30 days a webhook delivery each; and 20,000 entries
of the audit log. Some agents are asked for much more often than others. Every call has a word that
no other has: `order` and its number.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import tempfile
import time
import uuid
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import Connection

from bench.api import KEY
from chorus.accounts.tables import Organization
from chorus.agents.schemas import AgentCreate
from chorus.agents.tables import Agent
from chorus.billing import sums
from chorus.db import Database, utcnow
from chorus.migrations.run import upgrade
from chorus.migrations.schema import metadata
from chorus.numbers.tables import PhoneNumber
from chorus.prepare import prepare
from chorus.settings import Settings

YEAR_S = 365 * 86_400
TEXTS = 1000
AUDIT = 20_000
BIG = (
    *("calls", "call_events", "ledger_lines", "webhook_deliveries", "webhook_attempts"),
    "audit_log",
)
_TEXT = (
    "appointment monday tuesday friday morning evening doctor invoice order delivery address "
    "street number please thank would like could tomorrow again because question "
    "about price account change cancel confirm table people name phone later "
    "today office open closed help problem garden kitchen window battery contract "
    "insurance holiday train ticket station weather "
)
_WORDS = _TEXT.split()

# How each database writes the same.
_SQLITE = {
    "numbers": "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count})",
    "uuid": "lower(hex(randomblob(16)))",
    "chance": "(abs(random()) % 1000 / 1000.0)",
    "digits": "printf('%07d', i * 7919 % 10000000)",
    "json": "{}",
    "floor": "CAST({} AS INTEGER)",
    "false": "0",
}
_POSTGRES = {
    "numbers": "WITH n(i) AS (SELECT generate_series(1, {count})::bigint)",
    "uuid": "gen_random_uuid()",
    "chance": "random()",
    "digits": "lpad((i * 7919 % 10000000)::text, 7, '0')",
    "json": "({})::jsonb",
    "floor": "floor({})::int",
    "false": "false",
}


def _at(sqlite: bool, epoch: str) -> str:
    if sqlite:
        return f"strftime('%Y-%m-%d %H:%M:%f', {epoch}, 'unixepoch') || '000'"
    return f"to_timestamp({epoch})"


def _text(chance: random.Random, words: int) -> str:
    return " ".join(chance.choice(_WORDS) for _ in range(words))


def texts() -> list[dict[str, Any]]:
    """What is said in calls; `#` stands for the call's own number."""
    chance = random.Random(7)
    found: list[dict[str, Any]] = []
    for k in range(TEXTS):
        said = [
            {"role": "assistant" if turn % 2 == 0 else "user", "content": _text(chance, 18)}
            for turn in range(7)
        ]
        said.append({"role": "user", "content": "it is about order#"})
        turns = [
            {"turn": turn, "sentMs": chance.randrange(350, 900), "heardMs": 40, "modelMs": 310}
            for turn in range(1, 5)
        ]
        found.append(
            {
                "k": k,
                "transcript": json.dumps(said),
                "timeline": json.dumps({"turns": turns}),
                "analysis": json.dumps({"summary": _text(chance, 20), "extractions": {}}),
                "metadata": json.dumps({"customer": f"c{k}", "campaign": _text(chance, 2)}),
            }
        )
    return found


class Fill:
    def __init__(self, connection: Connection, organization_id: uuid.UUID, calls: int) -> None:
        self.connection = connection
        self.sqlite = connection.dialect.name == "sqlite"
        self.words = _SQLITE if self.sqlite else _POSTGRES
        self.owner = f"'{organization_id.hex if self.sqlite else organization_id}'"
        self.organization_id = organization_id
        self.calls = calls
        self.now = int(time.time()) - 60

    def run(self, sql: str) -> None:
        began = time.monotonic()
        self.connection.exec_driver_sql(sql.replace("%", "%%") if not self.sqlite else sql)
        print(f"{time.monotonic() - began:6.1f} s  {' '.join(sql.split())[:70]}", flush=True)

    def numbers(self, count: int) -> str:
        return self.words["numbers"].format(count=count)

    def json(self, text: str) -> str:
        return self.words["json"].format(text)

    def at(self, epoch: str) -> str:
        return _at(self.sqlite, epoch)

    def parties(self, agents: int, numbers: int) -> None:
        """Agents and numbers, and the texts, each with its place in a table of our own."""
        now = utcnow()
        owned = {"organization_id": self.organization_id, "created_at": now, "updated_at": now}
        wish = AgentCreate.model_validate({"name": "x"}).model_dump()
        table = cast("sa.Table", Agent.__table__)
        agent = {name: value for name, value in wish.items() if name in table.c}
        made: list[dict[str, Any]] = [
            {**agent, **owned, "id": uuid.uuid4(), "name": f"Agent {k} {_WORDS[k % len(_WORDS)]}"}
            for k in range(agents)
        ]
        self.connection.execute(sa.insert(table), made)
        own: list[dict[str, Any]] = [
            {
                **owned,
                "id": uuid.uuid4(),
                "name": f"Line {k}",
                "number": f"+1628{k:07}",
                "provider": "twilio",
                "connection": {},
                "metadata": {},
            }
            for k in range(numbers)
        ]
        self.connection.execute(sa.insert(PhoneNumber.__table__), own)  # type: ignore[arg-type]
        for name, rows in (("bench_agents", made), ("bench_lines", own)):
            self.table(name, {"k": sa.Integer(), "id": sa.Uuid()}, rows)
        kinds = {name: sa.Text() for name in ("transcript", "timeline", "analysis", "metadata")}
        self.table("bench_texts", {"k": sa.Integer(), **kinds}, texts())

    def table(self, name: str, kinds: dict[str, Any], rows: Sequence[dict[str, Any]]) -> None:
        table = sa.Table(
            name,
            sa.MetaData(),
            *(sa.Column(column, kind, primary_key=column == "k") for column, kind in kinds.items()),
        )
        table.create(self.connection)
        self.connection.execute(
            sa.insert(table),
            [{"k": k, **{c: row[c] for c in kinds if c != "k"}} for k, row in enumerate(rows)],
        )

    def seeds(self, agents: int, numbers: int) -> None:
        """What the rows of each call have in common."""
        step = YEAR_S / self.calls
        floor, chance = self.words["floor"], self.words["chance"]
        status = (
            "CASE WHEN i % 20 = 0 THEN 'failed' "
            "WHEN i % 20 < 3 AND i % 3 = 0 THEN 'no_answer' ELSE 'completed' END"
        )
        self.run(
            f"CREATE TABLE bench_seed AS {self.numbers(self.calls)} SELECT i, {self.words['uuid']} "
            f"AS id, {self.now} - ({self.calls} - i) * {step:.6f} AS t, "
            f"{floor.format(f'{agents} * {chance} * {chance}')} AS agent, "
            f"{floor.format(f'{numbers} * {chance}')} AS line, "
            "CASE WHEN i % 3 = 0 THEN 'outbound' ELSE 'inbound' END AS direction, "
            f"{status} AS status, 30 + i % 300 AS seconds, {self.words['digits']} AS digits FROM n"
        )

    def rows(self) -> None:
        self.of_calls()
        self.of_events()
        self.of_ledger()
        self.of_webhooks()
        self.of_audit()

    def of_calls(self) -> None:
        json_, no = self.json, self.words["false"]
        over = "CASE WHEN status = 'completed' THEN"
        said = json_("replace(transcript, '#', CAST(i AS TEXT))")
        columns = {
            "id": "s.id",
            "organization_id": self.owner,
            "agent_id": "a.id",
            "phone_number_id": "l.id",
            "call_sid": "'CA' || CAST(i AS TEXT)",
            "provider": "'twilio'",
            "direction": "direction",
            "status": "status",
            "customer_number": "'+1415' || digits",
            "duration_seconds": f"{over} seconds END",
            "cost_micros": f"{over} seconds * 300 ELSE 0 END",
            "turn_count": f"{over} 4 ELSE 0 END",
            "transcript": f"{over} {said} END",
            "analysis": f"{over} {json_('analysis')} END",
            "timeline": f"{over} {json_('timeline')} END",
            "ended_reason": "CASE status WHEN 'failed' THEN 'carrier_error' "
            "WHEN 'no_answer' THEN 'no_answer' ELSE 'agent_ended' END",
            "context_variables": json_("'{}'"),
            "metadata": json_("metadata"),
            "detect_machine": no,
            "started_at": self.at("t + 1"),
            "answered_at": f"{over} {self.at('t + 3')} END",
            "ended_at": self.at("t + seconds"),
            "recording_settled_at": self.at("t + seconds"),
            "created_at": self.at("t"),
            "updated_at": self.at("t"),
        }
        self.insert(
            "calls",
            columns,
            "bench_seed s JOIN bench_agents a ON a.k = agent JOIN bench_lines l ON l.k = line "
            f"JOIN bench_texts x ON x.k = i % {TEXTS} ORDER BY i",
        )

    def of_events(self) -> None:
        columns = {
            "organization_id": self.owner,
            "call_id": "id",
            "seq": "e.seq",
            "at_ms": "e.seq * 1000",
            "kind": "e.kind",
            "data": self.json('\'{"turn": 1, "by": "caller", "model": "small"}\''),
            "created_at": self.at("t + e.seq"),
        }
        kinds = ("status_changed", "answered", "turn", "status_changed")
        events = " UNION ALL ".join(
            f"SELECT {seq} AS seq, '{kind}' AS kind" for seq, kind in enumerate(kinds, 1)
        )
        self.insert("call_events", columns, f"bench_seed s CROSS JOIN ({events}) e ORDER BY i, seq")

    def of_ledger(self) -> None:
        columns = {
            "id": self.words["uuid"],
            "organization_id": self.owner,
            "kind": "'charge'",
            "call_id": "s.id",
            "meter": "m.meter",
            "sequence": "0",
            "engine": "'bench/engine'",
            "discarded": self.words["false"],
            "quantity": "seconds",
            "price_version": "'bench'",
            "price_micros": "100",
            "price_per": "1",
            "amount_micros": "seconds * 75",
            "charged": self.words["false"],
            "agent_id": "a.id",
            "phone_number_id": "l.id",
            "called_at": self.at("t + 3"),
            "created_at": self.at("t + seconds"),
        }
        meters = " UNION ALL ".join(
            f"SELECT '{meter}' AS meter"
            for meter in ("telephony", "voice", "model_input", "model_output")
        )
        self.insert(
            "ledger_lines",
            columns,
            f"bench_seed s CROSS JOIN ({meters}) m JOIN bench_agents a ON a.k = agent "
            "JOIN bench_lines l ON l.k = line WHERE status = 'completed' ORDER BY i",
        )

    def of_webhooks(self) -> None:
        recent = f"t > {self.now - 30 * 86_400}"
        columns = {
            "id": "s.id",  # as good as any
            "organization_id": self.owner,
            "call_id": "s.id",
            "event": "CASE status WHEN 'completed' THEN 'call.completed' ELSE 'call.failed' END",
            "target_kind": "'agent'",
            "target_id": "a.id",
            "url": "'https://example.com/hooks'",
            "host": "'example.com'",
            "body": "'{}'",
            "status": "CASE WHEN i % 50 = 0 THEN 'failed' ELSE 'delivered' END",
            "tries": "1",
            "attempts": "1",
            "created_at": self.at("t + seconds"),
            "updated_at": self.at("t + seconds"),
        }
        rows = f"bench_seed s JOIN bench_agents a ON a.k = agent WHERE {recent} ORDER BY i"
        self.insert("webhook_deliveries", columns, rows)
        columns = {
            "id": self.words["uuid"],
            "delivery_id": "s.id",
            "number": "1",
            "status_code": "200",
            "duration_ms": "80",
            "started_at": self.at("t + seconds"),
        }
        self.insert("webhook_attempts", columns, f"bench_seed s WHERE {recent} ORDER BY i")

    def of_audit(self) -> None:
        columns = {
            "id": self.words["uuid"],
            "organization_id": self.owner,
            "actor": "'key'",
            "actor_name": "'bench'",
            "action": "CASE WHEN i % 4 = 0 THEN 'createAgent' ELSE 'updateAgent' END",
            "resource": "'agents'",
            "resource_id": "a.id",
            "fields": self.json("'[\"name\"]'"),
            "created_at": self.at("t"),
        }
        every = max(1, self.calls // AUDIT)
        self.insert(
            "audit_log",
            columns,
            f"bench_seed s JOIN bench_agents a ON a.k = agent WHERE i % {every} = 0 ORDER BY i",
        )

    def insert(self, table: str, columns: dict[str, str], rows: str) -> None:
        self.run(
            f"INSERT INTO {table} ({', '.join(columns)}) "
            f"SELECT {', '.join(columns.values())} FROM {rows}"
        )


def fill(connection: Connection, calls: int, agents: int, numbers: int) -> None:
    """Everything but the statistics, in the caller's transaction."""
    organization_id = connection.scalar(sa.text("SELECT id FROM organizations"))
    filling = Fill(connection, uuid.UUID(str(organization_id)), calls)
    filling.parties(agents, numbers)
    filling.seeds(agents, numbers)
    with quiet(filling):
        filling.rows()
    for name in ("bench_seed", "bench_agents", "bench_lines", "bench_texts"):
        filling.run(f"DROP TABLE {name}")


@contextmanager
def quiet(filling: Fill) -> Generator[None]:
    """Without the indexes of the big tables and without triggers; both are back afterwards."""
    connection = filling.connection
    indexes = [index for name in BIG for index in metadata.tables[name].indexes]
    for index in indexes:
        index.drop(connection)
    triggers: list[tuple[str, str]] = []
    if filling.sqlite:
        rows = connection.exec_driver_sql(
            "SELECT name, sql FROM sqlite_master WHERE type = 'trigger'"
        )
        triggers = [(name, sql) for name, sql in rows]
        for name, _ in triggers:
            connection.exec_driver_sql(f"DROP TRIGGER {name}")
    else:
        connection.exec_driver_sql("DROP INDEX ix_calls_terms")
        # Neither foreign keys nor our own triggers.
        connection.exec_driver_sql("SET session_replication_role = replica")
    yield
    for _, sql in triggers:
        connection.exec_driver_sql(sql)
    if not filling.sqlite:
        connection.exec_driver_sql("SET session_replication_role = DEFAULT")
    versions = "chorus.migrations.versions"
    if filling.sqlite:
        searched = import_module(f"{versions}.0029_search_in_calls").REBUILT
    else:
        searched = (import_module(f"{versions}.0034_search_by_days").INDEX,)
    hours = import_module(f"{versions}.0030_calls_by_hours")
    for statement in (*searched, *hours.rebuilt(connection.dialect.name)):
        filling.run(statement)
    for index in indexes:
        began = time.monotonic()
        index.create(connection)
        print(f"{time.monotonic() - began:6.1f} s  index {index.name}", flush=True)


def engine_of(url: str) -> sa.Engine:
    """One that is not for the server: on SQLite without safety, which a file that can be made
    again does not need."""
    url = Settings.read({"CHORUS_DATABASE_URL": url}).database_url
    engine = sa.create_engine(url.replace("sqlite+aiosqlite", "sqlite"))

    def fast(connection: Any, _: Any) -> None:
        for pragma in (
            *("journal_mode = OFF", "synchronous = OFF", "locking_mode = EXCLUSIVE"),
            *("cache_size = -2000000", "temp_store = MEMORY"),
        ):
            connection.execute(f"PRAGMA {pragma}").fetchall()

    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", fast)
    return engine


SECRET = "a key of the benchmark that nothing real has"


async def prepared(url: str) -> None:
    """The schema, an organization and its key, where they are not there yet."""
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings.read(
            {
                "CHORUS_DATABASE_URL": url,
                "CHORUS_DATA_DIR": folder,
                "CHORUS_SECRET_KEY": SECRET,
                "CHORUS_BOOTSTRAP_API_KEY": KEY,
            }
        )
        database = Database(settings)
        await upgrade(database)
        await database.close()
        await prepare(settings)


async def recounted(url: str) -> None:
    """What is kept beside the rows, made anew from them."""
    database = Database(Settings.read({"CHORUS_DATABASE_URL": url}))
    async with database.writing() as session:
        for organization_id in await session.scalars(sa.select(Organization.id)):
            await sums.recount(session, organization_id)
    await database.close()


def main() -> None:
    options = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    options.add_argument("database_url")
    options.add_argument("--calls", type=int, default=1_000_000)
    options.add_argument("--agents", type=int, default=50)
    options.add_argument("--numbers", type=int, default=20)
    chosen = options.parse_args()
    asyncio.run(prepared(chosen.database_url))
    engine = engine_of(chosen.database_url)
    began = time.monotonic()
    with engine.begin() as connection:
        fill(connection, chosen.calls, chosen.agents, chosen.numbers)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql(
            "ANALYZE" if engine.dialect.name == "sqlite" else "VACUUM ANALYZE"
        )
    engine.dispose()
    asyncio.run(recounted(chosen.database_url))
    print(f"{chosen.calls} calls in {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
