"""What Postgres does of a thousand calls at once, and of ten thousand, without their media.

1. A real server on a fresh Postgres has a call, for what is only done once, then none for a while,
   and then two, one after the other, over Media Streams, with turns and what follows a call.
   Postgres logs each statement with its parameters (`fleet_log.py`). What an idle server asks too
   is not counted for a call.
2. The statements of the last call, its transactions as they were, are asked again and again with
   new ids, as many calls a second as begin where N are up and each lasts `--minutes`. The
   statements between its first and its last turn are asked as often as such a call has them.
3. Processor time, log (WAL) and growth of the database by call are measured meanwhile, and with
   them it is worked out what N calls take; what was only worked out is said to be.

A process writes the timelines of all its calls together, so statements in a real fleet are fewer
than these.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import time
from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import psycopg

from bench import fleet_log, postgres, procfs
from bench.caller import connect
from bench.carrier import QUESTION, Manners, Utterance, speech_frames
from bench.dial import chorus_number
from bench.fleet_log import Template
from bench.grid import Grid
from bench.report import write_into
from bench.servers import Server, System, running
from bench.tally import Tally, percentile

DATABASE = ("<!-- fleet database: begin -->", "<!-- fleet database: end -->")
SETTLES_S = 8.0
"""After a call, for what follows it."""
MEDIA_MESSAGES = 100
"""A second and call: a frame each way in 20 ms."""
MEDIA_BYTES = 50 * 2 * 320
"""A second and call: 160 bytes of sound in Base64 and JSON, both ways, with the websocket's."""


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--calls", type=lambda text: [int(part) for part in text.split(",")], default=[1000, 10_000]
    )
    parser.add_argument("--minutes", type=float, default=3.0, help="that a call lasts")
    parser.add_argument("--seconds", type=float, default=30.0, help="of each load")
    parser.add_argument("--talk", type=float, default=20.0, help="seconds of the recorded call")
    parser.add_argument("--idle", type=float, default=20.0, help="seconds without a call")
    parser.add_argument("--connections", type=int, default=20)


@dataclass(slots=True)
class Recorded:
    template: Template
    talk_s: float
    idle_per_s: float
    """Statements that one process asks without a call."""
    turns: int


@dataclass(slots=True)
class Load:
    calls: int
    offered_per_s: float
    at_once: int
    seconds: float = 0.0
    begun: int = 0
    done: float = 0.0
    """A call that is half done is half a call."""
    statements: int = 0
    failed: Counter[str] = field(default_factory=Counter[str])
    took_s: list[float] = field(default_factory=list[float])
    database_s: float = 0.0
    client_s: float = 0.0
    """Processor time of whoever asked: near a second a second, that is the limit."""
    wal_bytes: int = 0
    grown_bytes: int = 0

    @property
    def per_s(self) -> float:
        return self.done / self.seconds

    @property
    def keeps_up(self) -> bool:
        """No more calls wait than are being asked for."""
        return self.begun - self.done <= self.at_once


async def record(server: Server, db: postgres.Postgres, wanted: argparse.Namespace) -> Recorded:
    tally = Tally(measuring=True, stopping=False)
    number = await chorus_number(server.base_url, server.api_key, agent={})
    said = (Utterance("question", speech_frames(QUESTION)),)
    grid = Grid(tally)
    ticking = asyncio.create_task(grid.run())

    async def talk() -> None:
        call = await connect(number, Manners(said, first_after_s=0.1, pause_s=0.3), tally)
        grid.add(call)
        await asyncio.sleep(wanted.talk)
        call.hang_up()
        await asyncio.sleep(SETTLES_S)

    log = fleet_log.on(db)
    try:
        await talk()  # what is only done once
        marks = [log.stat().st_size]
        await asyncio.sleep(wanted.idle)
        marks.append(log.stat().st_size)
        for _ in range(2):
            tally.turns = 0
            await talk()
            marks.append(log.stat().st_size)
        text = log.read_bytes()
    finally:
        ticking.cancel()
        fleet_log.off(db)
    idle, another, call = (
        fleet_log.read(text[begin:end].decode("utf-8", "replace")) for begin, end in pairwise(marks)
    )
    template = Template.of(call, another, idle)
    if not template.transactions:
        raise RuntimeError(f"the log of Postgres has nothing of a call: {log}")
    return Recorded(template, wanted.talk, len(idle) / wanted.idle, tally.turns)


