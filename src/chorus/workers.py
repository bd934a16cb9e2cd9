"""`chorus serve --workers N`: N servers on one machine that take connections from one port.

The parent takes the port and prepares the database, starts the workers (`serve.serve_as_worker`)
and holds no call itself. Each has the listening socket, so none is needed to hand connections on,
and one that is busy takes fewer. A worker that dies is started again, and ends the calls that it
had lost at once (`calls/recover.py`). One whose event loop has stood still for `SILENT_S` can serve
nobody: it is ended, and writes down first where it stood.

- SIGTERM and SIGINT: all are told to stop, and end as one server does. A second signal ends them
  at once.
- SIGHUP: one after the other is replaced, the new one first: it takes connections once it can hold
  a call, the old one then takes no more and ends when its calls have. No connection is refused.

No library's supervisor, because those (uvicorn's, gunicorn's) end the old one first, and start
what dies at its start again without a pause.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
import time
from asyncio.subprocess import Process
from collections.abc import Sequence

from chorus import logs
from chorus.opening import say_where, served
from chorus.parent import AT_ONCE, BEAT_S, READY, RETIRE, STOP
from chorus.settings import Settings

log = logging.getLogger(__name__)

COMMAND = (sys.executable, "-m", "chorus", "serve")
READY_WITHIN_S = 300.0
STEADY_S = 10.0
"""One that dies sooner than this after its start is started again after a wait, which doubles."""
LEAST_WAIT_S = 1.0
MOST_WAIT_S = 30.0
SILENT_S = 30.0
"""One that was not heard (`parent.BEAT_S`) for so long is ended: by SIGABRT, at which it writes its
threads' stacks to stderr, and by SIGKILL if that does not end it within `GRACE_S`."""
GRACE_S = 5.0


def serve_with_workers(settings: Settings) -> int:
    """Run until told to stop; returns the exit status."""
    logs.configure(settings)

    def run(settings: Settings, listener: socket.socket, owner: str | None) -> int:
        return asyncio.run(Workers(settings, listener, owner).run())

    return served(settings, run)


