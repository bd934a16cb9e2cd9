"""Voximplant: the kind, and the running carrier.

A scenario of ours runs at Voximplant (`scenario.js`). It asks and tells by HTTP (`routes.py`), is
started by the Management API (`rest.py`), and carries the sound over a WebSocket
(`lines/media_socket.py` with `media.py` and `stream.py`).
"""

from __future__ import annotations

from collections.abc import Sequence

from starlette.routing import BaseRoute, WebSocketRoute

from chorus.lines.carrier import CarrierFailed, CarrierKind, Form, Setting
from chorus.lines.desk import Connection, Desk
from chorus.lines.media_socket import MediaSocket
from chorus.lines.voximplant.account import VoximplantAccount
from chorus.lines.voximplant.media import MEDIA_PATH, VoximplantMedia
from chorus.lines.voximplant.rest import (
    TIMEOUT_S,
    ApiFailed,
    VoximplantApi,
    VoximplantDialler,
)
from chorus.lines.voximplant.routes import scenario_routes
from chorus.outbound import Outbound
from chorus.settings import Settings


class VoximplantCarrier:
    """Implements `Carrier`."""

    def __init__(self, outbound: Outbound, timeout_s: float = TIMEOUT_S) -> None:
        self._outbound = outbound
        self.api = VoximplantApi(outbound, timeout_s)

    def routes(self, desk: Desk) -> Sequence[BaseRoute]:
        media = MediaSocket(desk, self, VoximplantMedia())
        return (
            *scenario_routes(desk),
            WebSocketRoute(MEDIA_PATH + "/{call_id}/{token}", media),
        )

    async def start(self, desk: Desk) -> None:
        await self._outbound.open()

    def dialler(self, connection: Connection, token: str) -> VoximplantDialler:
        return VoximplantDialler(self.api, VoximplantAccount.of(connection), token)

    async def end(self, connection: Connection, leg_id: str) -> None:
        try:
            await self.api.end(VoximplantAccount.of(connection), leg_id)
        except ApiFailed as failed:
            raise CarrierFailed(f"Voximplant did not end the call: {failed.detail}") from failed

    async def check(self, connection: Connection) -> str | None:
        try:
            await self.api.look(VoximplantAccount.of(connection))
        except ApiFailed as failed:
            return f"Voximplant {'says' if failed.final else 'gave no clear answer'}: {failed}"
        return None

    async def aclose(self) -> None:
        await self._outbound.aclose()


def _make(settings: Settings) -> VoximplantCarrier:
    return VoximplantCarrier(Outbound(allow_private=settings.allow_private_addresses))


VOXIMPLANT = CarrierKind(
    "voximplant",
    settings=(
        Setting("voximplantAccountId"),
        Setting("voximplantApiKey", secret=True),
        Setting("voximplantApplicationId"),
        Setting("voximplantRuleId"),
        Setting("voximplantScenarioSecret", secret=True),
        Setting("voximplantBaseUrl", "url"),
    ),
    forms=(
        Form(
            required=(
                "voximplantAccountId",
                "voximplantApiKey",
                "voximplantRuleId",
                "voximplantScenarioSecret",
            ),
            optional=("voximplantApplicationId", "voximplantBaseUrl"),
            defaults={"voximplantBaseUrl": "https://api.voximplant.com/platform_api"},
        ),
    ),
    make=_make,
    calls_addresses=True,
)
