"""The calls of the user agent, between the state machines and the `Desk`.

In: `incoming` rings, asks the desk, has a port opened, answers or refuses, and has the
conversation held. Out: `dial` opens a port, sends the INVITE, and tells the desk how it fares.
Both end in `_converse`, and whatever happens the port is given back.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any

from chorus.audio.pace import Ticker
from chorus.lines.desk import Admitted, Desk, InboundCall, Progress, Stage
from chorus.lines.line import Dial, DialFailed, LineCause, LineEnded, is_address
from chorus.lines.sip import headers
from chorus.lines.sip.grammar import Malformed
from chorus.lines.sip.incoming import IncomingCall
from chorus.lines.sip.line import SipLine
from chorus.lines.sip.media import dtls, srtp
from chorus.lines.sip.media.ports import MediaPorts, NoPort
from chorus.lines.sip.message import Request
from chorus.lines.sip.negotiate import Agreed, Negotiation
from chorus.lines.sip.outgoing import Invitation, OutgoingCall
from chorus.lines.sip.sdp import parse_sdp
from chorus.lines.sip.session import Session
from chorus.lines.sip.transport import Transports, version_of
from chorus.lines.sip.trunks import Trunk
from chorus.lines.sip.uri import Address, Uri, parse_addresses
from chorus.lines.sip.user_agent import UserAgent
from chorus.lines.sip.wire import Hop

log = logging.getLogger(__name__)


@dataclass
class Calls:
    """One per process. Implements `user_agent.Calls`."""

    desk: Desk
    transports: Transports
    ports: MediaPorts
    ticker: Ticker
    codecs: tuple[str, ...]

    def __post_init__(self) -> None:
        self.agent: UserAgent[Trunk] | None = None
        self.identity = dtls.Identity() if dtls.available() else None
        self.lines: dict[str, SipLine] = {}
        self._ringing: dict[str, OutgoingCall] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    # --- in -------------------------------------------------------------------------------------

    def incoming(self, call: IncomingCall, trunk: Trunk) -> None:
        self._spawn(self._incoming(call, trunk), "sip call in")

    async def _incoming(self, call: IncomingCall, trunk: Trunk) -> None:
        leg_id = leg_id_of(call.call_id)
        try:
            await self._answer(call, trunk, leg_id)
        except NoPort as failure:
            log.error("call %s is refused: %s", leg_id, failure)
            call.reject(503, ("Retry-After", "10"))
        except Exception:
            log.exception("call %s could not be answered", leg_id)
            call.reject(500)

    async def _answer(self, call: IncomingCall, trunk: Trunk, leg_id: str) -> None:
        call.ring()
        variables = headers.variables_of(call.request)
        inbound = InboundCall(
            leg_id,
            caller_of(call.request),
            trunk.number,
            trunk.phone_number_id,
            variables=variables,
        )
        said = await self.desk.answer(inbound)
        if not isinstance(said, Admitted):
            log.info("call %s to %s is refused: %s", leg_id, trunk.number, said.reason)
            call.reject(486 if said.how == "busy" else 480)
            return
        progress = _Teller(self.desk, leg_id, said.call_id)
        peer = _media_ip(call)
        try:
            line = await self._open(leg_id, peer)
        except NoPort as failure:
            await progress.ended(LineEnded(LineCause.FAILED, str(failure)))
            raise
        try:
            if await self._taken(call, line, peer, progress):
                await self._converse(line, said)
        finally:
            await self._close(line)

    async def _taken(self, call: IncomingCall, line: SipLine, peer: str, progress: _Teller) -> bool:
        """Answer a call that the desk has admitted. Where that fails the desk is told."""
        line.signalled_from(call.hop.ip)
        if call.over:
            await progress.ended(LineEnded(LineCause.CANCELED))
            return False
        try:
            taken = call.accept(self._negotiation(line, peer), line)
            if taken is None:
                await progress.ended(LineEnded(LineCause.FAILED, "no common codec"))
                return False
            session, agreed = taken
            if agreed is None:
                # The ACK brings the answer.
                await line.described()
            else:
                line.media(agreed)
            line.answer(session)
        except Exception as failure:
            detail = f"it could not be answered ({type(failure).__name__})"
            await progress.ended(LineEnded(LineCause.FAILED, detail))
            raise
        return True

    # --- out ------------------------------------------------------------------------------------

    async def dial(self, trunk: Trunk, dial: Dial, token: str) -> str:
        """Raises `DialFailed`; everything after the INVITE was sent is told to the desk."""
        agent = self.agent
        assert agent is not None
        try:
            target = trunk.target(dial.to)
        except Malformed as broken:
            raise DialFailed(LineCause.FAILED, f"{dial.to}: {broken.reason}") from None
        if target is None:
            raise DialFailed(LineCause.FAILED, "calls cannot go out to a network of addresses")
        hops = await self._places(trunk.way(target))
        try:
            line = await self._open("", hops[0].ip)
        except NoPort as failure:
            raise DialFailed(LineCause.FAILED, str(failure)) from None
        secure = trunk.transport == "tls" and srtp.available()
        negotiation = self._negotiation(line, hops[0].ip, secure=secure)
        line.signalled_from(hops[0].ip)
        events = _Outgoing(self, line, Admitted(dial.call_id, token))
        invitation = self._invitation(agent, trunk, dial, target, hops[0])
        call = agent.call(invitation, negotiation, events)
        line.named(leg_id_of(call.call_id))
        self._ringing[line.leg_id] = call
        call.start(hops)
        return line.leg_id

    def cancel(self, leg_id: str) -> None:
        """Stop ringing, or hang up."""
        ringing = self._ringing.get(leg_id)
        line = self.lines.get(leg_id)
        if ringing is not None:
            ringing.cancel()
        elif line is not None:
            self._spawn(line.hang_up(), "sip hang up")

    def _invitation(
        self,
        agent: UserAgent[Trunk],
        trunk: Trunk,
        dial: Dial,
        target: Uri,
        hop: Hop,
    ) -> Invitation:
        account = trunk.account
        domain = account.domain if account else self.transports.address_for(hop.ip)
        own = Uri.sip(account.username if account else dial.from_, domain)
        identity = Uri.sip(dial.from_, domain, user="phone")
        contact_user = account.username if account else dial.from_.lstrip("+")
        return Invitation(
            target=target,
            from_=Address(own, dial.from_),
            to=Address(target if is_address(dial.to) else Uri.sip(dial.to, target.host)),
            contact=lambda hop: agent.contact(hop, contact_user),
            route=trunk.route,
            headers=(
                # The number that is shown, for trunks that want the user name in From (RFC 3325).
                ("P-Asserted-Identity", f"<{identity}>"),
                *headers.headers_for(dial.variables, dial.headers),
            ),
            ring_timeout_s=dial.ring_timeout_s,
            credentials=trunk.credentials,
        )

    async def _places(self, uri: Uri) -> list[Hop]:
        assert self.agent is not None
        found: asyncio.Future[list[Hop]] = asyncio.get_running_loop().create_future()

        def then(hops: list[Hop]) -> None:
            if not found.done():
                found.set_result(hops)

        self.agent.context.resolve(uri, then)
        hops = await found
        if not hops:
            raise DialFailed(LineCause.FAILED, f"{uri.host} cannot be resolved")
        return hops

    def answered(self, line: SipLine, call: Admitted) -> None:
        """An outgoing call was picked up."""
        self._ringing.pop(line.leg_id, None)
        self._spawn(self._hold(line, call), "sip call out")

    def unanswered(self, line: SipLine) -> None:
        self._ringing.pop(line.leg_id, None)

    async def _hold(self, line: SipLine, call: Admitted) -> None:
        try:
            await self._converse(line, call)
        finally:
            await self._close(line)

    # --- both -----------------------------------------------------------------------------------

    async def _converse(self, line: SipLine, call: Admitted) -> None:
        if not await self.desk.claim(call.call_id, call.token):
            log.warning("call %s is over or held elsewhere: hung up", line.leg_id)
            return
        self.lines[line.leg_id] = line
        try:
            await self.desk.converse(line, call.call_id)
        finally:
            self.lines.pop(line.leg_id, None)
        if line.quality is not None:
            await self.desk.quality(call.call_id, line.quality.told)

    async def _open(self, leg_id: str, ip: str) -> SipLine:
        host = "::" if ":" in ip else "0.0.0.0"  # noqa: S104 - the range is the operator's
        return SipLine(leg_id, await self.ports.open(host), self.ticker, self.identity)

    async def _close(self, line: SipLine) -> None:
        await line.hang_up()
        line.ended(LineEnded(LineCause.LOCAL))

    def _negotiation(self, line: SipLine, ip: str, *, secure: bool = False) -> Negotiation:
        own = self.transports.address_for(ip)
        return Negotiation(
            self.codecs,
            own,
            line.port,
            srtp=secure,
            fingerprint=self.identity.fingerprint if self.identity else None,
        )

    def sweep(self, now_s: float, most_s: float) -> None:
        """End what nobody sends sound on any more."""
        for line in list(self.lines.values()):
            if line.silent_s(now_s) > most_s:
                line.give_up(f"no sound came for {most_s:.0f} seconds")

    def tell(self, told: Coroutine[Any, Any, None]) -> None:
        self._spawn(told, "sip progress")

    async def close(self) -> None:
        """Hang up what is left; conversations end by it."""
        for call in list(self._ringing.values()):
            call.cancel()
        for line in list(self.lines.values()):
            await line.hang_up()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=5)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("a SIP call's task failed", exc_info=task.exception())


class _Teller:
    """Tells the desk of one leg. What it raises is logged: the call's row is ended by whoever
    looks after rows that nobody says anything of."""

    def __init__(self, desk: Desk, leg_id: str, call_id: str) -> None:
        self._desk = desk
        self._leg_id = leg_id
        self._call_id = call_id

    async def ringing(self) -> None:
        await self._tell(Progress(self._leg_id, self._call_id, Stage.RINGING))

    async def ended(self, ended: LineEnded) -> None:
        """Of a call that nobody answered. One that was has its sound in the session itself, and
        is ended by its conversation."""
        await self._tell(Progress(self._leg_id, self._call_id, Stage.ENDED, ended))

    async def _tell(self, progress: Progress) -> None:
        try:
            await self._desk.progress(progress)
        except Exception:
            log.exception("call %s: %s was not noted", self._call_id, progress.stage)


class _Outgoing:
    """Implements `OutgoingEvents` for one call that we place."""

    def __init__(self, calls: Calls, line: SipLine, call: Admitted) -> None:
        self._calls = calls
        self._line = line
        self._call = call
        self._rang = False
        self._answered = False

    @property
    def _teller(self) -> _Teller:
        return _Teller(self._calls.desk, self._line.leg_id, self._call.call_id)

    def ringing(self, status: int) -> None:
        if not self._rang:
            self._rang = True
            self._calls.tell(self._teller.ringing())

    def media(self, agreed: Agreed) -> None:
        self._line.media(agreed)

    def answered(self, session: Session) -> None:
        self._answered = True
        self._line.answer(session)
        self._calls.answered(self._line, self._call)

    def digit(self, digit: str) -> None:
        self._line.digit(digit)

    def ended(self, ended: LineEnded) -> None:
        self._line.ended(ended)
        if not self._answered:
            self._calls.unanswered(self._line)
            self._calls.tell(self._teller.ended(ended))


def leg_id_of(call_id: str) -> str:
    """The Call-ID, which both sides have in their logs; of an absurdly long one its hash."""
    if len(call_id) <= 200:
        return call_id
    return hashlib.sha256(call_id.encode("utf-8", "surrogateescape")).hexdigest()


def _media_ip(call: IncomingCall) -> str:
    """Whom our sound has to reach: who signals (what the description says may be an address behind
    NAT), unless sound is wanted by the other IP version."""
    try:
        audio = parse_sdp(call.request.body).audio
    except Malformed:
        return call.hop.ip
    if audio is None or version_of(audio.host) == version_of(call.hop.ip):
        return call.hop.ip
    return audio.host


def caller_of(request: Request) -> str:
    """The number that calls: what the trunk asserts, else From; empty when it is withheld."""
    privacy = {
        word.strip().lower() for line in request.headers.all("Privacy") for word in line.split(";")
    }  # RFC 3323 §4.2 puts semicolons between them
    if privacy & {"id", "user", "full"}:
        return ""
    addresses: list[Address] = []
    for name in ("P-Asserted-Identity", "Remote-Party-ID"):
        addresses += _addresses(request.headers.all(name))
    for address in [*addresses, request.from_]:
        user = address.uri.plain_user
        if address.uri.scheme in ("sip", "sips", "tel") and user:
            return "" if user.lower() in ("anonymous", "restricted", "unknown") else user
    return ""


def _addresses(lines: list[str]) -> list[Address]:
    found: list[Address] = []
    for line in lines[:4]:
        try:
            found += parse_addresses(line)[:4]
        except Malformed:
            continue
    return found
