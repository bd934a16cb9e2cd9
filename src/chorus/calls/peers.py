"""The port at which processes of other machines pass on what belongs to calls of this one.

It is plain TCP, for a private network, and nobody is believed there before both sides have shown
that they have the installation's secret key:

1. who connects sends a mark, the time, a nonce, and a MAC of these and of the name of the process
   that it wants;
2. that process answers with a nonce of its own and a MAC of both;
3. who connected sends a MAC of both, and after it what it has to pass on.

The MACs are made with a key for this purpose alone, each names its step, and each end's covers the
other's nonce: what somebody recorded opens nothing, neither later nor at another process. The side
that listens (`PeerPort`) reads nothing beyond these messages, waits `OPEN_S` for them, closes at
the first wrong byte, and says nothing to whom it closes. What comes after them is not protected.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import struct
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import cast

from chorus.accounts.secrets import Secrets
from chorus.lines.strangers import Strangers, TurnedAway
from chorus.settings_peers import PeerAddress

log = logging.getLogger(__name__)

OPEN_S = 5.0
CLOCKS_S = 30
"""How far the clocks of two machines may be apart, with the way between them."""
PURPOSE = "peer"
_MARK = b"chorus1\n"
_NONCE = 32
_MAC = 64
_TIME = struct.Struct(">Q")
_HELLO = len(_MARK) + _TIME.size + _NONCE + _MAC
_WELCOME = _NONCE + _MAC


class NoPeer(ConnectionError):
    """What answered is not the process that was wanted."""


async def reach(address: PeerAddress, holder: str, secrets: Secrets) -> socket.socket:
    """A connection to the process of this name, each sure of the other. Raises `OSError`; the
    caller sets a limit to the time."""
    loop = asyncio.get_running_loop()
    connection = await _connected(address)
    try:
        at, nonce = _TIME.pack(int(time.time())), os.urandom(_NONCE)
        hello = _mac(secrets, "hello", holder, at, nonce)
        await loop.sock_sendall(connection, _MARK + at + nonce + hello)
        welcome = await _exactly(connection, _WELCOME)
        theirs, mac = welcome[:_NONCE], welcome[_NONCE:]
        if not _is_mac(secrets, mac, "welcome", holder, nonce, theirs):
            raise NoPeer(f"{address} is no process of this installation")
        await loop.sock_sendall(connection, _mac(secrets, "proof", holder, nonce, theirs))
    except BaseException:
        connection.close()
        raise
    return connection


async def _connected(address: PeerAddress) -> socket.socket:
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(*address, type=socket.SOCK_STREAM)
    failure = OSError(f"{address.host} has no address")
    for family, kind, protocol, _, where in found:
        connection = socket.socket(family, kind, protocol)
        connection.setblocking(False)
        try:
            await loop.sock_connect(connection, where)
        except OSError as failed:
            connection.close()
            failure = failed
        except BaseException:
            connection.close()
            raise
        else:
            return connection
    raise failure


async def _exactly(connection: socket.socket, size: int) -> bytes:
    loop, read = asyncio.get_running_loop(), b""
    while len(read) < size:
        more = await loop.sock_recv(connection, size - len(read))
        if not more:
            raise NoPeer("it closed the connection, as one with another key or name does")
        read += more
    return read


class PeerPort:
    """The side that listens, of the process of this name. Who comes in is given to a protocol that
    `make` makes, and sent away while `is_full`."""

    def __init__(
        self,
        name: str,
        secrets: Secrets,
        make: Callable[[], asyncio.Protocol],
        is_full: Callable[[], bool],
    ) -> None:
        self.name = name
        self.secrets = secrets
        self.make = make
        self.is_full = is_full
        self.strangers = Strangers("a connection to the peers' port")
        self.arriving: set[asyncio.Transport] = set()
        """Not let in yet."""
        self._server: asyncio.Server | None = None

    async def listen(self, host: str, port: int) -> None:
        """Raises `OSError`."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: Arrival(self), host, port)

    def close(self) -> None:
        """Those that were let in stay."""
        if self._server is not None:
            self._server.close()
        for transport in self.arriving:
            transport.abort()


