"""SIP as a `Carrier`: what the rest of Chorus has of it.

There is SIP where `CHORUS_SIP_LISTEN` says so; elsewhere numbers can be stored, and a call from
one fails with a sentence that says what to set.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from starlette.routing import BaseRoute

from chorus.lines.desk import Connection, Desk
from chorus.lines.line import Dial, DialFailed, LineCause
from chorus.lines.sip.agent import SipAgent
from chorus.lines.sip.config import SipConfig
from chorus.lines.sip.trunks import trunk_of
from chorus.settings import Settings

OFF = "SIP is not switched on: set CHORUS_SIP_LISTEN"
ELSEWHERE = "SIP runs in the processes with the role media, and not in this one"
CHECK_S = 8.0


class SipCarrier:
    """Implements `Carrier`."""

    def __init__(self, settings: Settings) -> None:
        self._config = SipConfig.of(settings)
        self.agent: SipAgent | None = None

    def routes(self, desk: Desk) -> Sequence[BaseRoute]:
        return ()

    async def start(self, desk: Desk) -> None:
        """Raises `OSError` where an address or a certificate cannot be had."""
        if self._config.listens:
            agent = SipAgent(self._config, desk)
            await agent.start()
            self.agent = agent

    def dialler(self, connection: Connection, token: str) -> SipDialler:
        return SipDialler(self.agent, connection, token)

    async def end(self, connection: Connection, leg_id: str) -> None:
        if self.agent is not None:
            self.agent.calls.cancel(leg_id)

    async def check(self, connection: Connection) -> str | None:
        """For a number that registers, how that stands; for an address, whether it answers."""
        if self.agent is None:
            return ELSEWHERE if self._config.listens else OFF
        try:
            trunk = self.agent.trunks.get(connection.phone_number_id) or trunk_of(connection)
        except ValueError as wrong:
            return f"The settings cannot be used: {wrong}"
        registration = self.agent.registrations.get(connection.phone_number_id)
        if registration is None:
            return await self.agent.reach(trunk)
        try:
            async with asyncio.timeout(CHECK_S):
                await registration.decided.wait()
        except TimeoutError:
            return "The registrar has not answered yet"
        return registration.standing.error

    async def aclose(self) -> None:
        if self.agent is not None:
            await self.agent.aclose()


class SipDialler:
    """Implements `Dialler`."""

    def __init__(self, agent: SipAgent | None, connection: Connection, token: str) -> None:
        self._agent = agent
        self._connection = connection
        self._token = token

    async def dial(self, dial: Dial) -> str:
        if self._agent is None:
            raise DialFailed(LineCause.FAILED, OFF)
        return await self._agent.dial(self._connection, dial, self._token)

    async def cancel(self, leg_id: str) -> None:
        if self._agent is not None:
            self._agent.calls.cancel(leg_id)
