"""Kills the server with SIGKILL at any moment of calls' lives, and then counts.

    report = await run(tmp_path, kills=3, database_url=…)
    assert report.problems == []

Each round places some calls over the API, some of them for later, and has some people call;
they ring, talk and hang up at times of their own, more than there is room for at once. The server
is killed a random while after one of the `MOMENTS` that can be seen from outside, or at any time,
and started again; now and then it is killed once more while it starts. `stages.py` says where the
calls were, and the report counts it, so that it is seen what was hit.

At the end every call must be in a final status, the carrier must have been asked for each number
at most once, every call that the API had accepted must be there, none that was cancelled was
dialled and none before its time, and what follows a call must have been done for each: it is
recorded and paid for, and a webhook was told of it (`afterwards.py`). Some callers are handed to a
person meanwhile: nobody may be left with nobody (`handing.py`).

Whoever adds something that must survive hands in `check`, which gets the rig and returns what is
wrong, in words. From a shell: `python -m tests.soak.kill --kills 100 [--database postgresql://…]`.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.soak import stages
from tests.soak.afterwards import Afterwards
from tests.soak.handing import OPEN, Handing
from tests.soak.rig import FINAL, OURS, Rig, environment, people
from tests.soak.sip_rig import SipRig
from tests.soak.workers_rig import WorkersRig

from chorus.demo.carrier import client
from chorus.demo.ways import Sip, Way

ROOM = 12
"""Calls at once; the others wait."""
SPREADS_S = (0.02, 1.0)
"""In how much time a round's calls are placed: at once, so that they crowd, or one by one."""
SOON_S = (0.003, 0.05)
"""How long after a moment it is killed, in the mean."""
LATER_S = 1.5
HANDED = 0.2
"""So many callers are handed to a person; where that is what is looked for, `HANDED_MOSTLY`."""
HANDED_MOSTLY = 0.7
REFUSED = 0.1
ALL_OVER_S = 270.0
"""For what waits in line at the end, for callers who stay, and for calls that a server let go when
it stopped in order, and of which the carrier told nobody: they end after 240 s."""
WHILE_STARTING = 0.25
"""After so many of the kills comes another, during the start."""
LONGEST_START_S = 3.0
MOMENTS = ("accepted", "asked", "ringing", "in-progress", "over", "told", "any")
OF_TRANSFERS = tuple(f"transfer {state}" for state in OPEN)
WAITS_S, WAITS_FOR_TRANSFER_S = 6.0, 20.0
"""For a moment that does not come."""

Check = Callable[[Rig], Awaitable[list[str]]]


@dataclass
class Report:
    """`kills`: of a server that was ready; `while_starting`: of one that was not, besides."""

    kills: int = 0
    while_starting: int = 0
    placed: int = 0
    refused: int = 0
    cancelled: int = 0
    came_in: int = 0
    dialled: int = 0
    handed: int = 0
    """Callers who were to be handed to a person."""
    told: int = 0
    """Webhooks that came, those that came again included."""
    took_s: float = 0.0
    ends: Counter[str] = field(default_factory=Counter)
    calls_in: Counter[str] = field(default_factory=Counter)
    """Stage → calls that were there at a kill, over all kills."""
    kills_in: Counter[str] = field(default_factory=Counter)
    """Stage → kills at which at least one call was there."""
    problems: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        ends = ", ".join(f"{count} {end}" for end, count in self.ends.most_common())
        return (
            f"{self.kills} kills and {self.while_starting} while starting in {self.took_s:.0f} s; "
            f"{self.placed} calls accepted, {self.refused} requests cut off, "
            f"{self.cancelled} cancelled, {self.came_in} came in; {self.dialled} dialled, "
            f"{self.handed} to be handed on; "
            f"{ends}; {self.told} webhooks; {len(self.problems)} problems"
        )

    @property
    def reached(self) -> str:
        """A line for each stage."""
        rows = [
            f"{stage:15} {self.calls_in[stage]:6} {self.kills_in[stage]:6}   {what}"
            for stage, what in stages.STAGES.items()
        ]
        return "\n".join(["stage            calls  kills", *rows])


