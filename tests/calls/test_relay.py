"""A websocket at the wrong process: passed on to the one that holds its call, and as it was."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send
from websockets.asyncio.client import unix_connect
from websockets.exceptions import InvalidStatus

from chorus.accounts.secrets import Secrets
from chorus.calls import relay as relays
from chorus.calls.relay import HEADER, Relay

KEY = "k" * 40
HOLDER, OTHER = "host-1f-0", "host-1f-1"


class Near:
    """The side of who connected to us, as the server has it."""

    def __init__(self) -> None:
        self.coming: asyncio.Queue[Message] = asyncio.Queue()
        self.gone: asyncio.Queue[Message] = asyncio.Queue()
        self.scope: Scope = {
            "type": "websocket",
            "path": "/twilio/media/1/t",
            "raw_path": b"/twilio/media/1/t",
            "client": ("203.0.113.9", 4444),
            "subprotocols": ["audio.example"],
            "headers": [(b"x-twilio-signature", b"signed"), (b"host", b"chorus.example")],
        }

    async def receive(self) -> Message:
        return await self.coming.get()

    async def send(self, message: Message) -> None:
        self.gone.put_nowait(message)

    async def next(self) -> Message:
        async with asyncio.timeout(20):
            return await self.gone.get()

    def says(self, **what: Any) -> None:
        self.coming.put_nowait({"type": "websocket.receive", **what})

    def leaves(self, code: int) -> None:
        self.coming.put_nowait({"type": "websocket.disconnect", "code": code})


class Far:
    """What the holder's routes see: it says each message back, and closes when it hears `bye`."""

    def __init__(self) -> None:
        self.scopes: list[Scope] = []
        self.left: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scopes.append(scope)
        await receive()
        if scope["path"].endswith("/wrong"):
            await send({"type": "websocket.close", "code": 1008})
            return
        await send({"type": "websocket.accept", "subprotocol": "audio.example"})
        while True:
            message = await receive()
            if message["type"] == "websocket.disconnect":
                self.left.set_result(message["code"])
                return
            if message.get("text") == "bye":
                await send({"type": "websocket.close", "code": 4004})
                self.left.set_result(0)
                return
            await send({**message, "type": "websocket.send"})


class Known:
    """Who this process is, and where others are, as the table of executors has it."""

    def __init__(self, name: str, addresses: dict[str, str] | None = None) -> None:
        self.name = name
        self.addresses = {} if addresses is None else addresses

    async def listens_at(self, address: str) -> None:
        self.addresses[self.name] = address

    async def peer_address(self, name: str) -> str | None:
        return self.addresses.get(name)


def relay(folder: Path, name: str, key: str = KEY) -> Relay:
    known = Known(name)
    return Relay(lambda: known, folder, lambda: Secrets((key,)))


@asynccontextmanager
async def held(folder: Path) -> AsyncGenerator[tuple[Relay, Far]]:
    """The holder's side, at work."""
    holder, far = relay(folder, HOLDER), Far()
    await holder.listen(far)
    try:
        yield holder, far
    finally:
        await holder.aclose()


async def passed_on(
    folder: Path, near: Near, first: tuple[str | bytes, ...] = (), key: str = KEY
) -> tuple[Relay, asyncio.Task[None]]:
    other = relay(folder, OTHER, key)
    way = await other.to(HOLDER)
    assert way is not None
    passing = way(first, near.scope, near.receive, near.send, accepted=bool(first))
    return other, asyncio.ensure_future(passing)


async def talk_until_the_holder_closes(
    near: Near, far: Far, other: Relay, passing: Awaitable[None]
) -> None:
    """`other` is the relay of who passes it on."""
    assert await near.next() == {"type": "websocket.accept", "subprotocol": "audio.example"}
    assert other.open == 1
    assert not other.emptied.is_set()
    near.says(text="a start")
    near.says(bytes=b"\x00" * 70_000)
    assert (await near.next())["text"] == "a start"
    assert (await near.next())["bytes"] == b"\x00" * 70_000
    near.says(text="bye")
    assert (await near.next())["code"] == 4004
    await asyncio.wait_for(passing, 20)
    assert other.emptied.is_set()
    [scope] = far.scopes
    assert (scope["path"], scope["client"]) == ("/twilio/media/1/t", ("203.0.113.9", 0))
    assert dict(scope["headers"])[b"x-twilio-signature"] == b"signed"


