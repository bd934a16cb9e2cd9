"""A carrier's routes behind a real server: a free port of loopback, on this event loop."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import uvicorn
from fastapi import FastAPI

from chorus.lines.carrier import Carrier
from chorus.lines.desk import Desk
from chorus.lines.websocket import DirectProtocol


def free_port() -> tuple[socket.socket, str]:
    """A listening socket, and its URL, which carriers want to know before they are made."""
    listening = socket.create_server(("127.0.0.1", 0))
    return listening, f"http://127.0.0.1:{listening.getsockname()[1]}"


@asynccontextmanager
async def served(carrier: Carrier, desk: Desk, listening: socket.socket) -> AsyncGenerator[None]:
    app = FastAPI()
    app.router.routes.extend(carrier.routes(desk))
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        lifespan="off",
        ws=DirectProtocol,
        ws_max_size=128 * 1024,
        timeout_graceful_shutdown=1,
    )
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    try:
        while not server.started:
            await asyncio.sleep(0.01)
        yield
    finally:
        server.should_exit = True
        await serving
        await carrier.aclose()
