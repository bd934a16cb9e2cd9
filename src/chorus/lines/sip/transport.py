"""Sockets for SIP: UDP, TCP and TLS, one listener each, and connections out (RFC 3261 §18).

The shell round the state machines: bytes go in by `on_message`, and `send` takes bytes out, over
the connection that a message came on, or a new one. A connection that stays silent is closed; one
that floods is closed too. Keepalives (RFC 5626 §3.5) are answered over TCP and TLS and dropped over
UDP; ours go out every 30 s over connections that we opened (over UDP: `registration`).
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from chorus.lines.sip.framing import PING, PONG, Frames
from chorus.lines.sip.grammar import Malformed
from chorus.lines.sip.wire import Hop, Transport

log = logging.getLogger(__name__)

CONNECT_S = 8.0
IDLE_S = 180.0
PING_S = 30.0
MOST_CONNECTIONS = 2000
MOST_BUFFERED = 1 << 20
"""Bytes that may wait for a peer which does not read."""
MOST_WAITING = 64
"""Messages that may wait for a connection to open."""

OnMessage = Callable[[bytes, Hop], None]
OnLost = Callable[[Hop], None]


@dataclass(frozen=True, slots=True)
class Listen:
    """One address to listen on; port 0 takes a free one."""

    transport: Transport
    host: str
    port: int


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, on_message: OnMessage) -> None:
        self._on_message = on_message
        self.transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if len(data) > 8:  # less is a keepalive
            self._on_message(data, Hop("udp", plain_ip(addr[0]), addr[1]))
        elif data == PING and self.transport is not None:
            self.transport.sendto(PONG, addr)

    def error_received(self, exc: Exception) -> None:
        # An ICMP "unreachable" does not say for which message: its timer finds out.
        log.debug("SIP over UDP: %s", exc)


class _Connection(asyncio.Protocol):
    """One stream, whoever opened it."""

    def __init__(self, owner: Transports, transport: Transport, number: int, *, ours: bool) -> None:
        self._owner = owner
        self._kind: Transport = transport
        self._frames = Frames()
        self._ours = ours
        self._heard_s = owner.loop.time()
        self._timer: asyncio.TimerHandle | None = None
        self.number = number
        self.hop = Hop(transport, "", 0, number)
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        peer = transport.get_extra_info("peername")
        self.hop = Hop(self._kind, plain_ip(peer[0]), peer[1], self.number)
        self._owner.opened(self)
        self._timer = self._owner.loop.call_later(PING_S, self._tick)

    def data_received(self, data: bytes) -> None:
        self._heard_s = self._owner.loop.time()
        try:
            messages = self._frames.feed(data)
        except Malformed as broken:
            log.info("%s is closed: %s", self.hop, broken.reason)
            self.close()
            return
        if self._frames.pings:
            self._frames.pings = 0
            self.send(PONG)
        for message in messages:
            self._owner.on_message(message, self.hop)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._owner.closed(self)

    def send(self, data: bytes) -> None:
        transport = self.transport
        if transport is None or transport.is_closing():
            return
        if transport.get_write_buffer_size() > MOST_BUFFERED:
            log.warning("%s does not read: closed", self.hop)
            transport.abort()
            return
        transport.write(data)

    def close(self) -> None:
        if self.transport is not None:
            self.transport.close()

    def _tick(self) -> None:
        silent_s = self._owner.loop.time() - self._heard_s
        if silent_s > IDLE_S and not self._owner.in_use(self.hop):
            self.close()
            return
        if self._ours:
            self.send(PING)
        self._timer = self._owner.loop.call_later(PING_S, self._tick)


class Transports:
    """`open` once, `close` at the end. Implements `Wire`. `public_host` stands in our messages
    where the other side is not on our own network."""

    def __init__(
        self,
        on_message: OnMessage,
        on_unreachable: OnLost,
        *,
        public_host: str = "",
        server_tls: ssl.SSLContext | None = None,
        client_tls: ssl.SSLContext | None = None,
    ) -> None:
        self.loop = asyncio.get_running_loop()
        self.on_message = on_message
        self._on_unreachable = on_unreachable
        self._public_host = public_host
        self._server_tls = server_tls
        self._client_tls = client_tls
        self._datagrams: dict[int, asyncio.DatagramTransport] = {}  # by address family
        self._servers: list[asyncio.Server] = []
        self._connections: dict[int, _Connection] = {}
        self._by_peer: dict[tuple[Transport, str, int], _Connection] = {}
        self._opening: dict[tuple[Transport, str, int], list[bytes]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._numbers = 0
        self._closed = False
        self._ports: dict[tuple[Transport, int], int] = {}  # by address family too
        self._bound: dict[int, str] = {}
        self._seen_from: dict[str, str] = {}
        self.in_use: Callable[[Hop], bool] = lambda hop: False
        self.lost: OnLost = lambda hop: None

    @property
    def kinds(self) -> frozenset[Transport]:
        """What can be sent over: streams can always be opened outwards."""
        kinds: set[Transport] = {"tcp"}
        if self._datagrams:
            kinds.add("udp")
        if self._client_tls is not None:
            kinds.add("tls")
        return frozenset(kinds)

    @property
    def ports(self) -> dict[Transport, int]:
        """Where it listens; of IPv4 and IPv6 what was opened first."""
        ports: dict[Transport, int] = {}
        for (transport, _), port in self._ports.items():
            ports.setdefault(transport, port)
        return ports

    async def open(self, listens: list[Listen]) -> None:
        """Raises `OSError` where an address cannot be had."""
        for listen in listens:
            if listen.transport == "udp":
                await self._open_udp(listen)
            else:
                await self._open_stream(listen)

    async def close(self) -> None:
        self._closed = True
        for server in self._servers:
            server.close()
        for connection in list(self._connections.values()):
            connection.close()
        for transport in self._datagrams.values():
            transport.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # The Wire.

    def send(self, hop: Hop, data: bytes) -> None:
        if hop.transport == "udp":
            transport = self._datagrams.get(_family(hop.ip))
            if transport is None:
                self.loop.call_soon(self._on_unreachable, hop)
            elif not transport.is_closing():
                transport.sendto(data, (hop.ip, hop.port))
            return
        connection = self._connections.get(hop.connection) or self._by_peer.get(_peer(hop))
        if connection is not None:
            connection.send(data)
            return
        if self._closed:
            return
        waiting = self._opening.get(_peer(hop))
        if waiting is not None:
            if len(waiting) < MOST_WAITING:
                waiting.append(data)
            return
        self._opening[_peer(hop)] = [data]
        task = self.loop.create_task(self._connect(hop), name="sip connect")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def local(self, hop: Hop) -> tuple[str, int]:
        port = self._ports.get((hop.transport, _family(hop.ip)))
        return self.address_for(hop.ip), port or self.ports.get(hop.transport, 5060)

    def address_for(self, ip: str) -> str:
        """Our own address as `ip` reaches it: the public one, except on our own networks, and
        where that is an address of the other IP version."""
        public = self._public_host
        if public and not _near(ip) and version_of(public) in (None, version_of(ip)):
            return public
        return self._own_address(ip)

    def _own_address(self, ip: str) -> str:
        family = _family(ip)
        bound = self._bound.get(family, "")
        if bound and bound not in ("0.0.0.0", "::"):  # noqa: S104 - compared, not bound
            return bound
        known = self._seen_from.get(ip)
        if known is None:
            # The kernel knows which way it would go; nothing is sent.
            try:
                with socket.socket(family, socket.SOCK_DGRAM) as probe:
                    probe.connect((ip, 9))
                    known = str(probe.getsockname()[0])
            except OSError:
                known = "::1" if family == socket.AF_INET6 else "127.0.0.1"
            if len(self._seen_from) > 4096:
                self._seen_from.clear()
            self._seen_from[ip] = known
        return known

    # Connections, for themselves.

    def opened(self, connection: _Connection) -> None:
        if len(self._connections) >= MOST_CONNECTIONS:
            log.warning("more than %d SIP connections: one is closed", MOST_CONNECTIONS)
            connection.close()
            return
        self._connections[connection.number] = connection
        self._by_peer[_peer(connection.hop)] = connection

    def closed(self, connection: _Connection) -> None:
        self._connections.pop(connection.number, None)
        if self._by_peer.get(_peer(connection.hop)) is connection:
            del self._by_peer[_peer(connection.hop)]
        self.lost(connection.hop)

    # Inside.

    async def _open_udp(self, listen: Listen) -> None:
        family = _family(listen.host)
        sock = socket.socket(family, socket.SOCK_DGRAM)
        try:
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            # A burst of calls must wait in the kernel, not be lost.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
            sock.bind((listen.host, listen.port))
            sock.setblocking(False)
            transport, _ = await self.loop.create_datagram_endpoint(
                lambda: _Datagrams(self.on_message), sock=sock
            )
        except BaseException:
            sock.close()
            raise
        self._datagrams[family] = transport
        self._bound[family] = listen.host
        self._ports["udp", family] = transport.get_extra_info("sockname")[1]

    async def _open_stream(self, listen: Listen) -> None:
        tls = self._server_tls if listen.transport == "tls" else None
        if listen.transport == "tls" and tls is None:
            raise OSError("SIP over TLS needs a certificate")
        server = await self.loop.create_server(
            lambda: self._new(listen.transport, ours=False),
            listen.host,
            listen.port,
            ssl=tls,
            backlog=512,
        )
        self._servers.append(server)
        family = _family(listen.host)
        self._ports[listen.transport, family] = server.sockets[0].getsockname()[1]
        self._bound.setdefault(family, listen.host)

    def _new(self, transport: Transport, *, ours: bool) -> _Connection:
        self._numbers += 1
        return _Connection(self, transport, self._numbers, ours=ours)

    async def _connect(self, hop: Hop) -> None:
        peer = _peer(hop)
        tls = self._client_tls if hop.transport == "tls" else None
        try:
            if hop.transport == "tls" and tls is None:
                raise OSError("SIP over TLS is not set up")
            async with asyncio.timeout(CONNECT_S):
                _, connection = await self.loop.create_connection(
                    lambda: self._new(hop.transport, ours=True),
                    hop.ip,
                    hop.port,
                    ssl=tls,
                    # The certificate is of the domain that was asked for (RFC 5922 §4).
                    server_hostname=(hop.name or hop.ip) if tls else None,
                )
        except (OSError, TimeoutError) as failure:
            log.info("%s cannot be reached: %s", hop, failure or "it took too long")
            self._opening.pop(peer, None)
            self._on_unreachable(hop)
            return
        for data in self._opening.pop(peer, []):
            connection.send(data)


def plain_ip(ip: str) -> str:
    """Without the scope of a link-local address, and IPv4 as IPv4 where a socket takes both."""
    ip = ip.split("%", 1)[0]
    return ip.removeprefix("::ffff:") if "." in ip else ip


def version_of(host: str) -> int | None:
    """4 or 6; None for a name."""
    try:
        return ipaddress.ip_address(host).version
    except ValueError:
        return None


def _family(host: str) -> int:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def _peer(hop: Hop) -> tuple[Transport, str, int]:
    return hop.transport, hop.ip, hop.port


def _near(ip: str) -> bool:
    try:
        return ipaddress.ip_address(ip).is_private
    except ValueError:
        return False
