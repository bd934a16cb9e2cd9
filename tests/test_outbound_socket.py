"""WebSockets and streamed answers of the guarded client."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from tests.fakes.http_peer import Asked, HttpPeer, respond
from tests.fakes.vendors.net import Asked as Handshake
from tests.fakes.vendors.net import Peer, Refusal, Served

from chorus.outbound import Outbound, OutboundFailed, OutboundRefused
from chorus.outbound_socket import SocketClosed, SocketRefused


class Echo:
    """Says everything again, and its headers first."""

    def __init__(self) -> None:
        self.asked: list[Handshake] = []

    def refusal(self, asked: Handshake) -> Refusal | None:
        self.asked.append(asked)
        if asked.path == "/elsewhere":
            return Refusal(302, "", {"Location": "ws://127.0.0.1:1/secret"})
        return None

    async def talk(self, peer: Peer) -> None:
        while (message := await peer.recv()) != "close":
            await peer.send(message)
        await peer.close(4001, "as you wish")


def ws(url: str) -> str:
    return url.replace("http:", "ws:")


async def test_text_and_binary_and_the_reason_of_a_close() -> None:
    echo = Echo()
    outbound = Outbound(allow_private=True)
    async with Served(echo) as url:
        headers = (("Authorization", "Token t"),)
        socket = await outbound.socket(f"{ws(url)}/x?a=b%20c", headers=headers, timeout_ms=2000)
        await socket.send("hello")
        assert await socket.recv() == "hello"
        await socket.send(b"\x00\xff")
        assert await socket.recv() == b"\x00\xff"
        await socket.send("close")
        with pytest.raises(SocketClosed) as closed:
            await socket.recv()
        assert (closed.value.code, closed.value.reason) == (4001, "as you wish")
        with pytest.raises(SocketClosed):
            await socket.send("more")
        await socket.close()
    assert echo.asked[0].headers["authorization"] == "Token t"
    assert echo.asked[0].headers["user-agent"] == "Chorus"
    assert "sec-websocket-extensions" not in echo.asked[0].headers
    assert echo.asked[0].query == {"a": "b c"}
    await outbound.aclose()


async def test_no_private_address_no_redirect_and_no_other_scheme() -> None:
    echo = Echo()
    guarded = Outbound()
    async with Served(echo) as url:
        with pytest.raises(OutboundRefused, match="loopback"):
            await guarded.socket(ws(url), timeout_ms=2000)
        assert not echo.asked
        with pytest.raises(OutboundRefused, match="ws://"):
            await guarded.socket(url, timeout_ms=2000)
        with pytest.raises(OutboundRefused, match="line break"):
            await guarded.socket(ws(url), headers=(("X", "a\r\nb"),), timeout_ms=2000)
        opened = Outbound(allow_private=True)
        with pytest.raises(SocketRefused) as refused:
            await opened.socket(f"{ws(url)}/elsewhere", timeout_ms=2000)
        assert refused.value.status == 302
        await opened.aclose()
    await guarded.aclose()


async def test_servers_that_are_no_websocket() -> None:
    outbound = Outbound(allow_private=True)

    async def never() -> AsyncIterator[bytes]:
        await asyncio.sleep(60)
        yield b""

    answers = {
        "/plain": lambda: respond(200, "hello"),
        "/error": lambda: respond(503, "full", dg_error="no room"),
        "/garbage": lambda: b"SSH-2.0-OpenSSH\r\n\r\n",
        "/never": never,
    }
    async with HttpPeer(lambda asked: answers[asked.target]()) as peer:
        statuses: list[int] = []
        for path in ("/plain", "/error", "/garbage"):
            with pytest.raises(SocketRefused) as refused:
                await outbound.socket(f"{ws(peer.url)}{path}", timeout_ms=2000)
            statuses.append(refused.value.status)
            if path == "/error":
                assert (refused.value.headers["dg-error"], refused.value.body) == (
                    "no room",
                    "full",
                )
        assert statuses == [200, 503, 0]
        with pytest.raises(OutboundFailed, match="within 100 ms") as failed:
            await outbound.socket(f"{ws(peer.url)}/never", timeout_ms=100)
        assert failed.value.timed_out
    with pytest.raises(OutboundFailed, match="could not connect"):
        await outbound.socket("ws://127.0.0.1:9", timeout_ms=2000)
    await outbound.aclose()


async def test_an_answer_is_read_as_it_comes_and_given_up_by_closing_it() -> None:
    async def endless(asked: Asked) -> AsyncIterator[bytes]:
        yield b"HTTP/1.1 200 OK\r\ncontent-type: audio/pcm\r\nconnection: close\r\n\r\n"
        for _ in range(1000):
            yield b"x" * 1000
            await asyncio.sleep(0.005)

    outbound = Outbound(allow_private=True)
    async with HttpPeer(endless) as peer:
        async with outbound.stream("GET", peer.url, timeout_ms=2000) as answer:
            assert answer.status == 200
            assert ("content-type", "audio/pcm") in answer.headers
            assert await anext(answer.pieces())
        async with asyncio.timeout(20):
            while not peer.gone:
                await asyncio.sleep(0.005)
    await outbound.aclose()


async def test_a_stream_that_is_refused_late_or_cut() -> None:
    async def never() -> AsyncIterator[bytes]:
        await asyncio.sleep(60)
        yield b""

    async def cut() -> AsyncIterator[bytes]:
        yield b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nabc"

    outbound = Outbound(allow_private=True)
    async with HttpPeer(lambda asked: cut() if asked.target == "/cut" else never()) as peer:
        with pytest.raises(OutboundFailed) as late:
            async with outbound.stream("GET", f"{peer.url}/never", timeout_ms=100):
                pass
        assert late.value.timed_out
        async with outbound.stream("GET", f"{peer.url}/cut", timeout_ms=2000) as answer:
            pieces = answer.pieces()
            assert await anext(pieces) == b"abc"
            with pytest.raises(OutboundFailed, match="broke off"):
                await anext(pieces)
        guarded = Outbound()
        with pytest.raises(OutboundRefused):
            async with guarded.stream("GET", peer.url, timeout_ms=2000):
                pass
        await guarded.aclose()
    await outbound.aclose()
