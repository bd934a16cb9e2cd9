"""`chorus serve`: the server process, from its first line to its last.

In order: the port is taken, the database and the first key are prepared, uvicorn runs the
application. The port comes first: a second server must not touch the database of the one that
has it, and a key that was made must be shown. What prevents that, such as a database that is
away or a port that is taken, ends the process with one sentence and status 1.
"""

from __future__ import annotations

import asyncio
import dataclasses
import errno
import gc
import ipaddress
import logging
import signal
import socket
import sys

import uvicorn

from chorus import logs
from chorus.accounts import first_owner
from chorus.accounts.secrets import Secrets
from chorus.app import create_app
from chorus.calls.switchboard import Switchboard
from chorus.connections import Connections, protocol, raise_file_limit
from chorus.db import Database
from chorus.lines.websocket import DirectProtocol
from chorus.prepare import NotReady, prepare
from chorus.settings import Settings

log = logging.getLogger(__name__)

# A carrier's audio message is below 4 KB; whatever is larger is no audio.
_WS_MAX_BYTES = 256 * 1024
# For requests under way once the calls have ended; calls have CHORUS_DRAIN_SECONDS before that.
_SHUTDOWN_S = 10


def serve(settings: Settings) -> int:
    """Run until told to stop; returns the exit status."""
    logs.configure(settings)
    host, port = settings.host, settings.port
    try:
        listener = _listen(host, port)
    except (OSError, UnicodeError) as error:
        print(f"Cannot listen on {host} port {port}: {error}", file=sys.stderr)
        if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
            print("Another one: `chorus serve --port 8001`, or CHORUS_PORT=8001.", file=sys.stderr)
        return 1
    with listener:
        return _serve(settings, host, listener)


def _serve(settings: Settings, host: str, listener: socket.socket) -> int:
    try:
        key, owner = asyncio.run(_prepared(settings))
    except NotReady as reason:
        print(reason, file=sys.stderr)
        return 1
    if key is not None:
        _announce(key, given=settings.bootstrap_api_key is not None)
    if risk := unsafe(settings, host):
        log.warning(risk)
    # The port that it is now, for URLs that the server tells of itself.
    settings = dataclasses.replace(settings, host=host, port=listener.getsockname()[1])
    app = create_app(settings)
    server = _Server(
        uvicorn.Config(
            app,
            http=protocol(Connections(settings, raise_file_limit())),
            loop="auto",
            ws=DirectProtocol,
            ws_max_size=_WS_MAX_BYTES,
            ws_per_message_deflate=False,
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=True,
            forwarded_allow_ips=list(settings.trusted_proxies),
            timeout_graceful_shutdown=_SHUTDOWN_S,
        ),
        settings,
        app.state.switchboard,
        owner,
    )
    # uvicorn repeats a signal to whoever had it before; that a server which was told to stop has
    # stopped is no failure.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _leave)
    server.run(sockets=[listener])
    return 0 if server.started else 1


def unsafe(settings: Settings, host: str) -> str | None:
    """A sentence if whoever is on the way can read along: keys, passwords and what callers say."""
    try:
        near = ipaddress.ip_address(host).is_loopback
    except ValueError:
        near = host == "localhost"
    if near or settings.url.startswith("https://"):
        return None
    return (
        f"listening on {host} over plain http: keys, passwords and calls cross the network in "
        "clear. Put a proxy with TLS in front, and its address into CHORUS_PUBLIC_URL "
        "(docs/operations.md)"
    )


async def _prepared(settings: Settings) -> tuple[str | None, str | None]:
    """The first API key if it was made now, and the first owner's token while there is none."""
    key = await prepare(settings)
    database = Database(settings)
    try:
        return key, await first_owner.pending(database, Secrets.of(settings))
    finally:
        await database.close()


def _leave(_signal: int, _frame: object) -> None:
    sys.exit(0)


def _announce(key: str, *, given: bool) -> None:
    """Once, on standard output and not in the log: logs are kept and shipped elsewhere."""
    if given:
        print("The first API key is the one from CHORUS_BOOTSTRAP_API_KEY.", flush=True)
    else:
        print(f"\nYour first API key, shown this once:\n\n    {key}\n", flush=True)


class _Server(uvicorn.Server):
    """uvicorn's server, which says where it is as soon as it can be reached, and lets calls end
    before it closes their sockets. A second signal ends it at once."""

    def __init__(
        self, config: uvicorn.Config, settings: Settings, calls: Switchboard, owner: str | None
    ) -> None:
        super().__init__(config)
        self._settings = settings
        self._calls = calls
        self._owner = owner

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        draining = asyncio.ensure_future(self._calls.drain())
        while not draining.done() and not self.force_exit:
            await asyncio.wait({draining}, timeout=0.1)
        draining.cancel()
        await super().shutdown(sockets)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._calls.spawn(self._freeze(), "freeze")
            url = self._settings.url
            if self._owner is not None:
                # In the fragment, which browsers send to no server and no log has.
                link = f"{url}/dashboard/welcome#token={self._owner}"
                print(f"\nCreate the first owner, in a browser:\n\n    {link}\n", flush=True)
            print(
                f"Chorus is at {url}  (API {url}/v1, to try it {url}/docs, health {url}/healthz)",
                flush=True,
            )

    async def _freeze(self) -> None:
        """What is loaded before the first call stays. Without this the collector walks all of it,
        some 200 ms in which no call hears or speaks, whenever enough new objects have survived."""
        await self._calls.loaded()
        gc.collect()
        gc.freeze()


def _listen(host: str, port: int) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(2048)
    except BaseException:
        listener.close()
        raise
    listener.setblocking(False)
    listener.set_inheritable(True)
    return listener
