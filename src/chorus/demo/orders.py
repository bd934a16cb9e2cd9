"""The shop behind the demo's agents: a small HTTP API in a process of its own.

GET  /orders/{number}           the state of an order
POST /orders/{number}/delivery  move its delivery: {"day": "saturday"}
POST /orders/{number}/place     where to leave it: {"place": "behind the house"}

Run as `python -m chorus.demo.orders --port 8200`; it prints its address as one line of JSON. With
`--with-parent` it ends when its standard input is closed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

START_TIMEOUT_S = 30.0


def app() -> Starlette:
    """Forgets everything when it ends."""
    orders: dict[str, dict[str, Any]] = {
        "427": {"number": "427", "item": "two pear trees", "day": "friday", "place": None}
    }

    async def show(request: Request) -> Response:
        order = orders.get(request.path_params["number"])
        return JSONResponse(order or {"error": "no such order"}, 200 if order else 404)

    async def change(request: Request, name: str) -> Response:
        order = orders.get(request.path_params["number"])
        if order is None:
            return JSONResponse({"error": "no such order"}, 404)
        try:
            body: Any = await request.json()
            order[name] = str(body[name])
        except (ValueError, KeyError, TypeError):
            return JSONResponse({"error": f"the body must be an object with {name!r}"}, 400)
        return JSONResponse(order)

    async def move(request: Request) -> Response:
        return await change(request, "day")

    async def leave(request: Request) -> Response:
        return await change(request, "place")

    return Starlette(
        routes=[
            Route("/orders/{number}", show),
            Route("/orders/{number}/delivery", move, methods=["POST"]),
            Route("/orders/{number}/place", leave, methods=["POST"]),
        ]
    )


@asynccontextmanager
async def running() -> AsyncGenerator[str]:
    """The server in a process of its own; yields its address."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "chorus.demo.orders", "--with-parent"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        # Ctrl-C in the terminal is for the demo, which ends this in its turn.
        start_new_session=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        async with asyncio.timeout(START_TIMEOUT_S):
            line = await process.stdout.readline()
        if not line:
            raise RuntimeError("the order server did not start; see standard error")
        yield json.loads(line)["url"]
    finally:
        process.stdin.close()
        try:
            async with asyncio.timeout(5):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()


async def _main(port: int, with_parent: bool) -> None:
    server = uvicorn.Server(
        uvicorn.Config(app(), host="127.0.0.1", port=port, log_level="warning", lifespan="off")
    )
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
        if serving.done():
            await serving
    port = server.servers[0].sockets[0].getsockname()[1]
    print(json.dumps({"url": f"http://127.0.0.1:{port}"}), flush=True)
    if with_parent:
        # Not read by a thread through `sys.stdin`, whose lock would be held when the process ends.
        await asyncio.to_thread(os.read, sys.stdin.fileno(), 1)
        server.should_exit = True
    await serving


def main() -> None:
    parser = argparse.ArgumentParser(prog="orders", description="A shop's orders over HTTP.")
    parser.add_argument("--port", type=int, default=0, help="0 (the default) takes a free one")
    parser.add_argument(
        "--with-parent", action="store_true", help="end when standard input is closed"
    )
    given = parser.parse_args()
    with suppress(KeyboardInterrupt):
        asyncio.run(_main(given.port, given.with_parent))


if __name__ == "__main__":
    main()
