"""Live calls and their money: holds grow in time, and nobody talks for longer than it lasts."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis
from hypothesis import strategies as st
from sqlalchemy.exc import OperationalError
from tests.billing.office import FIRST_MINUTE, Office, opened, usage

from chorus.billing import watch as watching
from chorus.billing.watch import AHEAD_MS, LOOK_S, Watch
from chorus.talk.timeline import Happening

MINUTE = FIRST_MINUTE["outbound"]
LOOK_MS = round(LOOK_S * 1000)


@dataclass
class FakeCall:
    """As much of a live call as the watch sees."""

    call_ms: float = 0
    language: str | None = None
    left: list[tuple[str, str]] = field(default_factory=list)
    left_ms: float | None = None

    @property
    def spec(self) -> SimpleNamespace:
        return SimpleNamespace(agent=SimpleNamespace(language=self.language))

    def take_leave(self, text: str, reason: str) -> None:
        self.left.append((text, reason))
        self.left_ms = self.call_ms


@pytest.fixture
async def office(tmp_path: Path, database_url: str) -> AsyncGenerator[Office, None]:
    async with opened(tmp_path, database_url) as office:
        yield office


async def talks(office: Office, organization_id: uuid.UUID, agent_id: uuid.UUID) -> uuid.UUID:
    call_id = await office.begins(organization_id, agent_id)
    assert call_id is not None
    await office.notes(call_id, (0, "answered", {"transcriber": "pocketsphinx"}))
    office.live[call_id] = FakeCall()
    office.journals.open(call_id, organization_id)
    return call_id


async def says(office: Office, call_id: uuid.UUID, data: dict[str, object]) -> None:
    """To the journal, as a conversation does, and to the database, as the journal does."""
    journal = office.journals.of(call_id)
    assert journal is not None
    at_ms = round(office.live[call_id].call_ms)
    journal.note(Happening(at_ms, "usage", data))
    await office.notes(call_id, (at_ms, "usage", data))


async def hangs_up(office: Office, call_id: uuid.UUID) -> None:
    call = office.live.pop(call_id)
    await office.ends(call_id, max(1, round(call.call_ms)))
    await office.settle(call_id)


async def test_a_hold_is_extended_minute_by_minute(office: Office):
    organization_id = await office.organization(1)
    call_id = await talks(office, organization_id, await office.agent(organization_id))
    watch, call = Watch(office.switchboard), office.live[call_id]
    held: dict[int, int] = {}
    for second in range(0, 130, 5):
        call.call_ms = second * 1000
        await watch.look()
        held[second] = (await office.holds(organization_id))[call_id]
    # The first minute was held from the start; nobody has said anything since.
    assert held[0] == held[45] == MINUTE
    assert held[50] == held[105] == 2 * (14_000 + 4300) + round(12_300 * 70 / 60)
    assert held[110] == held[125] > held[105]
    assert call.left == []
    await hangs_up(office, call_id)
    assert await office.holds(organization_id) == {}


async def test_a_call_that_uses_more_than_expected_holds_more(office: Office):
    organization_id = await office.organization(1)
    call_id = await talks(office, organization_id, await office.agent(organization_id))
    watch = Watch(office.switchboard)
    office.live[call_id].call_ms = 5000
    await says(office, call_id, usage(0, 100_000, 0))
    await watch.look()
    held = (await office.holds(organization_id))[call_id]
    assert held > 200_000 + 14_000


async def test_a_transcriber_that_takes_over_is_held_for_at_its_own_price(office: Office):
    """The other has no price in this list: from then on hearing costs nothing that is known."""
    organization_id = await office.organization(1)
    agent_id = await office.agent(organization_id)
    same, other = [await talks(office, organization_id, agent_id) for _ in range(2)]
    watch = Watch(office.switchboard)
    for call_id in (same, other):
        office.live[call_id].call_ms = 110_000
    journal = office.journals.of(other)
    assert journal is not None
    journal.note(Happening(20_000, "transcriber_changed", {"transcriber": "other"}))
    await watch.look()
    held = await office.holds(organization_id)
    # Of three minutes that are held for, one third of a minute was heard at 4300.
    assert held[same] - held[other] == 3 * 4300 - round(4300 / 3)


async def test_without_money_it_says_goodbye_once(office: Office):
    organization_id = await office.organization(MINUTE / 1_000_000)
    call_id = await talks(office, organization_id, await office.agent(organization_id))
    call: FakeCall = office.live[call_id]
    call.language = "de-AT"
    watch = Watch(office.switchboard)
    for second in (5, 45):
        call.call_ms = second * 1000
        await watch.look()
        assert call.left == []
    for second in (50, 55, 60):
        call.call_ms = second * 1000
        await watch.look()
        [(text, reason)] = call.left
        assert reason == "insufficient_funds"
        assert "Auf Wiederhören" in text


async def test_of_two_that_share_the_last_minute_one_goes_on(office: Office):
    organization_id = await office.organization(3.2 * MINUTE / 1_000_000)
    agent_id = await office.agent(organization_id)
    ids = [await talks(office, organization_id, agent_id) for _ in range(2)]
    watch = Watch(office.switchboard)
    for id in ids:
        office.live[id].call_ms = 50_000
    await watch.look()
    assert sorted(len(office.live[id].left) for id in ids) == [0, 1]
    standing = await office.standing(organization_id)
    assert standing.available >= 0


async def test_two_processes_share_a_balance(office: Office):
    organization_id = await office.organization(3.2 * MINUTE / 1_000_000)
    agent_id = await office.agent(organization_id)
    offices = [office, office.colleague()]
    for each in offices:
        id = await talks(each, organization_id, agent_id)
        each.live[id].call_ms = 50_000
    await asyncio.gather(*(Watch(each.switchboard).look() for each in offices))
    left = [len(call.left) for each in offices for call in each.live.values()]
    assert sorted(left) == [0, 1]
    await offices[1].database.close()


async def test_calls_that_hold_nothing_are_let_be(office: Office):
    """They were let in before billing was switched on."""
    free = office.colleague(charging=False)
    organization_id = await free.organization()
    call_id = await talks(free, organization_id, await free.agent(organization_id))
    free.live[call_id].call_ms = 600_000
    await Watch(free.switchboard).look()
    assert free.live[call_id].left == []
    await free.database.close()


async def test_a_database_that_is_away_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    looks = 0
    async with opened(tmp_path, f"sqlite+aiosqlite:///{tmp_path / 'chorus.db'}") as office:
        watch = Watch(office.switchboard)

        async def look() -> None:
            nonlocal looks
            looks += 1
            if looks < 4:
                raise OperationalError("SELECT", {}, OSError("away"))
            raise asyncio.CancelledError

        monkeypatch.setattr(watch, "look", look)
        monkeypatch.setattr(watching, "LOOK_S", 0)
        with caplog.at_level(logging.ERROR), pytest.raises(asyncio.CancelledError):
            await watch.run()
    assert looks == 4
    assert len(caplog.records) == 1


paces = st.integers(0, 100).map(lambda percent: percent / 100)


@dataclass(frozen=True)
class Talk:
    """How much of a typical minute a call uses, how long its goodbye takes, when it would end."""

    pace: float
    goodbye_ms: int
    end_ms: int


talks_drawn = st.builds(Talk, paces, st.integers(0, AHEAD_MS - LOOK_MS), st.integers(1, 300_000))


def test_the_balance_is_never_below_a_minute_s_slack(tmp_path: Path):
    with asyncio.Runner() as runner:
        opening = opened(tmp_path, f"sqlite+aiosqlite:///{tmp_path / 'chorus.db'}")
        office = runner.run(opening.__aenter__())

        @hypothesis(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
        @given(st.integers(MINUTE, 10 * MINUTE), st.lists(talks_drawn, min_size=1, max_size=4))
        def check(micros: int, drawn: list[Talk]) -> None:
            runner.run(hold(office, micros, drawn))

        try:
            check()
        finally:
            runner.run(opening.__aexit__(None, None, None))


async def hold(office: Office, micros: int, drawn: list[Talk]) -> None:
    organization_id = await office.organization(micros / 1_000_000)
    agent_id = await office.agent(organization_id)
    under_way: dict[uuid.UUID, Talk] = {}
    settled: list[uuid.UUID] = []
    for talk in drawn:
        if (await office.standing(organization_id)).available >= MINUTE:
            under_way[await talks(office, organization_id, agent_id)] = talk
    assert under_way
    watch = Watch(office.switchboard)
    while under_way:
        for call_id, talk in list(under_way.items()):
            call: FakeCall = office.live[call_id]
            end_ms = talk.end_ms
            if call.left_ms is not None:
                end_ms = min(end_ms, call.left_ms + talk.goodbye_ms)
            step_ms = max(0, min(LOOK_MS, end_ms - call.call_ms))
            call.call_ms += step_ms
            share = talk.pace * step_ms / 60_000
            await says(office, call_id, usage(int(500 * share), int(2000 * share)))
            if call.call_ms >= end_ms:
                await hangs_up(office, call_id)
                settled.append(call_id)
                del under_way[call_id]
        await watch.look()
        standing = await office.standing(organization_id)
        assert standing.balance >= -MINUTE
    await office.check(organization_id, settled)
    assert await office.holds(organization_id) == {}
