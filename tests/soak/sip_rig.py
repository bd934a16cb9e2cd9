"""The same rig with calls over SIP: people with SIP telephones, our number at a trunk."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.soak.rig import Rig

from chorus.demo.carrier.client import Event
from chorus.demo.ways import FOLLOWED_S, Sip


@dataclass
class SipRig(Rig):
    asked: str = "call.dialled"
    way: Sip = field(default_factory=lambda: Sip(0, 0))

    async def connection(self) -> dict[str, Any]:
        port = self.way.telephones_port
        return {"provider": "sip", "sipMode": "ip_allowlist", "sipIp": "127.0.0.1", "sipPort": port}

    async def connected(self) -> None:
        await asyncio.sleep(FOLLOWED_S)

    def dialled(self, events: Iterable[Event]) -> Iterator[str]:
        """By the telephones that were rung, each with an INVITE of its own."""
        return (event["to"] for event in events if event["kind"] == self.asked)
