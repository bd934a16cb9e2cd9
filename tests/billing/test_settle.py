"""Settling calls on both databases: every line once, their sum the cost, whatever happens."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncGenerator
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError
from tests.billing.office import FIRST_MINUTE, Crashed, Office, opened, usage

from chorus import doctor_prices
from chorus.billing import sums
from chorus.billing.prices import Prices
from chorus.billing.settle import NotOver, settle, settle_overdue
from chorus.billing.tables import LedgerLine, UsageDay, UsageMonth
from chorus.billing.usage import totals
from chorus.db import utcnow


@pytest.fixture
async def office(tmp_path: Path, database_url: str) -> AsyncGenerator[Office, None]:
    async with opened(tmp_path, database_url) as office:
        yield office


async def talked(office: Office, dollars: float = 1) -> tuple[uuid.UUID, uuid.UUID]:
    """An organization and a call of it that is over: 61 seconds, two replies, a draft."""
    organization_id = await office.organization(dollars)
    call_id = await office.begins(organization_id, await office.agent(organization_id))
    assert call_id is not None
    await office.notes(
        call_id,
        (0, "answered", {"provider": "twilio", "transcriber": "pocketsphinx"}),
        (2000, "usage", usage(100, 1000, 50)),
        (3000, "usage", usage(20, 1000, 10, discarded=True)),
        (5000, "usage", usage(33, 1500, 20)),
        (5000, "usage", usage()),
    )
    await office.ends(call_id, 60_400)
    return organization_id, call_id


async def test_the_lines_of_a_call(office: Office):
    organization_id, call_id = await talked(office)
    cost = await office.settle(call_id)
    found = [
        (x.meter, x.sequence, x.engine, x.discarded, x.quantity, x.amount_micros)
        for x in await office.lines(organization_id)
        if x.kind == "charge"
    ]
    assert found == [
        ("model_input", 0, "openai/large", False, 2500, 5000),
        ("model_input", 1, "openai/large", True, 1000, 2000),
        ("model_output", 0, "openai/large", False, 70, 560),
        ("model_output", 1, "openai/large", True, 10, 80),
        ("telephony", 0, "twilio", False, 120, 28_000),
        ("transcription", 0, "pocketsphinx", False, 61, 4372),
        ("voice", 0, "espeak", False, 133, 1995),
        ("voice", 1, "espeak", True, 20, 300),
    ]
    assert cost == sum(amount for *_, amount in found)
    assert {x.price_version for x in await office.lines(organization_id)} == {None, "test"}
    assert await office.holds(organization_id) == {}
    assert (await office.standing(organization_id)).available == 1_000_000 - cost
    await office.check(organization_id, [call_id])


async def test_again_changes_nothing_and_what_came_late_is_added(office: Office):
    organization_id, call_id = await talked(office)
    cost = await office.settle(call_id)
    before = [line.id for line in await office.lines(organization_id)]
    assert await office.settle(call_id) == cost
    assert [line.id for line in await office.lines(organization_id)] == before
    # A summary, say, that was made after the call.
    await office.notes(call_id, (0, "usage", usage(0, 500, 100)))
    assert await office.settle(call_id) == cost + 1000 + 800
    late = [x for x in await office.lines(organization_id) if x.id not in before]
    assert [(x.meter, x.sequence, x.quantity) for x in late] == [
        ("model_input", 2, 500),
        ("model_output", 2, 100),
    ]
    await office.check(organization_id, [call_id])


async def test_many_processes_settle_the_same_call_at_once(office: Office):
    organization_id, call_id = await talked(office)
    others = [office.colleague() for _ in range(3)]
    costs = await asyncio.gather(*(each.settle(call_id) for each in (office, *others)))
    assert len(set(costs)) == 1
    assert len(await office.lines(organization_id)) == 8 + 1
    await office.check(organization_id, [call_id])
    for other in others:
        await other.database.close()


async def test_a_crash_at_any_statement_leaves_nothing_half_done(office: Office):
    organization_id, call_id = await talked(office)
    undone = 0
    for statement in range(1, 100):
        try:
            async with office.crashing_at(statement):
                await settle(office.switchboard, call_id)
        except Crashed:
            if (await office.call(call_id)).cost_micros is not None:
                break  # it died after the commit
            undone += 1
            assert len(await office.lines(organization_id)) == 1
            assert (await office.standing(organization_id)).balance == 1_000_000
            assert list(await office.holds(organization_id)) == [call_id]
    assert undone > 8
    assert await office.holds(organization_id) == {}
    await office.check(organization_id, [call_id])


async def test_the_database_refuses_a_line_twice_and_any_change(office: Office):
    organization_id, call_id = await talked(office)
    await office.settle(call_id)
    line = next(x for x in await office.lines(organization_id) if x.kind == "charge")
    copy = {c.key: getattr(line, c.key) for c in sa.inspect(LedgerLine).columns}
    with pytest.raises(DBAPIError, match=r"(?i)unique"):
        async with office.database.writing() as session:
            session.add(LedgerLine(**{**copy, "id": uuid.uuid4()}))
    with pytest.raises(DBAPIError, match="append-only"):
        async with office.database.writing() as session:
            await session.execute(sa.update(LedgerLine).values(amount_micros=0))


async def test_a_call_that_is_not_over(office: Office):
    organization_id = await office.organization(1)
    call_id = await office.begins(organization_id, await office.agent(organization_id))
    assert call_id is not None
    for unsettled in (call_id, uuid.uuid4()):
        with pytest.raises(NotOver):
            await office.settle(unsettled)
    assert list(await office.holds(organization_id)) == [call_id]


async def test_an_unanswered_call_costs_nothing_and_frees_its_hold(office: Office):
    organization_id = await office.organization(1)
    call_id = await office.begins(organization_id, await office.agent(organization_id))
    assert call_id is not None
    await office.ends(call_id, 0, answered_at=None, status="no_answer", duration_seconds=0)
    assert await office.settle(call_id) == 0
    assert (await office.standing(organization_id)).available == 1_000_000


async def test_a_lost_call_lasted_until_the_last_that_is_known_of_it(office: Office):
    organization_id = await office.organization(1)
    call_id = await office.begins(organization_id, await office.agent(organization_id))
    assert call_id is not None
    await office.notes(call_id, (0, "answered", {"transcriber": "pocketsphinx"}))
    await office.notes(call_id, (70_500, "speech_paused", {}))
    await office.ends(call_id)
    # Nobody settles it, but its hold is noticed.
    assert await settle_overdue(office.switchboard) == 1
    assert await settle_overdue(office.switchboard) == 0
    lines = {x.meter: x.quantity for x in await office.lines(organization_id) if x.meter}
    assert lines == {"telephony": 120, "transcription": 71}
    assert await office.holds(organization_id) == {}


async def test_who_took_over_hearing_is_charged_from_then_on(office: Office):
    organization_id = await office.organization(1)
    call_id = await office.begins(organization_id, await office.agent(organization_id))
    assert call_id is not None
    await office.notes(
        call_id,
        (0, "answered", {"transcriber": "deepgram/nova-3"}),
        (20_000, "transcriber_changed", {"transcriber": "pocketsphinx"}),
    )
    await office.ends(call_id, 60_000)
    await office.settle(call_id)
    heard = {
        x.engine: (x.quantity, x.amount_micros)
        for x in await office.lines(organization_id)
        if x.meter == "transcription"
    }
    # The test's list has no price for the first: its time is written down all the same.
    assert heard == {"deepgram/nova-3": (20, 0), "pocketsphinx": (40, 2867)}


async def test_a_call_that_is_deleted_meanwhile_does_not_keep_others_from_settling(
    office: Office, monkeypatch: pytest.MonkeyPatch
):
    organization_id, call_id = await talked(office)
    gone = uuid.uuid4()
    over = sa.union_all(*(sa.select(sa.literal(id, sa.Uuid)) for id in (gone, call_id)))
    monkeypatch.setattr("chorus.calls.used.that_are_over", lambda _: over)
    await settle_overdue(office.switchboard)
    assert await office.holds(organization_id) == {}


async def test_an_engine_without_a_price_is_in_the_ledger_all_the_same(
    office: Office, caplog: pytest.LogCaptureFixture
):
    """And is told of: in the log once, and by `chorus doctor`."""
    name = f"new-{uuid.uuid4().hex}"
    organization_id, call_id = await talked(office)
    await office.notes(call_id, (1, "usage", {**usage(), "voice": name, "characters": 9}))
    await office.settle(call_id)
    again, later = await talked(office)
    await office.notes(later, (1, "usage", {**usage(), "voice": name, "characters": 9}))
    await office.settle(later)
    assert again != organization_id
    assert caplog.text.count(f"no price for {name} (voice)") == 1
    [finding] = await doctor_prices.findings(office.switchboard.database.settings)
    assert f"{name} (voice)" in finding.says
    [line] = [x for x in await office.lines(organization_id) if x.engine == name]
    assert (line.quantity, line.price_micros, line.price_per, line.amount_micros) == (
        9,
        None,
        None,
        0,
    )


async def test_where_nobody_is_charged(office: Office):
    free = office.colleague(charging=False)
    organization_id = await free.organization()
    call_id = await free.begins(organization_id, await free.agent(organization_id))
    assert call_id is not None
    assert await free.holds(organization_id) == {}
    await free.ends(call_id, 30_000)
    assert await free.settle(call_id) == 14_000
    assert (await free.standing(organization_id)).balance == 0
    # Switched on later, what was free stays free.
    assert await office.settle(call_id) == 14_000
    assert (await office.standing(organization_id)).balance == 0
    await office.check(organization_id, [call_id])
    await free.database.close()


async def test_a_new_price_list_counts_for_calls_from_then_on(office: Office, tmp_path: Path):
    _, call_id = await talked(office)
    path = tmp_path / "prices.toml"
    dearer = path.read_text().replace('"test"', '"dearer"').replace("0.014", "0.028")
    path.write_text(path.read_text() + dearer.replace("2025-01-01", "2025-03-31T23:59:31Z"))
    _, later = await talked(office)
    async with office.database.writing() as session:
        await session.execute(
            sa.text(
                "UPDATE calls SET answered_at = '2025-04-01 00:00:00+00:00' WHERE id = :id"
            ).bindparams(sa.bindparam("id", later, sa.Uuid))
        )
    other = office.colleague(prices=Prices.read(path))
    assert await other.settle(later) - await other.settle(call_id) == 28_000
    await other.database.close()


async def test_money_for_one_call_lets_in_one_of_many(office: Office):
    organization_id = await office.organization(FIRST_MINUTE["outbound"] * 1.5 / 1_000_000)
    agent_id = await office.agent(organization_id)
    others = [office.colleague() for _ in range(3)]
    found = await asyncio.gather(
        *(each.begins(organization_id, agent_id) for each in (office, *others) * 2)
    )
    assert len([call for call in found if call]) == 1
    assert list((await office.holds(organization_id)).values()) == [FIRST_MINUTE["outbound"]]
    for other in others:
        await other.database.close()


@pytest.mark.parametrize("direction", ["inbound", "outbound"])
async def test_exactly_the_first_minute(office: Office, direction: str):
    first = FIRST_MINUTE[direction]
    for micros, enough in ((first - 1, False), (first, True)):
        organization_id = await office.organization(micros / 1_000_000)
        agent_id = await office.agent(organization_id)
        call = await office.begins(organization_id, agent_id, direction)
        assert (call is not None) is enough
        standing = await office.standing(organization_id)
        assert (standing.held, standing.balance) == (first if enough else 0, micros)


async def test_a_hold_goes_with_a_transaction_that_fails(office: Office):
    organization_id = await office.organization(1)
    agent_id = await office.agent(organization_id)
    with pytest.raises(Crashed):
        # The hold is written, the call's row is not.
        async with office.crashing_at(5):
            await office.begins(organization_id, agent_id)
    assert await office.holds(organization_id) == {}


async def sums_of(office: Office) -> list[tuple[object, ...]]:
    async with office.database.reading() as session:
        rows = [
            tuple(row)
            for table in (UsageDay, UsageMonth)
            for row in await session.execute(sa.select(table.__table__))
        ]
        return sorted(rows, key=str)


async def test_the_sums_of_days_and_months_are_those_of_the_ledger(office: Office):
    """Also of calls that are settled again when more becomes known, and of two at once."""
    one, call_id = await talked(office)
    other, _ = await talked(office)
    agent = await office.agent(one)
    more = await office.begins(one, agent)
    assert more is not None
    await office.notes(more, (0, "answered", {"provider": "twilio"}))
    await office.ends(more, 5_000)
    await asyncio.gather(office.settle(call_id), office.settle(more))
    await office.notes(call_id, (6000, "usage", usage(50, 2000, 9, discarded=True)))
    await office.settle(call_id)
    await office.settle(call_id)
    kept = await sums_of(office)
    assert kept
    async with office.database.writing() as session:
        for organization_id in (one, other):
            await sums.recount(session, organization_id)
    assert await sums_of(office) == kept
    lines = [line for line in await office.lines(one) if line.kind == "charge"]
    async with office.database.reading() as session:
        called_at = lines[0].called_at
        assert called_at is not None
        whole = await totals(session, one, called_at - timedelta(days=30), utcnow())
        by_line = await totals(session, one, called_at, called_at + timedelta(seconds=1))
    assert whole.calls == by_line.calls == 2
    assert whole.cost == pytest.approx(sum(line.amount_micros for line in lines) / 1_000_000)
    assert by_line == whole