async def load(db: postgres.Postgres, recorded: Recorded, calls: int, wanted: Any) -> Load:
    """As many calls a second as begin where `calls` are up."""
    found = Load(calls, calls / (60 * wanted.minutes), wanted.connections)
    stretched = _stretched(recorded, 60 * wanted.minutes)
    queue: asyncio.Queue[Template] = asyncio.Queue()
    over = asyncio.Event()

    async def work() -> None:
        async with await psycopg.AsyncConnection.connect(db.url, autocommit=True) as connection:
            cursor = psycopg.AsyncRawCursor(connection)
            while not over.is_set():
                template = await queue.get()
                for transaction in template.fresh():
                    if over.is_set():
                        return
                    await _ask(connection, cursor, transaction, found)
                    found.done += 1 / len(stretched.transactions)

    wal = "SELECT pg_current_wal_lsn() - '0/0'::pg_lsn, pg_database_size(current_database())"
    [(wal_before, size_before)] = db.execute(wal)
    cpu_before, began_s = procfs.usage(db.pid).cpu_s, time.monotonic()
    own_s = time.process_time()
    workers = [asyncio.create_task(work()) for _ in range(wanted.connections)]
    while (lasted_s := time.monotonic() - began_s) < wanted.seconds:
        due = int(lasted_s * found.offered_per_s) + 1
        while found.begun < due:
            found.begun += 1
            queue.put_nowait(stretched)
        await asyncio.sleep(0.01)
    found.seconds = time.monotonic() - began_s
    found.database_s = procfs.usage(db.pid).cpu_s - cpu_before
    found.client_s = time.process_time() - own_s
    over.set()
    for worker in workers:
        worker.cancel()
    failures = [
        each
        for each in await asyncio.gather(*workers, return_exceptions=True)
        if isinstance(each, Exception)
    ]
    if failures:
        raise failures[0]
    [(wal_after, size_after)] = db.execute(wal)
    found.wal_bytes = int(str(wal_after)) - int(str(wal_before))
    found.grown_bytes = int(str(size_after)) - int(str(size_before))
    return found


async def _ask(
    connection: psycopg.AsyncConnection[Any],
    cursor: psycopg.AsyncRawCursor[Any],
    transaction: list[tuple[str, list[str | None]]],
    found: Load,
) -> None:
    began_s = time.monotonic()
    try:
        for text, values in transaction:
            await cursor.execute(text, values)  # pyright: ignore[reportArgumentType]  recorded
            found.statements += 1
    except psycopg.Error as failure:
        found.failed[f"{type(failure).__name__}: {str(failure).splitlines()[0]}"] += 1
        if not connection.closed:
            await connection.rollback()
            await cursor.execute("ROLLBACK")
    found.took_s.append(time.monotonic() - began_s)


def _stretched(recorded: Recorded, lasts_s: float) -> Template:
    """The transactions of the talk as often as a call has them that lasts so long."""
    all_ = recorded.template.transactions
    began_s = all_[0][0].at_s
    talk = [each for each in all_ if 2.0 <= each[0].at_s - began_s <= recorded.talk_s - 1.0]
    if not talk:
        return recorded.template
    times = max(1, round(lasts_s / recorded.talk_s))
    last = all_.index(talk[-1]) + 1
    again = [[each.later(n) for each in one] for n in range(1, times) for one in talk]
    # What comes after the talk has the numbers that are left then.
    after = [[each.later(times) for each in one] for one in all_[last:]]
    return Template([*all_[:last], *again, *after], recorded.template.constant)