@pytest.mark.parametrize("folder", ["near", "a" * 150])
async def test_messages_go_both_ways_until_the_holder_closes(tmp_path: Path, folder: str):
    (tmp_path / folder).mkdir()
    async with held(tmp_path / folder) as (_, far):
        near = Near()
        other, passing = await passed_on(tmp_path / folder, near)
        await talk_until_the_holder_closes(near, far, other, passing)


async def test_what_was_read_already_is_said_again(tmp_path: Path):
    async with held(tmp_path):
        near = Near()
        _, passing = await passed_on(tmp_path, near, ("the start",))
        assert (await near.next())["text"] == "the start"
        near.says(text="bye")
        assert (await near.next())["code"] == 4004
        await asyncio.wait_for(passing, 20)


# 1005 is how the server has a connection that broke.
@pytest.mark.parametrize(("code", "told"), [(1001, 1001), (1006, 1005), (4009, 4009)])
async def test_the_holder_is_told_how_they_left(tmp_path: Path, code: int, told: int):
    async with held(tmp_path) as (_, far):
        near = Near()
        _, passing = await passed_on(tmp_path, near)
        await near.next()
        near.leaves(code)
        async with asyncio.timeout(20):
            assert await far.left == told
            await passing


async def test_a_holder_that_dies_ends_the_socket(tmp_path: Path):
    async with held(tmp_path) as (holder, _):
        near = Near()
        _, passing = await passed_on(tmp_path, near)
        await near.next()
        for connection in list(holder._state.connections):  # pyright: ignore[reportPrivateUsage]
            connection.transport.abort()  # pyright: ignore[reportAttributeAccessIssue]
        assert (await near.next())["code"] == 1011
        await asyncio.wait_for(passing, 20)


async def test_what_the_holder_refuses_is_refused(tmp_path: Path):
    async with held(tmp_path):
        near = Near()
        near.scope.update(path="/twilio/media/wrong", raw_path=b"/twilio/media/wrong")
        _, passing = await passed_on(tmp_path, near)
        assert await near.next() == {"type": "websocket.close", "code": 1008}
        await asyncio.wait_for(passing, 20)


async def test_a_stranger_is_refused(tmp_path: Path):
    """Of another key, without a word, or with one that was good a minute ago."""
    async with held(tmp_path) as (_, far):
        near = Near()
        _, passing = await passed_on(tmp_path, near, key="x" * 40)
        assert (await near.next())["code"] == 1008
        await passing
        path = str(tmp_path / "0.sock")
        old = Secrets((KEY,)).sign("relay", f"1000\n{HOLDER}\na\n/p")
        for given in ({}, {HEADER: "junk"}, {HEADER: f"1000 a {old}"}):
            with pytest.raises(InvalidStatus):
                await unix_connect(path, "ws://relay/p", additional_headers=given)
        assert far.scopes == []
    assert await relay(tmp_path, OTHER).to(HOLDER) is None  # it has left, and its socket with it


async def test_a_holder_that_has_gone_without_a_word(tmp_path: Path):
    server = await asyncio.start_unix_server(lambda r, w: None, str(tmp_path / "0.sock"))
    server.close()
    await server.wait_closed()
    if not (tmp_path / "0.sock").exists():  # Python 3.13 takes it away
        pytest.skip("the socket is gone with its server")
    near = Near()
    _, passing = await passed_on(tmp_path, near)
    assert await near.next() == {"type": "websocket.close", "code": 1013}
    await passing


async def test_a_folder_without_sockets_stops_no_server(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    async with held(tmp_path / "gone"):
        assert "no websocket can be passed on to this process" in caplog.text
        assert await relay(tmp_path / "gone", OTHER).to(HOLDER) is None


@pytest.mark.parametrize("holder", [None, OTHER, "elsewhere-1f-0", "host-1f-7", "host-1f-../x"])
async def test_where_there_is_no_way(tmp_path: Path, holder: str | None):
    async with held(tmp_path):
        assert await relay(tmp_path, OTHER).to(holder) is None


async def test_so_many_and_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(relays, "MOST", 0)
    async with held(tmp_path):
        near = Near()
        _, passing = await passed_on(tmp_path, near)
        assert (await near.next())["code"] == 1013
        await passing
