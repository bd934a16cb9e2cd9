"""HTTP to addresses that an organization has named: checked as `outbound.py` checks them.

`httpx2` is used for language models because `outbound.py` has no pool that is kept warm and no
streams by events; this gives it the same check of the address that is really connected to.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterable
from typing import Any

import httpcore2
import httpx2

from chorus.outbound_address import Allowed

_ATTEMPTS = 4
_ATTEMPT_S = 2.0


class GuardedTransport(httpx2.AsyncHTTPTransport):
    """Connects only where `allowed` lets it; elsewhere it is a failure to connect."""

    def __init__(self, allowed: Allowed, limits: httpx2.Limits) -> None:
        # httpx2 has no setting for how its pool connects, so the pool is made here and the
        # initializer that would make another is not called.
        self._pool = httpcore2.AsyncConnectionPool(
            ssl_context=httpx2.create_ssl_context(),
            max_connections=limits.max_connections,
            max_keepalive_connections=limits.max_keepalive_connections,
            keepalive_expiry=limits.keepalive_expiry,
            network_backend=_CheckedBackend(allowed),
        )


class _CheckedBackend(httpcore2.AsyncNetworkBackend):
    def __init__(self, allowed: Allowed) -> None:
        self._allowed = allowed
        # Any: httpcore2 declares a second AnyIOBackend for machines without anyio.
        anyio_backend: Any = httpcore2.AnyIOBackend()
        self._inner: httpcore2.AsyncNetworkBackend = anyio_backend

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        try:
            found = await asyncio.get_running_loop().getaddrinfo(
                host, port, type=socket.SOCK_STREAM
            )
        except (OSError, UnicodeError):
            raise httpcore2.ConnectError(f"the name {host} cannot be resolved") from None
        addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
        good = [each for each in addresses if self._allowed.refusal(host, each) is None]
        if not good:
            raise httpcore2.ConnectError(f"requests to {host} are not allowed")
        for address in good[: _ATTEMPTS - 1]:
            try:
                return await self._inner.connect_tcp(
                    address, port, _ATTEMPT_S, local_address, socket_options
                )
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout):
                continue
        return await self._inner.connect_tcp(good[-1], port, timeout, local_address, socket_options)

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        raise httpcore2.ConnectError("only http and https are allowed")

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
