"""What comes before a server: its port is taken, and the database and the first key are prepared.

The port comes first: a second server must not touch the database of the one that has it, and a
key that was made must be shown. What prevents that, such as a database that is away or a port that
is taken, is one sentence.
"""

from __future__ import annotations

import asyncio
import dataclasses
import errno
import ipaddress
import logging
import socket
import sys
from collections.abc import Callable

from chorus.accounts import first_owner
from chorus.accounts.secrets import Secrets
from chorus.db import Database
from chorus.prepare import NotReady, prepare
from chorus.settings import Settings

log = logging.getLogger(__name__)


def served(settings: Settings, run: Callable[[Settings, socket.socket, str | None], int]) -> int:
    """Take the port, prepare, and `run` with the port that it is now, the listening socket and the
    first owner's token while there is none; returns the exit status."""
    listener = _taken(settings.host, settings.port)
    if listener is None:
        return 1
    with listener:
        try:
            owner = _opened(settings)
        except NotReady as reason:
            print(reason, file=sys.stderr)
            return 1
        # For URLs that the server tells of itself.
        settings = dataclasses.replace(settings, port=listener.getsockname()[1])
        return run(settings, listener, owner)


def _taken(host: str, port: int) -> socket.socket | None:
    """The listening socket; None, and it was said why, if it cannot be had."""
    try:
        return _listen(host, port)
    except (OSError, UnicodeError) as error:
        print(f"Cannot listen on {host} port {port}: {error}", file=sys.stderr)
        if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
            print("Another one: `chorus serve --port 8001`, or CHORUS_PORT=8001.", file=sys.stderr)
        return None


def _opened(settings: Settings) -> str | None:
    """Prepare the database, say the first API key if it was made now, and warn of what is not
    safe. Returns the first owner's token while there is none. Raises `prepare.NotReady`."""
    key, owner = asyncio.run(_prepared(settings))
    if key is not None:
        _announce(key, given=settings.bootstrap_api_key is not None)
    if risk := unsafe(settings, settings.host):
        log.warning(risk)
    return owner


def say_where(settings: Settings, owner: str | None) -> None:
    """Once it can be reached."""
    url = settings.url
    if owner is not None:
        # In the fragment, which browsers send to no server and no log has.
        link = f"{url}/dashboard/welcome#token={owner}"
        print(f"\nCreate the first owner, in a browser:\n\n    {link}\n", flush=True)
    print(
        f"Chorus is at {url}  (API {url}/v1, to try it {url}/docs, health {url}/healthz)",
        flush=True,
    )


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


def _announce(key: str, *, given: bool) -> None:
    """Once, on standard output and not in the log: logs are kept and shipped elsewhere."""
    if given:
        print("The first API key is the one from CHORUS_BOOTSTRAP_API_KEY.", flush=True)
    else:
        print(f"\nYour first API key, shown this once:\n\n    {key}\n", flush=True)


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
