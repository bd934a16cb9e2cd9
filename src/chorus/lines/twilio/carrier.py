"""Twilio, and whatever speaks as it does: the kind, and the running carrier.

Calls come in as webhooks (`routes.py`), go out through the REST API (`rest.py`), and their audio
comes over a websocket (`lines/media_socket.py` with `media.py` and `stream.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from starlette.routing import BaseRoute, WebSocketRoute

from chorus.lines.carrier import CarrierFailed, CarrierKind, Form, Setting
from chorus.lines.desk import Connection, Desk
from chorus.lines.media_socket import MediaSocket
from chorus.lines.twilio import links
from chorus.lines.twilio.account import TwilioAccount
from chorus.lines.twilio.links import Links
from chorus.lines.twilio.media import TwilioMedia
from chorus.lines.twilio.moves import Moves, room_of
from chorus.lines.twilio.rest import TIMEOUT_S, ApiFailed, TwilioApi, TwilioDialler
from chorus.lines.twilio.routes import webhook_routes
from chorus.settings import Settings


class TwilioCarrier:
    """Implements `AskableCarrier`. `public_url` is where Twilio reaches us, `media_base` where its
    media streams do if elsewhere (wss), `api_url` its API."""

    def __init__(
        self, public_url: str, api_url: str, timeout_s: float = TIMEOUT_S, media_base: str = ""
    ) -> None:
        self._links = Links(public_url, media_base)
        self._api_url = api_url
        self.api = TwilioApi(timeout_s)

    def routes(self, desk: Desk) -> Sequence[BaseRoute]:
        media = MediaSocket(
            desk, self, TwilioMedia(partial(self._moves, desk), self._links, self._api_url)
        )
        return (
            *webhook_routes(desk, self._links, self._api_url),
            WebSocketRoute(links.MEDIA_PATH + "/{call_id}/{token}", media),
        )

    async def start(self, desk: Desk) -> None:
        await self.api.open()

    def dialler(self, connection: Connection, token: str) -> TwilioDialler:
        return TwilioDialler(self.api, self._account(connection), self._links, token)

    async def end(self, connection: Connection, leg_id: str) -> None:
        try:
            await self.api.end(self._account(connection), leg_id)
        except ApiFailed as failed:
            raise CarrierFailed(f"Twilio did not end the call: {failed.detail}") from failed

    async def lasted_s(self, connection: Connection, leg_id: str) -> int | None:
        try:
            return await self.api.lasted_s(self._account(connection), leg_id)
        except ApiFailed as failed:
            raise CarrierFailed(failed.sentence) from failed

    async def has_connected(
        self, connection: Connection, call_id: str, leg_id: str, other_leg_id: str | None
    ) -> bool:
        account = self._account(connection)
        try:
            if other_leg_id is None:
                return await self.api.has_dialled(account, leg_id)
            return {leg_id, other_leg_id} <= await self.api.in_conference(account, room_of(call_id))
        except ApiFailed as failed:
            raise CarrierFailed(failed.sentence) from failed

    async def check(self, connection: Connection) -> str | None:
        try:
            await self.api.look(self._account(connection))
        except ApiFailed as failed:
            return failed.sentence
        return None

    async def aclose(self) -> None:
        await self.api.aclose()

    def _moves(self, desk: Desk, call_id: str, call_sid: str) -> Moves:
        return Moves(self.api, self._links, self._api_url, desk, call_id, call_sid)

    def _account(self, connection: Connection) -> TwilioAccount:
        return TwilioAccount.of(connection, self._api_url)


def _make(settings: Settings) -> TwilioCarrier:
    return TwilioCarrier(settings.url, settings.twilio_api_url, media_base=settings.media_base)


TWILIO = CarrierKind(
    "twilio",
    settings=(
        Setting("twilioAccountSid", secret=True),
        Setting("twilioAuthToken", secret=True),
        Setting("twilioSigningKey", secret=True),
    ),
    forms=(Form(required=("twilioAccountSid", "twilioAuthToken"), optional=("twilioSigningKey",)),),
    make=_make,
    detects_machines=True,
    presses_on_answer=True,
    calls_addresses=True,
    sends_headers="to_addresses",
    shows_caller="with_token",
    joins_calls=True,
    webhook_path=links.VOICE_PATH,
)
