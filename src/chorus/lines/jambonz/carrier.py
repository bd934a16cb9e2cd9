"""jambonz 0.9: the kind, and the running carrier.

Calls come in as webhooks (`routes.py`), go out through the REST API (`rest.py`), and their audio
comes over a websocket (`lines/media_socket.py` with `media.py` and `stream.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from starlette.routing import BaseRoute, WebSocketRoute

from chorus.lines.carrier import CarrierFailed, CarrierKind, Form, Setting
from chorus.lines.desk import Connection, Desk
from chorus.lines.jambonz.account import JambonzAccount
from chorus.lines.jambonz.links import CALL_PATH, MEDIA_PATH, Links
from chorus.lines.jambonz.media import JambonzMedia
from chorus.lines.jambonz.moves import Moves
from chorus.lines.jambonz.rest import TIMEOUT_S, JambonzApi, JambonzDialler
from chorus.lines.jambonz.routes import webhook_routes
from chorus.lines.media_socket import MediaSocket
from chorus.lines.rest_json import ApiFailed
from chorus.outbound import Outbound
from chorus.settings import Settings


class JambonzCarrier:
    """Implements `Carrier`. `public_url` is where jambonz reaches us, `media_base` where its
    audio streams do (ws or wss)."""

    def __init__(
        self, public_url: str, media_base: str, outbound: Outbound, timeout_s: float = TIMEOUT_S
    ) -> None:
        self._links = Links(public_url.rstrip("/"), media_base)
        self._outbound = outbound
        self.api = JambonzApi(outbound, timeout_s)

    def routes(self, desk: Desk) -> Sequence[BaseRoute]:
        media = MediaSocket(desk, self, JambonzMedia(partial(self._moves, desk)))
        return (
            *webhook_routes(desk, self._links),
            WebSocketRoute(MEDIA_PATH + "/{call_id}/{token}", media),
        )

    async def start(self, desk: Desk) -> None:
        await self._outbound.open()

    def dialler(self, connection: Connection, token: str) -> JambonzDialler:
        return JambonzDialler(self.api, JambonzAccount.of(connection), self._links, token)

    async def end(self, connection: Connection, leg_id: str) -> None:
        try:
            await self.api.end(JambonzAccount.of(connection), leg_id)
        except ApiFailed as failed:
            raise CarrierFailed(f"jambonz did not end the call: {failed.detail}") from failed

    async def check(self, connection: Connection) -> str | None:
        try:
            await self.api.look(JambonzAccount.of(connection))
        except ApiFailed as failed:
            how = "gave no clear answer" if failed.status is None else "says"
            return f"jambonz {how}: {failed.detail}"
        return None

    async def aclose(self) -> None:
        await self._outbound.aclose()

    def _moves(self, desk: Desk, call_id: str, call_sid: str) -> Moves:
        return Moves(self.api, self._links, desk, call_id, call_sid)


def _make(settings: Settings) -> JambonzCarrier:
    outbound = Outbound(allow_private=settings.allow_private_addresses)
    return JambonzCarrier(settings.url, settings.media_base, outbound)


JAMBONZ = CarrierKind(
    "jambonz",
    settings=(
        Setting("jambonzAccountSid"),
        Setting("jambonzApiKey", secret=True),
        Setting("jambonzApplicationSid"),
        Setting("jambonzWebhookSecret", secret=True),
        Setting("jambonzBaseUrl", "url"),
        Setting("jambonzSampleRate", "one_of", choices=("8000", "16000", "24000")),
    ),
    forms=(
        Form(
            required=(
                "jambonzAccountSid",
                "jambonzApiKey",
                "jambonzBaseUrl",
                "jambonzWebhookSecret",
            ),
            optional=("jambonzApplicationSid", "jambonzSampleRate"),
            defaults={"jambonzSampleRate": "8000"},
        ),
    ),
    make=_make,
    detects_machines=True,
    detects_with="jambonzApplicationSid",
    calls_addresses=True,
    sends_headers="always",
    shows_caller="always",
    joins_calls=True,
    webhook_path=CALL_PATH,
)