@dataclass
class _Round:
    """What a round is made of, drawn from the dice before it begins."""

    rig: Rig
    report: Report
    afterwards: Afterwards
    handing: Handing
    dice: random.Random
    transfers: bool
    killed: bool = False

    async def run(self, numbers: list[str]) -> None:
        rig, dice = self.rig, self.dice
        moment = dice.choice(OF_TRANSFERS if self.transfers else (*MOMENTS, *OF_TRANSFERS))
        nth = 1 if moment in OF_TRANSFERS else dice.randint(1, len(numbers) // 2)
        waits_s = WAITS_FOR_TRANSFER_S if self.transfers else WAITS_S
        after_s = dice.expovariate(1 / dice.choice(SOON_S))
        if moment == "any":
            after_s = dice.uniform(0, 3)
        spread_s = dice.choice(SPREADS_S)
        count = self._count(moment)
        incoming = numbers[: len(numbers) // 8]
        async with asyncio.TaskGroup() as tasks:
            for to in incoming:
                tasks.create_task(self._come_in(to, dice.uniform(0, spread_s)))
            for to in numbers[len(incoming) :]:
                later_s = dice.uniform(0.2, LATER_S) if dice.random() < 0.1 else 0.0
                cancels = dice.random() < 0.1
                tasks.create_task(self._place(to, dice.uniform(0, spread_s), later_s, cancels))
            deadline = time.monotonic() + waits_s
            while await count() < nth and time.monotonic() < deadline:
                await asyncio.sleep(0.002)
            await asyncio.sleep(after_s)
            killed_at = time.monotonic()
            rig.kill()
            self.killed = True
            reached, answered = set(self.afterwards.reached), set(self.afterwards.answered)
            await asyncio.sleep(0.05)  # what is on its way from the carrier still comes
            found = await stages.look(rig, killed_at, reached, answered)
        self.report.kills += 1
        self.report.calls_in += found
        self.report.kills_in.update(found.keys())
        await self._check_room()
        self.afterwards.forget()
        if dice.random() < WHILE_STARTING:
            starting = await rig.start_and_kill(dice.uniform(0.1, LONGEST_START_S))
            self.report.while_starting += starting
        await rig.start()

    def _count(self, moment: str) -> Callable[[], Awaitable[int]]:
        """How often something has happened in this round."""
        events, news, accepted = self.rig.carrier.events, self.afterwards.news, self.rig.accepted
        seen, heard, known = len(events), len(news), len(accepted)
        facts: dict[str, dict[str, Any]] = {
            "asked": {"kind": self.rig.asked},
            "ringing": {"kind": "call.status", "status": "ringing"},
            "in-progress": {"kind": "call.status", "status": "in-progress"},
            "over": {"kind": "call.over"},
        }

        async def count() -> int:
            if moment in OF_TRANSFERS:
                state = moment.removeprefix("transfer ")
                query = f"SELECT count(*) FROM transfers WHERE status = '{state}'"
                await asyncio.sleep(0.02)
                [(now,)] = await self.rig.rows(query)
                return now
            match moment:
                case "any":
                    return len(events)
                case "accepted":
                    return len(accepted) - known
                case "told":
                    return len(news) - heard
                case _:
                    wanted = facts[moment].items()
                    return sum(wanted <= event.items() for event in _hashable(events[seen:]))

        return count

    async def _place(self, to: str, after_s: float, later_s: float, cancels: bool) -> None:
        await asyncio.sleep(after_s)
        if self.killed:
            return
        rig, wish = self.rig, {}
        if later_s:
            at = datetime.now(UTC) + timedelta(seconds=later_s)
            wish = {"scheduledAt": at.isoformat()}
            rig.not_before[to] = time.monotonic() + later_s
        handed = self.dice.random() < (HANDED_MOSTLY if self.transfers else HANDED)
        person = self.handing.caller() if handed else people(self.dice)
        if not await rig.place(to, person, **wish):
            self.report.refused += 1
            return
        self.report.placed += 1
        if handed:
            await self.handing.one(rig, to)
            return
        if cancels:
            answer = await rig.post(f"/v1/calls/{rig.accepted[to]}/cancel")
            if answer is not None and answer.status_code == 200:
                self.report.cancelled += 1
                rig.cancelled.add(to)

    async def _come_in(self, from_: str, after_s: float) -> None:
        await asyncio.sleep(after_s)
        if self.killed:
            return
        await self.rig.carrier.call(OURS, from_, people(self.dice))
        self.report.came_in += 1

    async def _check_room(self) -> None:
        took = (
            "SELECT count(*) FROM calls WHERE ended_at IS NULL "
            "AND (direction = 'inbound' OR dialled_at IS NOT NULL)"
        )
        [(taken,)] = await self.rig.rows(took)
        if taken > ROOM:
            self.report.problems.append(f"{taken} calls at once, there is room for {ROOM}")


def _hashable(events: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for event in events:
        yield {key: value for key, value in event.items() if isinstance(value, str | int)}


async def run(
    folder: Path,
    *,
    kills: int,
    database_url: str | None = None,
    calls_a_round: int = 16,
    seed: int = 1,
    check: Check | None = None,
    most_s: float = float("inf"),
    way: Way | None = None,
    transfers: bool = False,
    workers: int = 1,
    **env: str,
) -> Report:
    """`database_url` must have the schema; None is SQLite in `folder`. `way` is how calls
    are carried, media streams if it is None. With `transfers` most
    callers are handed to a person, and the server is killed in the middle of that. No round begins
    after `most_s`. With `workers`, on Postgres, one of them is killed at a time, and now and then
    the whole server (`workers_rig.py`)."""
    dice = random.Random(seed)
    report = Report()
    numbers = (f"+1555{n:07}" for n in range(1, 10_000_000))
    began = time.monotonic()
    sip = way.sip if way else None
    async with (
        client.running(sip=sip) as carrier,
        Afterwards(folder, REFUSED) as afterwards,
        Handing(dice) as handing,
    ):
        env = environment(carrier, database_url) | afterwards.env | env
        if isinstance(way, Sip):
            env |= way.variables(carrier.url)
            rig: Rig = SipRig(carrier, folder, env, database_url, way=way)
        elif workers > 1:
            env |= {"CHORUS_WORKERS": str(workers)}
            rig = WorkersRig(carrier, folder, env, database_url, dice=dice)
        else:
            rig = Rig(carrier, folder, env, database_url)
        await rig.start()
        try:
            await rig.prepare(**afterwards.agent)
            await afterwards.top_up(rig)
            await handing.prepare(rig)
            await rig.connected()
            await rig.limit(ROOM, waiting=1_000_000)
            while report.kills < kills and time.monotonic() - began < most_s:
                one = _Round(rig, report, afterwards, handing, dice, transfers)
                await one.run([next(numbers) for _ in range(calls_a_round)])
                print(report.kills, end=" ", flush=True)
            report.took_s = time.monotonic() - began
            await _count(rig, report)
            report.problems += await afterwards.problems(rig)
            report.problems += await handing.problems(rig)
            report.handed = handing.wished
            report.told = len(afterwards.news)
            if isinstance(rig, WorkersRig):
                report.problems += await rig.check()
            if check is not None:
                report.problems += await check(rig)
        finally:
            await rig.stop()
    return report


async def _count(rig: Rig, report: Report) -> None:
    calls = await rig.settled(ALL_OVER_S)
    report.ends.update(call["endedReason"] or call["status"] for call in calls)
    dials = rig.dials()
    report.dialled = len(dials)
    known = {call["id"] for call in calls}
    problems = report.problems
    problems += [f"{to} was dialled {n} times" for to, n in dials.items() if n > 1]
    problems += [f"the call to {to} is lost" for to, id in rig.accepted.items() if id not in known]
    problems += [f"the call to {to} was cancelled and dialled" for to in rig.cancelled & set(dials)]
    problems += [
        f"call {call['id']} is still {call['status']}"
        for call in calls
        if call["status"] not in FINAL
    ]
    numbers = Counter(call["customerNumber"] for call in calls)
    problems += [f"{number} has {n} calls" for number, n in numbers.items() if n > 1]
    for call in calls:
        to, reason = call["customerNumber"], call["endedReason"]
        undialled = call["direction"] == "outbound" and not dials[to]
        if call["parentCallId"] and call["endedReason"] is not None:
            continue  # its caller may have hung up before it was dialled
        if undialled and reason not in ("worker_lost", "cancelled"):
            detail = call.get("endedDetail") or ""
            problems.append(f"call {call['id']} was never dialled: {reason} {detail}".rstrip())
    for event in rig.carrier.events:
        if event["kind"] == "api" and event["path"].endswith("/Calls.json"):
            [to] = event["form"]["To"]
            early_ms = rig.not_before.get(to, 0.0) * 1000 - event["at_ms"]
            if early_ms > 50:
                problems.append(f"{to} was dialled {early_ms:.0f} ms before its time")
    await _done_after(rig, problems, known)


async def _done_after(rig: Rig, problems: list[str], known: set[str]) -> None:
    """What follows a call is done for each, once, and its recording, if any of it was written, is
    where it belongs. (That there is none is settled on SQLite at once, else after an hour.)"""
    query = "SELECT workflow_uuid, status FROM {dbos}workflow_status WHERE name = 'after_call'"
    unsettled = (
        "SELECT id FROM calls WHERE answered_at IS NOT NULL AND recording_settled_at IS NULL"
    )
    found: dict[str, str] = {}
    unkept: list[Any] = []
    for _ in range(150):
        found = {id.removeprefix("after_call:"): status for id, status in await rig.rows(query)}
        unkept = [id for (id,) in await rig.rows(unsettled) if rig.recorded(id)]
        if set(found) == known and set(found.values()) <= {"SUCCESS"} and not unkept:
            return
        await asyncio.sleep(0.2)
    problems += [f"nothing followed call {id}" for id in known - set(found)]
    problems += [
        f"what follows call {id} is {status}" for id, status in found.items() if status != "SUCCESS"
    ]
    problems += [f"the recording of call {id} is not settled" for id in unkept]


def main() -> int:
    parser = argparse.ArgumentParser(description="Kill the server and count its calls.")
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=float("inf"), help="begin none after")
    parser.add_argument("--transfers", action="store_true", help="kill it in their states")
    parser.add_argument("--workers", type=int, default=1, help="2: one at a time, on Postgres")
    parser.add_argument("--database", help="of Postgres, migrated; SQLite without it")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        report = asyncio.run(
            run(
                Path(folder),
                kills=options.kills,
                seed=options.seed,
                database_url=options.database,
                most_s=60 * options.minutes,
                transfers=options.transfers,
                workers=options.workers,
            )
        )
    print(f"\n{report}\n{report.reached}")
    for problem in report.problems:
        print(f"  {problem}")
    return 1 if report.problems else 0


if __name__ == "__main__":
    raise SystemExit(main())
