"""How the demo's calls reach the platform: media streams as Twilio has them, or a SIP trunk."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from chorus.demo.carrier.client import CarrierClient
from chorus.demo.platform import Platform
from chorus.demo.story import ANNA_NUMBER, SHOP_NUMBER

_ACCOUNT = "AC" + "1" * 32
# Signs the carrier's webhooks on this machine; it opens nothing else.
_AUTH_TOKEN = "demo" * 8
FOLLOWED_S = 3.5
"""A running server reads its SIP numbers every 3 s; until then calls to a new one are refused."""


class Way(Protocol):
    """`stands_for`: what the carrier is in the place of."""

    @property
    def stands_for(self) -> str: ...

    @property
    def sip(self) -> tuple[str, int, int] | None:
        """For `carrier.client.running`."""
        ...

    def variables(self, carrier_url: str) -> Mapping[str, str]:
        """Of the platform's process."""
        ...

    async def connect(self, server: Platform, carrier: CarrierClient, agent_id: str) -> str:
        """Make the shop's number on both sides; returns its id in the API."""
        ...


class MediaStreams:
    stands_for = "Twilio"
    sip = None

    def variables(self, carrier_url: str) -> Mapping[str, str]:
        return {"CHORUS_TWILIO_API_URL": carrier_url}

    async def connect(self, server: Platform, carrier: CarrierClient, agent_id: str) -> str:
        await carrier.add_account(_ACCOUNT, _AUTH_TOKEN)
        line = await server.create(
            "/phone-numbers",
            name="Garden shop",
            number=SHOP_NUMBER,
            provider="twilio",
            twilioAccountSid=_ACCOUNT,
            twilioAuthToken=_AUTH_TOKEN,
            agentId=agent_id,
        )
        await carrier.add_number(SHOP_NUMBER, _ACCOUNT, f"{server.url}/twilio/voice")
        return line["id"]


@dataclass(frozen=True, slots=True)
class Sip:
    """Two user agents on loopback, over UDP."""

    telephones_port: int
    platform_port: int
    stands_for = "a PBX, over SIP"

    @property
    def sip(self) -> tuple[str, int, int]:
        return ANNA_NUMBER, self.telephones_port, self.platform_port

    def variables(self, carrier_url: str) -> Mapping[str, str]:
        return {
            "CHORUS_SIP_LISTEN": f"udp:127.0.0.1:{self.platform_port}",
            "CHORUS_SIP_RTP_PORTS": "22000-22999",
        }

    async def connect(self, server: Platform, carrier: CarrierClient, agent_id: str) -> str:
        line = await server.create(
            "/phone-numbers",
            name="Garden shop",
            number=SHOP_NUMBER,
            provider="sip",
            sipMode="ip_allowlist",
            sipIp="127.0.0.1",
            sipPort=self.telephones_port,
            agentId=agent_id,
        )
        await asyncio.sleep(FOLLOWED_S)
        return line["id"]


def way_of(line: str) -> Way:
    """Of `--line`: `twilio` or `sip`."""
    return Sip(*_free_ports()) if line == "sip" else MediaStreams()


def _free_ports() -> tuple[int, int]:
    """Two of UDP that nobody had a moment ago."""
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as first,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as second,
    ):
        for each in (first, second):
            each.bind(("127.0.0.1", 0))
        return first.getsockname()[1], second.getsockname()[1]
