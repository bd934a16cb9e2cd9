"""The port between machines: what is passed on there, and who is let in, by real sockets."""

from __future__ import annotations

import asyncio
import os
import struct
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.calls.test_relay import KEY, Far, Known, Near, talk_until_the_holder_closes
from tests.soak.rig import free_port

from chorus.accounts.secrets import Secrets
from chorus.calls import peers
from chorus.calls import relay as relays
from chorus.calls.relay import Relay
from chorus.lines import strangers
from chorus.settings_peers import PeerAddress

HOLDER, OTHER = "one-1f-0", "two-2a-0"
HELLO = 8 + 8 + 32 + 64


@dataclass
class Machines:
    """Two that share the table of executors, and nothing else."""

    folder: Path
    address: PeerAddress = field(default_factory=lambda: PeerAddress("127.0.0.1", free_port()))
    addresses: dict[str, str] = field(default_factory=dict[str, str])

    def relay(self, name: str, key: str = KEY) -> Relay:
        known = Known(name, self.addresses)
        folder = self.folder / name.rpartition("-")[0]
        folder.mkdir(exist_ok=True)
        address = self.address if name.startswith("one") else None
        return Relay(lambda: known, folder, lambda: Secrets((key,)), address)

    @asynccontextmanager
    async def holding(self) -> AsyncGenerator[tuple[Relay, Far]]:
        holder, far = self.relay(HOLDER), Far()
        await holder.listen(far)
        try:
            yield holder, far
        finally:
            await holder.aclose()

    async def passed_on(self, near: Near, key: str = KEY) -> tuple[Relay, asyncio.Task[None]]:
        other = self.relay(OTHER, key)
        way = await other.to(HOLDER)
        assert way is not None
        passing = way((), near.scope, near.receive, near.send, accepted=False)
        return other, asyncio.ensure_future(passing)

    async def connect(self) -> Stranger:
        return Stranger(*await asyncio.open_connection(*self.address))


class Stranger:
    """A connection to the port, byte by byte."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.nonce = os.urandom(32)

    async def says(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def is_sent_away(self) -> bool:
        """Without a byte."""
        async with asyncio.timeout(20):
            try:
                return await self.reader.read() == b""
            except ConnectionError:
                return True
            finally:
                self.writer.close()

    async def welcome(self) -> bytes:
        async with asyncio.timeout(20):
            return await self.reader.readexactly(32 + 64)

    def hello(self, holder: str = HOLDER, at: float | None = None, key: str = KEY) -> bytes:
        when = struct.pack(">Q", int(time.time() if at is None else at))
        return b"chorus1\n" + when + self.nonce + mac(key, "hello", holder, when, self.nonce)

    async def comes_in(self, just_before: Callable[[], None] = lambda: None) -> None:
        await self.says(self.hello())
        theirs = (await self.welcome())[:32]
        just_before()
        await self.says(mac(KEY, "proof", HOLDER, self.nonce, theirs))


def mac(key: str, step: str, holder: str, *parts: bytes) -> bytes:
    text = "\n".join((step, holder, *(part.hex() for part in parts)))
    return Secrets((key,)).sign("peer", text).encode()


@pytest.fixture
def machines(tmp_path: Path) -> Machines:
    return Machines(tmp_path)


async def test_messages_go_both_ways_until_the_holder_closes(machines: Machines):
    async with machines.holding() as (_, far):
        near = Near()
        other, passing = await machines.passed_on(near)
        await talk_until_the_holder_closes(near, far, other, passing)


@pytest.mark.parametrize(("code", "told"), [(1001, 1001), (1006, 1005)])
async def test_the_holder_is_told_how_they_left(machines: Machines, code: int, told: int):
    async with machines.holding() as (_, far):
        near = Near()
        _, passing = await machines.passed_on(near)
        await near.next()
        near.leaves(code)
        async with asyncio.timeout(20):
            assert await far.left == told
            await passing


async def test_a_holder_that_dies_ends_the_socket(machines: Machines):
    async with machines.holding() as (holder, _):
        near = Near()
        _, passing = await machines.passed_on(near)
        await near.next()
        for connection in list(holder._state.connections):  # pyright: ignore[reportPrivateUsage]
            connection.transport.abort()  # pyright: ignore[reportAttributeAccessIssue]
        assert (await near.next())["code"] == 1011
        await asyncio.wait_for(passing, 20)


async def test_what_the_holder_refuses_is_refused(machines: Machines):
    async with machines.holding():
        near = Near()
        near.scope.update(path="/twilio/media/wrong", raw_path=b"/twilio/media/wrong")
        _, passing = await machines.passed_on(near)
        assert await near.next() == {"type": "websocket.close", "code": 1008}
        await asyncio.wait_for(passing, 20)


Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()
    writer.close()


async def closes(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()


async def pretends(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Without the key: what it is shown first is all that it ever sees."""
    assert len(await reader.readexactly(HELLO)) == HELLO
    writer.write(b"w" * (32 + 64))
    assert await reader.read() == b""
    writer.close()