class Worker:
    """A started process, and the socket over which it is told things."""

    def __init__(self, process: Process, channel: socket.socket) -> None:
        self.process = process
        self._channel = channel
        self.started_at = time.monotonic()
        self.over: asyncio.Task[None] | None = None
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done when it takes connections, cancelled if it ended before that."""
        self.silent_s = 0.0
        """Since it was heard, as far as this process itself ran: where all stood still, as in a
        container that was paused, none is to blame."""
        self.is_given_up = False
        asyncio.get_running_loop().add_reader(channel, self._heard)

    @classmethod
    async def start(
        cls, settings: Settings, listener: socket.socket, command: Sequence[str]
    ) -> Worker:
        """Raises `OSError` if the system has no room for a process."""
        ours, theirs = socket.socketpair()
        try:
            inherited = (listener.fileno(), theirs.fileno())
            process = await asyncio.create_subprocess_exec(
                *(*command, "--inherited", *map(str, inherited)),
                env=os.environ
                | {
                    "CHORUS_HOST": settings.host,
                    "CHORUS_PORT": str(settings.port),
                    "CHORUS_ROLE": ",".join(settings.roles),
                    "CHORUS_WORKERS": "1",
                },
                pass_fds=inherited,
                # Ctrl-C is for the parent alone, which tells the others.
                start_new_session=True,
            )
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        ours.setblocking(False)
        return cls(process, ours)

    @property
    def is_ready(self) -> bool:
        return self.ready.done() and not self.ready.cancelled()

    def tell(self, what: bytes) -> None:
        try:
            self._channel.send(what)
        except OSError:
            log.debug("worker %d is gone already", self.process.pid)

    def kill(self, number: signal.Signals) -> None:
        try:
            self.process.send_signal(number)
        except ProcessLookupError:
            log.debug("worker %d is gone already", self.process.pid)

    async def ended(self) -> int:
        """Its exit status, once it has ended."""
        status = await self.process.wait()
        self._close()
        return status

    def _heard(self) -> None:
        try:
            said = self._channel.recv(256)
        except OSError:
            said = b""
        self.silent_s = 0.0
        if READY in said and not self.ready.done():
            self.ready.set_result(None)
        if not said:
            self._close()

    def _close(self) -> None:
        if self._channel.fileno() >= 0:
            asyncio.get_running_loop().remove_reader(self._channel)
            self._channel.close()
        self.ready.cancel()


class Workers:
    """`command` starts a worker; it is given two descriptors more: the port's, and that of the
    socket over which it hears what to do."""

    def __init__(
        self,
        settings: Settings,
        listener: socket.socket,
        owner: str | None,
        command: Sequence[str] = COMMAND,
    ) -> None:
        self._settings = settings
        self._listener = listener
        self._owner = owner
        self._command = command
        self._workers: dict[int, Worker] = {}
        """By their places."""
        self._living: set[Worker] = set()
        """Those that leave, and those that are to come, too."""
        self._stopping = asyncio.Event()
        self._up = False
        self._failed = False
        self._replacing: asyncio.Task[None] | None = None

    async def run(self) -> int:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop)
        loop.add_signal_handler(signal.SIGHUP, self._replace)
        watching = asyncio.create_task(self._watch(), name="watch workers")
        try:
            async with asyncio.TaskGroup() as tasks:
                for place in range(self._settings.workers):
                    tasks.create_task(self._keep(place))
            if self._replacing is not None:
                await self._replacing
            # Those that left their place are not waited for by anybody else.
            await asyncio.gather(*(self._forget(worker) for worker in self._living))
        finally:
            watching.cancel()
        return 1 if self._failed else 0

    async def _keep(self, place: int) -> None:
        """That there is a worker at this place, until all are to stop."""
        wait_s = 0.0
        gone: Worker | None = None
        while not self._stopping.is_set():
            try:
                await self._fill(place, gone)
                gone, status = await self._gone(place)
            except OSError as failure:
                # No process, or no memory for one.
                steady, what = False, f"a worker could not be started: {failure}"
            else:
                steady = time.monotonic() - gone.started_at >= STEADY_S
                what = f"worker {gone.process.pid} ended with {status}"
            if self._stopping.is_set():
                return
            if not self._up:
                log.error("%s, before all were there", what)
                self._failed = True
                self._stop()
                return
            wait_s = 0.0 if steady else min(MOST_WAIT_S, max(LEAST_WAIT_S, 2 * wait_s))
            log.error("%s; another is started in %.0f s", what, wait_s)
            await self._pause(wait_s)

    async def _fill(self, place: int, gone: Worker | None) -> None:
        """Start one for this place, unless one has come for the one that is gone meanwhile
        (`_replace_one`). Raises `OSError`."""
        if self._workers.get(place) is not gone:
            return
        worker = await self._start()
        if self._workers.get(place) is gone:
            self._workers[place] = worker
        else:
            worker.tell(RETIRE)

    async def _gone(self, place: int) -> tuple[Worker, int]:
        """The worker at this place, or whoever came for it, and its exit status."""
        while True:
            worker = self._workers[place]
            status = await worker.ended()
            if self._workers[place] is worker:
                return worker, status

    async def _watch(self) -> None:
        """Ends those whose event loop stands still."""
        while True:
            await asyncio.sleep(BEAT_S)
            for worker in [each for each in self._living if each.is_ready]:
                worker.silent_s += BEAT_S
                if worker.silent_s >= SILENT_S + GRACE_S:
                    worker.kill(signal.SIGKILL)
                elif worker.silent_s >= SILENT_S and not worker.is_given_up:
                    log.error(
                        "worker %d has stood still for %.0f s: it is ended, and where it stood "
                        "is in what it writes to stderr",
                        worker.process.pid,
                        worker.silent_s,
                    )
                    worker.is_given_up = True
                    worker.kill(signal.SIGABRT)

    async def _start(self) -> Worker:
        worker = await Worker.start(self._settings, self._listener, self._command)
        self._living.add(worker)
        worker.over = asyncio.create_task(self._forget(worker))
        worker.ready.add_done_callback(lambda _: self._tell_when_up())
        if self._stopping.is_set():
            worker.tell(STOP)
        return worker

    async def _forget(self, worker: Worker) -> None:
        await worker.ended()
        self._living.discard(worker)

    def _tell_when_up(self) -> None:
        ready = [each for each in self._workers.values() if each.is_ready]
        if not self._up and len(ready) == self._settings.workers:
            self._up = True
            say_where(self._settings, self._owner)

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            return

    def _stop(self) -> None:
        again = self._stopping.is_set()
        self._stopping.set()
        for worker in self._living:
            worker.tell(AT_ONCE if again else STOP)

    def _replace(self) -> None:
        if self._stopping.is_set() or not self._up:
            return
        if self._replacing is not None and not self._replacing.done():
            log.warning("the workers are being replaced already")
            return
        self._replacing = asyncio.create_task(self._replace_all(), name="replace workers")

    async def _replace_all(self) -> None:
        for place in sorted(self._workers):
            if not await self._replace_one(place):
                return
        log.info("all workers were replaced")

    async def _replace_one(self, place: int) -> bool:
        """False if no other could be started, and the old ones stay, or all are to stop."""
        try:
            new = await self._start()
        except OSError as failure:
            log.error("the workers stay as they are: %s", failure)
            return False
        await asyncio.wait({new.ready}, timeout=READY_WITHIN_S)
        if self._stopping.is_set():
            return False
        if not new.is_ready:
            log.error("the workers stay as they are: a new one did not start")
            new.tell(AT_ONCE)
            return False
        old, self._workers[place] = self._workers[place], new
        log.info("worker %d takes the place of %d", new.process.pid, old.process.pid)
        old.tell(RETIRE)
        await old.ended()
        return True
