"""How fast the API is: `python -m bench.api [--seconds 8] [--write docs/performance.md]`.

On SQLite and on Postgres, each on core 0 with the load on core 1, and with the same requests (70 %
get an agent, 20 % list 50, 10 % create one):

1. a bare FastAPI route, hand-written SQL (`api_peers.py`), and Chorus, each as fast as it can;
2. Chorus and the hand-written SQL at a steady 200 requests a second.

A machine that does other things too gives fewer requests in a second of the clock, but about as
many in a second of the server's own processor time: the table has both, and ratios are of the
latter. The rounds of the servers alternate.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import httpx

from bench import postgres
from bench.api_load import Connection, Tally, Wish, closed, request, steady
from bench.procfs import usage
from bench.report import write_into
from bench.servers import ROOT, free_port

KEY = "sk_live_" + "b" * 32
AGENTS = 200
CONNECTIONS = 16
RATE = 200.0
SERVER_CORE, LOAD_CORE = 0, 1
BEGIN, END = "<!-- api: begin -->", "<!-- api: end -->"
AGENT = {
    "name": "Front desk",
    "systemPrompt": "You answer the phone of a small hotel. Be brief and kind. " * 8,
    "agentGreeting": "Hello, this is the front desk.",
    "agentGreetingEnabled": True,
    "languageHint": "en",
}


@dataclass(slots=True)
class Measured:
    """Rounds of one server on one database."""

    server: str
    database: str
    rates: list[float] = field(default_factory=list[float])
    per_cpu_s: list[float] = field(default_factory=list[float])
    p99_ms: list[float] = field(default_factory=list[float])
    steady_p50_ms: list[float] = field(default_factory=list[float])
    steady_p99_ms: list[float] = field(default_factory=list[float])


@contextmanager
def server(command: list[str], port: int, folder: Path, **env: str) -> Generator[int]:
    """The process id of a server that answers, on its core."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("CHORUS_")}
    with (folder / "server.log").open("ab") as log:
        process = subprocess.Popen(
            ["taskset", "-c", str(SERVER_CORE), sys.executable, "-W", "ignore", "-m", *command],
            stdout=log,
            stderr=log,
            cwd=ROOT,
            env=clean | env,
        )
    try:
        _await(f"http://127.0.0.1:{port}/v1/agents", process)
        yield process.pid
    finally:
        process.terminate()
        process.wait(60)


