"""Which indexes the database takes: every statement on the path of a call, on rows enough to see.

What is asked while a call is placed, dialled, answered, shown and settled must find its rows by
an index that leads to them, not by walking through all of an organization. Tried on SQLite
without and with statistics, because it chooses otherwise in each, and on Postgres.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Generator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, cast

import pytest
import sqlalchemy as sa
from sqlalchemy import event
from tests.fakes.api import Api

from chorus.accounts import keys
from chorus.accounts.tables import Organization
from chorus.billing.settle import settle
from chorus.billing.tables import LedgerLine
from chorus.calls import kept
from chorus.calls.converse import claim
from chorus.calls.dispatch import Dispatch
from chorus.calls.recover import Keeper
from chorus.calls.status import advance, end
from chorus.calls.switchboard import Switchboard
from chorus.calls.tables import CallEvent, CallRow
from chorus.db import Database, utcnow
from chorus.webhooks import due
from chorus.webhooks.tables import WebhookDelivery

BIG = ("calls", "call_events", "ledger_lines", "webhook_deliveries", "webhook_attempts")
CALLS = 1000

_WALKS_SQLITE = re.compile(
    rf"^SCAN ({'|'.join(BIG)})\b|^SEARCH ({'|'.join(BIG)}) USING .*\(organization_id=\?\)$"
)
_WALKS_POSTGRES = re.compile(rf"Seq Scan on ({'|'.join(BIG)})\b")
_OF_BIG = re.compile(rf"\b(on|ix|pk|uq)[ _]({'|'.join(BIG)})(_|\b)")
_ORGANIZATION_ALONE = re.compile(r"Index Cond: \((\w+\.)?organization_id = [^()]+\)$")
# Partial indexes, of what is under way: as many rows as there are live calls.
_FEW = ("ix_calls_live", "ix_calls_room", "ix_calls_unsettled", "ix_webhook_deliveries_due")


async def fill(api: Api, organization_id: uuid.UUID) -> list[uuid.UUID]:
    """Calls that are over, each with its events, lines and a delivery."""
    now = utcnow()
    calls: list[dict[str, Any]] = []
    events: list[dict[str, Any]] = []
    lines: list[dict[str, Any]] = []
    deliveries: list[dict[str, Any]] = []
    agent_id = uuid.uuid4()
    for place in range(CALLS):
        id, at = uuid.uuid4(), now - timedelta(minutes=CALLS - place)
        calls.append(
            {
                "id": id,
                "organization_id": organization_id,
                "agent_id": agent_id,
                "provider": "twilio",
                "direction": "outbound",
                "status": "completed",
                "customer_number": "+14155551234",
                "turn_count": 0,
                "context_variables": {},
                "metadata": {},
                "created_at": at,
                "updated_at": at,
                "answered_at": at,
                "ended_at": at,
                "recording_settled_at": at,
                "transcript": [{"role": "user", "content": "hello"}],
            }
        )
        events += [
            {
                "organization_id": organization_id,
                "call_id": id,
                "seq": seq,
                "at_ms": 0,
                "kind": "x",
                "data": {},
                "created_at": at,
            }
            for seq in (1, 2)
        ]
        lines += [
            {
                "id": uuid.uuid4(),
                "organization_id": organization_id,
                "kind": "charge",
                "call_id": id,
                "meter": meter,
                "sequence": 0,
                "engine": "e",
                "discarded": False,
                "quantity": 1,
                "amount_micros": 1,
                "charged": False,
                "called_at": at,
                "created_at": at,
            }
            for meter in ("telephony", "transcription")
        ]
        deliveries.append(
            {
                "id": uuid.uuid4(),
                "organization_id": organization_id,
                "call_id": id,
                "event": "call.completed",
                "target_kind": "agent",
                "target_id": agent_id,
                "url": "https://example.com",
                "host": "example.com",
                "body": "{}",
                "status": "delivered",
                "tries": 1,
                "attempts": 1,
                "created_at": at,
                "updated_at": at,
            }
        )
    async with api.process.database.writing() as session:
        for table, rows in (
            (CallRow, calls),
            (CallEvent, events),
            (LedgerLine, lines),
            (WebhookDelivery, deliveries),
        ):
            await session.execute(sa.insert(table.__table__), rows)  # type: ignore[arg-type] # a Table
    return [call["id"] for call in calls]


async def give_keys(api: Api) -> None:
    """To two organizations: a table with one key in it is rightly read as a whole."""
    await api.another_organization()
    async with api.process.database.writing() as session:
        for organization_id in (await session.scalars(sa.select(Organization.id))).all():
            for _ in range(20):
                await keys.create(session, organization_id, "one of many")


# Each list that grows, with each of its filters and some of those together.
LISTS = (
    "agents",
    "tools",
    "knowledge-bases",
    "phone-numbers",
    "webhook-endpoints",
    "api-keys",
    *("audit-log", "audit-log?action=a", "audit-log?actorId={id}", "audit-log?resource=calls"),
    *("audit-log?resourceId={id}", "audit-log?since={at}&until={at}"),
    *("calls", "calls?offset=600", "calls?after={cursor}", "calls?sort=createdAt&after={cursor}"),
    *("calls?status=failed", "calls?direction=inbound", "calls?agentId={id}"),
    *("calls?endedReason=no_answer", "calls?endedReason=no_answer&agentId={id}&sort=createdAt"),
    *("calls?phoneNumberId={id}", "calls?from={at}&to={at}", "calls?status=failed&from={at}"),
    *("calls?agentId={id}&status=failed", "calls?direction=inbound&status=failed&agentId={id}"),
    "calls?phoneNumberId={id}&status=failed&direction=inbound&to={at}&after={cursor}",
    *("ledger", "ledger?callId={id}", "ledger?meter=voice", "ledger?kind=top_up"),
    "ledger?kind=embedding",
    *("ledger?kind=charge&from={at}", "ledger?after={cursor}&to={at}"),
    *("webhook-deliveries", "webhook-deliveries?callId={id}", "webhook-deliveries?agentId={id}"),
    *("webhook-deliveries?event=call.failed", "webhook-deliveries?status=failed"),
    "webhook-deliveries?after={cursor}&endpointId={id}",
)
_SORTS = re.compile(r"USE TEMP B-TREE|\bSort\b")

Statements = dict[str, Any]


@contextmanager
def heard(database: Database) -> Generator[Statements]:
    """Every statement that is sent, and what it was sent with."""
    found: Statements = {}

    def note(_c: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if re.match(r"\s*(SELECT|UPDATE|DELETE)\b", statement):
            found.setdefault(statement, parameters)

    engine = database.engine.sync_engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        yield found
    finally:
        event.remove(engine, "before_cursor_execute", note)


async def plans(database: Database, statements: Statements) -> list[tuple[str, list[str]]]:
    """Each statement, and the steps by which the database would do it."""
    found: list[tuple[str, list[str]]] = []
    sqlite = database.settings.is_sqlite
    async with database.engine.connect() as connection:
        if not sqlite:
            await connection.exec_driver_sql("SET enable_seqscan = off")
        for statement, parameters in statements.items():
            # Of many rows, the first.
            values = cast("Any", parameters[0] if isinstance(parameters, list) else parameters)
            explain = "EXPLAIN QUERY PLAN " if sqlite else "EXPLAIN "
            rows = (await connection.exec_driver_sql(explain + statement, values)).all()
            found.append((statement, [str(row[-1]) for row in rows]))
    return found


async def walks(database: Database, statements: Statements, *, counted: bool) -> list[str]:
    """The statements that walk through one of the big tables, with their plans. A Postgres that
    has not `counted` its rows takes any of the indexes that fit; it counts by itself, soon."""
    walks_in = _in_sqlite if database.settings.is_sqlite else _in_postgres
    if not database.settings.is_sqlite and not counted:
        walks_in = _through_the_table
    return [
        f"{statement}\n   -> {plan}"
        for statement, plan in await plans(database, statements)
        if walks_in(plan)
    ]


def _is_few(step: str) -> bool:
    return any(few in step for few in _FEW)


def _in_sqlite(plan: list[str]) -> bool:
    return any(_WALKS_SQLITE.search(step) and not _is_few(step) for step in plan)


def _through_the_table(plan: list[str]) -> bool:
    return any(_WALKS_POSTGRES.search(step) for step in plan)


def _in_postgres(plan: list[str]) -> bool:
    """A walk over an index is a walk too: where all that leads into it is the organization."""
    return any(
        _through_the_table([step])
        or (_OF_BIG.search(step) and not _is_few(step) and _ORGANIZATION_ALONE.search(condition))
        for step, condition in zip(plan, [*plan[1:], ""], strict=True)
    )


@pytest.mark.parametrize(
    ("condition", "walks_all"),
    [
        ("organization_id = '6f2c'::uuid", True),
        ("calls.organization_id = $1", True),
        ("(organization_id = '6f2c'::uuid) AND (status = 'failed'::text)", False),
        ("id = '6f2c'::uuid", False),
    ],
)
def test_a_walk_over_an_index_is_one(condition: str, walks_all: bool):
    for step in (
        "Index Scan using ix_calls_newest on calls  (cost=0.28..8.30 rows=1 width=9)",
        "        ->  Bitmap Index Scan on ix_calls_newest  (cost=0.00..4.31 rows=5 width=0)",
    ):
        assert _in_postgres([step, f"  Index Cond: ({condition})"]) is walks_all
    few = "Index Scan using ix_calls_live on calls  (cost=0.28..8.30 rows=1 width=9)"
    assert not _in_postgres([few, f"  Index Cond: ({condition})"])


async def a_call(api: Api, old: list[uuid.UUID]) -> None:
    """All that is asked on the way of a call, from the wish to the bill, and of an old one."""
    switchboard: Switchboard = api.app.state.switchboard
    agent = await api.made("/v1/agents", {"name": "a"})
    number = await api.made(
        "/v1/phone-numbers",
        {
            "number": "+14155550100",
            "agentId": agent["id"],
            "twilioAccountSid": "AC" + "0" * 32,
            "twilioAuthToken": "t",
        },
    )
    wish = {"agentId": agent["id"], "phoneNumberId": number["id"], "to": "+14155551234"}
    call = await api.made("/v1/calls", wish)
    cancelled = await api.made("/v1/calls", wish)
    assert (await api.post(f"/v1/calls/{cancelled['id']}/cancel")).status_code == 200
    id = uuid.UUID(call["id"])
    organization_id = await api.organization_id()
    dispatch = Dispatch(switchboard)
    assert (id, organization_id) in await dispatch._waiting(set())  # pyright: ignore[reportPrivateUsage]
    await dispatch._fence(id, organization_id)  # pyright: ignore[reportPrivateUsage]
    await Keeper(switchboard).round()
    await claim(switchboard, str(id), "not its token")
    async with switchboard.database.writing() as session:
        await advance(session, id, organization_id, "in_progress", answered_at=utcnow())
    async with switchboard.database.writing() as session:
        await end(session, switchboard, id, organization_id, "completed", "agent_ended")
    await settle(switchboard, id)
    async with switchboard.database.reading() as session:
        await due.waiting(session, utcnow(), [], 10)
        await kept.unsettled(session, None, 10)
    for one in (id, old[7]):
        for path in (f"calls/{one}", f"calls/{one}/events"):
            assert (await api.get(f"/v1/{path}")).status_code == 200
        for of_call in ("ledger", "webhook-deliveries"):
            assert (await api.get(f"/v1/{of_call}?callId={one}")).status_code == 200
    assert (await api.delete(f"/v1/calls/{old[7]}/transcript")).status_code == 200


async def count_rows(database: Database) -> None:
    """Have the database know what is in its tables, as it does after a while."""
    if not database.settings.is_sqlite:
        async with database.writing() as session:
            await session.execute(sa.text("ANALYZE"))
        return
    await database.optimize()
    async with database.reading() as session:
        counted = await session.scalar(
            sa.text("SELECT count(*) FROM sqlite_stat1 WHERE tbl = 'calls'")
        )
    assert counted


@pytest.mark.parametrize("statistics", [False, True])
async def test_no_statement_on_the_path_of_a_call_walks_through_all_calls(
    api: Api, statistics: bool
):
    database = api.process.database
    old = await fill(api, await api.organization_id())
    if statistics:
        await count_rows(database)
    with heard(database) as statements:
        await a_call(api, old)
    assert len(statements) > 30
    assert await walks(database, statements, counted=statistics) == []


@pytest.mark.parametrize("statistics", [False, True])
async def test_every_list_is_read_in_the_order_of_an_index(api: Api, statistics: bool):
    """No row that is not shown is read, and none is sorted: else a list takes as long as there are
    rows in it. Counting reads the index alone, up to a number."""
    database = api.process.database
    if not statistics and not database.settings.is_sqlite:
        pytest.skip("Postgres counts its rows by itself; of few it sorts them by any index")
    old = await fill(api, await api.organization_id())
    await give_keys(api)
    if statistics:
        await count_rows(database)
    cursor = (await api.get("/v1/calls?limit=1")).json()["pagination"]["nextCursor"]
    await api.get("/v1/calls")  # the key is known from now on
    wrong: list[str] = []
    for each in LISTS:
        with heard(database) as statements:
            path = each.format(id=old[7], at="2026-01-01T00:00:00Z", cursor=cursor)
            answer = await api.get(f"/v1/{path}")
        assert answer.status_code == 200, answer.text
        assert statements
        for statement, plan in await plans(database, statements):
            if "organization_id =" not in statement or "due_at <" in statement:
                continue  # of a chore
            bad = [
                step for step in plan if _SORTS.search(step) or re.match(r"SCAN (?!anon_)", step)
            ]
            if bad or re.search(r"Seq Scan", "".join(plan)):
                wrong.append(f"{each}: {statement}\n   -> {plan}")
    assert wrong == [], "\n".join(wrong)


STATS = ("", "?agentId={id}", "?interval=hour", "?from=2025-01-01T00:30:00Z&to={at}")


@pytest.mark.parametrize("statistics", [False, True])
async def test_sums_over_calls_read_sums_and_the_calls_of_part_of_an_hour(
    api: Api, statistics: bool
):
    """Beside those the latest calls, for their latencies, up to a number, and the few under way."""
    database = api.process.database
    old = await fill(api, await api.organization_id())
    if statistics:
        await count_rows(database)
    at = (utcnow() - timedelta(hours=2)).strftime("%Y-%m-%dT%H:20:00Z")
    with heard(database) as statements:
        for each in STATS:
            answer = await api.get("/v1/call-stats" + each.format(id=old[7], at=at))
            assert answer.status_code == 200, answer.text
    assert await walks(database, statements, counted=False) == []
    for statement, plan in await plans(database, statements):
        steps = "\n".join(plan)
        if "call_hours" in statement:
            assert re.search("call_hours USING PRIMARY KEY|Index.* pk_call_hours", steps), steps
            assert re.search("ix_calls_(room|live)", steps), steps
            rows = [step for step in plan if re.search(r"SEARCH calls|on calls\b", step)]
            assert rows
            if database.settings.is_sqlite:  # of Postgres the conditions are lines of their own
                assert all("ix_calls_room" in row or "created_at>?" in row for row in rows), rows


SEARCHES = ("calls?text=unheard", "calls?search=98765&status=failed", "calls?search=Agent&text=no")


@pytest.mark.parametrize("statistics", [False, True])
async def test_every_search_goes_by_its_index(api: Api, statistics: bool):
    """What is found is looked up by its id, however few or many."""
    database = api.process.database
    await fill(api, await api.organization_id())
    await api.made("/v1/agents", {"name": "Agent"})
    if statistics:
        await count_rows(database)
    for each in SEARCHES:
        with heard(database) as statements:
            assert (await api.get(f"/v1/{each}")).status_code == 200
        if not database.settings.is_sqlite and not statistics:
            continue  # a planner that knows nothing takes the one or the other
        steps = {
            statement: "\n".join(plan) for statement, plan in await plans(database, statements)
        }
        [shown] = [plan for statement, plan in steps.items() if "chorus_at" in statement]
        everything = "\n".join(steps.values())
        if database.settings.is_sqlite:
            assert "SEARCH calls USING INDEX sqlite_autoindex_calls_1 (id=?)" in shown, shown
            assert not re.search(r"SCAN calls|ix_calls_\w+ \(organization_id=\?\)", shown), shown
            assert "SCAN call_words VIRTUAL TABLE" in everything, everything
        else:
            assert "ix_calls_newest" not in shown, shown
            assert "call_search" in everything, everything


async def test_the_direction_leads_to_no_calls_where_another_filter_does(sqlite_api: Api):
    """Else a filter that finds nothing would read half of all calls."""
    database = sqlite_api.process.database
    await fill(sqlite_api, await sqlite_api.organization_id())
    await count_rows(database)
    with heard(database) as statements:
        path = "/v1/calls?direction=inbound&status=no_answer"
        assert (await sqlite_api.get(path)).status_code == 200
    asked = await plans(database, statements)
    [shown] = ["\n".join(plan) for statement, plan in asked if "chorus_at" in statement]
    assert "ix_calls_of_status" in shown, shown


async def test_calls_found_by_the_name_of_one_agent_are_read_in_the_order_of_its_index(api: Api):
    database = api.process.database
    await fill(api, await api.organization_id())
    await api.made("/v1/agents", {"name": "Named as no other"})
    await count_rows(database)
    with heard(database) as statements:
        assert (await api.get("/v1/calls?search=as no other")).status_code == 200
    asked = await plans(database, statements)
    [shown] = ["\n".join(plan) for statement, plan in asked if "chorus_at" in statement]
    assert "ix_calls_of_agent" in shown, shown
    assert not _SORTS.search(shown), shown


@pytest.mark.parametrize("terms", [(0, ["hello"]), (1, ["415", "155"])])
async def test_searching_on_postgres_looks_into_days_by_the_index(
    api: Api, terms: tuple[int, list[str]]
):
    """What a function asks is in nobody's plan: the use of the index is counted."""
    database = api.process.database
    if database.settings.is_sqlite:
        pytest.skip("of Postgres alone")
    own = await api.organization_id()
    await fill(api, own)
    await count_rows(database)
    search = sa.text("SELECT count(*) FROM call_search(:own, :kind, :terms, :most)")
    used = sa.text(
        "SELECT relname, pg_stat_get_xact_numscans(oid) AS scans FROM pg_class "
        "JOIN pg_index ON indexrelid = oid WHERE indrelid = 'calls'::regclass"
    )
    for most, found in ((2000, CALLS), (100, 100)):
        async with database.reading() as session:
            values = {"own": own, "kind": terms[0], "terms": terms[1], "most": most}
            assert await session.scalar(search, values) == found
            counted = {row.relname: row.scans for row in await session.execute(used) if row.scans}
            assert "ix_calls_terms" in counted, counted
