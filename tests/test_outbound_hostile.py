"""The guarded client against servers that mean harm, or are broken."""

from __future__ import annotations

import asyncio
import gzip
import os
import resource
import zlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.fakes.http_peer import Asked, HttpPeer, respond
from tests.fakes.outbound import client, get

from chorus.outbound import Outbound, OutboundFailed

__all__ = ["client"]  # a fixture


async def _endless(asked: Asked) -> AsyncIterator[bytes]:
    yield b"HTTP/1.1 200 OK\r\n\r\n"
    while True:
        yield b"x" * 65536


async def _drip(asked: Asked) -> AsyncIterator[bytes]:
    yield b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n"
    while True:
        yield b"x"
        await asyncio.sleep(0.01)


async def _drip_headers(asked: Asked) -> AsyncIterator[bytes]:
    yield b"HTTP/1.1 200 OK\r\n"
    while True:
        yield b"x-a: b\r\n"
        await asyncio.sleep(0.01)


async def _huge_headers(asked: Asked) -> AsyncIterator[bytes]:
    yield b"HTTP/1.1 200 OK\r\nx-huge: "
    while True:
        yield b"x" * 65536


async def _hints_for_ever(asked: Asked) -> AsyncIterator[bytes]:
    while True:
        yield b"HTTP/1.1 103 Early Hints\r\n\r\n"
        await asyncio.sleep(0.001)


async def _silent(asked: Asked) -> AsyncIterator[bytes]:
    await asyncio.sleep(60)
    yield b""


async def _breaks_off(asked: Asked) -> AsyncIterator[bytes]:
    yield b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nshort"


async def test_an_endless_body_is_cut_and_the_connection_closed(client: Outbound) -> None:
    async with HttpPeer(_endless) as peer:
        answer = await get(client, peer.url, max_bytes=1000, truncate=True)
        assert (answer.body, answer.truncated) == (b"x" * 1000, True)
        with pytest.raises(OutboundFailed, match="more than 1000 bytes"):
            await get(client, peer.url, max_bytes=1000)
        await _until(lambda: peer.gone == 2)


@pytest.mark.parametrize("hostile", [_drip, _drip_headers, _hints_for_ever, _silent])
async def test_one_deadline_covers_everything(client: Outbound, hostile: Any) -> None:
    async with HttpPeer(hostile) as peer:
        started = asyncio.get_running_loop().time()
        with pytest.raises(OutboundFailed, match="did not answer within 150 ms") as caught:
            await get(client, peer.url, timeout_ms=150)
        assert asyncio.get_running_loop().time() - started < 5.0
    assert caught.value.timed_out


async def test_redirects_share_the_deadline(client: Outbound) -> None:
    async def slow(asked: Asked) -> AsyncIterator[bytes]:
        await asyncio.sleep(0.08)
        yield respond(302, location="/again")

    async with HttpPeer(slow) as peer:
        with pytest.raises(OutboundFailed, match="within 150 ms"):
            await get(client, peer.url, timeout_ms=150, max_redirects=20)


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (_huge_headers, "not valid HTTP"),
        (_breaks_off, "not valid HTTP|broke off"),
        (lambda asked: b"SSH-2.0-OpenSSH_9.6\r\n\r\n", "not valid HTTP"),
        (lambda asked: b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", "not valid"),
        (lambda asked: respond(200, "x", content_encoding="br"), "not asked for"),
        (lambda asked: respond(200, "x", content_encoding="gzip, gzip"), "not asked for"),
        (lambda asked: respond(200, "no gzip", content_encoding="gzip"), "cannot be unpacked"),
        (lambda asked: respond(200, gzip.compress(b"x" * 99)[:-9], content_encoding="gzip"), "off"),
    ],
    ids=["headers", "short", "ssh", "chunks", "br", "twice", "no gzip", "half gzip"],
)
async def test_answers_that_are_no_answers(client: Outbound, answer: Any, says: str) -> None:
    async with HttpPeer(answer) as peer:
        with pytest.raises(OutboundFailed, match=says):
            await get(client, peer.url)


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "bare deflate"])
async def test_compressed_bodies(client: Outbound, encoding: str) -> None:
    text = os.urandom(300) + b"a" * 90_000
    if encoding == "gzip":
        packed = gzip.compress(text[:500]) + gzip.compress(text[500:])  # two members
    else:
        window = -15 if encoding.startswith("bare") else 15
        packer = zlib.compressobj(wbits=window)
        packed = packer.compress(text) + packer.flush()
    name = encoding.split()[-1]
    async with HttpPeer(lambda asked: respond(200, packed, content_encoding=name)) as peer:
        assert (await get(client, peer.url)).body == text


async def test_a_bomb_does_not_go_off(client: Outbound) -> None:
    """130 KB that unpack to 128 MB: at no time is more than asked for in memory."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    zeros = bytes(16 * 1024 * 1024)
    bomb = b"".join(packer.compress(zeros) for _ in range(8)) + packer.flush()
    del zeros
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    async with HttpPeer(lambda asked: respond(200, bomb, content_encoding="gzip")) as peer:
        with pytest.raises(OutboundFailed, match="more than 100000 bytes"):
            await get(client, peer.url)
        answer = await get(client, peer.url, truncate=True)
    assert answer.body == bytes(100_000)
    assert answer.truncated
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # KB


@pytest.mark.parametrize(("method", "requests"), [("GET", 2), ("POST", 1)])
async def test_only_what_reads_is_asked_again(client: Outbound, method: str, requests: int) -> None:
    """A server that hangs up instead of answering, as one does whose connection was idle."""

    async def hang_up_once(asked: Asked) -> AsyncIterator[bytes]:
        if len(peer.requests) > 1:
            yield respond(200, "second time")

    async with HttpPeer(hang_up_once) as peer:
        if method == "GET":
            assert (await get(client, peer.url)).body == b"second time"
        else:
            with pytest.raises(OutboundFailed):
                await get(client, peer.url, method=method)
    assert len(peer.requests) == requests


async def test_cancelling_closes_the_connection(client: Outbound) -> None:
    async with HttpPeer(_drip) as peer:
        task = asyncio.create_task(get(client, peer.url, timeout_ms=60_000))
        await _until(lambda: len(peer.requests) == 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await _until(lambda: peer.gone == 1)


async def _until(true: Any) -> None:
    async with asyncio.timeout(20):
        while not true():
            await asyncio.sleep(0.001)
