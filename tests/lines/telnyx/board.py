"""A platform small enough to test the line with: the desk of the tests, behind a real server."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from tests.lines.served import free_port, served
from tests.lines.telnyx.standin import API_KEY, APPLICATION, PUBLIC_KEY, Call, Telnyx
from tests.lines.twilio.switchboard import OURS, THEIRS, TestDesk

from chorus.lines.desk import Connection
from chorus.lines.line import Dial
from chorus.lines.telnyx.carrier import TelnyxCarrier
from chorus.lines.twilio.account import TwilioAccount
from chorus.outbound import Outbound


def settings(api_url: str, **more: Any) -> dict[str, Any]:
    return {
        "telnyxApiKey": API_KEY,
        "telnyxConnectionId": APPLICATION,
        "telnyxPublicKey": PUBLIC_KEY,
        "telnyxBaseUrl": api_url,
        **more,
    }


class TelnyxDesk(TestDesk):
    settings: dict[str, Any]

    async def call_of_leg(self, leg_id: str, phone_number_id: str | None = None) -> str | None:
        call_id = f"call-{leg_id[-6:]}"
        return call_id if call_id in self.calls else None

    @property
    def connection(self) -> Connection:
        return Connection("a number", OURS, self.settings)


@dataclass
class Board:
    desk: TelnyxDesk
    carrier: TelnyxCarrier
    telnyx: Telnyx
    url: str

    @property
    def hook(self) -> str:
        return f"{self.url}/telnyx/events"

    def ring(self, to: str = OURS, **headers: str) -> Call:
        return self.telnyx.ring(self.hook, to, THEIRS, **headers)

    async def dial(self, dial: Dial) -> Call:
        token = await self.desk.issue(dial.call_id)
        id = await self.carrier.dialler(self.desk.connection, token).dial(dial)
        return next(call for call in self.telnyx.placed if call.id == id)


@asynccontextmanager
async def running(telnyx: Telnyx, **more: Any) -> AsyncGenerator[Board]:
    """The routes on a free port of loopback, on this event loop."""
    listening, url = free_port()
    desk = TelnyxDesk(TwilioAccount("", ""))
    desk.settings = settings(telnyx.url, **more)
    media_base = url.replace("http", "ws")
    carrier = TelnyxCarrier(url, media_base, Outbound(allow_private=True), timeout_s=5)
    async with served(carrier, desk, listening):
        await carrier.start(desk)
        yield Board(desk, carrier, telnyx, url)
