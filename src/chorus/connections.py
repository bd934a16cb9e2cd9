"""Connections to the server: how many there may be, and how long one may take to say what it wants.

uvicorn keeps a connection for ever that says nothing, or half of something. `ConnectionProtocol`
is its protocol with limits: so many connections of one address and in all, `HEAD_S` for the head
of a request and `BODY_S` for its body, `KEEP_ALIVE_S` between two requests, and a head of bounded
size. A connection that became a
websocket is its owner's to watch. Whoever is turned away is told of in the log, once in a while,
with how many.
"""

from __future__ import annotations

import asyncio
import logging
import resource
from collections import Counter
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from chorus.addresses import household
from chorus.settings import Settings

log = logging.getLogger(__name__)

HEAD_S = 10.0
BODY_S = 30.0
KEEP_ALIVE_S = 75.0
"""More than proxies keep a connection that they do not use (60 s by nginx and Amazon's load
balancers): whoever closes first must not be the server, or a request that is on its way to a
connection being closed comes back from the proxy as 502."""
PROXY_KEEP_ALIVE_S = 620.0
"""For trusted proxies, of which some keep theirs longer: Traefik 90 s, Caddy 120, Google's load
balancer 600, which asks for 620 here. How many they keep is theirs to say."""
MOST_HEADERS = 200
MOST_HEADER_BYTES = 65_536
_TOLD_EVERY_S = 10.0
_KEPT_FILES = 128
"""Descriptors for the database, recordings, engines and requests to others."""


def raise_file_limit() -> int:
    """Let this process have as many descriptors as the system allows; returns how many."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            soft = hard
        except (OSError, ValueError) as error:
            log.warning("the limit of open files stays at %d: %s", soft, error)
    return soft


class Connections:
    """The connections that are no websockets (yet), by address."""

    def __init__(self, settings: Settings, files: int) -> None:
        self._most_of_address = settings.max_connections_per_address
        self._most = max(64, files - _KEPT_FILES)
        self._trusted = frozenset(settings.trusted_proxies)
        self._of: Counter[str] = Counter()
        self._count = 0
        self._turned_away: Counter[tuple[str, str]] = Counter()
        self._telling: asyncio.TimerHandle | None = None

    def enter(self, address: str) -> bool:
        """Whether there is room for one more."""
        name = household(address)
        if self._count >= self._most:
            self.turned_away(address, "too many connections in all")
            return False
        if self._of[name] >= self._most_of_address and not self.is_trusted(address):
            self.turned_away(address, "too many connections of this address")
            return False
        self._of[name] += 1
        self._count += 1
        return True

    def leave(self, address: str) -> None:
        name = household(address)
        self._of[name] -= 1
        self._count -= 1
        if self._of[name] <= 0:
            del self._of[name]

    def turned_away(self, address: str, why: str) -> None:
        """One line at once, and then one for all that follow within some seconds."""
        if self._telling is not None:
            self._turned_away[(household(address), why)] += 1
            return
        log.warning("connection from %s closed: %s", address, why)
        self._telling = asyncio.get_running_loop().call_later(_TOLD_EVERY_S, self._tell)

    def _tell(self) -> None:
        self._telling = None
        for (address, why), count in self._turned_away.most_common(5):
            log.warning("%d more connections from %s closed: %s", count, address, why)
        if len(self._turned_away) > 5:
            log.warning("and those of %d more addresses", len(self._turned_away) - 5)
        self._turned_away.clear()

    def is_trusted(self, address: str) -> bool:
        return "*" in self._trusted or address in self._trusted


def protocol(connections: Connections) -> type[HttpToolsProtocol]:
    """uvicorn's protocol, with the limits of `connections`."""

    class ConnectionProtocol(HttpToolsProtocol):
        _address: str | None = None
        _deadline: asyncio.TimerHandle | None = None
        _header_bytes = 0

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            address = self.client[0] if self.client else "unknown"
            if not connections.enter(address):
                transport.abort()
                return
            self._address = address
            trusted = connections.is_trusted(address)
            self.timeout_keep_alive = PROXY_KEEP_ALIVE_S if trusted else KEEP_ALIVE_S
            self._expect("no request", HEAD_S)

        def data_received(self, data: bytes) -> None:
            was_idle = self.timeout_keep_alive_task is not None
            super().data_received(data)
            if was_idle and self._deadline is None and self._is_idle():
                # Empty lines, which may come before a request. uvicorn would wait for ever.
                self._expect("no request", HEAD_S)

        def _is_idle(self) -> bool:
            """Of one that had a request: none is under way, and it is no websocket either."""
            over = self.cycle.response_complete and not self.transport.is_closing()
            return over and self._address is not None

        def connection_lost(self, exc: Exception | None) -> None:
            self._leave()
            super().connection_lost(exc)

        def handle_websocket_upgrade(self) -> None:
            # Never comes back: from now on the transport tells another protocol what happens.
            self._leave()
            super().handle_websocket_upgrade()

        def on_message_begin(self) -> None:
            super().on_message_begin()
            self._header_bytes = 0
            self._expect("half a request's head", HEAD_S)

        def on_header(self, name: bytes, value: bytes) -> None:
            self._header_bytes += len(name) + len(value)
            if self._header_bytes > MOST_HEADER_BYTES or len(self.headers) >= MOST_HEADERS:
                raise ValueError("the head is too large")  # answered as any that is no request
            super().on_header(name, value)

        def on_headers_complete(self) -> None:
            self._expect("half a request's body", BODY_S)
            super().on_headers_complete()

        def on_message_complete(self) -> None:
            self._expect_nothing()
            super().on_message_complete()

        def _expect(self, instead: str, seconds: float) -> None:
            self._expect_nothing()
            self._deadline = self.loop.call_later(seconds, self._late, f"{instead} for too long")

        def _expect_nothing(self) -> None:
            if self._deadline is not None:
                self._deadline.cancel()
                self._deadline = None

        def _late(self, why: str) -> None:
            self._deadline = None
            if self._address is not None:
                connections.turned_away(self._address, why)
            self.transport.abort()

        def _leave(self) -> None:
            self._expect_nothing()
            if self._address is not None:
                connections.leave(self._address)
                self._address = None

    return ConnectionProtocol
