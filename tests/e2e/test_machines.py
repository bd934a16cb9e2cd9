"""Several servers on one Postgres, and a load balancer that knows nothing of calls: what belongs to
a call that one server holds comes to another, on the same machine or on one of its own."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.calls.test_live_calls import post
from tests.calls.test_live_transfers import call, ended, talking, to, until
from tests.lines.browser.page import Page
from tests.soak.rig import Rig, environment, free_port

from chorus.demo.carrier import client
from chorus.demo.carrier.client import CarrierCall
from chorus.demo.carrier.person import HangUp, Person, Press, Say, Wait, WaitQuiet

pytestmark = pytest.mark.timeout(240)


class Balancer:
    """Stands before two servers, and gives each connection to `port`."""

    def __init__(self) -> None:
        self.port = 0

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[str]:
        server = await asyncio.start_server(self._pass, "127.0.0.1", 0)
        try:
            yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        finally:
            server.close()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            await asyncio.gather(_copy(reader, inner_writer), _copy(inner_reader, writer))
        except OSError:
            pass  # either side has gone
        finally:
            for end in (writer, inner_writer):
                end.transport.abort()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()


@dataclass
class Pair:
    """`first` is asked over the API. A call that is begun by `held` is held by `second`, and what
    belongs to it comes to `first`, over the balancer."""

    balancer: Balancer
    first: Rig
    second: Rig

    async def held(self) -> tuple[str, CarrierCall]:
        self.to(self.second)
        found = await talking(self.first)
        self.to(self.first)
        return found

    def to(self, rig: Rig) -> None:
        self.balancer.port = int(rig.env["CHORUS_PORT"])

    def passed_on(self) -> list[str]:
        """To whom the first has passed on a socket, each time."""
        log = (self.first.folder / "server.log").read_text()
        return re.findall(r"is passed on to (\S+),", log)


@asynccontextmanager
async def pair(folder: Path, url: str, *, machines: int, workers: int = 1) -> AsyncGenerator[Pair]:
    """Two servers, on one data folder or on one each; so many workers of the second."""
    balancer = Balancer()
    async with client.running() as carrier, balancer.open() as media_url:
        env = environment(carrier, url) | {"CHORUS_MEDIA_URL": media_url}

        def rig(n: int) -> Rig:
            own = {"CHORUS_PORT": str(free_port())}
            if machines == 1:
                return Rig(carrier, folder / "0", env | own, url)
            own["CHORUS_PEER_ADDRESS"] = f"127.0.0.1:{free_port()}"
            if n == 1:
                own["CHORUS_WORKERS"] = str(workers)
            return Rig(carrier, folder / str(n), env | own, url)

        first, second = rig(0), rig(1)
        await first.start()
        try:
            await first.prepare()
            await second.start()
            second.wish = first.wish
            yield Pair(balancer, first, second)
        finally:
            await first.stop()
            await second.stop()


@pytest.mark.parametrize(
    "machines",
    [pytest.param(1, id="one-machine", marks=pytest.mark.slow), pytest.param(2, id="two-machines")],
)
async def test_what_belongs_to_a_call_of_another_server(
    tmp_path: Path, postgres_url: str, machines: int
):
    async with pair(tmp_path, postgres_url, machines=machines) as servers:
        await asyncio.gather(
            *([strangers_at_the_port(servers.second)] if machines == 2 else []),
            transferred_and_steered_elsewhere(servers),
        )
        await supervised_elsewhere(servers)
        await resumed_elsewhere(servers)
        assert len(servers.passed_on()) == 4


@pytest.mark.slow
async def test_a_machine_with_workers(tmp_path: Path, postgres_url: str):
    """Each worker has its port, and gets what belongs to its calls and to no other's."""
    async with pair(tmp_path, postgres_url, machines=2, workers=2) as servers:
        one, two = (rig.env["CHORUS_PEER_ADDRESS"] for rig in (servers.first, servers.second))
        host, _, port = two.rpartition(":")
        rows = await servers.first.rows("SELECT id, peer_address FROM executors")
        known = {one, two, f"{host}:{int(port) + 1}"}
        assert {address for _, address in rows} == known, rows
        await transferred_and_steered_elsewhere(servers)
        # Which of the two takes a connection is the system's choice.
        for _ in range(12):
            await supervised_elsewhere(servers)
            if len(set(servers.passed_on())) == 2:
                return
        pytest.fail(f"all of 13 calls were held by one of two workers: {servers.passed_on()}")


