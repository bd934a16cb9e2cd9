"""Many calls on a server of several workers, which are replaced again and again meanwhile.

    python -m bench.soak_workers --calls 2000 --workers 2 --every 30

The calls are those of `bench.soak`, on a Postgres of its own. Every so many seconds the parent is
told to replace its workers (SIGHUP), one after the other, as for new code. No call may be refused
or cut off, each must be in the database with an end that is its caller's, and what is open and held
when the last call has ended must not grow from round to round. Exits 1 if something is wrong.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import httpx
import uvloop

from bench import postgres, procfs
from bench.dial import Refused, chorus_number
from bench.servers import NotReady, Server, System, running
from bench.soak import IDLE_WITHIN_S, ROUNDS, Holdings, Soak, grown

DRAIN_S = 60
_UP = "SELECT count(*) FROM calls WHERE ended_at IS NULL AND status = 'in_progress'"
_ENDS = "SELECT COALESCE(ended_reason, status), count(*) FROM calls GROUP BY 1 ORDER BY 2 DESC"


class Replacing:
    """`times`: how often all workers were replaced."""

    def __init__(self, server: Server, every_s: float) -> None:
        self.times = 0
        self.took_s: list[float] = []
        self._server = server
        self._every_s = every_s

    async def run(self) -> None:
        while True:
            await asyncio.sleep(self._every_s)
            before, began_s = self.workers(), time.monotonic()
            os.kill(self._server.pid, signal.SIGHUP)
            # Old ones stay as long as their calls do.
            while before & (now := self.workers()) or len(now) != len(before):
                await asyncio.sleep(0.2)
            self.times += 1
            self.took_s.append(time.monotonic() - began_s)

    def workers(self) -> set[int]:
        path = Path(f"/proc/{self._server.pid}/task/{self._server.pid}/children")
        return {int(child) for child in path.read_text().split()}


async def holdings(server: Server, db: postgres.Postgres, workers: int) -> Holdings:
    """Once nobody talks and the replaced are gone. Raises `Refused` if it does not come to rest."""
    replacing = Replacing(server, 0)
    deadline = time.monotonic() + IDLE_WITHIN_S + DRAIN_S
    while db.execute(_UP) != [(0,)] or len(replacing.workers()) != workers:
        if time.monotonic() > deadline:
            raise Refused(
                f"calls or replaced workers are still up {IDLE_WITHIN_S + DRAIN_S} s after the last"
            )
        await asyncio.sleep(0.5)
    await asyncio.sleep(3)  # what a call leaves to be done after it
    usage = procfs.usage(server.pid)
    return Holdings(round(usage.own_mb, 1), usage.files, usage.threads, usage.processes, 0)


async def soak(server: Server, db: postgres.Postgres, options: argparse.Namespace) -> int:
    number = await chorus_number(server.base_url, server.api_key, agent={})
    run = Soak(number, server.pid, at_once=options.at_once, seed=options.seed)
    replacing = Replacing(server, options.every)
    held: list[Holdings] = []
    began_s = time.monotonic()
    async with run.ticking():
        for i in range(ROUNDS):
            task = asyncio.create_task(replacing.run())
            await run.calls(options.calls // ROUNDS + (i < options.calls % ROUNDS))
            task.cancel()
            held.append(await holdings(server, db, options.workers))
            print(json.dumps(asdict(held[-1])), file=sys.stderr, flush=True)
    ends = {str(end): int(str(count)) for end, count in db.execute(_ENDS)}
    problems = [each for each in grown(held, options.calls) if not each.startswith("tasks")]
    if lost := ends.get("worker_lost"):
        problems.append(f"{lost} calls were lost with a worker, or ended by one that had to go")
    if run.refused:
        problems.append(f"{len(run.refused)} calls were refused, first: {run.refused[0]}")
    if run.cut_off:
        problems.append(f"{run.cut_off} calls were cut off")
    if sum(ends.values()) != options.calls:
        problems.append(f"{options.calls} calls were made, {sum(ends.values())} are known")
    if not run.tally.response_s:
        problems.append("no caller was answered")
    if not replacing.times:
        problems.append("the workers were never replaced")
    result: dict[str, Any] = {
        "calls": options.calls,
        "seconds": round(time.monotonic() - began_s),
        "workers": options.workers,
        "replaced": replacing.times,
        "replaced_within_s": [round(each, 1) for each in replacing.took_s],
        "answers": len(run.tally.response_s),
        "ends": ends,
        "rounds": [asdict(each) for each in held],
        "load": round(os.getloadavg()[0], 1),
        "problems": problems,
    }
    print(json.dumps(result, indent=2))
    return 1 if problems else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--calls", type=int, default=2000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--every", type=float, default=30.0, help="seconds between replacements")
    parser.add_argument("--at-once", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    try:
        with postgres.running() as db:
            environment = {
                "CHORUS_DATABASE_URL": db.url,
                "CHORUS_WORKERS": str(options.workers),
                "CHORUS_DRAIN_SECONDS": str(DRAIN_S),
                "CHORUS_MAX_CONCURRENT_CALLS": "100000",
            }
            with running(System("chorus", "", environment=environment)) as server:
                return uvloop.run(soak(server, db, options))
    except (Refused, NotReady, httpx.HTTPError) as failed:
        print(f"soak: {failed}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
