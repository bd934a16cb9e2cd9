"""Connections that say nothing, or half of something, end; one address cannot have them all."""

from __future__ import annotations

import asyncio
import logging
import resource
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from tests.conftest import settings_for

from chorus import connections
from chorus.connections import Connections

HALVES = (
    b"",
    b"GET / HTTP/1.1\r\nHost: x\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n12345",
)
WHOLE = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


async def app(scope: Any, receive: Any, send: Any) -> None:
    while (await receive()).get("more_body"):
        pass
    headers = [(b"content-length", b"2")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"ok"})


@asynccontextmanager
async def serving(folder: Path, **changes: Any) -> AsyncGenerator[int]:
    settings = settings_for(folder, **{"trusted_proxies": ("10.0.0.1",), **changes})
    protocol = connections.protocol(Connections(settings, 1024))
    config = uvicorn.Config(app, http=protocol, lifespan="off", log_config=None)
    config.load()
    state = uvicorn.Server(config).server_state
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: protocol(config, state, {}), "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def answer(port: int, sent: bytes) -> bytes:
    """What comes until the server closes, or until an answer is whole."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(sent)
        return await reader.read(4096)
    except ConnectionResetError:
        return b""
    finally:
        writer.close()


@pytest.mark.parametrize("half", HALVES)
async def test_half_a_request_is_not_waited_for(
    half: bytes,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
):
    monkeypatch.setattr(connections, "HEAD_S", 0.05)
    monkeypatch.setattr(connections, "BODY_S", 0.05)
    async with serving(tmp_path) as port:
        with caplog.at_level(logging.WARNING, "chorus.connections"):
            async with asyncio.timeout(10):
                assert await answer(port, half) == b""
        assert "127.0.0.1 closed" in caplog.text
        assert (await answer(port, WHOLE)).startswith(b"HTTP/1.1 200")


async def test_the_second_half_head_of_a_connection_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(connections, "HEAD_S", 0.2)
    async with serving(tmp_path) as port, asyncio.timeout(10):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(WHOLE + HALVES[1])
        assert (await reader.readuntil(b"ok")).startswith(b"HTTP/1.1 200")
        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            await reader.readexactly(1)
        writer.close()


async def asked(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection that has been answered once, and is kept."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(WHOLE)
    assert (await reader.readuntil(b"ok")).startswith(b"HTTP/1.1 200")
    return reader, writer


async def test_a_connection_between_two_requests_is_closed_by_the_proxy_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    assert connections.KEEP_ALIVE_S > 60
    assert connections.PROXY_KEEP_ALIVE_S > 600
    monkeypatch.setattr(connections, "KEEP_ALIVE_S", 0.1)
    proxy = {"trusted_proxies": ("127.0.0.1",)}
    async with serving(tmp_path) as port, serving(tmp_path, **proxy) as behind:
        async with asyncio.timeout(20):
            of_proxy, to_proxy = await asked(behind)
            of_stranger, to_stranger = await asked(port)
            assert await of_stranger.read(1) == b""
            to_proxy.write(WHOLE)
            assert (await of_proxy.readuntil(b"ok")).startswith(b"HTTP/1.1 200")
        to_stranger.close()
        to_proxy.close()


async def test_connections_that_are_kept_are_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    async with serving(tmp_path, max_connections_per_address=2) as port, asyncio.timeout(20):
        kept = [await asked(port) for _ in range(2)]
        with caplog.at_level(logging.WARNING, "chorus.connections"):
            assert await answer(port, WHOLE) == b""
        assert "too many connections of this address" in caplog.text
        for _, writer in kept:
            writer.close()


async def test_empty_lines_keep_no_connection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(connections, "HEAD_S", 0.1)
    async with serving(tmp_path) as port, asyncio.timeout(20):
        reader, writer = await asked(port)
        writer.write(b"\r\n")
        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            await reader.readexactly(1)
        writer.close()


async def test_one_address_cannot_have_all_connections(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    async with serving(tmp_path, max_connections_per_address=5) as port, asyncio.timeout(20):
        idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(5)]
        await asyncio.sleep(0)
        with caplog.at_level(logging.WARNING, "chorus.connections"):
            assert await answer(port, WHOLE) == b""
        assert "too many connections of this address" in caplog.text
        for _, writer in idle:
            writer.close()
            await writer.wait_closed()
        async with asyncio.timeout(20):
            while not (await answer(port, WHOLE)).startswith(b"HTTP/1.1 200"):
                pass


async def test_a_head_has_an_end(tmp_path: Path):
    async with serving(tmp_path) as port, asyncio.timeout(20):
        for many in (b"X-A: b\r\n" * 300, b"X-A: " + b"b" * 70_000 + b"\r\n"):
            sent = b"GET / HTTP/1.1\r\nHost: x\r\n" + many + b"\r\n"
            assert (await answer(port, sent)).startswith(b"HTTP/1.1 400")


def test_those_who_are_trusted_stand_for_many(tmp_path: Path):
    settings = settings_for(tmp_path, trusted_proxies=("10.0.0.1",), max_connections_per_address=1)
    room = Connections(settings, 1024)
    assert all(room.enter("10.0.0.1") for _ in range(500))
    for _ in range(500):
        room.leave("10.0.0.1")
    assert room._count == 0  # pyright: ignore[reportPrivateUsage]  what is kept is the point
    assert not room._of  # pyright: ignore[reportPrivateUsage]


def test_there_are_as_many_descriptors_as_the_system_allows():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(256, soft), hard))
    try:
        assert connections.raise_file_limit() == hard
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (hard, hard)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