@pytest.mark.slow
async def test_a_machine_that_dies(tmp_path: Path, postgres_url: str):
    """What was passed on to it ends at once, and what comes for it afterwards is sent away."""
    async with pair(tmp_path, postgres_url, machines=2) as servers:
        page = await opened(servers)
        id, _ = await servers.held()
        grant = (await post(servers.first, f"{id}/supervisors", {"hears": "both"})).json()["data"]
        supervisor = Page(grant | {"callId": grant["id"]})
        await supervisor.open()
        await supervisor.told("started")
        assert len(servers.passed_on()) == 1
        servers.second.kill()
        assert await closed(supervisor) == 1011
        await page.resume()
        assert await closed(page) == 1013
        await page.close()
        await supervisor.close()


async def closed(page: Page) -> int | None:
    """With which code."""
    assert page.socket is not None
    async with asyncio.timeout(20):
        await page.socket.wait_closed()
    return page.socket.close_code


async def opened(servers: Pair) -> Page:
    """A browser's call, held by the second."""
    async with servers.first.http() as http:
        answer = await http.post("/v1/calls/test", json={"agentId": servers.first.wish["agentId"]})
        assert answer.status_code == 201, answer.text
    page = Page(answer.json()["data"])
    servers.to(servers.second)
    await page.open()
    await page.event("answered")
    servers.to(servers.first)
    return page


async def supervised_elsewhere(servers: Pair) -> None:
    id, caller = await servers.held()
    answer = await post(servers.first, f"{id}/supervisors", {"hears": "both"})
    grant = answer.json()["data"]
    page = Page(grant | {"callId": grant["id"]})
    await page.open()
    await page.told("started")
    await caller.do(Say(sound="tone", ms=400))
    await page.played(300)
    hang_up = await post(servers.first, f"{id}/hangup", {"reason": "enough"})
    assert hang_up.status_code == 202
    assert (await page.told("ended"))["reason"] == "ended"
    await page.close()


async def resumed_elsewhere(servers: Pair) -> None:
    """A browser's call whose socket was lost comes back to the other process."""
    page = await opened(servers)
    await page.lose()
    page.messages.clear()
    await page.resume("a guess")
    assert (await page.told("ended"))["reason"] == "not_here"
    page.messages.clear()
    await page.resume()
    await page.told("started")
    await page.send({"type": "stop"})
    assert (await page.told("ended"))["reason"] == "hung_up"
    await page.close()


async def transferred_and_steered_elsewhere(servers: Pair) -> None:
    """The second call's audio comes to the first server; so do requests of the API."""
    rig = servers.first
    id, caller = await servers.held()
    said = "Please hold the line for a moment."
    assert (await post(rig, f"{id}/say", {"text": said})).status_code == 202
    assert (await until(rig, id, "operator_said", only=True))[0]["data"]["text"] == said
    wish = to("warm")
    takes = Person(ring_ms=50, steps=[WaitQuiet(quiet_ms=300), Press(digits="1")])
    await rig.carrier.expect(wish["to"]["number"], takes)
    assert (await post(rig, f"{id}/transfer", wish)).status_code == 202
    await until(rig, id, "transfer_connected")
    [leg] = (await call(rig, id))["transferCalls"]
    person = rig.carrier.placed((await call(rig, leg["id"]))["callSid"])
    heard = len(await caller.heard())
    await person.do(Say(sound="tone", ms=800), Wait(ms=300), HangUp())
    shown = await ended(rig, id)
    assert (shown["endedReason"], shown["transferStatus"]) == ("transferred", "completed")
    assert len(set((await caller.heard())[heard:])) > 20
    assert servers.second.recorded(leg["id"])


async def strangers_at_the_port(rig: Rig) -> None:
    """Whoever reaches the network between the machines, and has no key."""
    host, _, port = rig.env["CHORUS_PEER_ADDRESS"].rpartition(":")
    for said in (b"GET /healthz HTTP/1.1\r\nhost: relay\r\n\r\n", b"chorus1\n" + b"\xff" * 200):
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(said)
        async with asyncio.timeout(20):
            try:
                assert await reader.read() == b""
            except ConnectionError:
                pass  # with bytes unread, it is a reset
        writer.close()