@pytest.mark.parametrize("serve", [None, silent, closes, pretends])
async def test_what_is_not_the_holder_is_not_spoken_to(
    machines: Machines, serve: Serve | None, monkeypatch: pytest.MonkeyPatch
):
    """One that is gone, stands still, or is another program."""
    if serve is silent:
        monkeypatch.setattr(relays, "OPEN_S", 0.2)
    machines.addresses[HOLDER] = str(machines.address)
    failed: list[Exception] = []

    async def guarded(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert serve is not None
        try:
            await serve(reader, writer)
        except Exception as failure:
            failed.append(failure)

    server = await asyncio.start_server(guarded, *machines.address) if serve else None
    near = Near()
    _, passing = await machines.passed_on(near)
    assert await near.next() == {"type": "websocket.close", "code": 1013}
    await asyncio.wait_for(passing, 20)
    if server is not None:
        server.close()
    assert failed == []


async def test_one_with_another_key_is_not_served(machines: Machines):
    async with machines.holding() as (_, far):
        near = Near()
        _, passing = await machines.passed_on(near, key="x" * 40)
        assert (await near.next())["code"] == 1013
        await asyncio.wait_for(passing, 20)
        assert far.scopes == []


async def test_strangers_are_sent_away_without_a_word(
    machines: Machines, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(peers, "OPEN_S", 60.0)  # nobody is sent away for being late
    async with machines.holding() as (_, far):
        begun = await machines.connect()
        for said in (
            b"G",  # not a byte more is waited for
            b"GET /twilio/media/1/t HTTP/1.1\r\n\r\n",
            b"\x16\x03\x01",
            begun.hello(key="x" * 40),
            begun.hello(holder="one-1f-1"),
            begun.hello(at=time.time() - 60),
            begun.hello(at=time.time() + 60),
            begun.hello(at=2.0**60),
            begun.hello() + b"x",
            b"chorus1\n" + b"\xff" * (HELLO - 8),
        ):
            stranger = await machines.connect()
            await stranger.says(said)
            assert await stranger.is_sent_away(), said
        assert far.scopes == []


async def test_who_stops_on_the_way_is_not_waited_for(
    machines: Machines, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(peers, "OPEN_S", 0.2)
    async with machines.holding():
        hello = (await machines.connect()).hello()
        for said in (b"", b"chor", hello[:-1]):
            stranger = await machines.connect()
            await stranger.says(said)
            assert await stranger.is_sent_away(), said


async def test_what_was_recorded_opens_nothing(machines: Machines):
    """All that a machine said a moment ago, said again, here and to its neighbour."""
    async with machines.holding() as (_, far):
        before = await machines.connect()
        await before.says(before.hello())
        theirs = (await before.welcome())[:32]
        proof = mac(KEY, "proof", HOLDER, before.nonce, theirs)
        for shown in (proof, mac(KEY, "welcome", HOLDER, before.nonce, theirs)):
            again = await machines.connect()
            await again.says(before.hello())
            await again.welcome()
            await again.says(shown + b"GET / HTTP/1.1\r\n\r\n")
            assert await again.is_sent_away()
        before.writer.close()
        assert far.scopes == []


async def test_so_many_strangers_and_no_more(machines: Machines, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(strangers, "AT_ONCE_OF_ADDRESS", 2)
    monkeypatch.setattr(peers, "OPEN_S", 60.0)  # nobody is sent away for being late
    async with machines.holding() as (holder, _):
        waiting = [await machines.connect() for _ in range(2)]
        port = holder._port  # pyright: ignore[reportPrivateUsage]
        assert port is not None
        async with asyncio.timeout(20):
            while len(port.arriving) < 2:
                await asyncio.sleep(0)
        one_more = await machines.connect()
        assert await one_more.is_sent_away()
        for each in waiting:
            each.writer.close()
        async with asyncio.timeout(20):
            while port.arriving:
                await asyncio.sleep(0)
        # Who has shown the key counts no more.
        inside: list[Stranger] = []
        for _ in range(3):
            inside.append(each := await machines.connect())
            await each.comes_in()
            await each.says(b"GET / HTTP/1.1\r\nhost: relay\r\n\r\n")
            async with asyncio.timeout(20):
                assert await each.reader.readuntil(b"\r\n") == b"HTTP/1.1 404 Not Found\r\n"
        for each in inside:
            each.writer.close()


async def test_who_is_let_in_and_wants_nothing_is_not_kept(
    machines: Machines, monkeypatch: pytest.MonkeyPatch
):
    async with machines.holding():
        peer = await machines.connect()
        await peer.comes_in(lambda: monkeypatch.setattr(peers, "OPEN_S", 0.1))
        assert await peer.is_sent_away()


async def test_so_many_passed_on_and_no_more(machines: Machines, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(relays, "MOST", 1)
    async with machines.holding():
        near, late = Near(), Near()
        _, passing = await machines.passed_on(near)
        await near.next()
        _, passing_late = await machines.passed_on(late)
        assert (await late.next())["code"] == 1013
        await passing_late
        near.says(text="bye")
        assert (await near.next())["code"] == 4004
        await asyncio.wait_for(passing, 20)


async def test_each_process_of_a_machine_has_its_port(
    machines: Machines, caplog: pytest.LogCaptureFixture
):
    """By its place. One whose port is taken holds calls all the same, and says nowhere that it is
    reached."""
    host, port = machines.address
    second = machines.relay("one-1f-1")
    taken = await asyncio.start_server(closes, host, port)
    async with machines.holding():
        assert "no other machine can pass on anything to this process" in caplog.text
        await second.listen(Far())
        assert machines.addresses == {"one-1f-1": f"{host}:{port + 1}"}
        assert await machines.relay(OTHER).to(HOLDER) is None
        assert await machines.relay(OTHER).to("one-1f-1") is not None
        await second.aclose()
    taken.close()
