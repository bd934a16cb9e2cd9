"""Which indexes the database takes for lists, sums and searches, on rows enough to see.

It must find its rows by an index that leads to them, not by walking through all of an
organization. Tried on SQLite without and with statistics, because it chooses otherwise in each, and
on Postgres. `tests/plans/test_whole_calls.py` does so for what a call asks on its way.
"""

from __future__ import annotations

import re
import uuid
from datetime import timedelta

import pytest
import sqlalchemy as sa
from tests.fakes.api import Api
from tests.plans.heard import heard
from tests.plans.judged import count_rows, plans, walks
from tests.plans.rows import CALLS, fill

from chorus.accounts import keys
from chorus.accounts.tables import Organization
from chorus.db import utcnow


async def filled(api: Api) -> list[uuid.UUID]:
    return await fill(api.process.database, await api.organization_id())


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


@pytest.mark.parametrize("statistics", [False, True])
async def test_every_list_is_read_in_the_order_of_an_index(api: Api, statistics: bool):
    """No row that is not shown is read, and none is sorted: else a list takes as long as there are
    rows in it. Counting reads the index alone, up to a number."""
    database = api.process.database
    if not statistics and not database.settings.is_sqlite:
        pytest.skip("Postgres counts its rows by itself; of few it sorts them by any index")
    old = await filled(api)
    await give_keys(api)
    if statistics:
        await count_rows(database)
    cursor = (await api.get("/v1/calls?limit=1")).json()["pagination"]["nextCursor"]
    await api.get("/v1/calls")  # the key is known from now on
    wrong: list[str] = []
    for each in LISTS:
        with heard(database) as found:
            path = each.format(id=old[7], at="2026-01-01T00:00:00Z", cursor=cursor)
            answer = await api.get(f"/v1/{path}")
        assert answer.status_code == 200, answer.text
        assert found
        for statement, plan in await plans(database, found):
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
    old = await filled(api)
    if statistics:
        await count_rows(database)
    at = (utcnow() - timedelta(hours=2)).strftime("%Y-%m-%dT%H:20:00Z")
    with heard(database) as found:
        for each in STATS:
            answer = await api.get("/v1/call-stats" + each.format(id=old[7], at=at))
            assert answer.status_code == 200, answer.text
    assert await walks(database, found, counted=False) == []
    for statement, plan in await plans(database, found):
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
    await filled(api)
    await api.made("/v1/agents", {"name": "Agent"})
    if statistics:
        await count_rows(database)
    for each in SEARCHES:
        with heard(database) as found:
            assert (await api.get(f"/v1/{each}")).status_code == 200
        if not database.settings.is_sqlite and not statistics:
            continue  # a planner that knows nothing takes the one or the other
        steps = {statement: "\n".join(plan) for statement, plan in await plans(database, found)}
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
    await filled(sqlite_api)
    await count_rows(database)
    with heard(database) as found:
        path = "/v1/calls?direction=inbound&status=no_answer"
        assert (await sqlite_api.get(path)).status_code == 200
    asked = await plans(database, found)
    [shown] = ["\n".join(plan) for statement, plan in asked if "chorus_at" in statement]
    assert "ix_calls_of_status" in shown, shown


async def test_calls_found_by_the_name_of_one_agent_are_read_in_the_order_of_its_index(api: Api):
    database = api.process.database
    await filled(api)
    await api.made("/v1/agents", {"name": "Named as no other"})
    await count_rows(database)
    with heard(database) as found:
        assert (await api.get("/v1/calls?search=as no other")).status_code == 200
    asked = await plans(database, found)
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
    await fill(database, own)
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
