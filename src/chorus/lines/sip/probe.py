"""`chorus doctor sip`: what the network says about each number, without a running server.

For each: its host resolves (to what), what it answers to OPTIONS and where it saw us, and for one
that registers a REGISTER is tried and taken away again. The media ports are tried on this machine.
Nothing is changed, but a registration of a server that runs may be replaced for a moment where a
registrar keeps only one.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from chorus.lines.desk import (
    Admitted,
    Connection,
    InboundCall,
    MachineResult,
    Progress,
    Refused,
    RegistrationState,
    Relayed,
)
from chorus.lines.line import Line
from chorus.lines.sip.agent import SipAgent
from chorus.lines.sip.causes import printable
from chorus.lines.sip.config import SipConfig
from chorus.lines.sip.media.ports import MediaPorts, NoPort
from chorus.lines.sip.sending import Failed
from chorus.lines.sip.transport import Listen
from chorus.lines.sip.trunks import Trunk, trunk_of
from chorus.lines.sip.uri import Uri
from chorus.lines.sip.wire import Transport

REGISTER_S = 8.0
_LISTENS: tuple[Transport, ...] = ("udp", "tcp")


class Found(NamedTuple):
    good: bool
    what: str
    says: str
    advice: str = ""


async def probe(config: SipConfig, numbers: Sequence[Connection]) -> list[Found]:
    """The findings, in the order of the numbers."""
    found = [await _media(config)]
    # Free ports: the server that is to be looked into may have the real ones.
    hosts = ("0.0.0.0", "::") if _has_ipv6() else ("0.0.0.0",)  # noqa: S104
    listens = tuple(Listen(each, host, 0) for host in hosts for each in _LISTENS)
    agent = SipAgent(replace(config, listens=listens), _Nobody())
    await agent.start(follow=False)
    try:
        for connection in numbers:
            found += await _number(agent, connection)
    finally:
        await agent.aclose()
    return found


def _has_ipv6() -> bool:
    """Some machines and containers have it switched off."""
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as tried:
            tried.bind(("::", 0))
    except OSError:
        return False
    return True


async def _media(config: SipConfig) -> Found:
    low, high = config.rtp_ports
    what = f"media ports {low} to {high}"
    try:
        opened = await MediaPorts(low, high).open("0.0.0.0")  # noqa: S104 - as a call does
    except NoPort as failure:
        return Found(False, what, str(failure), "choose others: CHORUS_SIP_RTP_PORTS")
    opened.close()
    return Found(True, what, "can be opened here; the firewall must let UDP in")


async def _number(agent: SipAgent, connection: Connection) -> list[Found]:
    name = connection.number
    try:
        trunk = trunk_of(connection)
    except (ValueError, KeyError) as wrong:
        return [Found(False, name, f"the settings cannot be used: {wrong}")]
    target = trunk.route or trunk.target(trunk.number)
    if target is None:
        return [Found(True, name, f"calls may come from {trunk.network}; none can go out")]
    found = [await _resolved(agent, name, target)]
    if not found[0].good:
        return found
    found += await _answers(agent, trunk, target, name)
    if trunk.account is not None:
        found.append(await _registers(agent, trunk, connection))
    return found


async def _answers(agent: SipAgent, trunk: Trunk, target: Uri, name: str) -> list[Found]:
    """What came back to OPTIONS, from whom, and where it saw us."""
    began_s = asyncio.get_running_loop().time()
    said = await agent.ask(trunk)
    took_ms = (asyncio.get_running_loop().time() - began_s) * 1000
    if said is None or isinstance(said, Failed):
        silent = said.detail if said else f"{target.host} cannot be called"
        advice = "is the port open, and the transport right? Some trunks answer no OPTIONS"
        return [Found(False, name, silent, advice)]
    words = printable(f"{said.status} {said.reason}").strip()
    product = said.headers.get("Server") or said.headers.get("User-Agent")
    by = f" by {printable(product)[:80]}" if product else ""
    answer = f"{target.host} answers OPTIONS over {trunk.transport}: {words}{by}, {took_ms:.0f} ms"
    found = [Found(True, name, answer)]
    own, seen = said.via.host, said.via.params.get("received")
    if seen and seen != own:
        advice = f"behind NAT: if others reach this machine at {seen}, set CHORUS_SIP_PUBLIC_HOST"
        told = f"it sees us at {printable(seen)}, and not at {own}"
        found.append(Found(True, name, told, printable(advice)))
    return found


async def _resolved(agent: SipAgent, name: str, target: Uri) -> Found:
    hops = await agent.resolver.addresses(target)
    if not hops:
        return Found(False, name, f"{target.host} cannot be resolved", "is the name right?")
    places = ", ".join(str(hop) for hop in hops[:4])
    return Found(True, name, f"{target.host} resolves to {places}")


async def _registers(agent: SipAgent, trunk: Trunk, connection: Connection) -> Found:
    name = trunk.number
    agent.set_numbers([connection])
    registration = agent.registrations[connection.phone_number_id]
    try:
        async with asyncio.timeout(REGISTER_S):
            await registration.decided.wait()
    except TimeoutError:
        return Found(False, name, "REGISTER was not answered", "is it the registrar's address?")
    else:
        standing = registration.standing
    finally:
        agent.set_numbers([])
    if standing.state == "registered":
        return Found(True, name, f"is registered as {trunk.account and trunk.account.username}")
    advice = "check sipUsername, sipAuthUser and sipPassword" if standing.refused else ""
    return Found(False, name, f"cannot register: {standing.error}", advice)


class _Nobody:
    """A `Desk` that takes no call."""

    async def connections_of_number(self, number: str) -> Sequence[Connection]:
        return ()

    async def transferred(self, call_id: str, leg_id: str) -> None:
        raise AssertionError("only carriers with webhooks tell of it")

    async def returns(self, call_id: str, leg_id: str) -> str | None:
        raise AssertionError("only carriers with webhooks ask for it")

    async def connection_of_call(self, call_id: str) -> Connection | None:
        return None

    async def connections(self) -> Sequence[Connection]:
        return ()

    async def call_of_leg(self, leg_id: str, phone_number_id: str | None = None) -> str | None:
        return None

    async def answer(self, inbound: InboundCall) -> Admitted | Refused:
        return Refused("this is a test")

    async def progress(self, progress: Progress) -> None:
        return

    async def machine(self, result: MachineResult) -> None:
        return

    async def claim(self, call_id: str, token: str) -> bool:
        return False

    async def way_to(self, call_id: str) -> Relayed | None:
        return None

    def proved_s_ago(self, call_id: str, origin: str | None, proof: str) -> float | None:
        return None

    async def converse(self, line: Line, call_id: str) -> None:
        await line.hang_up()

    async def quality(self, call_id: str, quality: Mapping[str, Any]) -> None:
        return

    async def registered(self, phone_number_id: str, state: RegistrationState) -> None:
        return
