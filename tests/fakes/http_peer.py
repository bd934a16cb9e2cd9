"""A real HTTP server on loopback that answers with whatever bytes a test wants, at any pace.

    async with HttpPeer(lambda asked: respond(200, b"{}")) as peer:
        await client.send("GET", f"{peer.url}/x", ...)

A handler returns bytes, or is an async generator of bytes (sent as they come, the connection is
closed at the end). `peer.requests` holds what was asked, `peer.gone` how many clients left before
their answer was whole.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from types import TracebackType
from typing import Any

_REASONS = {200: "OK", 204: "No Content", 302: "Found", 404: "Not Found", 500: "Server Error"}


@dataclass
class Asked:
    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    connection: int

    @property
    def json(self) -> Any:
        return json.loads(self.body)


Handler = Callable[[Asked], bytes | AsyncIterator[bytes]]


def respond(status: int = 200, body: bytes | str | Any = b"", **headers: str) -> bytes:
    """A whole response; a body that is neither bytes nor text is sent as JSON."""
    if not isinstance(body, (bytes, str)):
        body = json.dumps(body)
        headers.setdefault("content_type", "application/json")
    data = body.encode() if isinstance(body, str) else body
    lines = [f"HTTP/1.1 {status} {_REASONS.get(status, 'Status')}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    if status != 204:
        lines.append(f"content-length: {len(data)}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + data


def but_posts(answer: Handler) -> Handler:
    """Whatever reads, as the request that opens a connection, is answered with nothing."""

    def handler(asked: Asked) -> bytes | AsyncIterator[bytes]:
        if asked.method == "HEAD":
            return respond(404)
        return respond(200, {}) if asked.method == "GET" else answer(asked)

    return handler


def posts(peer: HttpPeer) -> list[Asked]:
    return [asked for asked in peer.requests if asked.method == "POST"]


class HttpPeer:
    def __init__(self, handler: Handler, tls: ssl.SSLContext | None = None) -> None:
        self._handler = handler
        self._tls = tls
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self.requests: list[Asked] = []
        self.connections = 0
        self.gone = 0
        self.port = 0

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    async def __aenter__(self) -> HttpPeer:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        try:
            while await self._serve(reader, writer, self.connections):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the client is gone, or the test is over
        finally:
            self._tasks.discard(task)
            writer.transport.abort() if writer.transport.is_closing() else writer.close()

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, connection: int
    ) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        request_line, *lines = head.strip().split("\r\n")
        method, target, _ = request_line.split(" ")
        headers = {k.strip().lower(): v.strip() for k, v in (line.split(":", 1) for line in lines)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        asked = Asked(method, target, headers, body, connection)
        self.requests.append(asked)
        answer = self._handler(asked)
        if isinstance(answer, bytes):
            writer.write(answer)
            await writer.drain()
            return True
        assert inspect.isasyncgen(answer)
        gone = asyncio.create_task(reader.read(1))
        sending = asyncio.create_task(_send(answer, writer))
        try:
            # A client that leaves is seen while there is nothing to send it, too.
            await asyncio.wait((gone, sending), return_when=asyncio.FIRST_COMPLETED)
            if not sending.done() or isinstance(sending.exception(), ConnectionError):
                self.gone += 1
            elif (error := sending.exception()) is not None:
                raise error
        finally:
            gone.cancel()
            sending.cancel()
            await asyncio.gather(gone, sending, return_exceptions=True)
        return False


async def _send(answer: AsyncGenerator[bytes], writer: asyncio.StreamWriter) -> None:
    async with aclosing(answer):
        async for piece in answer:
            writer.write(piece)
            await writer.drain()
