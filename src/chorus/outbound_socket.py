"""WebSockets to servers outside, under the rules of `outbound`: the addresses are checked, the
very address that was checked is connected to, and no redirect is followed.

Messages are not compressed: audio does not get smaller, and it would cost a call processor time.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from websockets.asyncio.client import ClientConnection, connect

MAX_MESSAGE = 8_000_000
"""Bytes; more closes the socket. A second of the widest audio in base64 is 130 kB."""
_MAX_TOLD = 2000
_PING_S = 20.0
_ATTEMPT_S = 2.0  # for one address while another is left to try
_CLOSE_S = 1.0


class SocketClosed(Exception):
    """The connection is no more. `code` and `reason` are the server's; 1006 is none at all."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"closed with {code} {reason}".rstrip())
        self.code = code
        self.reason = reason


class SocketRefused(Exception):
    """The server answered the handshake with something else than a WebSocket. Header names are in
    lower case; `body` is its beginning."""

    def __init__(self, status: int, headers: Mapping[str, str], body: str) -> None:
        super().__init__(f"HTTP {status}")
        self.status = status
        self.headers = headers
        self.body = body


class Socket(Protocol):
    """An open WebSocket. Text is `str`, binary is `bytes`."""

    async def send(self, message: str | bytes) -> None:
        """Waits while the server does not take what was sent before. Raises `SocketClosed`."""
        ...

    async def recv(self) -> str | bytes:
        """Raises `SocketClosed`."""
        ...

    async def close(self) -> None:
        """Raises nothing, and takes a second at most."""
        ...


class WebSocket:
    """`Socket` over the network."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection

    async def send(self, message: str | bytes) -> None:
        from websockets.exceptions import ConnectionClosed

        try:
            await self._connection.send(message)
        except ConnectionClosed as closed:
            raise _closed(closed) from None

    async def recv(self) -> str | bytes:
        from websockets.exceptions import ConnectionClosed

        try:
            return await self._connection.recv()
        except ConnectionClosed as closed:
            raise _closed(closed) from None

    async def close(self) -> None:
        try:
            async with asyncio.timeout(_CLOSE_S):
                await self._connection.close()
        except (OSError, TimeoutError):
            pass
        finally:
            self._connection.transport.abort()


async def connect_socket(
    url: str,
    addresses: Sequence[str],
    headers: Sequence[tuple[str, str]],
    ssl_context: ssl.SSLContext,
    user_agent: str,
) -> WebSocket:
    """To the first of `addresses` that answers. Raises `SocketRefused`, and `OSError` where there
    is no connection. The caller has a deadline."""
    from websockets.asyncio.client import connect
    from websockets.exceptions import InvalidHandshake, InvalidStatus, WebSocketException

    async def attempt(address: str) -> ClientConnection:
        connecting = _without_redirects(connect)(
            url,
            host=address,
            ssl=ssl_context if url.startswith("wss:") else None,
            additional_headers=headers,
            user_agent_header=user_agent,
            compression=None,
            proxy=None,
            open_timeout=None,
            ping_interval=_PING_S,
            ping_timeout=_PING_S,
            close_timeout=_CLOSE_S,
            max_size=MAX_MESSAGE,
        )
        return await connecting

    error: Exception = OSError("no address")
    for left, address in zip(range(len(addresses) - 1, -1, -1), addresses, strict=True):
        try:
            async with asyncio.timeout(_ATTEMPT_S if left else None):
                return WebSocket(await attempt(address))
        except InvalidStatus as refused:
            response = refused.response
            told = {name.lower(): value for name, value in response.headers.raw_items()}
            body = bytes(response.body or b"")[:_MAX_TOLD].decode("utf-8", "replace")
            raise SocketRefused(response.status_code, told, body) from None
        except (InvalidHandshake, WebSocketException, EOFError) as garbage:
            raise SocketRefused(0, {}, type(garbage).__name__) from None
        except (OSError, TimeoutError) as failed:
            error = failed
    raise error


def _without_redirects(connecting: type[connect]) -> type[connect]:
    class Direct(connecting):
        def process_redirect(self, exc: Exception) -> Exception | str:
            return exc  # the place that it names was not checked

    return Direct


def _closed(error: object) -> SocketClosed:
    received = getattr(error, "rcvd", None) or getattr(error, "sent", None)
    if received is None:
        return SocketClosed(1006, "")
    return SocketClosed(int(received.code), str(received.reason))
