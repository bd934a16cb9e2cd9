"""Many short calls, and then a look at what did not go away.

    python -m bench.soak                    300 calls
    python -m bench.soak --calls 20 --talks-on 1        the short form, half a minute
    python -m bench.soak --webhook http://127.0.0.1:8000 --api-key … --pid 4711

A few calls at once, one after another, each ending in its own way: hung up after an answer, cut
off in mid-speech, broken off while the agent talks, rung but never connected. The calls come in
rounds; after each, when the last has ended, what the server holds is noted: memory, open files,
tasks and calls (from /healthz). The least of the later rounds is compared with the least of the
earlier ones, because an allocator's holdings go up and down. Exits 1 if something stayed.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import random
import sys
from collections.abc import AsyncGenerator, Generator
from dataclasses import asdict, dataclass
from typing import Any

import httpx
import uvloop

from bench import procfs
from bench.caller import connect
from bench.carrier import QUESTION, Call, Manners, Utterance, speech_frames
from bench.dial import ChorusNumber, Refused, chorus_number
from bench.grid import Grid
from bench.servers import SYSTEMS, NotReady, Server, running
from bench.tally import Tally

ROUNDS = 4
IDLE_WITHIN_S = 60
TALKS_ON_S = 6.0
"""After the first answer, of most calls."""
# Allocators keep what they once had, and a pool or a log may open a file or two.
MEMORY_ALLOWED_MB, MEMORY_ALLOWED_MB_PER_CALL = 12.0, 0.02
FILES_ALLOWED, TASKS_ALLOWED = 4, 2


@dataclass(frozen=True, slots=True)
class Holdings:
    """What the server holds while no call is up; memory that is its own alone."""

    memory_mb: float
    files: int
    threads: int
    processes: int
    tasks: int


class Soak:
    def __init__(
        self,
        number: ChorusNumber,
        pid: int,
        *,
        at_once: int,
        seed: int,
        talks_on_s: float = TALKS_ON_S,
    ) -> None:
        self.tally = Tally(measuring=True, stopping=True)
        self.refused: list[str] = []
        self.cut_off = 0
        """Calls that were over before their callers hung up."""
        self._number = number
        self._pid = pid
        self._talks_on_s = talks_on_s
        self._room = asyncio.Semaphore(at_once)
        self._dice = random.Random(seed)
        self._grid = Grid(self.tally)
        said = (Utterance("question", speech_frames(QUESTION)),)
        self._manners = Manners(said, first_after_s=0.1, stagger_s=0.4, pause_s=0.3)

    @contextlib.asynccontextmanager
    async def ticking(self) -> AsyncGenerator[None]:
        task = asyncio.create_task(self._grid.run())
        try:
            yield
        finally:
            task.cancel()

    async def calls(self, count: int) -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(count):
                await self._room.acquire()
                group.create_task(self._one())

    async def _one(self) -> None:
        try:
            end = self._dice.choice(("answered", "answered", "mid-speech", "over-agent", "never"))
            if end == "never":
                await self._number.ring()
                return
            call = await connect(self._number, self._manners, self.tally)
            self._grid.add(call)
            await self._lasts(call, end)
            self.cut_off += call.closed
            call.hang_up(politely=self._dice.random() < 0.7)
        except Refused as refused:
            self.refused.append(str(refused))
        finally:
            self._room.release()

    async def _lasts(self, call: Call, end: str) -> None:
        if end == "mid-speech":
            await asyncio.sleep(self._dice.uniform(0, 2))
            return
        for _ in range(200):
            if call.answers or call.closed:
                break
            await asyncio.sleep(0.05)
        if end == "over-agent":
            await asyncio.sleep(self._dice.uniform(0, 1))
        else:
            await asyncio.sleep(self._talks_on_s)

    async def idle(self) -> Holdings:
        """Once the server has no call. Raises `Refused` if it does not come to rest."""
        waited_s = 0.0
        while up := (await self._detail())["calls"]:
            if waited_s >= IDLE_WITHIN_S:
                raise Refused(f"{up} calls are still up {IDLE_WITHIN_S} s after the last")
            await asyncio.sleep(0.5)
            waited_s += 0.5
        await asyncio.sleep(3)  # what a call leaves to be done after it
        usage, detail = procfs.usage(self._pid), await self._detail()
        memory_mb = round(usage.own_mb, 1)
        return Holdings(memory_mb, usage.files, usage.threads, usage.processes, detail["tasks"])

    async def _detail(self) -> dict[str, Any]:
        url = f"{self._number.base_url}/healthz"
        reply = await self._number.http.get(url)
        reply.raise_for_status()
        body = reply.json()
        return body.get("data", body)


def grown(rounds: list[Holdings], calls: int) -> list[str]:
    """What the server kept of `calls` calls in these rounds, in words; empty if all is well."""
    half = len(rounds) // 2
    limits = {
        "memory_mb": MEMORY_ALLOWED_MB + MEMORY_ALLOWED_MB_PER_CALL * calls / 2,
        "files": FILES_ALLOWED,
        "tasks": TASKS_ALLOWED,
    }
    found: list[str] = []
    for name, allowed in limits.items():
        held = [getattr(holdings, name) for holdings in rounds]
        more = min(held[half:]) - min(held[:half])
        if more > allowed:
            found.append(f"{name}: {more:.4g} more than before, {allowed:.4g} allowed")
    return found


async def soak(server: Server, options: argparse.Namespace) -> int:
    number = await chorus_number(server.base_url, server.api_key, agent={})
    run = Soak(
        number,
        server.pid,
        at_once=options.at_once,
        seed=options.seed,
        talks_on_s=options.talks_on,
    )
    rounds = [options.calls // ROUNDS + (i < options.calls % ROUNDS) for i in range(ROUNDS)]
    held: list[Holdings] = []
    async with run.ticking():
        for calls in rounds:
            await run.calls(calls)
            held.append(await run.idle())
    problems = grown(held, options.calls)
    if run.refused:
        problems.append(f"{len(run.refused)} calls were refused, first: {run.refused[0]}")
    if run.cut_off:
        problems.append(f"{run.cut_off} calls were cut off")
    if not run.tally.response_s:
        problems.append("no caller was answered")
    result = {
        "calls": options.calls,
        "rounds": [asdict(holdings) for holdings in held],
        "answers": len(run.tally.response_s),
        "problems": problems,
    }
    print(json.dumps(result, indent=2))
    return 1 if problems else 0


@contextlib.contextmanager
def server_of(options: argparse.Namespace) -> Generator[Server]:
    if options.webhook:
        yield Server(options.pid, options.webhook, options.api_key, ())
        return
    with running(SYSTEMS[0]) as server:
        yield server


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--calls", type=int, default=300)
    parser.add_argument("--at-once", type=int, default=20)
    parser.add_argument(
        "--talks-on",
        type=float,
        default=TALKS_ON_S,
        help="seconds after the first answer, of most calls",
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--webhook", help="of a running server; else one is started")
    parser.add_argument("--api-key")
    parser.add_argument("--pid", type=int)
    options = parser.parse_args()
    if options.webhook and not (options.api_key and options.pid):
        parser.error("--webhook needs --api-key and --pid")
    try:
        with server_of(options) as server:
            return uvloop.run(soak(server, options))
    except (Refused, NotReady, httpx.HTTPError) as failed:
        print(f"soak: {failed}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
