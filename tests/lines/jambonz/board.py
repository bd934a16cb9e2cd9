"""A platform small enough to test the line with: the desk of the tests, behind a real server."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from tests.lines.jambonz.standin import API_KEY, SECRET, Jambonz
from tests.lines.jambonz.standin_call import ACCOUNT, Call
from tests.lines.served import free_port, served
from tests.lines.twilio.switchboard import OURS, THEIRS, TestDesk

from chorus.lines.desk import Connection
from chorus.lines.jambonz.carrier import JambonzCarrier
from chorus.lines.line import Dial
from chorus.lines.twilio.account import TwilioAccount
from chorus.outbound import Outbound


def settings(api_url: str, **more: Any) -> dict[str, Any]:
    return {
        "jambonzAccountSid": ACCOUNT,
        "jambonzApiKey": API_KEY,
        "jambonzWebhookSecret": SECRET,
        "jambonzBaseUrl": api_url,
        "jambonzSampleRate": "8000",
        **more,
    }


class JambonzDesk(TestDesk):
    settings: dict[str, Any]

    async def call_of_leg(self, leg_id: str, phone_number_id: str | None = None) -> str | None:
        call_id = f"call-{leg_id[-6:]}"
        return call_id if call_id in self.calls else None

    @property
    def connection(self) -> Connection:
        return Connection("a number", OURS, self.settings)


@dataclass
class Board:
    desk: JambonzDesk
    carrier: JambonzCarrier
    jambonz: Jambonz
    url: str

    def ring(self, to: str = OURS, sip: Any = None) -> Call:
        return self.jambonz.ring(f"{self.url}/jambonz/call", f"{self.url}/jambonz/status", to,
                                 THEIRS, sip)  # fmt: skip

    async def dial(self, dial: Dial) -> Call:
        token = await self.desk.issue(dial.call_id)
        sid = await self.carrier.dialler(self.desk.connection, token).dial(dial)
        return next(call for call in self.jambonz.placed if call.sid == sid)


@asynccontextmanager
async def running(jambonz: Jambonz, **more: Any) -> AsyncGenerator[Board]:
    """The routes on a free port of loopback, on this event loop."""
    listening, url = free_port()
    desk = JambonzDesk(TwilioAccount("", ""))
    desk.settings = settings(jambonz.url, **more)
    carrier = JambonzCarrier(
        url, url.replace("http", "ws"), Outbound(allow_private=True), timeout_s=5
    )
    async with served(carrier, desk, listening):
        await carrier.start(desk)
        yield Board(desk, carrier, jambonz, url)
