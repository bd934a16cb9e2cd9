"""Kills the server with SIGKILL at any moment of calls' lives, and then counts.

    report = await run(tmp_path, kills=3, database_url=…)
    assert report.problems == []

Each round places some calls over the API, spread over a moment, to people who ring, talk and
hang up at times of their own; somewhere in between the server is killed and started again. At
the end every call must be in a final status, the carrier must have been asked for each number at
most once, every call that the API had accepted must be there, and what follows a call must have
been done for each: it is paid for, and a webhook was told of it (`afterwards.py`).

Whoever adds something that must survive hands in `check`, which gets the rig and returns what is
wrong, in words. From a shell: `python -m tests.soak.kill --kills 100 [--database postgresql://…]`.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import secrets
import socket
import sqlite3
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psycopg
from tests.fakes import server
from tests.soak.afterwards import Afterwards

from chorus.demo.carrier import client
from chorus.demo.carrier.client import CarrierClient
from chorus.demo.carrier.person import HangUp, Person, Say, Wait

ACCOUNT, TOKEN = "AC" + "7" * 32, "auth-token-of-the-soak"
OURS = "+15550002000"
FINAL = ("completed", "failed", "no_answer")
ROUND_S = 2.0
SETTLE_S = 60.0

Check = Callable[["Rig"], Awaitable[list[str]]]


@dataclass
class Report:
    kills: int = 0
    placed: int = 0
    refused: int = 0
    dialled: int = 0
    told: int = 0
    """Webhooks that came, those that came again included."""
    ends: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        ends = ", ".join(f"{count} {end}" for end, count in self.ends.most_common())
        return (
            f"{self.kills} kills, {self.placed} calls accepted, {self.refused} requests cut off, "
            f"{self.dialled} dialled; {ends}; {self.told} webhooks; {len(self.problems)} problems"
        )


@dataclass
class Rig:
    """A carrier, a server that can be killed, and the calls that were placed on it."""

    carrier: CarrierClient
    folder: Path
    env: dict[str, str]
    database_url: str | None
    server: server.Server | None = None
    wish: dict[str, Any] = field(default_factory=dict)
    accepted: dict[str, str] = field(default_factory=dict)
    """Number that was called → call id."""

    async def start(self) -> None:
        self.server = await asyncio.to_thread(server.start, self.folder, **self.env)

    def kill(self) -> None:
        assert self.server is not None
        self.server.process.kill()
        self.server.process.wait()

    async def stop(self) -> None:
        if self.server is not None and self.server.process.poll() is None:
            await asyncio.to_thread(self.server.stop)

    def http(self) -> httpx.AsyncClient:
        assert self.server is not None
        return httpx.AsyncClient(base_url=self.server.url, headers=self.server.headers, timeout=30)

    async def prepare(self, **agent: Any) -> None:
        """An agent on simulated engines, and a number of the carrier's."""
        assert self.server is not None
        await self.carrier.add_account(ACCOUNT, TOKEN)
        url = self.server.url
        await self.carrier.add_number(OURS, ACCOUNT, f"{url}/twilio/voice", f"{url}/twilio/status")
        async with self.http() as http:

            async def made(path: str, body: dict[str, Any]) -> str:
                answer = await http.post(path, json=body)
                assert answer.status_code == 201, answer.text
                return answer.json()["data"]["id"]

            async def simulated(catalogue: str) -> str:
                found = (await http.get(f"/v1/{catalogue}?search=simulated")).json()["data"]
                return found[0]["id"]

            engines = {
                "slmModelId": await simulated("slm-models"),
                "voiceId": await simulated("voices"),
            }
            greeting = {"firstSpeaker": "agent", "agentGreeting": "Good day, how can I help you?"}
            agent_id = await made("/v1/agents", {"name": "Soak", **engines, **greeting, **agent})
            number = {"number": OURS, "twilioAccountSid": ACCOUNT, "twilioAuthToken": TOKEN}
            number_id = await made("/v1/phone-numbers", {**number, "agentId": agent_id})
        self.wish = {"agentId": agent_id, "phoneNumberId": number_id}

    async def place(self, to: str, person: Person, **wish: Any) -> bool:
        """False if the server was gone before it had answered: the call may be there or not."""
        # More often than once: a second call would be answered like the first.
        await self.carrier.expect(to, person, times=9)
        try:
            async with self.http() as http:
                answer = await http.post("/v1/calls", json={**self.wish, "to": to, **wish})
        except httpx.TransportError:
            return False
        assert answer.status_code == 201, answer.text
        self.accepted[to] = answer.json()["data"]["id"]
        return True

    async def calls(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        async with self.http() as http:
            while True:
                query = {"limit": 100, "offset": len(found)}
                page = (await http.get("/v1/calls", params=query)).json()
                found += page["data"]
                if not page["data"] or len(found) >= page["pagination"]["total"]:
                    return found

    async def settled(self, timeout_s: float = SETTLE_S) -> list[dict[str, Any]]:
        """All calls, once every one is over, or as they are after `timeout_s`."""
        deadline = asyncio.get_running_loop().time() + timeout_s
        while True:
            calls = await self.calls()
            over = all(call["status"] in FINAL for call in calls)
            if over or asyncio.get_running_loop().time() > deadline:
                return calls
            await asyncio.sleep(0.2)

    def dials(self) -> Counter[str]:
        """How often the carrier was asked to call each number."""
        return Counter(
            event["form"]["To"][0]
            for event in self.carrier.events
            if event["kind"] == "api" and event["path"].endswith("/Calls.json")
        )

    async def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Straight from the database; tables of durable work are in `{dbos}`."""

        def read() -> list[tuple[Any, ...]]:
            if self.database_url is not None:
                with psycopg.connect(self.database_url) as connection:
                    text = query.format(dbos="dbos.")
                    return connection.execute(text).fetchall()  # pyright: ignore[reportArgumentType]
            with sqlite3.connect(self.folder / "chorus.db") as connection:
                return connection.execute(query.format(dbos="")).fetchall()

        return await asyncio.to_thread(read)


def people(dice: random.Random) -> Person:
    """Somebody who is reached, or not, and talks for a moment."""
    if dice.random() < 0.15:
        answer = dice.choice(("busy", "reject", "fail"))
        return Person(answer=answer, ring_ms=dice.randrange(300))
    talk = [Wait(ms=dice.randrange(600)), Say(sound="tone", ms=dice.randrange(200, 700))]
    return Person(ring_ms=dice.randrange(900), steps=[*talk, Wait(ms=300), HangUp()])


async def run(
    folder: Path,
    *,
    kills: int,
    database_url: str | None = None,
    calls_a_round: int = 8,
    seed: int = 1,
    check: Check | None = None,
    most_s: float = float("inf"),
    **env: str,
) -> Report:
    """`database_url` must have the schema; None is SQLite in `folder`. No round begins after
    `most_s`."""
    dice = random.Random(seed)
    report = Report()
    numbers = (f"+1555{n:07}" for n in range(1, 10_000_000))
    until = time.monotonic() + most_s
    async with client.running() as carrier, Afterwards(folder) as afterwards:
        env = environment(carrier, database_url) | afterwards.env | env
        rig = Rig(carrier, folder, env, database_url)
        await rig.start()
        try:
            await rig.prepare(**afterwards.agent)
            await afterwards.top_up(rig)
            while report.kills < kills and time.monotonic() < until:
                await _round(rig, report, dice, [next(numbers) for _ in range(calls_a_round)])
                print(report.kills, end=" ", flush=True)
            await _count(rig, report)
            report.problems += await afterwards.problems(rig)
            report.told = len(afterwards.news)
            if check is not None:
                report.problems += await check(rig)
        finally:
            await rig.stop()
    return report


def environment(carrier: CarrierClient, database_url: str | None) -> dict[str, str]:
    env = {
        "CHORUS_SIMULATED": "1",
        "CHORUS_TWILIO_API_URL": carrier.url,
        "CHORUS_DRAIN_SECONDS": "1",
        # The same at each start: the carrier calls back where it was told to.
        "CHORUS_PORT": str(free_port()),
        "CHORUS_SECRET_KEY": secrets.token_urlsafe(32),
    }
    return env | ({} if database_url is None else {"CHORUS_DATABASE_URL": database_url})


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


async def _round(rig: Rig, report: Report, dice: random.Random, numbers: list[str]) -> None:
    """Kill it some time after some of the calls were accepted, however fast the machine is."""
    enough, accepted = dice.randint(1, len(numbers)), asyncio.Event()

    async def place(to: str, after_s: float, person: Person) -> None:
        await asyncio.sleep(after_s)
        if await rig.place(to, person):
            report.placed += 1
        else:
            report.refused += 1
        if len(rig.accepted) >= before + enough:
            accepted.set()

    before = len(rig.accepted)
    plans = [(to, dice.uniform(0, ROUND_S), people(dice)) for to in numbers]
    then_s = dice.uniform(0, ROUND_S)
    async with asyncio.TaskGroup() as tasks:
        for plan in plans:
            tasks.create_task(place(*plan))
        await accepted.wait()
        await asyncio.sleep(then_s)
        rig.kill()
    report.kills += 1
    await rig.start()


async def _count(rig: Rig, report: Report) -> None:
    calls = await rig.settled()
    report.ends.update(call["endedReason"] or call["status"] for call in calls)
    dials = rig.dials()
    report.dialled = len(dials)
    known = {call["id"] for call in calls}
    problems = report.problems
    problems += [f"{to} was dialled {n} times" for to, n in dials.items() if n > 1]
    problems += [f"the call to {to} is lost" for to, id in rig.accepted.items() if id not in known]
    problems += [
        f"call {call['id']} is still {call['status']}"
        for call in calls
        if call["status"] not in FINAL
    ]
    for call in calls:
        dialled = dials[call["customerNumber"]]
        if not dialled and call["endedReason"] != "worker_lost":
            problems.append(f"call {call['id']} was never dialled: {call['endedReason']}")
    await _done_after(rig, problems, known)


async def _done_after(rig: Rig, problems: list[str], known: set[str]) -> None:
    """What follows a call is done for each, once."""
    query = "SELECT workflow_uuid, status FROM {dbos}workflow_status WHERE name = 'after_call'"
    found: dict[str, str] = {}
    for _ in range(100):
        found = {id.removeprefix("after_call:"): status for id, status in await rig.rows(query)}
        if set(found) == known and set(found.values()) <= {"SUCCESS"}:
            return
        await asyncio.sleep(0.2)
    problems += [f"nothing followed call {id}" for id in known - set(found)]
    problems += [
        f"what follows call {id} is {status}" for id, status in found.items() if status != "SUCCESS"
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description="Kill the server and count its calls.")
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=float("inf"), help="begin none after")
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
            )
        )
    print(f"\n{report}")
    for problem in report.problems:
        print(f"  {problem}")
    return 1 if report.problems else 0


if __name__ == "__main__":
    raise SystemExit(main())
