"""`chorus serve`: the server process, from its first line to its last.

In order: the port is taken, the database and the first key are prepared (`opening.py`), uvicorn
runs the application. What prevents that ends the process with one sentence and status 1.

Or it is one of several (`workers.py`), and is given the port by the process that started it. That
also tells it to stop, by single bytes over a socket pair, and is told when it is ready, and from
then on that its event loop runs.
"""

from __future__ import annotations

import asyncio
import faulthandler
import gc
import signal
import socket
import sys
from collections.abc import Callable
from typing import Any

import uvicorn
from fastapi.routing import iter_route_contexts

from chorus import logs
from chorus.app import create_app
from chorus.calls.switchboard import Switchboard
from chorus.connections import Connections, protocol, raise_file_limit
from chorus.lines.websocket import DirectProtocol
from chorus.opening import say_where, served
from chorus.parent import AT_ONCE, READY, RETIRE, beat
from chorus.settings import Settings

# A carrier's audio message is below 4 KB; whatever is larger is no audio.
_WS_MAX_BYTES = 256 * 1024
# For requests under way once the calls have ended; calls have CHORUS_DRAIN_SECONDS before that.
_SHUTDOWN_S = 10


def serve(settings: Settings) -> int:
    """Run until told to stop; returns the exit status."""
    logs.configure(settings)

    def run(settings: Settings, listener: socket.socket, owner: str | None) -> int:
        return _run(settings, listener, lambda: say_where(settings, owner))

    return served(settings, run)


def serve_as_worker(settings: Settings, listener_fd: int, parent_fd: int) -> int:
    """As one of several, with the port and the socket pair that the parent left open."""
    logs.configure(settings)
    # For the parent's SIGABRT: where each thread is goes to stderr.
    faulthandler.enable()
    with socket.socket(fileno=listener_fd) as listener, socket.socket(fileno=parent_fd) as parent:
        for each in (listener, parent):
            each.setblocking(False)
            each.set_inheritable(False)
        return _run(settings, listener, lambda: None, parent)


def _run(
    settings: Settings,
    listener: socket.socket,
    say: Callable[[], None],
    parent: socket.socket | None = None,
) -> int:
    app = create_app(settings)
    switchboard: Switchboard = app.state.switchboard
    switchboard.has_siblings = parent is not None
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
        switchboard,
        say,
        parent,
    )
    # uvicorn repeats a signal to whoever had it before; that a server which was told to stop has
    # stopped is no failure.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _leave)
    server.run(sockets=[listener])
    return 0 if server.started else 1


def _leave(_signal: int, _frame: object) -> None:
    sys.exit(0)


class _Server(uvicorn.Server):
    """uvicorn's server, which says where it is as soon as it can be reached, and lets calls end
    before it closes their sockets. A second signal ends it at once."""

    def __init__(
        self,
        config: uvicorn.Config,
        calls: Switchboard,
        say: Callable[[], None],
        parent: socket.socket | None,
    ) -> None:
        super().__init__(config)
        self._calls = calls
        self._say = say
        self._parent = parent
        self._beating: asyncio.Task[None] | None = None

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        if self._calls.retiring:
            self._leave_to_the_others(sockets or [])
        draining = asyncio.ensure_future(self._calls.drain())
        while not draining.done() and not self.force_exit:
            await asyncio.wait({draining}, timeout=0.1)
        draining.cancel()
        if self._parent is not None:
            asyncio.get_running_loop().remove_reader(self._parent)
        await super().shutdown(sockets)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        if self._parent is not None:
            asyncio.get_running_loop().add_reader(self._parent, self._obey)
        await super().startup(sockets)
        if self.started:
            self._calls.spawn(self._settle(), "settle")
            self._say()
            if self._parent is not None:
                try:
                    self._parent.send(READY)
                except OSError:  # it died meanwhile
                    self.should_exit = True
                    return
                # Until the loop ends: calls may last long after the order to stop.
                self._beating = asyncio.create_task(beat(self._parent), name="beat")

    def _obey(self) -> None:
        """The parent said something, or is gone, which is as if it had said to stop."""
        assert self._parent is not None
        try:
            said = self._parent.recv(16)
        except OSError:
            said = b""
        if RETIRE in said and not self.should_exit:
            self._calls.retiring = True
        if AT_ONCE in said:
            self.force_exit = True
        if not said:
            asyncio.get_running_loop().remove_reader(self._parent)
        self.should_exit = True

    def _leave_to_the_others(self, sockets: list[socket.socket]) -> None:
        """Take no more connections; those that are there are asked to be made anew after the next
        answer. What is in the port's queue the others take."""
        for server in self.servers:
            server.close()
        for each in sockets:
            each.close()
        closing = (b"connection", b"close")
        self.server_state.default_headers = [*self.server_state.default_headers, closing]

    async def _settle(self) -> None:
        """Do what would else stop the event loop later, when calls hear and speak in it: FastAPI
        builds the routes of a router when a request comes to it, 100 to 200 ms for all; and the
        collector walks all that was loaded, some 200 ms, whenever enough new objects have survived,
        unless it is told that they stay."""
        await asyncio.to_thread(build_routes, self.config.app)
        await self._calls.loaded()
        gc.collect()
        gc.freeze()


def build_routes(app: Any) -> None:
    """Have FastAPI do for all routes of `app` what it does with the first request else."""
    for _ in iter_route_contexts(app.routes):
        pass
