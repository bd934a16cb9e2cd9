"""The two ways to a vendor's stand-in: over a real socket, and in memory on virtual time.

    async with Served(stand_in) as url: ...          # real WebSocket server on loopback
    net = MemoryNet({"wss://api.example": stand_in}) # `Net` whose sockets are queues

A stand-in is `async def talk(peer)`; it is refused a handshake by `refusal(path, headers)`.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from types import TracebackType
from typing import Any, Protocol
from urllib.parse import parse_qsl, urlsplit

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers as WsHeaders
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from chorus.outbound import Headers, OutboundAnswer, OutboundFailed, OutboundStream
from chorus.outbound_socket import SocketClosed, SocketRefused


class PeerGone(Exception):
    """The client closed the socket."""


@dataclass(frozen=True)
class Refusal:
    status: int
    body: str = ""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass
class Asked:
    """A handshake."""

    path: str
    query: dict[str, str]
    every: list[tuple[str, str]]
    headers: dict[str, str]


class Peer(Protocol):
    """The stand-in's end of a socket."""

    asked: Asked

    async def recv(self) -> str | bytes: ...
    async def send(self, message: str | bytes) -> None: ...
    async def close(self, code: int = 1000, reason: str = "") -> None: ...
    async def kill(self) -> None:
        """Without a word."""
        ...


class StandIn(Protocol):
    def refusal(self, asked: Asked) -> Refusal | None: ...
    async def talk(self, peer: Peer) -> None: ...


def asked_of(url: str, headers: Mapping[str, str]) -> Asked:
    parts = urlsplit(url)
    every = parse_qsl(parts.query, keep_blank_values=True)
    named = {name.lower(): value for name, value in headers.items()}
    return Asked(parts.path, dict(every), every, named)


# --- over the network ---------------------------------------------------------------------


class _NetworkPeer:
    def __init__(self, connection: ServerConnection, asked: Asked) -> None:
        self._connection = connection
        self.asked = asked

    async def recv(self) -> str | bytes:
        try:
            return await self._connection.recv()
        except ConnectionClosed:
            raise PeerGone from None

    async def send(self, message: str | bytes) -> None:
        try:
            await self._connection.send(message)
        except ConnectionClosed:
            raise PeerGone from None

    async def close(self, code: int = 1000, reason: str = "") -> None:
        await self._connection.close(code, reason)

    async def kill(self) -> None:
        self._connection.transport.abort()


class Served:
    """A stand-in on a real WebSocket server; `url` begins with http://."""

    def __init__(self, stand_in: StandIn, tls: ssl.SSLContext | None = None) -> None:
        self._stand_in = stand_in
        self._tls = tls
        self._server: Server | None = None

    async def __aenter__(self) -> str:
        def refuse(connection: ServerConnection, request: Request) -> Response | None:
            asked = asked_of(request.path, dict(request.headers.raw_items()))
            refusal = self._stand_in.refusal(asked)
            if refusal is None:
                return None
            headers = WsHeaders(refusal.headers)
            headers["Content-Length"] = str(len(refusal.body.encode()))
            phrase = HTTPStatus(refusal.status).phrase
            return Response(refusal.status, phrase, headers, refusal.body.encode())

        async def talk(connection: ServerConnection) -> None:
            assert connection.request is not None
            request = connection.request
            asked = asked_of(request.path, dict(request.headers.raw_items()))
            try:
                await self._stand_in.talk(_NetworkPeer(connection, asked))
            except PeerGone:
                pass

        self._server = await serve(
            talk, "127.0.0.1", 0, process_request=refuse, compression=None, ssl=self._tls
        )
        port = next(iter(self._server.sockets)).getsockname()[1]
        return f"http://127.0.0.1:{port}"

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._server is not None
        for connection in list(self._server.connections):
            connection.transport.abort()
        self._server.close()
        await self._server.wait_closed()


# --- in memory ------------------------------------------------------------------------------