def table(recorded: Recorded, loads: list[Load], minutes: float) -> str:
    template = recorded.template
    stretched = _stretched(recorded, 60 * minutes)
    rows = [
        f"A call of {recorded.talk_s:.0f} s with {recorded.turns} turns takes "
        f"{template.statements} statements in {len(template.transactions)} transactions; one of "
        f"{minutes:g} minutes {stretched.statements} in {len(stretched.transactions)}. A process "
        f"without a call asks {recorded.idle_per_s:.1f} statements a second. BEGIN and COMMIT are "
        "counted.",
        "",
        "| calls at once | calls begun a second | done a second | statements a second | "
        "a transaction p50 / p95 | database's cores | client's core | database's ms a call | "
        "WAL a call | keeps up |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for each in loads:
        done = max(each.done, 0.01)
        cpu_ms = 1000 * each.database_s / done
        p50, p95 = percentile(each.took_s, 50) or 0.0, percentile(each.took_s, 95) or 0.0
        rows.append(
            f"| {each.calls} | {each.offered_per_s:.1f} | {each.per_s:.1f} | "
            f"{each.statements / each.seconds:.0f} | {1000 * p50:.1f} / {1000 * p95:.1f} ms | "
            f"{each.database_s / each.seconds:.2f} | {each.client_s / each.seconds:.2f} | "
            f"{cpu_ms:.1f} | "
            f"{each.wal_bytes / done / 1024:.0f} KiB | {'yes' if each.keeps_up else 'no'} |"
        )
    failed = sum((each.failed for each in loads), Counter[str]())
    asked = sum(len(each.took_s) for each in loads)
    rows += ["", f"{sum(failed.values())} of {asked} transactions failed."]
    rows += [f"- {n} times: {what}" for what, n in failed.most_common(5)]
    best = max(loads, key=lambda each: each.done)
    if not best.done:
        return "\n".join([*rows, "", "No call was finished: nothing can be worked out."])
    cpu_s, wal = best.database_s / best.done, best.wal_bytes / best.done
    rows += [
        "",
        "Worked out from that, not run:",
        "",
        "| calls at once | database's cores | WAL | growth a day | sound | messages a second |",
        "|---|---|---|---|---|---|",
    ]
    for calls in dict.fromkeys([*(each.calls for each in loads), 1000, 10_000]):
        a_second = calls / (60 * minutes)
        grown = best.grown_bytes / best.done * a_second * 86_400
        rows.append(
            f"| {calls} | {cpu_s * a_second:.1f} | {wal * a_second / 1e6:.1f} MB/s | "
            f"{grown / 1e9:.0f} GB | {calls * MEDIA_BYTES * 8 / 1e6:.0f} Mbit/s | "
            f"{calls * MEDIA_MESSAGES} |"
        )
    return "\n".join(rows)


def main(wanted: argparse.Namespace, command: str) -> int:
    with postgres.running() as db:
        system = System("chorus", "", environment={"CHORUS_DATABASE_URL": db.url})
        with running(system) as server:
            recorded = asyncio.run(record(server, db, wanted))
        by_text = fleet_log.counted(each for one in recorded.template.transactions for each in one)
        for text, count in by_text.most_common(12):
            print(f"{count:5}  {' '.join(text.split())[:110]}")
        loads: list[Load] = []
        for calls in wanted.calls:
            loads.append(asyncio.run(load(db, recorded, calls, wanted)))
            print(loads[-1].calls, f"{loads[-1].per_s:.1f} a second", flush=True)
    text = table(recorded, loads, wanted.minutes)
    text += (
        f"\n\n`{command}`, {time.strftime('%Y-%m-%d')}, load average {os.getloadavg()[0]:.1f} on "
        f"{os.cpu_count()} cores at the end, client and database on the same."
    )
    print(f"\n{text}")
    if wanted.write:
        write_into(wanted.write, text, *DATABASE)
    return 0
