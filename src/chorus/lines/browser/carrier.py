"""Calls from web pages. No number and no carrier behind it: `POST /v1/calls/test` makes the call
and its token (`calls/browser.py`), the page connects here and is on the line (`socket.py`).

WS /browser/media/{callId}/{proof}  the audio and the control messages of one call:
                                    docs/browser-calls.md
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from starlette.routing import BaseRoute, WebSocketRoute

from chorus.lines.browser.line import PROVIDER
from chorus.lines.browser.socket import BrowserSocket
from chorus.lines.carrier import CarrierKind
from chorus.lines.desk import Connection, Desk
from chorus.lines.line import Dial, DialFailed, LineCause
from chorus.origins import own_origins
from chorus.settings import Settings

MEDIA_PATH = "/browser/media"


def media_url(settings: Settings, call_id: str, proof: str) -> str:
    """Where a page connects; `proof` is what `Desk.proved_s_ago` wants to see."""
    return f"{settings.media_base}{MEDIA_PATH}/{call_id}/{proof}"


def allowed_origins(settings: Settings) -> Collection[str] | None:
    """Of pages that may connect to any call whose token they have; None: any."""
    allowed = settings.cors_origins
    return None if "*" in allowed else own_origins(settings) | {*allowed}


class BrowserCarrier:
    """Implements `Carrier`."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._socket: BrowserSocket | None = None

    def routes(self, desk: Desk) -> Sequence[BaseRoute]:
        self._socket = BrowserSocket(desk, allowed_origins(self._settings))
        return (WebSocketRoute(MEDIA_PATH + "/{call_id}/{proof}", self._socket),)

    async def start(self, desk: Desk) -> None:
        return

    def dialler(self, connection: Connection, token: str) -> _NoDialler:
        return _NoDialler()

    async def end(self, connection: Connection, leg_id: str) -> None:
        return  # the end of its socket is the end of the leg

    async def check(self, connection: Connection) -> str | None:
        return None

    async def aclose(self) -> None:
        if self._socket is not None:
            await self._socket.aclose()


class _NoDialler:
    """Implements `Dialler`: nobody can ring a web page."""

    async def dial(self, dial: Dial) -> str:
        raise DialFailed(LineCause.FAILED, "a browser cannot be called")

    async def cancel(self, leg_id: str) -> None:
        return


BROWSER = CarrierKind(PROVIDER, make=BrowserCarrier, has_numbers=False, takes_keys=False)
