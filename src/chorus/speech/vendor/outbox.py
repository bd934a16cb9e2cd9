"""What is sent over a socket by who must not wait: a task of its own does."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence

from chorus.outbound_socket import Socket, SocketClosed

_GOODBYE_S = 0.8


class Outbox:
    """`sent_s`: when something was sent last, by the loop's clock. Whoever reads from the socket
    is told that it closed; here what is left is dropped."""

    def __init__(self, socket: Socket) -> None:
        self.waiting_bytes = 0
        self.sent_s = asyncio.get_running_loop().time()
        self._socket = socket
        self._waiting: deque[str | bytes] = deque()
        self._more = asyncio.Event()
        self._closing = False
        self._sender = asyncio.create_task(self._send(), name="vendor socket")

    def put(self, *messages: str | bytes) -> None:
        for message in messages:
            self._waiting.append(message)
            self.waiting_bytes += len(message)
        self._more.set()

    async def close(self, goodbye: Sequence[str | bytes] = (), *, wait: bool = False) -> None:
        """Send what is left and `goodbye`, `wait` for the other side to close then, and close the
        socket. Bounded in time; raises nothing. Nobody else may read from it any more."""
        self._closing = True
        self.put(*goodbye)
        try:
            async with asyncio.timeout(_GOODBYE_S):
                await self._sender
                while wait and goodbye:
                    await self._socket.recv()
        except (SocketClosed, TimeoutError):
            pass
        finally:
            self._sender.cancel()
            await self._socket.close()

    async def _send(self) -> None:
        try:
            while self._waiting or not self._closing:
                if not self._waiting:
                    self._more.clear()
                    await self._more.wait()
                    continue
                message = self._waiting.popleft()
                self.sent_s = asyncio.get_running_loop().time()
                await self._socket.send(message)
                self.waiting_bytes -= len(message)
        except SocketClosed:
            self._waiting.clear()