class _Pipe:
    """One direction. `close` is read after what was sent before it."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[str | bytes | None] = asyncio.Queue()
        self.closed: tuple[int, str] | None = None

    def put(self, message: str | bytes) -> None:
        self._queue.put_nowait(message)

    def close(self, code: int, reason: str) -> None:
        if self.closed is None:
            self.closed = (code, reason)
            self._queue.put_nowait(None)

    async def get(self) -> str | bytes | None:
        message = await self._queue.get()
        if message is None:
            self._queue.put_nowait(None)
        return message


class _MemoryPeer:
    def __init__(self, asked: Asked, heard: _Pipe, told: _Pipe) -> None:
        self.asked = asked
        self._heard, self._told = heard, told

    async def recv(self) -> str | bytes:
        message = await self._heard.get()
        if message is None:
            raise PeerGone
        return message

    async def send(self, message: str | bytes) -> None:
        if self._heard.closed or self._told.closed:
            raise PeerGone
        self._told.put(message)

    async def close(self, code: int = 1000, reason: str = "") -> None:
        self._told.close(code, reason)

    async def kill(self) -> None:
        self._told.close(1006, "")


class MemorySocket:
    def __init__(self, heard: _Pipe, told: _Pipe, talk: asyncio.Task[None]) -> None:
        self._heard, self._told, self._talk = heard, told, talk

    async def send(self, message: str | bytes) -> None:
        if self._told.closed is not None:
            raise SocketClosed(*self._told.closed)
        self._heard.put(message)

    async def recv(self) -> str | bytes:
        message = await self._told.get()
        if message is None:
            assert self._told.closed is not None
            raise SocketClosed(*self._told.closed)
        return message

    async def close(self) -> None:
        self._heard.close(1000, "")
        self._talk.cancel()
        await asyncio.gather(self._talk, return_exceptions=True)


class MemoryNet:
    """`Net`. `stand_ins`: by the beginning of the URL. Whatever else is asked is unreachable."""

    def __init__(self, stand_ins: Mapping[str, Any]) -> None:
        self._stand_ins = stand_ins

    def _find(self, url: str) -> Any:
        for begin, stand_in in self._stand_ins.items():
            if url.startswith(begin):
                return stand_in
        raise OutboundFailed(f"could not connect to {urlsplit(url).hostname}")

    async def socket(self, url: str, *, headers: Headers = (), timeout_ms: int) -> MemorySocket:
        stand_in: StandIn = self._find(url)
        asked = asked_of(url, dict(headers))
        await asyncio.sleep(0.05)
        if refusal := stand_in.refusal(asked):
            told = {name.lower(): value for name, value in refusal.headers.items()}
            raise SocketRefused(refusal.status, told, refusal.body)
        heard, told_pipe = _Pipe(), _Pipe()

        async def talk() -> None:
            try:
                await stand_in.talk(_MemoryPeer(asked, heard, told_pipe))
            except PeerGone:
                pass

        return MemorySocket(heard, told_pipe, asyncio.create_task(talk(), name="stand-in"))

    @asynccontextmanager
    async def stream(
        self,
        method: str,
        url: str,
        *,
        headers: Headers = (),
        content: bytes | None = None,
        timeout_ms: int,
    ) -> AsyncGenerator[OutboundStream, None]:
        stand_in = self._find(url)
        try:
            async with asyncio.timeout(timeout_ms / 1000):
                answer = await stand_in.answer(method, url, dict(headers), content)
        except TimeoutError:
            raise OutboundFailed("it did not answer", timed_out=True) from None
        yield answer

    async def send(
        self,
        method: str,
        url: str,
        *,
        headers: Headers = (),
        content: bytes | None = None,
        timeout_ms: int,
        max_bytes: int,
    ) -> OutboundAnswer:
        stand_in = self._find(url)
        try:
            async with asyncio.timeout(timeout_ms / 1000):
                return await stand_in.whole(method, url, dict(headers), content)
        except TimeoutError:
            raise OutboundFailed("it did not answer", timed_out=True) from None
