"""How long reading takes beside a year of calls: `python -m bench.read_side FULL_URL EMPTY_URL`.

The one is filled by `bench.fill`, the other has next to nothing in it. A server runs on each, both
at once, and each request goes to the one and to the other in turn: what else the machine does slows
both down, so the ratio says more than the milliseconds. `--write docs/performance-database.md`
puts the table there.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from bench.api import KEY
from bench.fill import SECRET, prepared
from bench.procfs import usage
from bench.report import write_into
from bench.servers import ROOT, free_port

BEGIN, END = "<!-- reads {}: begin -->", "<!-- reads {}: end -->"
REQUESTS: tuple[tuple[str, str], ...] = (
    ("calls, 50", "calls"),
    ("calls, 100", "calls?limit=100"),
    ("calls, offset 5,000", "calls?offset=5000"),
    ("calls, offset 500,000", "calls?offset=500000"),
    ("calls, behind a cursor", "calls?after={cursor}"),
    ("calls of a status", "calls?status=failed"),
    ("calls of a direction", "calls?direction=outbound"),
    ("calls of an agent", "calls?agentId={agent}"),
    ("calls of an agent and a status", "calls?agentId={agent}&status=failed"),
    ("calls of a status and a direction, none", "calls?status=no_answer&direction=inbound"),
    ("calls of a number", "calls?phoneNumberId={number}"),
    ("calls of a day", "calls?from={day}&to={next}"),
    ("calls, part of a number", "calls?search=555123"),
    ("calls, a frequent word", "calls?text=appointment"),
    ("calls, a word of one call", "calls?text=order500003"),
    ("calls, an agent's name", "calls?search=Agent 7"),
    ("one call", "calls/{call}"),
    ("a call's events", "calls/{call}/events"),
    ("a call's ledger", "ledger?callId={call}"),
    ("a call's deliveries", "webhook-deliveries?callId={call}"),
    ("ledger", "ledger"),
    ("ledger of a meter", "ledger?meter=voice"),
    ("ledger, top-ups", "ledger?kind=top_up"),
    ("deliveries", "webhook-deliveries"),
    ("deliveries that failed", "webhook-deliveries?status=failed"),
    ("audit log", "audit-log"),
    ("agents", "agents"),
    ("usage, 30 days", "usage"),
    ("usage, a year by days", "usage?from={year}"),
    ("usage, a year by agents", "usage?from={year}&groupBy=agent"),
    ("call-stats, 7 days", "call-stats"),
)
PLACE, CANCEL = "place a call", "cancel it"


@dataclass(slots=True)
class Server:
    """A server on one database, and what was measured on it."""

    pid: int
    client: httpx.Client
    names: dict[str, str] = field(default_factory=dict[str, str])
    waits_ms: dict[str, list[float]] = field(default_factory=dict[str, list[float]])
    cpu_ms: dict[str, float] = field(default_factory=dict[str, float])

    def ask(self, name: str, send: Callable[[], httpx.Response], expected: int) -> httpx.Response:
        before, began = usage(self.pid).cpu_s, time.perf_counter()
        answer = send()
        self.waits_ms.setdefault(name, []).append((time.perf_counter() - began) * 1000)
        self.cpu_ms[name] = self.cpu_ms.get(name, 0) + (usage(self.pid).cpu_s - before) * 1000
        if answer.status_code != expected:
            raise RuntimeError(f"{name}: {answer.status_code} {answer.text[:300]}")
        return answer

    def get(self, name: str, path: str) -> None:
        self.ask(name, lambda: self.client.get(f"/v1/{path.format(**self.names)}"), 200)

    def place(self) -> None:
        """For tomorrow, so that nobody is called, and cancelled at once."""
        wish = {
            "agentId": self.names["own_agent"],
            "phoneNumberId": self.names["own_number"],
            "to": "+14155550142",
            "scheduledAt": (datetime.now(UTC) + timedelta(days=1)).isoformat(),
        }
        made = self.ask(PLACE, lambda: self.client.post("/v1/calls", json=wish), 201)
        id = made.json()["data"]["id"]
        self.ask(CANCEL, lambda: self.client.post(f"/v1/calls/{id}/cancel"), 200)

    def percentile(self, name: str, share: float) -> float:
        waits = sorted(self.waits_ms[name])
        return waits[min(len(waits) - 1, int(len(waits) * share))]


@contextmanager
def serving(url: str, folder: Path) -> Generator[Server]:
    asyncio.run(prepared(url))
    port = free_port()
    folder.mkdir()
    env = {name: value for name, value in os.environ.items() if not name.startswith("CHORUS_")}
    env |= {
        "CHORUS_PORT": str(port),
        "CHORUS_HOST": "127.0.0.1",
        "CHORUS_DATA_DIR": str(folder),
        "CHORUS_SECRET_KEY": SECRET,
        "CHORUS_DATABASE_URL": url,
        "CHORUS_RATE_LIMIT_PER_MINUTE": "1000000",
        "CHORUS_LOG_LEVEL": "warning",
    }
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "chorus", "serve"],
            stdout=log,
            stderr=log,
            cwd=ROOT,
            env=env,
        )
    client = httpx.Client(
        base_url=f"http://127.0.0.1:{port}",
        headers={"authorization": f"Bearer {KEY}"},
        timeout=120,
    )
    try:
        _await(client, process, folder / "server.log")
        yield Server(process.pid, client)
    finally:
        client.close()
        process.terminate()
        process.wait(60)


def _await(client: httpx.Client, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 180
    while process.poll() is None and time.monotonic() < deadline:
        try:
            client.get("/v1/agents").raise_for_status()
            return
        except httpx.TransportError:
            time.sleep(0.2)
    raise RuntimeError(f"the server is not there: {log.read_text()[-500:]}")


def name_things(server: Server) -> None:
    """What the paths need: a call in the middle, its agent, a cursor far behind, times."""
    client, now = server.client, datetime.now(UTC)

    def made(path: str, body: dict[str, Any]) -> str:
        answer = client.post(f"/v1/{path}", json=body)
        assert answer.status_code == 201, answer.text
        return answer.json()["data"]["id"]

    agent = made("agents", {"name": f"Bench {now.timestamp()}"})
    number = {
        "number": f"+1628{int(now.timestamp() * 10) % 10_000_000:07}",
        "agentId": agent,
        "twilioAccountSid": "AC" + "0" * 32,
        "twilioAuthToken": "t",
    }
    server.names |= {"own_agent": agent, "own_number": made("phone-numbers", number)}
    server.place()  # so that there is one at all
    server.waits_ms.clear()
    server.cpu_ms.clear()
    middle = (now - timedelta(days=180)).strftime("%Y-%m-%dT00:00:00Z")
    page = client.get(f"/v1/calls?to={middle}&limit=2").json()
    page = page if page["data"] else client.get("/v1/calls?limit=2").json()
    [first, *_] = page["data"]
    day = datetime.fromisoformat(first["createdAt"]).replace(hour=0, minute=0)
    server.names |= {
        "call": first["id"],
        "agent": first["agentId"],
        "number": first["phoneNumberId"],
        "cursor": page["pagination"]["nextCursor"] or "_" * 32,
        "day": day.strftime("%Y-%m-%dT00:00:00Z"),
        "next": (day + timedelta(days=1)).strftime("%Y-%m-%dT00:00:00Z"),
        "year": (now - timedelta(days=365)).strftime("%Y-%m-%dT%H:00:00Z"),
    }


def table(full: Server, empty: Server) -> str:
    lines = [
        "| request | p50 / p95 ms | processor ms | on an empty database p50 / p95 ms |",
        "|---|---|---|---|",
    ]
    for name, waits in full.waits_ms.items():
        here, there = (
            f"{s.percentile(name, 0.5):.0f} / {s.percentile(name, 0.95):.0f}" for s in (full, empty)
        )
        lines.append(f"| {name} | {here} | {full.cpu_ms[name] / len(waits):.0f} | {there} |")
    return "\n".join(lines)


def main() -> None:
    options = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    options.add_argument("full_url")
    options.add_argument("empty_url")
    options.add_argument("--repeats", type=int, default=20)
    options.add_argument("--only", help="requests whose name contains this")
    options.add_argument("--write", type=Path, help="a document with the two markers")
    chosen = options.parse_args()
    name = "sqlite" if chosen.full_url.startswith("sqlite") else "postgres"
    with (
        tempfile.TemporaryDirectory(prefix="chorus-bench-reads-") as folder,
        serving(chosen.full_url, Path(folder) / "full") as full,
        serving(chosen.empty_url, Path(folder) / "empty") as empty,
    ):
        both = (full, empty)
        for server in both:
            name_things(server)
        wanted = [each for each in REQUESTS if not chosen.only or chosen.only in each[0]]
        for _ in range(chosen.repeats):
            for what, path in wanted:
                for server in both:
                    server.get(what, path)
            for server in both:
                server.place()
        calls = json.loads(full.client.get("/v1/calls?limit=1").text)["pagination"]["total"]
    text = table(full, empty) + (
        f"\n\n`python -m bench.read_side`, {chosen.repeats} repeats, {calls} calls or more, Python "
        f"{platform.python_version()}, load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} "
        "cores at the end."
    )
    print(text)
    if chosen.write:
        write_into(chosen.write, text, BEGIN.format(name), END.format(name))


if __name__ == "__main__":
    main()