def _await(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 180
    while process.poll() is None and time.monotonic() < deadline:
        try:
            httpx.get(url, headers={"authorization": f"Bearer {KEY}"}, timeout=30)
            return
        except httpx.TransportError:
            time.sleep(0.1)
    raise RuntimeError(f"{process.args} is not there")


def wishes(ids: list[str], seed: int) -> Callable[[], Wish]:
    chance = random.Random(seed)
    body = json.dumps(AGENT).encode()
    gets = [Wish("get", request("GET", f"/v1/agents/{id}", KEY), 200) for id in ids]
    page = Wish("list", request("GET", "/v1/agents?limit=50", KEY), 200)
    make = Wish("create", request("POST", "/v1/agents", KEY, body), 201)

    def wish() -> Wish:
        dice = chance.random()
        return chance.choice(gets) if dice < 0.7 else page if dice < 0.9 else make

    return wish


async def measure(port: int, pid: int, ids: list[str], into: Measured, seconds: float) -> None:
    connections = [await Connection.open("127.0.0.1", port) for _ in range(CONNECTIONS)]
    await closed(connections, wishes(ids, 0), 1.0)  # warm
    before = usage(pid).cpu_s
    tally = await closed(connections, wishes(ids, 1), seconds)
    into.per_cpu_s.append(tally.count / (usage(pid).cpu_s - before))
    into.rates.append(tally.rate)
    into.p99_ms.append(tally.percentile(0.99))
    _insist(tally, into)
    if into.server != "bare route":
        tally = await steady(connections, wishes(ids, 2), seconds, RATE)
        into.steady_p50_ms.append(tally.percentile(0.5))
        into.steady_p99_ms.append(tally.percentile(0.99))
        _insist(tally, into)
    for connection in connections:
        await connection.close()


def _insist(tally: Tally, into: Measured) -> None:
    if tally.failures:
        raise RuntimeError(f"{into.server}: {len(tally.failures)} failed, {tally.failures[0]}")


def seeded(port: int) -> list[str]:
    """The ids of agents that are there to be got; made by the first who asks."""
    with httpx.Client(
        base_url=f"http://127.0.0.1:{port}", headers={"authorization": f"Bearer {KEY}"}, timeout=60
    ) as client:
        found: list[str] = []
        for _ in range(AGENTS):
            answer = client.post("/v1/agents", json=AGENT)
            assert answer.status_code == 201, answer.text
            found.append(answer.json()["data"]["id"])
    return found


def run(name: str, url: str, folder: Path, seconds: float, rounds: int) -> list[Measured]:
    chorus, hand, bare = (
        Measured(server, name) for server in ("Chorus", "hand-written SQL", "bare route")
    )
    port = free_port()
    env = {
        "CHORUS_HOST": "127.0.0.1",
        "CHORUS_PORT": str(port),
        "CHORUS_DATA_DIR": str(folder),
        "CHORUS_DATABASE_URL": url,
        "CHORUS_BOOTSTRAP_API_KEY": KEY,
        "CHORUS_RATE_LIMIT_PER_MINUTE": "1000000",
        "CHORUS_LOG_LEVEL": "warning",
    }
    ids: list[str] = []
    if not url.startswith("sqlite"):
        subprocess.run(
            [sys.executable, "-m", "chorus", "migrate"], env=os.environ | env, cwd=ROOT, check=True
        )
    for _ in range(rounds):
        with server(["chorus", "serve"], port, folder, **env) as pid:
            ids = ids or seeded(port)
            asyncio.run(measure(port, pid, ids, chorus, seconds))
        with server(["bench.api_peers", str(port), url], port, folder) as pid:
            asyncio.run(measure(port, pid, ids, hand, seconds))
        with server(["bench.api_peers", str(port)], port, folder) as pid:
            asyncio.run(measure(port, pid, ids, bare, seconds))
    return [chorus, hand, bare]


def table(found: list[Measured]) -> str:
    lines = [
        "| database | server | requests/s | requests per CPU second | of hand-written | p99 at "
        "full load | p50 / p99 at 200/s |",
        "|---|---|---|---|---|---|---|",
    ]
    by_hand = {m.database: median(m.per_cpu_s) for m in found if m.server == "hand-written SQL"}
    for m in found:
        share = f"{median(m.per_cpu_s) / by_hand[m.database]:.0%}"
        steady_ms = (
            f"{median(m.steady_p50_ms):.1f} / {median(m.steady_p99_ms):.1f} ms"
            if m.steady_p50_ms
            else ""
        )
        lines.append(
            f"| {m.database} | {m.server} | {median(m.rates):.0f} | {median(m.per_cpu_s):.0f} "
            f"| {share} | {median(m.p99_ms):.0f} ms | {steady_ms} |"
        )
    return "\n".join(lines)


def main() -> None:
    options = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    options.add_argument("--seconds", type=float, default=8)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--database", choices=["SQLite", "Postgres"], action="append")
    options.add_argument("--write", type=Path, help="a document with the two markers")
    chosen = options.parse_args()
    databases: list[str] = chosen.database or ["SQLite", "Postgres"]
    os.sched_setaffinity(0, {LOAD_CORE})
    found: list[Measured] = []
    with tempfile.TemporaryDirectory(prefix="chorus-bench-api-") as folder:
        if "SQLite" in databases:
            path = Path(folder) / "sqlite"
            path.mkdir()
            url = f"sqlite:///{path / 'chorus.db'}"
            found += run("SQLite", url, path, chosen.seconds, chosen.rounds)
        if "Postgres" in databases:
            path = Path(folder) / "postgres"
            path.mkdir()
            with postgres.running(migrated=False) as database:
                found += run("Postgres", database.url, path, chosen.seconds, chosen.rounds)
    text = table(found) + (
        f"\n\n`python -m bench.api {' '.join(sys.argv[1:])}`, Python {platform.python_version()}, "
        f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores at the end."
    )
    print(text)
    if chosen.write:
        write_into(chosen.write, text, BEGIN, END)


if __name__ == "__main__":
    main()
