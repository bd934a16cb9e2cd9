"""A carrier, a real server that can be killed and started again, and the calls placed on it.

    async with client.running() as carrier:
        rig = Rig(carrier, tmp_path, environment(carrier, None), None)
        await rig.start()
        await rig.prepare()
        await rig.place("+15550000001", Person(…))
        calls = await rig.settled()

What happens at the carrier is in `carrier.events`, what the server has written in its database.
"""

from __future__ import annotations

import asyncio
import functools
import random
import secrets
import socket
import sqlite3
import ssl
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psycopg
from tests.fakes import server

from chorus.demo.carrier.client import CarrierClient, Event
from chorus.demo.carrier.person import HangUp, Person, Say, Wait

ACCOUNT, TOKEN = "AC" + "7" * 32, "auth-token-of-the-soak"
OURS = "+15550002000"
FINAL = ("completed", "failed", "no_answer")
SETTLE_S = 60.0


@dataclass
class Rig:
    """A carrier, a server that can be killed, and the calls that were placed on it."""

    carrier: CarrierClient
    folder: Path
    env: dict[str, str]
    database_url: str | None
    server: server.Server | None = None
    module: str = "chorus"
    """What is run as the server."""
    asked: str = "api"
    """The carrier's event that it was asked to call."""
    wish: dict[str, Any] = field(default_factory=dict)
    accepted: dict[str, str] = field(default_factory=dict)
    """Number that was called → call id."""
    cancelled: set[str] = field(default_factory=set[str])
    not_before: dict[str, float] = field(default_factory=dict)
    """Number → when it may be called, on the monotonic clock."""

    async def start(self) -> None:
        starting = server.launch(self.folder, module=self.module, **self.env)
        self.server = await asyncio.to_thread(starting.ready)

    async def start_and_kill(self, after_s: float) -> bool:
        """False if it had said that it was ready before it was killed."""
        starting = server.launch(self.folder, **self.env)
        await asyncio.sleep(after_s)
        starting.kill()
        return not starting.said_ready

    def kill(self) -> None:
        assert self.server is not None
        self.server.process.kill()
        self.server.process.wait()

    async def stop(self) -> None:
        if self.server is not None and self.server.process.poll() is None:
            await asyncio.to_thread(self.server.stop)

    def http(self) -> httpx.AsyncClient:
        assert self.server is not None
        server, tls = self.server, _tls()
        return httpx.AsyncClient(
            base_url=server.url, headers=server.headers, timeout=30, verify=tls
        )

    async def prepare(self, **agent: Any) -> None:
        """An agent on simulated engines, and a number of the carrier's."""
        assert self.server is not None
        connection = await self.connection()
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
            number = {"number": OURS, **connection, "agentId": agent_id}
            number_id = await made("/v1/phone-numbers", number)
        self.wish = {"agentId": agent_id, "phoneNumberId": number_id}

    async def connection(self) -> dict[str, Any]:
        """Make our number at the carrier; what the API is told of it."""
        assert self.server is not None
        await self.carrier.add_account(ACCOUNT, TOKEN)
        url = self.server.url
        await self.carrier.add_number(OURS, ACCOUNT, f"{url}/twilio/voice", f"{url}/twilio/status")
        return {"twilioAccountSid": ACCOUNT, "twilioAuthToken": TOKEN}

    async def connected(self) -> None:
        """Wait until calls to our number reach it."""

    async def limit(self, at_once: int, waiting: int) -> None:
        """How many calls the organization may have."""
        async with self.http() as http:
            limits = {"maxConcurrentCalls": at_once, "maxQueuedCalls": waiting}
            answer = await http.patch("/v1/organization", json=limits)
            assert answer.status_code == 200, answer.text

    async def place(self, to: str, person: Person, **wish: Any) -> bool:
        """False if the server was gone before it had answered: the call may be there or not."""
        # More often than once: a second call would be answered like the first.
        await self.carrier.expect(to, person, times=9)
        answer = await self.post("/v1/calls", {**self.wish, "to": to, **wish})
        if answer is None:
            return False
        assert answer.status_code == 201, answer.text
        self.accepted[to] = answer.json()["data"]["id"]
        return True

    async def post(self, path: str, body: object = None) -> httpx.Response | None:
        """None if the server was gone before it had answered."""
        try:
            async with self.http() as http:
                return await http.post(path, json=body)
        except httpx.TransportError:
            return None

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
        return Counter(self.dialled(self.carrier.events))

    def dialled(self, events: Iterable[Event]) -> Iterator[str]:
        """The numbers that the carrier was asked to call."""
        return dials(events)

    def recorded(self, call_id: object) -> bool:
        """Whether this machine has something of the call's sound."""
        return (self.folder / "recordings" / f"{uuid.UUID(str(call_id))}.wav").exists()

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


def dials(events: Iterable[Event]) -> Iterator[str]:
    """The numbers that a carrier was asked to call."""
    for event in events:
        if event["kind"] == "api" and event["path"].endswith("/Calls.json"):
            yield event["form"]["To"][0]


@functools.cache
def _tls() -> ssl.SSLContext:
    """Not used, but each client would load the world's certificates."""
    return ssl.create_default_context()


def people(dice: random.Random) -> Person:
    """Somebody who is reached, or not, and talks for a moment."""
    if dice.random() < 0.15:
        answer = dice.choice(("busy", "reject", "fail"))
        return Person(answer=answer, ring_ms=dice.randrange(300))
    talk = [Wait(ms=dice.randrange(600)), Say(sound="tone", ms=dice.randrange(200, 700))]
    return Person(ring_ms=dice.randrange(900), steps=[*talk, Wait(ms=300), HangUp()])


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
