"""What a worker and its parent (`workers.py`) say to each other, over a socket pair."""

from __future__ import annotations

import asyncio
import socket

READY, BEAT, STOP, RETIRE, AT_ONCE = b"y", b"b", b"s", b"r", b"x"
"""A byte each. The worker says READY and BEAT, the parent the others."""

BEAT_S = 1.0
"""A worker's event loop tells the parent this often that it runs."""


async def beat(parent: socket.socket) -> None:
    """In a worker, on its event loop: tell the parent that it runs, until there is none."""
    while True:
        await asyncio.sleep(BEAT_S)
        try:
            parent.send(BEAT)
        except BlockingIOError:
            continue  # the parent has been standing still for minutes
        except OSError:
            return
