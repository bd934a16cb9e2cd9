"""How long it takes from placing a call to the carrier being asked, and what durable work costs.

    python -m tests.soak.dispatch [--calls 50] [--database postgresql://…]

Prints, in JSON: milliseconds from sending the POST, and from its answer, to the carrier's being
asked to dial (both processes read the same monotonic clock); the processor time of the idle
server in percent of one core; workflows of one step a second, enqueued in one transaction.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.soak.rig import Rig, environment

from chorus.db import Database
from chorus.demo.carrier import client
from chorus.demo.carrier.person import Person
from chorus.durable.durable import Durable
from chorus.durable.work import Queue, Workflow, step
from chorus.migrations import run as migrations
from chorus.settings import Settings

IDLE_S = 10


async def latency(rig: Rig, calls: int) -> dict[str, Any]:
    sent: dict[str, float] = {}
    answered: dict[str, float] = {}
    for n in range(calls):
        to = f"+1556{n:07}"
        sent[to] = time.monotonic()
        assert await rig.place(to, Person(answer="busy", ring_ms=0))
        answered[to] = time.monotonic()
        await asyncio.sleep(0.1)
    await rig.settled()
    from_post: list[float] = []
    from_answer: list[float] = []
    for event in rig.carrier.events:
        if event["kind"] == "api":
            to = event["form"]["To"][0]
            from_post.append(event["at_ms"] - sent[to] * 1000)
            from_answer.append(event["at_ms"] - answered[to] * 1000)
    return {"fromPostMs": _figures(from_post), "fromAnswerMs": _figures(from_answer)}


def _figures(values: list[float]) -> dict[str, float]:
    ordered = sorted(values)
    return {
        "p50": round(statistics.median(ordered), 1),
        "p99": round(ordered[int(len(ordered) * 0.99)], 1),
        "max": round(ordered[-1], 1),
        "n": len(ordered),
    }


async def idle(rig: Rig) -> float:
    assert rig.server is not None
    pid = rig.server.process.pid

    def used_s() -> float:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / 100

    before = used_s()
    await asyncio.sleep(IDLE_S)
    return round((used_s() - before) / IDLE_S * 100, 2)


class _Counter:
    def __init__(self, count: int) -> None:
        self.left = count
        self.done = asyncio.Event()


async def _count(counter: _Counter, n: int) -> int:
    counter.left -= 1
    if not counter.left:
        counter.done.set()
    return n


async def _counted(counter: _Counter, n: int) -> None:
    await step(_count, counter, n)


async def throughput(settings: Settings, count: int = 300) -> float:
    database = Database(settings)
    await migrations.upgrade(database)
    workflow = Workflow("counted", _counted, Queue("counted", at_once=50))
    counter, durable = _Counter(count), Durable(settings)
    await durable.launch("measure", counter, (workflow,))
    try:
        async with database.writing() as session:
            for n in range(count):
                await durable.enqueue(session, workflow, n)
        began = time.monotonic()
        await counter.done.wait()
        return round(count / (time.monotonic() - began), 1)
    finally:
        await durable.close()
        await database.close()


async def measure(folder: Path, calls: int, database_url: str | None) -> dict[str, Any]:
    async with client.running() as carrier:
        rig = Rig(carrier, folder, environment(carrier, database_url), database_url)
        await rig.start()
        try:
            await rig.prepare()
            result = await latency(rig, calls)
            result["idlePercent"] = await idle(rig)
        finally:
            await rig.stop()
    env = {"CHORUS_DATA_DIR": str(folder)}
    if database_url is not None:
        env["CHORUS_DATABASE_URL"] = database_url
    result["workflowsPerSecond"] = await throughput(Settings.read(env))
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure dispatch and durable work.")
    parser.add_argument("--calls", type=int, default=50)
    parser.add_argument("--database", help="of Postgres, migrated; SQLite without it")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        result = asyncio.run(measure(Path(folder), options.calls, options.database))
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
