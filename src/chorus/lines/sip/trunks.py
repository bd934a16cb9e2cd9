"""A phone number at a SIP trunk or PBX, as its settings say (`kind.py` names them)."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from typing import Literal, cast

from chorus.lines.desk import Connection
from chorus.lines.line import is_address
from chorus.lines.sip.digest import Credentials
from chorus.lines.sip.grammar import Malformed, host_port
from chorus.lines.sip.registration import Account
from chorus.lines.sip.uri import Uri, parse_uri
from chorus.lines.sip.wire import Transport

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True)
class Trunk:
    """`account` is there for one that registers, `network` for one that is known by its
    address."""

    phone_number_id: str
    number: str
    mode: Literal["registration", "ip_allowlist"]
    transport: Transport
    port: int | None
    account: Account | None = None
    network: Network | None = None
    settings: tuple[tuple[str, object], ...] = field(default=(), repr=False)
    """What it was made of, to see whether anything has changed."""

    @property
    def credentials(self) -> Credentials | None:
        return self.account.credentials if self.account else None

    @property
    def domain(self) -> str | None:
        """Where calls go; None for a network of many addresses."""
        if self.account is not None:
            return self.account.domain
        if self.network is not None and self.network.num_addresses == 1:
            return str(self.network.network_address)
        return None

    @property
    def route(self) -> Uri | None:
        return self.account.route if self.account else None

    def target(self, to: str) -> Uri | None:
        """The URI of a number at this trunk, or the SIP address that was given; None if calls
        cannot go out. Raises `Malformed`."""
        if is_address(to):
            return parse_uri(to) if self.domain is not None else None
        return self._at_trunk(to)

    def way(self, target: Uri) -> Uri:
        """Where a call to `target` is sent: to the trunk, whose business it is to reach it."""
        return self.route or self._at_trunk("") or target

    def _at_trunk(self, number: str) -> Uri | None:
        domain = self.domain
        if domain is None:
            return None
        uri = Uri.sip(number or None, domain, self.port, user="phone")
        return uri if self.transport == "udp" else uri.with_params(transport=self.transport)


def trunk_of(connection: Connection) -> Trunk:
    """Raises `ValueError` for settings that cannot be used."""
    settings = connection.settings
    made_of = tuple(sorted((name, value) for name, value in settings.items()))
    mode = str(settings.get("sipMode") or "registration")
    port = int(settings.get("sipPort") or 5060)
    if mode == "ip_allowlist":
        network = ipaddress.ip_network(str(settings["sipIp"]), strict=False)
        transport = cast(Transport, settings.get("sipProtocol") or "udp")
        return Trunk(
            connection.phone_number_id,
            connection.number,
            "ip_allowlist",
            transport,
            port,
            network=network,
            settings=made_of,
        )
    transport = cast(Transport, settings.get("sipRegisterTransport") or "udp")
    try:
        domain, domain_port = host_port(str(settings["sipProxy"]))
        route = _route(settings.get("sipOutboundProxy"), transport)
    except Malformed as broken:
        raise ValueError(broken.reason) from None
    # 5060 is what the API fills in; with it the domain's own records may say otherwise.
    wanted = domain_port or (None if port == 5060 else port)
    username = str(settings["sipUsername"])
    login = str(settings.get("sipAuthUser") or username)
    account = Account(
        username,
        domain,
        Credentials(login, str(settings["sipPassword"])),
        wanted,
        transport,
        route,
    )
    return Trunk(
        connection.phone_number_id,
        connection.number,
        "registration",
        transport,
        wanted,
        account=account,
        settings=made_of,
    )


def _route(proxy: object, transport: Transport) -> Uri | None:
    if not proxy:
        return None
    host, port = host_port(str(proxy))
    uri = Uri("sip", None, host, port, {"lr": None})
    return uri if transport == "udp" else uri.with_params(transport=transport)


def digits_of(text: str) -> str:
    return "".join(char for char in text if char.isdecimal() and char.isascii())


def is_number(called: str, number: str) -> bool:
    """Whether what was called means `number`, which is E.164: all its digits, or the end of them
    as a PBX writes it at home (`030 123456`), at least six."""
    said, ours = digits_of(called), digits_of(number)
    if said == ours:
        return True
    short = said.lstrip("0")
    return len(short) >= 6 and ours.endswith(short)