class Arrival(asyncio.Protocol):
    """One connection, until it is let in or closed."""

    def __init__(self, port: PeerPort) -> None:
        self._port = port
        self._read = b""
        self._nonces: tuple[bytes, bytes] | None = None
        self._looked_at = ExitStack()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._address: str = (transport.get_extra_info("peername") or ("unknown",))[0]
        self._late = asyncio.get_running_loop().call_later(
            OPEN_S, self._refuse, f"it did not say who it is within {OPEN_S:g} s"
        )
        try:
            self._looked_at.enter_context(self._port.strangers.look(self._address))
        except TurnedAway:
            self._transport.abort()
        else:
            self._port.arriving.add(self._transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._over()

    def data_received(self, data: bytes) -> None:
        if self._transport.is_closing():
            return
        self._read += data
        if self._nonces is None:
            self._hello()
        else:
            self._proof(self._nonces)

    def _hello(self) -> None:
        # Who speaks another protocol is sent away at its first byte.
        if not _MARK.startswith(self._read[: len(_MARK)]) or len(self._read) > _HELLO:
            self._refuse("it is no process of Chorus")
            return
        if len(self._read) < _HELLO:
            return
        rest = self._read[len(_MARK) :]
        at, nonce = rest[: _TIME.size], rest[_TIME.size : _TIME.size + _NONCE]
        name, secrets = self._port.name, self._port.secrets
        if not _is_mac(secrets, rest[-_MAC:], "hello", name, at, nonce):
            self._refuse("it has another secret key, or wants a process that is not here")
            return
        apart_s = abs(time.time() - _TIME.unpack(at)[0])
        if apart_s > CLOCKS_S:
            self._refuse(f"its clock and this machine's are {apart_s:.0f} s apart")
            return
        ours = os.urandom(_NONCE)
        self._read, self._nonces = b"", (nonce, ours)
        self._transport.write(ours + _mac(secrets, "welcome", name, nonce, ours))

    def _proof(self, nonces: tuple[bytes, bytes]) -> None:
        if len(self._read) < _MAC:
            return
        port = self._port
        if not _is_mac(port.secrets, self._read[:_MAC], "proof", port.name, *nonces):
            self._refuse("it could only repeat what another had said")
        elif port.is_full():
            log.warning("%s was sent away: too much is passed on to this process", self._address)
            self._transport.abort()
        else:
            self._let_in(self._read[_MAC:])

    def _let_in(self, rest: bytes) -> None:
        self._over()
        transport, protocol = self._transport, self._port.make()
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        if rest:
            protocol.data_received(rest)
        asyncio.get_running_loop().call_later(OPEN_S, self._unless_changed, protocol)

    def _unless_changed(self, protocol: asyncio.Protocol) -> None:
        """A websocket has a protocol of its own from its handshake on; the machine may have gone
        before it."""
        transport = self._transport
        if transport.get_protocol() is protocol and not transport.is_closing():
            log.warning("%s was let in, and opened no websocket", self._address)
            transport.abort()

    def _refuse(self, why: str) -> None:
        if not self._transport.is_closing():
            self._port.strangers.refused(self._address, why)
            self._transport.abort()

    def _over(self) -> None:
        self._late.cancel()
        self._looked_at.close()
        self._port.arriving.discard(self._transport)


def _text(step: str, holder: str, parts: tuple[bytes, ...]) -> str:
    return "\n".join((step, holder, *(part.hex() for part in parts)))


def _mac(secrets: Secrets, step: str, holder: str, *parts: bytes) -> bytes:
    return secrets.sign(PURPOSE, _text(step, holder, parts)).encode()


def _is_mac(secrets: Secrets, given: bytes, step: str, holder: str, *parts: bytes) -> bool:
    signature = given.decode("ascii", "replace")
    return secrets.verify(PURPOSE, _text(step, holder, parts), signature)
