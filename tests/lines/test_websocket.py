"""The direct way in, over real sockets, against what the library alone would have done."""

from __future__ import annotations

import asyncio
import base64
import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
import uvicorn
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode

from chorus.lines.websocket import DirectProtocol, direct

MAX_BYTES = 256 * 1024


@dataclass(slots=True)
class Application:
    """Takes messages by both ways."""

    messages: list[str | bytes] = field(default_factory=list[str | bytes])
    went_direct: int = 0
    code: int | None = None
    over: asyncio.Event = field(default_factory=asyncio.Event)

    def take(self, message: str | bytes) -> None:
        self.went_direct += 1
        self.messages.append(message)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        direct(scope, self.take)
        while True:
            message = await receive()
            if message["type"] == "websocket.disconnect":
                self.code = message.get("code")
                self.over.set()
                return
            said = message.get("text")
            self.messages.append(message["bytes"] if said is None else said)
            if said == "leave":
                await send({"type": "websocket.close", "code": 1000})


@asynccontextmanager
async def connected(
    application: Application,
) -> AsyncGenerator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    config = uvicorn.Config(
        application,
        port=0,
        ws=DirectProtocol,
        ws_max_size=MAX_BYTES,
        ws_per_message_deflate=False,
        lifespan="off",
        log_config=None,
    )
    server = uvicorn.Server(config)
    running = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.001)
    port = server.servers[0].sockets[0].getsockname()[1]
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        key = base64.b64encode(os.urandom(16)).decode()
        writer.write(
            b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + key.encode() + b"\r\n\r\n"
        )
        assert b" 101 " in await reader.readuntil(b"\r\n\r\n")
        yield reader, writer
    finally:
        writer.close()
        server.should_exit = True
        await running


def frame(opcode: Opcode, data: bytes, *, fin: bool = True, mask: bool = True) -> bytes:
    return Frame(opcode, data, fin).serialize(mask=mask)


def text(said: str) -> bytes:
    return frame(Opcode.TEXT, said.encode())


CLOSE = frame(Opcode.CLOSE, b"\x03\xe8")


async def heard(*chunks: bytes, pause: bool = False) -> Application:
    """What an application got of `chunks`, until the connection was over."""
    application = Application()
    async with connected(application) as (_, writer):
        for chunk in chunks:
            writer.write(chunk)
            if pause:
                await writer.drain()
                await asyncio.sleep(0.002)
        async with asyncio.timeout(10):
            await application.over.wait()
    return application


async def test_whole_messages_go_straight_in():
    said = [f"{n} ä🎉" + "x" * n for n in (0, 50, 125, 126, 400, 60_000)]
    got = await heard(*map(text, said), CLOSE)
    assert got.messages == said
    assert got.went_direct == len(said)
    assert got.code == 1000


async def test_so_does_what_is_binary():
    said = [b"", b"\xff" * 320, b"\0" * 640, b"x" * 60_000]
    got = await heard(*(frame(Opcode.BINARY, data) for data in said), text("and text"), CLOSE)
    assert got.messages == [*said, "and text"]
    assert got.went_direct == len(said) + 1


async def test_a_frame_may_come_in_any_pieces():
    stream = text("one") + text("two" * 100) + text("") + CLOSE
    got = await heard(*(stream[n : n + 1] for n in range(len(stream))), pause=True)
    assert got.messages == ["one", "two" * 100, ""]
    assert got.went_direct == 3


PIECES = st.lists(
    st.one_of(
        st.text(max_size=300).map(lambda said: ("text", said)),
        st.binary(max_size=300).map(lambda data: ("binary", data)),
        st.just(("ping", b"p")),
        st.just(("pong", b"")),
        st.text(min_size=2, max_size=30).map(lambda said: ("pieces", said)),
    ),
    max_size=12,
)


@settings(max_examples=40, deadline=None)
@given(pieces=PIECES, cuts=st.lists(st.integers(1, 700), min_size=1, max_size=8))
def test_nothing_is_lost_or_changes_its_place(pieces: list[Any], cuts: list[int]):
    stream, expected = bytearray(), list[str | bytes]()
    for kind, data in pieces:
        if kind == "text":
            stream += text(data)
        elif kind == "binary":
            stream += frame(Opcode.BINARY, data)
        elif kind == "pieces":
            stream += frame(Opcode.TEXT, data[:1].encode(), fin=False)
            stream += frame(Opcode.PING, b"between")
            stream += frame(Opcode.CONT, data[1:].encode())
        else:
            stream += frame(Opcode.PING if kind == "ping" else Opcode.PONG, data)
        if kind in ("text", "binary", "pieces"):
            expected.append(data)
    stream += CLOSE
    chunks, at = list[bytes](), 0
    while at < len(stream):
        size = cuts[len(chunks) % len(cuts)]
        chunks.append(bytes(stream[at : at + size]))
        at += size
    got = asyncio.run(heard(*chunks))
    assert got.messages == expected
    assert got.code == 1000


async def test_a_ping_is_answered_in_between():
    application = Application()
    async with connected(application) as (reader, writer):
        writer.write(text("a") + frame(Opcode.PING, b"are you there") + text("b"))
        assert await reader.readexactly(15) == frame(Opcode.PONG, b"are you there", mask=False)
        writer.write(CLOSE)
        await application.over.wait()
    assert application.messages == ["a", "b"]


@pytest.mark.parametrize(
    ("broken", "code"),
    [
        pytest.param(frame(Opcode.TEXT, b"\xff\xfe"), 1007, id="not UTF-8"),
        pytest.param(frame(Opcode.TEXT, b"hello", mask=False), 1002, id="not masked"),
        pytest.param(b"\xc1" + text("x")[1:], 1002, id="a reserved bit"),
        pytest.param(b"\x83" + text("x")[1:], 1002, id="no such opcode"),
        pytest.param(frame(Opcode.CONT, b"x"), 1002, id="goes on with nothing"),
        pytest.param(
            frame(Opcode.TEXT, b"a", fin=False) + text("b"), 1002, id="a text within a text"
        ),
        pytest.param(frame(Opcode.TEXT, b"x" * (MAX_BYTES + 1)), 1009, id="too large"),
    ],
)
async def test_what_breaks_the_protocol_is_refused_as_ever(broken: bytes, code: int):
    application = Application()
    async with connected(application) as (reader, writer):
        writer.write(text("before") + broken + text("after"))
        async with asyncio.timeout(10):
            closed = await reader.readexactly(4)
            await application.over.wait()
    assert closed[:1] == b"\x88"
    assert int.from_bytes(closed[2:4], "big") == code
    assert application.code == code
    assert application.messages == ["before"]


async def test_a_large_message_is_taken_by_the_library():
    long = "x" * 100_000
    got = await heard(text("a"), text(long), text("b"), CLOSE)
    assert got.messages == ["a", long, "b"]


async def test_nothing_is_taken_after_the_application_has_left():
    application = Application()
    async with connected(application) as (reader, writer):
        # A fragment, so that what follows goes to `receive`, where "leave" is understood.
        writer.write(frame(Opcode.TEXT, b"lea", fin=False) + frame(Opcode.CONT, b"ve"))
        assert (await reader.readexactly(4))[2:4] == b"\x03\xe8"
        writer.write(text("too late"))
        await writer.drain()
        await application.over.wait()
    assert application.messages == ["leave"]
