"""A websocket that reached a process which does not hold its call, passed on to the one that does.

Processes of one machine share a port (`--workers`), and the system gives a connection to whichever
is free. The first leg of a call is held where its audio arrives; a supervisor's sound, the second
leg of a transfer, a caller who comes back from one and a page whose connection was lost belong to
a call that is held already. So each process that holds calls also listens at a Unix socket in the
data folder, named after its place there (`durable/identity.py`): the name of who holds a call,
which is on its row, says where that is. For processes of other machines it listens at a port of a
private network if it was told to (`CHORUS_PEER_ADDRESS`); its row among the executors says where,
and `peers.py` who is let in.

What is passed on is the handshake, path and headers, and then the messages both ways, none of them
looked at. The holder sees what it would have seen, and checks it as it would have: the token is not
used up by who passes it on. `X-Chorus-Relay` shows that it comes from a process with the same
secret key, and for which address. There is no second hop.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import uvicorn
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.server import ServerState

from chorus.accounts.secrets import Secrets
from chorus.calls.peers import CLOCKS_S, OPEN_S, PeerPort, reach
from chorus.lines.desk import Relayed
from chorus.lines.media_socket import BROKEN, LATER, POLICY, close_socket
from chorus.lines.websocket import DirectProtocol
from chorus.settings_peers import PeerAddress

if TYPE_CHECKING:
    from websockets.asyncio.client import ClientConnection

log = logging.getLogger(__name__)

HEADER = "x-chorus-relay"
PURPOSE = "relay"
SIGNED_FOR_S = CLOCKS_S
"""Between the signature and the look at it."""
PING_S = 20.0
"""A holder that answers nothing for as long as two of these is taken for dead."""
MOST = 1000
"""Passed on at the same moment; and taken, before one more of another machine is sent away."""
MAX_MESSAGE = 1024 * 1024
_LONGEST_PATH = 100
"""Bytes: `sockaddr_un` holds 108 on Linux and 104 elsewhere, with what ends it."""
_OF_THE_HOP = ("connection", "upgrade", "host", "content-length", "transfer-encoding", HEADER)


class Register(Protocol):
    """Who this process is, and where others are: of `Heartbeat`, what a relay asks."""

    name: str

    async def listens_at(self, address: str) -> None: ...

    async def peer_address(self, name: str) -> str | None: ...


class Relay:
    """`folder` is where the places of the machine's processes are, `address` where the first of
    them listens for those of other machines, and `host` what it listens on if that is another."""

    def __init__(
        self,
        register: Callable[[], Register],
        folder: Path,
        secrets: Callable[[], Secrets],
        address: PeerAddress | None = None,
        host: str | None = None,
    ) -> None:
        self._register = register
        self._folder = folder
        self._secrets = secrets
        self._address = address
        self._host = host
        self._server: asyncio.Server | None = None
        self._port: PeerPort | None = None
        self._state = ServerState()
        self.open = 0
        """How many are being passed on by this process."""
        self.emptied = asyncio.Event()
        self.emptied.set()

    # --- passing on -------------------------------------------------------------------------------

    async def to(self, holder: str | None) -> Relayed | None:
        """The way to the process of this name; None if there is none: it is this one, is gone, or
        does not listen."""
        mine = self._name
        if holder is None or holder == mine:
            return None
        node, _, _ = mine.rpartition("-")
        its_node, _, place = holder.rpartition("-")
        path = self._path(place)
        if its_node == node and place.isdecimal() and path.is_socket():
            return partial(self._pass_on, path, holder)
        address = await self._register().peer_address(holder)
        if address is None:
            return None
        return partial(self._pass_on, PeerAddress.stored(address), holder)

    async def _pass_on(
        self,
        place: Path | PeerAddress,
        holder: str,
        first: Sequence[str | bytes],
        scope: Scope,
        receive: Receive,
        send: Send,
        *,
        accepted: bool,
    ) -> None:
        if self.open >= MOST:
            await close_socket(send, LATER)
            return
        self.open += 1
        self.emptied.clear()
        try:
            await self._connected(place, holder, first, scope, receive, send, accepted)
        finally:
            self.open -= 1
            if not self.open:
                self.emptied.set()

    async def _connected(
        self,
        place: Path | PeerAddress,
        holder: str,
        first: Sequence[str | bytes],
        scope: Scope,
        receive: Receive,
        send: Send,
        accepted: bool,
    ) -> None:
        from websockets.exceptions import InvalidStatus, WebSocketException

        try:
            socket = await self._connect(place, holder, scope)
        except InvalidStatus:
            # As the holder has it, which has said why in its own log.
            await close_socket(send, POLICY)
            return
        except (OSError, TimeoutError, EOFError, WebSocketException) as failure:
            log.error("%s, which holds a call, cannot be reached: %r", holder, failure)
            await close_socket(send, LATER)
            return
        log.info("a websocket is passed on to %s, which holds its call", holder)
        try:
            if not accepted:
                await send({"type": "websocket.accept", "subprotocol": socket.subprotocol})
            for message in first:
                await socket.send(message)
            await _both_ways(socket, receive, send)
        except WebSocketException:
            await close_socket(send, BROKEN)
        finally:
            socket.transport.abort()

    async def _connect(
        self, place: Path | PeerAddress, holder: str, scope: Scope
    ) -> ClientConnection:
        from websockets.asyncio.client import connect, unix_connect

        target = (scope.get("raw_path") or scope["path"].encode()).decode("ascii")
        address = (scope.get("client") or ("unknown",))[0]
        at = str(int(time.time()))
        signature = self._secrets().sign(PURPOSE, _signed(at, holder, target, address))
        headers = [
            (name.decode("latin-1"), value.decode("latin-1"))
            for name, value in scope["headers"]
            if not name.startswith(b"sec-websocket-") and name.decode("latin-1") not in _OF_THE_HOP
        ]
        url = f"ws://relay{target}"
        options: dict[str, Any] = {
            "additional_headers": [*headers, (HEADER, f"{at} {address} {signature}")],
            "subprotocols": scope.get("subprotocols") or None,
            "user_agent_header": None,
            "compression": None,
            "open_timeout": OPEN_S,
            "ping_interval": PING_S,
            "ping_timeout": PING_S,
            "close_timeout": 1.0,
            "max_size": MAX_MESSAGE,
        }
        if isinstance(place, Path):
            with _short(place) as short:
                return await unix_connect(short, url, **options)
        async with asyncio.timeout(OPEN_S):
            reached = await reach(place, holder, self._secrets())
            return await connect(url, sock=reached, **options)

    # --- taking -----------------------------------------------------------------------------------

    async def listen(self, app: ASGIApp) -> None:
        """Take what others pass on, for the websocket routes of `app`."""
        config = uvicorn.Config(
            partial(self._take, app),
            interface="asgi3",
            ws=DirectProtocol,
            ws_max_size=MAX_MESSAGE,
            ws_per_message_deflate=False,
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
        )
        config.load()

        def protocol() -> asyncio.Protocol:
            make: Any = config.http_protocol_class
            return make(config=config, server_state=self._state, app_state={})

        await self._listen_here(protocol)
        if self._address is not None:
            await self._listen_for_peers(protocol, self._address)

    async def _listen_here(self, protocol: Callable[[], asyncio.Protocol]) -> None:
        """For processes of this machine. The place is this one's alone, so a socket that is there
        was left by one that has died."""
        path = self._path(self._place)
        with suppress(OSError):
            path.unlink(missing_ok=True)
        loop = asyncio.get_running_loop()
        try:
            with _short(path) as short:
                self._server = await loop.create_unix_server(protocol, path=short)
            path.chmod(0o600)
        except OSError as failure:
            # Some file systems have no sockets. Calls are held all the same.
            log.error("no websocket can be passed on to this process: %s: %s", path, failure)

    async def _listen_for_peers(
        self, protocol: Callable[[], asyncio.Protocol], first: PeerAddress
    ) -> None:
        # By its place: no two processes of the folder want the same port, also while one takes the
        # place of another.
        mine = first._replace(port=first.port + int(self._place))
        port = PeerPort(
            self._name, self._secrets(), protocol, lambda: len(self._state.connections) >= MOST
        )
        try:
            await port.listen(self._host or mine.host, mine.port)
        except OSError as failure:
            log.error("no other machine can pass on anything to this process: %s", failure)
            return
        self._port = port
        await self._register().listens_at(str(mine))
        log.info("other machines pass on what belongs to calls of this process at %s", mine)

    async def aclose(self) -> None:
        """No more are taken; those that are there are closed by now, with their calls."""
        if self._port is not None:
            self._port.close()
        if self._server is not None:
            self._server.close()
            with suppress(OSError):
                self._path(self._place).unlink(missing_ok=True)
        for connection in list(self._state.connections):
            connection.shutdown()

    async def _take(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "websocket":
            await send({"type": "http.response.start", "status": 404, "headers": []})
            await send({"type": "http.response.body", "body": b""})
            return
        address = self._genuine(scope)
        if address is None:
            log.error("a websocket that no process of this installation passed on was refused")
            await receive()
            await close_socket(send, POLICY)
            return
        await app({**scope, "client": (address, 0)}, receive, send)

    def _genuine(self, scope: Scope) -> str | None:
        """The address that it is passed on for; None if nobody of us did."""
        at, _, rest = Headers(scope=scope).get(HEADER, "").partition(" ")
        address, _, signature = rest.partition(" ")
        if not at.isdecimal() or abs(time.time() - int(at[:12])) > SIGNED_FOR_S:
            return None
        target = (scope.get("raw_path") or scope["path"].encode()).decode("latin-1")
        signed = _signed(at, self._name, target, address)
        return address if self._secrets().verify(PURPOSE, signed, signature) else None

    @property
    def _name(self) -> str:
        return self._register().name

    @property
    def _place(self) -> str:
        return self._name.rpartition("-")[2]

    def _path(self, place: str) -> Path:
        return self._folder / f"{place}.sock"


async def _both_ways(socket: ClientConnection, receive: Receive, send: Send) -> None:
    """Until either side is gone, which the other is told."""
    inwards = asyncio.create_task(_inwards(socket, receive))
    outwards = asyncio.create_task(_outwards(socket, send))
    tasks = (inwards, outwards)
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if outwards.done():
            # The holder closed, with the call; or it is dead, and there is no code.
            await close_socket(send, _sent(socket.close_code) or BROKEN)
        elif code := _sent(inwards.result()):
            await socket.close(code)
        # Else the connection broke, and so does the one to the holder.
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _inwards(socket: ClientConnection, receive: Receive) -> int:
    """The code with which whoever connected to us went away."""
    from websockets.exceptions import ConnectionClosed

    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            return message.get("code") or 1005
        text = message.get("text")
        try:
            await socket.send(message["bytes"] if text is None else text)
        except ConnectionClosed:
            await asyncio.Event().wait()  # `_outwards` ends, and says how


async def _outwards(socket: ClientConnection, send: Send) -> None:
    async for message in socket:
        kind = "text" if isinstance(message, str) else "bytes"
        await send({"type": "websocket.send", kind: message})


def _sent(code: int | None) -> int | None:
    """The code, if it is one that is sent: RFC 6455 §7.4 has some that stand for none."""
    if code is None or code in (1004, 1005, 1006, 1015):
        return None
    return code if 1000 <= code <= 4999 else None


def _signed(at: str, holder: str, target: str, address: str) -> str:
    return f"{at}\n{holder}\n{address}\n{target}"


@contextmanager
def _short(path: Path) -> Generator[str]:
    """A name of the socket that fits into an address: on Linux its folder may have any length."""
    if len(os.fsencode(path)) < _LONGEST_PATH or not Path("/proc/self/fd").is_dir():
        yield str(path)
        return
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
