"""Live control against real servers: whoever holds the call, and however it is followed."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from tests.calls.sse import Sse, follow
from tests.conftest import Postgres
from tests.soak.rig import Rig, environment, free_port

from chorus.demo.carrier import client
from chorus.demo.carrier.client import CarrierCall
from chorus.demo.carrier.person import Person, Say, WaitQuiet

pytestmark = [pytest.mark.timeout(180), pytest.mark.asyncio(loop_scope="module")]

TALKS = Person(ring_ms=50, steps=[WaitQuiet(quiet_ms=300), Say(sound="tone", ms=400)])
TURN = (Say(sound="tone", ms=400), WaitQuiet(quiet_ms=300))


@asynccontextmanager
async def servers(
    folder: Path, database_url: str | None, count: int
) -> AsyncGenerator[list[Rig], None]:
    """So many servers on one database, the first of which alone dials."""
    async with client.running() as carrier:
        first = Rig(carrier, folder / "0", environment(carrier, database_url), database_url)
        rigs = [first]
        try:
            await first.start()
            await first.prepare()
            for n in range(1, count):
                env = first.env | {"CHORUS_PORT": str(free_port())}
                other = Rig(carrier, folder / str(n), env, database_url, wish=first.wish)
                rigs.append(other)
                await other.start()
            yield rigs
        finally:
            for rig in rigs:
                await rig.stop()


async def answered(rig: Rig) -> tuple[str, CarrierCall]:
    """The id of the one call that is being talked on, and the call at the carrier."""
    to, before = f"+1557{len(rig.accepted):07}", len(rig.carrier.events) - 1
    assert await rig.place(to, TALKS)
    speaks = await rig.carrier.wait("agent.speaks", 30, after=before)
    return rig.accepted[to], rig.carrier.placed(speaks["call"])


async def holder(rigs: list[Rig]) -> tuple[Rig, Rig]:
    """The server that holds the one live call, and one that does not, if there is one."""
    async with asyncio.timeout(10):
        while True:
            held = [await calls_of(rig) for rig in rigs]
            if sum(held) == 1:
                at = held.index(1)
                return rigs[at], rigs[at - 1]
            await asyncio.sleep(0.05)


async def calls_of(rig: Rig) -> int:
    async with rig.http() as http:
        return (await http.get("/healthz")).json()["calls"]


async def post(rig: Rig, path: str, body: Any = None) -> httpx.Response:
    async with rig.http() as http:
        return await http.post(f"/v1/calls/{path}", json=body)


async def stored(rig: Rig, call_id: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    async with rig.http() as http:
        while True:
            query = {"limit": 100, "offset": len(found)}
            page = (await http.get(f"/v1/calls/{call_id}/events", params=query)).json()
            found += page["data"]
            if len(found) >= page["pagination"]["total"]:
                return found


async def over(rig: Rig, id: str) -> dict[str, Any]:
    [call] = [call for call in await rig.settled(30) if call["id"] == id]
    return call


def kinds(events: list[Sse]) -> list[str]:
    return [event.kind for event in events]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def alone(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[list[Rig]]:
    """One server with its own database, for all tests of the file, which have a call each."""
    async with servers(tmp_path_factory.mktemp("alone"), None, 1) as rigs:
        yield rigs


@pytest.fixture
def postgres_url(postgres: Postgres) -> Iterator[str]:
    url = postgres.new()
    yield url
    postgres.drop(url)


@pytest_asyncio.fixture(loop_scope="module")
async def two(tmp_path: Path, postgres_url: str) -> AsyncGenerator[list[Rig]]:
    """Two servers on one database."""
    async with servers(tmp_path, postgres_url, 2) as rigs:
        yield rigs


@pytest.fixture(params=["alone", "two"])
def rigs(request: pytest.FixtureRequest) -> list[Rig]:
    return request.getfixturevalue(request.param)


async def test_verbs_and_events(rigs: list[Rig]):
    """Asked for at the holder, where it is alone, and else at another."""
    carrier = rigs[0].carrier
    id, call = await answered(rigs[0])
    held_by, rig = await holder(rigs)
    assert (rig is held_by) is (len(rigs) == 1)
    live = follow(rig, id)
    seen: list[Sse] = [await anext(live) for _ in range(3)]

    # Inject: the model is shown it, which its count of tokens tells.
    await until(live, seen, "usage")
    asked = len(carrier.events) - 1
    await call.do(*TURN)
    await until(live, seen, "reply_heard", after=len(seen))
    await call.wait("steps.done", 20, after=asked)
    note = "The caller is a friend. " * 80
    answer = await post(rig, f"{id}/inject", {"text": note})
    assert (answer.status_code, answer.json()) == (202, {"data": {"id": id, "accepted": True}})
    await until(live, seen, "operator_note")
    before = max(e.data["data"]["inputTokens"] for e in seen if e.kind == "usage")
    asked = len(carrier.events) - 1
    await call.do(*TURN)
    async with asyncio.timeout(20):
        while seen[-1].kind != "usage" or seen[-1].data["data"]["inputTokens"] < before + 300:
            seen.append(await anext(live))

    # Say: it is heard, and not as the end of the reply.
    await call.wait("steps.done", 20, after=asked)
    heard = len(carrier.events) - 1
    answer = await post(rig, f"{id}/say", {"text": "Please hold the line for a moment."})
    assert answer.status_code == 202, answer.text
    await call.wait("agent.speaks", 10, after=heard)
    await until(live, seen, "operator_said")
    await until(live, seen, "reply_heard", after=len(seen))
    assert "Please hold the line" in seen[-1].data["data"]["heard"]

    # Hang up.
    answer = await post(rig, f"{id}/hangup", {"reason": "the queue is closed"})
    assert answer.status_code == 202, answer.text
    seen += [event async for event in live]
    ended = await over(rig, id)
    assert (ended["status"], ended["endedReason"]) == ("completed", "operator_ended")

    # What was streamed is what is stored, each once and in order.
    *events, end = seen
    assert (end.kind, end.id) == ("end", None)
    assert end.data == {"status": "completed", "endedReason": "operator_ended"}
    assert [event.data for event in events] == await stored(rig, id)
    assert [event.id for event in events] == list(range(1, len(events) + 1))
    assert events[-1].data["data"] == {
        "status": "completed",
        "reason": "operator_ended",
        "detail": "the queue is closed",
    }
    assert [event async for event in follow(rig, id)] == seen
    for verb, body in (("say", {"text": "a"}), ("inject", {"text": "a"}), ("hangup", None)):
        refused = await post(rig, f"{id}/{verb}", body)
        assert (refused.status_code, refused.json()["code"]) == (409, "call_not_live")


async def until(live: AsyncGenerator[Sse, None], seen: list[Sse], kind: str, after: int = 0):
    """Read on until there was an event of this kind."""
    async with asyncio.timeout(20):
        while kind not in kinds(seen[after:]):
            seen.append(await anext(live))


async def test_a_reader_that_comes_back_misses_nothing(alone: list[Rig]):
    [rig] = alone
    id, call = await answered(rig)
    seen: list[Sse] = []

    async def talk() -> None:
        await call.do(*TURN)
        await call.wait("steps.done", 20)
        assert (await post(rig, f"{id}/hangup")).status_code == 202

    talking = asyncio.create_task(talk())
    while not seen or seen[-1].kind != "end":
        async with aclosing(follow(rig, id, seen[-1].id if seen else None)) as stream:
            async for event in stream:
                seen.append(event)
                if len(seen) % 3 == 0:
                    break
    await talking
    assert len(seen) > 12
    assert [event.data for event in seen[:-1]] == await stored(rig, id)


async def test_a_reader_that_does_not_read_delays_nothing(alone: list[Rig]):
    [rig] = alone
    id, call = await answered(rig)
    assert rig.server is not None
    url = httpx.URL(rig.server.url)
    lazy: list[socket.socket] = []
    try:
        for _ in range(20):
            connection = socket.create_connection((url.host, url.port or 80))
            lazy.append(connection)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
            connection.sendall(
                f"GET /v1/calls/{id}/events?stream=1 HTTP/1.1\r\nHost: x\r\n"
                f"Authorization: {rig.server.headers['Authorization']}\r\n\r\n".encode()
            )
        # Far more than the socket and the server's buffer hold.
        text = json.dumps({"text": "x" * 2000})
        async with rig.http() as http:
            for _ in range(100):
                answer = await http.post(
                    f"/v1/calls/{id}/inject",
                    content=text,
                    headers={"content-type": "application/json"},
                )
                assert answer.status_code == 202
        await call.do(*TURN)
        await call.wait("steps.done", 20)
        look = await call.look()
        assert max(look["underruns_ms"], default=0) < 100, look
        assert (await post(rig, f"{id}/hangup")).status_code == 202
        assert (await over(rig, id))["endedReason"] == "operator_ended"
        seen = [event async for event in follow(rig, id)]
        assert kinds(seen).count("operator_note") == 100
    finally:
        for connection in lazy:
            connection.close()


async def test_a_server_that_stops_ends_its_streams(alone: list[Rig]):
    """After all others that need it."""
    [rig] = alone
    id, _ = await answered(rig)
    reading = asyncio.create_task(everything(rig, id))
    await asyncio.sleep(0.5)
    began = asyncio.get_running_loop().time()
    await rig.stop()
    assert kinds(await reading)[-2:] == ["status_changed", "end"]
    assert asyncio.get_running_loop().time() - began < 9


async def everything(rig: Rig, id: str) -> list[Sse]:
    return [event async for event in follow(rig, id)]
