"""Worker processes: code that holds the GIL, crashes, or has a licence of its own, at arm's
length.

`Worker.start` runs `python -m <module> … <fd>` with one end of a socket pair; both ends speak
the messages of `channel.py`. What the worker says is handed to a callback on the loop; when
it dies, `on_gone` is called once. Nothing is forked: the child is a fresh interpreter. A
worker leaves when its link closes, so none outlives this process, however it ends.
"""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import cast

from chorus.speech.channel import HEADER, MAX_PAYLOAD
from chorus.speech.engines import EngineFailed

# How long a worker that was told to go may take before it is killed.
_GRACE_S = 1.0


class Worker(asyncio.Protocol):
    """One worker process. `on_message(kind, payload)` and `on_gone()` run on the loop."""

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        on_message: Callable[[int, bytes], None],
        on_gone: Callable[[], None],
    ) -> None:
        self._process = process
        self._on_message = on_message
        self._on_gone = on_gone
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None
        self._closing = False
        self._reaped: asyncio.Future[int] | None = None

    @classmethod
    async def start(
        cls,
        module: str,
        on_message: Callable[[int, bytes], None],
        on_gone: Callable[[], None],
        arguments: Sequence[str] = (),
    ) -> Worker:
        """`arguments` come first in its `sys.argv`, the link's descriptor last. Raises
        `EngineFailed` (stage `worker`) if the process cannot be started."""
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair()
        # Off the loop: starting a process blocks for milliseconds.
        spawning = asyncio.ensure_future(asyncio.to_thread(_spawn, module, arguments, theirs))
        try:
            process = await asyncio.shield(spawning)
        except OSError as error:
            ours.close()
            raise EngineFailed(module.rsplit(".", 1)[-1], "worker", str(error)) from error
        except asyncio.CancelledError:
            ours.close()
            # Started all the same, perhaps in a moment: nobody else would ever reap it.
            spawning.add_done_callback(_discard)
            raise
        finally:
            if spawning.done():
                theirs.close()
            else:
                spawning.add_done_callback(lambda _: theirs.close())
        ours.setblocking(False)
        worker = cls(process, on_message, on_gone)
        try:
            await loop.create_connection(lambda: worker, sock=ours)
        except BaseException:
            ours.close()
            process.kill()
            process.wait()
            raise
        return worker

    @property
    def pid(self) -> int:
        return self._process.pid

    def send(self, kind: int, payload: bytes = b"") -> None:
        """Never blocks; to a worker that has gone it does nothing: `on_gone` says so."""
        if self._transport is not None:
            self._transport.write(HEADER.pack(len(payload), kind) + payload)

    def kill(self) -> None:
        """For a worker that hangs: `on_gone` follows."""
        self._process.kill()

    async def close(self) -> None:
        """Let it go, by force after a second; `on_gone` is not called. Reaps the process."""
        self._closing = True
        if self._transport is not None:
            self._transport.abort()
        if self._reaped is not None:
            await asyncio.shield(self._reaped)
        else:
            await asyncio.to_thread(self._reap, _GRACE_S)

    # --- asyncio.Protocol ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer
        buffer += data
        at = 0
        while len(buffer) - at >= HEADER.size:
            size, kind = HEADER.unpack_from(buffer, at)
            if size > MAX_PAYLOAD:
                self._process.kill()
                return
            end = at + HEADER.size + size
            if len(buffer) < end:
                break
            payload = bytes(buffer[at + HEADER.size : end])
            at = end
            if not self._closing:
                self._on_message(kind, payload)
        del buffer[:at]

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self._closing:
            return
        # A worker that closed its link has nothing more to give, alive or not.
        self._process.kill()
        self._reaped = asyncio.get_running_loop().run_in_executor(None, self._reap, _GRACE_S)
        self._on_gone()

    def _reap(self, grace_s: float) -> int:
        try:
            return self._process.wait(grace_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()


def _discard(spawning: asyncio.Future[subprocess.Popen[bytes]]) -> None:
    if not spawning.cancelled() and spawning.exception() is None:
        process = spawning.result()
        process.kill()
        process.wait()


def _spawn(module: str, arguments: Sequence[str], link: socket.socket) -> subprocess.Popen[bytes]:
    # The module is one of our own names, never input. `-P`: nothing of the working directory.
    return subprocess.Popen(  # noqa: S603
        [sys.executable, "-P", "-m", module, *arguments, str(link.fileno())],
        pass_fds=(link.fileno(),),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
