"""The money of calls and of readings, whatever happens: any lives of them, any deaths of those who
settle them. Each line is there once, and their sum is the cost, on both legs of a transfer."""

from __future__ import annotations

import asyncio
import uuid
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis
from hypothesis import strategies as st
from tests.billing.office import Crashed, Office, opened, usage

from chorus.calls.used import OVER
from chorus.knowledge.charging import Spent
from chorus.knowledge.tables import Document, KnowledgeBase

LATE = 2
"""How often something becomes known of a call that is settled."""

small = st.integers(0, 5000)
usages = st.builds(usage, small, small, small, discarded=st.booleans())


@dataclass(frozen=True)
class Life:
    """A call: what it notes before and after its first settling, and when it ends (0: it is lost).
    `released_s`: it went on at its carrier, which says so long after the end."""

    notes: list[tuple[int, dict[str, object]]]
    end_ms: int
    late: list[dict[str, object]]
    released_s: int | None

    @property
    def answered_s(self) -> int:
        """How long its carrier had it, in started seconds; a lost one until its last note."""
        talked_ms = self.end_ms or max((at for at, _ in self.notes), default=0)
        ended_s = -(-talked_ms // 1000)
        return ended_s + (self.released_s or 0 if self.end_ms else 0)


@dataclass(frozen=True)
class Transferred:
    """A call, and that of the person to whom its caller was handed, if any; at which statements
    those who settle them die, and how many settle each at once."""

    first: Life
    second: Life | None
    deaths: list[int]
    at_once: int


@dataclass(frozen=True)
class Read:
    """A reading of a document: what a vendor counted, at which statements those who charge it
    die, and how many do it at once."""

    tokens: int
    by_operator: bool
    deaths: list[int]
    at_once: int


reads = st.builds(
    Read,
    st.integers(0, 3_000_000),
    st.booleans(),
    st.lists(st.integers(1, 9), max_size=2),
    st.integers(1, 3),
)


async def read(
    office: Office, other: Office, organization_id: uuid.UUID, document: Document, one: Read
) -> int:
    """Returns what it has to cost."""
    spent = Spent(
        organization_id,
        document.knowledge_base_id,
        document.id,
        "openai/small-vectors",
        one.by_operator,
        one.tokens,
    )
    # With a key of its own there is nothing to charge, and nothing that could be charged twice.
    for statement in one.deaths if one.by_operator else ():
        try:
            async with office.crashing_at(statement):
                await office.account(spent)
        except Crashed:
            pass
    at_once = one.at_once if one.by_operator else 1
    await asyncio.gather(*((office, other)[n % 2].account(spent) for n in range(at_once)))
    return (one.tokens * 13 + 50) // 100


lives = st.builds(
    Life,
    st.lists(st.tuples(st.integers(0, 200_000), usages), max_size=4),
    st.one_of(st.just(0), st.integers(1, 400_000)),
    st.lists(usages, max_size=LATE),
    st.one_of(st.none(), st.integers(1, 200)),
)
transfers = st.builds(
    Transferred,
    lives,
    st.one_of(st.none(), lives),
    st.lists(st.integers(1, 12), max_size=2),
    st.integers(1, 3),
)


async def live(
    office: Office, other: Office, agent_id: uuid.UUID, organization_id: uuid.UUID, one: Transferred
) -> dict[uuid.UUID, Life]:
    """The calls that there was money for, both over and settled."""
    call_id = await office.begins(organization_id, agent_id)
    if call_id is None:
        return {}
    legs = {call_id: one.first}
    if one.second is not None:
        second_id = await office.begins(organization_id, agent_id, parent_id=call_id)
        if second_id is not None:
            legs[second_id] = one.second
    for id, life in legs.items():
        await office.notes(id, (0, "answered", {"transcriber": "pocketsphinx"}))
        await office.notes(id, *((at, "usage", data) for at, data in life.notes))
    for id, life in legs.items():
        await office.ends(id, life.end_ms)
    for n in range(LATE + 1):
        for id in legs:
            for statement in one.deaths:
                try:
                    async with office.crashing_at(statement):
                        await office.settle(id)
                except Crashed:
                    pass
        await asyncio.gather(
            *((office, other)[k % 2].settle(id) for id in legs for k in range(one.at_once))
        )
        for id, life in legs.items():
            if n < len(life.late):
                await office.notes(id, (0, "usage", life.late[n]))
            elif n == len(life.late) and life.end_ms and life.released_s:
                lasted_s = life.answered_s
                await office.notes(id, (lasted_s * 1000, OVER, {"durationSeconds": lasted_s}))
    for id in legs:
        await office.settle(id)
    return legs


def test_whatever_happens_the_sum_of_the_lines_is_the_cost(tmp_path: Path, database_url: str):
    with asyncio.Runner() as runner:
        opening = opened(tmp_path, database_url)
        office = runner.run(opening.__aenter__())
        other = office.colleague()

        @hypothesis(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
        @given(
            st.lists(transfers, min_size=1, max_size=2),
            st.lists(st.integers(1, 400_000)),
            st.lists(reads, max_size=2),
        )
        def check(calls: list[Transferred], top_ups: list[int], readings: list[Read]) -> None:
            async def main() -> None:
                organization_id = await office.organization()
                agent_id = await office.agent(organization_id)
                for micros in top_ups:
                    await office.top_up(organization_id, micros)
                legs: dict[uuid.UUID, Life] = {}
                for one in calls:
                    legs |= await live(office, other, agent_id, organization_id, one)
                document = await office.document(organization_id)
                costs = [await read(office, other, organization_id, document, x) for x in readings]
                async with office.database.reading() as session:
                    document = await session.get_one(Document, document.id)
                    base = await session.get_one(KnowledgeBase, document.knowledge_base_id)
                assert document.embedding_tokens == sum(one.tokens for one in readings)
                assert document.embedding_cost_micros == base.embedding_cost_micros == sum(costs)
                of_operator = [one for one in readings if one.by_operator and one.tokens]
                lines = await office.lines(organization_id)
                assert len(of_operator) == sum(line.kind == "embedding" for line in lines)
                await office.check(organization_id, legs)
                carried = Counter[uuid.UUID | None]()
                for line in lines:
                    if line.meter == "telephony":
                        carried[line.call_id] += line.quantity or 0
                # Twilio counts started minutes, on each leg for itself.
                assert carried == Counter(
                    {id: -(-life.answered_s // 60) * 60 for id, life in legs.items()}
                )
                assert await office.holds(organization_id) == {}

            runner.run(main())

        try:
            check()
        finally:
            runner.run(other.database.close())
            runner.run(opening.__aexit__(None, None, None))
