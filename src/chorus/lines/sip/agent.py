"""SIP of one process: sockets, the user agent, the trunks and their registrations, together.

`start` opens the sockets and begins to register; the numbers are read from the desk every few
seconds, so that one that was made, changed or deleted over the API is followed without a restart.
`aclose` ends the calls, takes the registrations away and closes the sockets.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import chorus
from chorus.audio.pace import Lag, Ticker
from chorus.lines.desk import Connection, Desk, RegistrationState
from chorus.lines.line import Dial, DialFailed, LineCause
from chorus.lines.sip.calls import Calls
from chorus.lines.sip.config import SipConfig
from chorus.lines.sip.line import NO_SOUND_S
from chorus.lines.sip.media.ports import MediaPorts
from chorus.lines.sip.message import Request, Response
from chorus.lines.sip.registration import Registration
from chorus.lines.sip.resolve import Resolver
from chorus.lines.sip.sending import Failed, Sending
from chorus.lines.sip.transport import Transports
from chorus.lines.sip.trunks import Trunk, trunk_of
from chorus.lines.sip.trust import Gatekeeper
from chorus.lines.sip.user_agent import UserAgent, options
from chorus.lines.sip.wire import Hop, Transport

log = logging.getLogger(__name__)

LOOK_EVERY_S = 3.0
REACH_S = 5.0
UNREGISTER_S = 0.3
"""How long the messages that take registrations away may take to leave."""


class SipAgent:
    """One per process, made on its loop."""

    def __init__(self, config: SipConfig, desk: Desk) -> None:
        self.config = config
        self._desk = desk
        self._loop = asyncio.get_running_loop()
        self._ticker = Ticker()
        self._transports = Transports(
            self._message,
            self._unreachable,
            public_host=config.public_host,
            server_tls=config.server_tls(),
            client_tls=config.client_tls(),
        )
        listening: frozenset[Transport] = frozenset(each.transport for each in config.listens)
        self.resolver = Resolver(self._transports.kinds | listening)
        self.gate = Gatekeeper(self._loop.time)
        self.calls = Calls(
            desk, self._transports, MediaPorts(*config.rtp_ports), self._ticker,
            config.usable_codecs,
        )  # fmt: skip
        self.user_agent: UserAgent[Trunk] = UserAgent(
            self._transports,
            self._loop,
            self.resolver.resolve,
            self.gate,
            self.calls,
            f"Chorus/{chorus.__version__}",
        )
        self.calls.agent = self.user_agent
        self._transports.in_use = self._in_use
        self._transports.lost = self._lost
        self.trunks: dict[str, Trunk] = {}
        self.registrations: dict[str, Registration] = {}
        self._told: dict[str, tuple[str, str | None]] = {}
        self._look: asyncio.Task[None] | None = None

    @property
    def ports(self) -> dict[str, int]:
        """Where it listens, by transport."""
        return {str(kind): port for kind, port in self._transports.ports.items()}

    @property
    def lag(self) -> Lag:
        """How late packets are sent."""
        return self._ticker.lag

    async def start(self, *, follow: bool = True) -> None:
        """Raises `OSError` where an address cannot be had. Unless `follow`, the desk's numbers are
        not read: `set_numbers` says which."""
        await self._transports.open(list(self.config.listens))
        self._ticker.start()
        if follow:
            self._look = self._loop.create_task(self._watch(), name="sip numbers")

    async def aclose(self) -> None:
        if self._look is not None:
            self._look.cancel()
            await asyncio.gather(self._look, return_exceptions=True)
        await self.calls.close()
        if self.registrations:
            for registration in self.registrations.values():
                registration.stop()
            await asyncio.sleep(UNREGISTER_S)
        await self.resolver.close()
        await self._transports.close()
        self._ticker.stop()

    async def dial(self, connection: Connection, dial: Dial, token: str) -> str:
        """Raises `DialFailed`."""
        try:
            trunk = self.trunks.get(connection.phone_number_id) or trunk_of(connection)
        except ValueError as wrong:
            raise DialFailed(LineCause.FAILED, f"the number's settings: {wrong}") from None
        return await self.calls.dial(trunk, dial, token)

    async def reach(self, trunk: Trunk) -> str | None:
        """Ask a trunk by OPTIONS whether it is there; None if it answers anything at all."""
        said = await self.ask(trunk)
        return said.detail if isinstance(said, Failed) else None

    async def ask(self, trunk: Trunk) -> Response | Failed | None:
        """What a trunk answers to OPTIONS; None for a network of addresses, which cannot be
        called."""
        target = trunk.target(trunk.number)
        if target is None:
            return None
        answered: asyncio.Future[Response | Failed] = self._loop.create_future()

        def build(hop: Hop) -> Request:
            return options(self.user_agent, replace(target, user=None), hop)

        def final(response: Response | Failed) -> None:
            if not answered.done():
                answered.set_result(response)

        Sending(self.user_agent.context, build, trunk.route or target, final)
        try:
            async with asyncio.timeout(REACH_S):
                return await answered
        except TimeoutError:
            return Failed(408, f"{target.host} does not answer SIP over {trunk.transport}")

    def set_numbers(self, connections: Sequence[Connection]) -> None:
        """Follow what has changed."""
        wanted: dict[str, Trunk] = {}
        for connection in connections:
            try:
                wanted[connection.phone_number_id] = trunk_of(connection)
            except (ValueError, KeyError) as wrong:
                log.warning("number %s cannot be used with SIP: %s", connection.number, wrong)
        for id, trunk in list(self.trunks.items()):
            new = wanted.get(id)
            if new is None or (new.settings, new.number) != (trunk.settings, trunk.number):
                self._remove(id)
        for id, trunk in wanted.items():
            if id not in self.trunks:
                self._add(id, trunk)
        # In the order of the numbers, not in that in which they were last changed.
        self.gate.set_order(wanted)
        ordered = [self.trunks[id] for id in wanted]
        self.gate.set_listed(trunk for trunk in ordered if trunk.mode == "ip_allowlist")

    def _add(self, id: str, trunk: Trunk) -> None:
        self.trunks[id] = trunk
        if trunk.account is None:
            return
        registration = Registration(
            self.user_agent.context,
            trunk.account,
            self.user_agent.contact,
            lambda changed: self._registered(id, changed),
            str(uuid.uuid5(uuid.NAMESPACE_OID, id)),
        )
        self.registrations[id] = registration
        self.gate.add(trunk, registration)
        registration.start()

    def _remove(self, id: str) -> None:
        self.trunks.pop(id, None)
        registration = self.registrations.pop(id, None)
        if registration is not None:
            self.gate.remove(registration)
            registration.stop()

    def _registered(self, id: str, registration: Registration) -> None:
        """Keep what the API shows of it."""
        standing = registration.standing
        if self._told.get(id) == (standing.state, standing.error) and not standing.expires_s:
            return
        self._told[id] = (standing.state, standing.error)
        if standing.state == "stopped":
            self._told.pop(id, None)
        now_s, now = self._loop.time(), datetime.now(UTC)

        def date(at_s: float) -> datetime:
            return now + timedelta(seconds=at_s - now_s)

        told = RegistrationState(
            standing.state,
            date(standing.since_s),
            standing.error,
            date(standing.expires_s) if standing.expires_s else None,
        )
        self.calls.tell(self._desk.registered(id, told))

    async def _watch(self) -> None:
        while True:
            try:
                self.set_numbers(await self._desk.connections())
            except Exception:
                # The database may be away; the numbers that are known stay as they are.
                log.exception("the SIP numbers could not be read")
            self.calls.sweep(self._loop.time(), NO_SOUND_S)
            await asyncio.sleep(LOOK_EVERY_S)

    def _message(self, data: bytes, hop: Hop) -> None:
        self.user_agent.receive(data, hop)

    def _unreachable(self, hop: Hop) -> None:
        self.user_agent.unreachable(hop)

    def _in_use(self, hop: Hop) -> bool:
        return any(
            registration.hop is not None and registration.hop.ip == hop.ip
            for registration in self.registrations.values()
        )

    def _lost(self, hop: Hop) -> None:
        for registration in self.registrations.values():
            if registration.hop == hop and hop.reliable:
                registration.lost()
