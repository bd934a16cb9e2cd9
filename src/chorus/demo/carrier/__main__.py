"""`python -m chorus.demo.carrier`: run the carrier until it is told to stop.

Prints one line of JSON, `{"url": "http://127.0.0.1:<port>"}`, once it takes connections. With
`--with-parent` it ends when its standard input is closed, so that it never outlives a test; with
`--socket` it takes connections where its parent listens already. With `--sip` its people have SIP
telephones instead of media streams. With `--models` they speak with the natural voice in that
folder, where Whisper is too: it hears the robot's voice that they have else badly.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

import httpx
import uvicorn
from starlette.applications import Starlette

from chorus.demo.carrier.api import Api
from chorus.demo.carrier.control import Control
from chorus.demo.carrier.exchange import Exchange


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="carrier", description="A telephone network that speaks Twilio's protocols."
    )
    parser.add_argument("--port", type=int, default=0, help="0 (the default) takes a free one")
    parser.add_argument("--socket", type=int, help="descriptor of a socket that listens")
    parser.add_argument(
        "--with-parent", action="store_true", help="end when standard input is closed"
    )
    parser.add_argument(
        "--sip",
        nargs=3,
        metavar=("NUMBER", "PORT", "PEER"),
        help="people with SIP telephones of this number on this UDP port, the platform's on PEER",
    )
    parser.add_argument(
        "--models", type=Path, help="folder of models: people have its voice, once one is there"
    )
    given = parser.parse_args(arguments)
    if given.socket is None:
        listening = socket.create_server(("127.0.0.1", given.port))
    else:
        listening = socket.socket(fileno=given.socket)
    asyncio.run(_serve(listening, given.with_parent, given.sip, given.models))


async def _serve(
    listening: socket.socket,
    with_parent: bool,
    sip: tuple[str, str, str] | None,
    models: Path | None,
) -> None:
    url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    # The platform closes an idle connection after 5 s: news that is on its way then would be lost.
    async with httpx.AsyncClient(limits=httpx.Limits(keepalive_expiry=4)) as http:
        exchange = Exchange(http)
        if sip is not None:
            # Only here: media streams need none of it.
            from chorus.demo.carrier.sip import SipTelephones

            number, port, peer_port = sip
            exchange.telephones = SipTelephones(exchange, number, int(port), int(peer_port))
            await exchange.telephones.start()
        control = Control(exchange, models)
        app = Starlette(routes=[*Api(exchange).routes(), *control.routes()])
        config = uvicorn.Config(
            app, log_level="warning", access_log=False, lifespan="off", timeout_graceful_shutdown=1
        )
        server = uvicorn.Server(config)
        if with_parent:
            # Its own thread: reading a pipe has no portable asynchronous form.
            loop = asyncio.get_running_loop()
            loop.run_in_executor(None, sys.stdin.read).add_done_callback(
                lambda _: setattr(server, "should_exit", True)
            )
        print(json.dumps({"url": url}), flush=True)
        try:
            await server.serve(sockets=[listening])
        finally:
            if exchange.telephones is not None:
                await exchange.telephones.aclose()


if __name__ == "__main__":
    main()
