"""Telnyx: the kind, and the running carrier.

Calls come in as webhooks (`routes.py`), are answered, placed and moved by the Call Control API
(`rest.py`), and their audio comes over a websocket (`lines/media_socket.py` with `media.py` and
`stream.py`).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial

from starlette.routing import BaseRoute, WebSocketRoute

from chorus.lines.carrier import CarrierFailed, CarrierKind, Form, Setting
from chorus.lines.desk import Connection, Desk
from chorus.lines.line import MoveRefused
from chorus.lines.media_socket import MediaSocket
from chorus.lines.rest_json import ApiFailed
from chorus.lines.telnyx.account import TelnyxAccount
from chorus.lines.telnyx.links import EVENTS_PATH, MEDIA_PATH, Links
from chorus.lines.telnyx.media import TelnyxMedia
from chorus.lines.telnyx.rest import TIMEOUT_S, TelnyxApi, TelnyxDialler
from chorus.lines.telnyx.routes import webhook_routes
from chorus.lines.telnyx.state import State
from chorus.outbound import Outbound
from chorus.settings import Settings

log = logging.getLogger(__name__)


class TelnyxCarrier:
    """Implements `Carrier`. `public_url` is where Telnyx reaches us, `media_base` where its media
    streams do (ws or wss)."""

    def __init__(
        self, public_url: str, media_base: str, outbound: Outbound, timeout_s: float = TIMEOUT_S
    ) -> None:
        self._links = Links(public_url.rstrip("/"), media_base)
        self._outbound = outbound
        self.api = TelnyxApi(outbound, timeout_s)

    def routes(self, desk: Desk) -> Sequence[BaseRoute]:
        protocol = TelnyxMedia(
            partial(self._redirect, desk), partial(self._press, desk), partial(self._stop, desk)
        )
        return (
            *webhook_routes(desk, self._links, self.api),
            WebSocketRoute(MEDIA_PATH + "/{call_id}/{token}", MediaSocket(desk, self, protocol)),
        )

    async def start(self, desk: Desk) -> None:
        await self._outbound.open()

    def dialler(self, connection: Connection, token: str) -> TelnyxDialler:
        return TelnyxDialler(self.api, TelnyxAccount.of(connection), self._links, token)

    async def end(self, connection: Connection, leg_id: str) -> None:
        try:
            await self.api.end(TelnyxAccount.of(connection), leg_id)
        except ApiFailed as failed:
            raise CarrierFailed(f"Telnyx did not end the call: {failed.detail}") from failed

    async def check(self, connection: Connection) -> str | None:
        account = TelnyxAccount.of(connection)
        try:
            return await self.api.look(account, connection.number, self._links.events_url)
        except ApiFailed as failed:
            how = "gave no clear answer" if failed.status is None else "says"
            return f"Telnyx {how}: {failed.detail}"

    async def aclose(self) -> None:
        await self._outbound.aclose()

    async def _redirect(
        self, desk: Desk, call_id: str, leg_id: str, to: str, ring_timeout_s: int
    ) -> None:
        connection = await desk.connection_of_call(call_id)
        if connection is None:
            raise MoveRefused("the call's number is not at Telnyx any more")
        wish = {
            "to": to,
            "from": connection.number,
            "timeout_secs": ring_timeout_s,
            "client_state": State(call_id).written(),
            "target_leg_client_state": State(call_id, leg_of=leg_id).written(),
            "webhook_url": self._links.events_url,
        }
        try:
            await self.api.act(TelnyxAccount.of(connection), leg_id, "transfer", wish)
        except ApiFailed as failed:
            raise MoveRefused(f"Telnyx did not move the call: {failed.detail}") from failed

    async def _press(self, desk: Desk, call_id: str, leg_id: str, digits: str) -> None:
        account = await self._account(desk, call_id)
        try:
            await self.api.act(account, leg_id, "send_dtmf", {"digits": digits})
        except ApiFailed as failed:
            if failed.status is None:
                # They may have been pressed, and a PIN that is sent twice is a wrong one.
                log.warning("call %s: were its keys pressed? %s", call_id, failed.detail)
                return
            raise CarrierFailed(failed.detail) from failed

    async def _stop(self, desk: Desk, call_id: str, leg_id: str, stream_id: str) -> None:
        account = await self._account(desk, call_id)
        try:
            await self.api.act(account, leg_id, "streaming_stop", {"stream_id": stream_id})
        except ApiFailed as failed:
            raise CarrierFailed(failed.detail) from failed

    async def _account(self, desk: Desk, call_id: str) -> TelnyxAccount:
        connection = await desk.connection_of_call(call_id)
        if connection is None:
            raise CarrierFailed("the call's number is not at Telnyx any more")
        return TelnyxAccount.of(connection)


def _make(settings: Settings) -> TelnyxCarrier:
    outbound = Outbound(allow_private=settings.allow_private_addresses)
    return TelnyxCarrier(settings.url, settings.media_base, outbound)


TELNYX = CarrierKind(
    "telnyx",
    settings=(
        Setting("telnyxApiKey", secret=True),
        Setting("telnyxConnectionId"),
        Setting("telnyxPublicKey"),
        Setting("telnyxBaseUrl", "url"),
    ),
    forms=(
        Form(
            required=("telnyxApiKey", "telnyxConnectionId", "telnyxPublicKey"),
            optional=("telnyxBaseUrl",),
            defaults={"telnyxBaseUrl": "https://api.telnyx.com/v2"},
        ),
    ),
    make=_make,
    detects_machines=True,
    calls_addresses=True,
    sends_headers="always",
    webhook_path=EVENTS_PATH,
)
