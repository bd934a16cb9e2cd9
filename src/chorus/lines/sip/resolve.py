"""From a SIP URI to addresses: NAPTR, SRV, then A and AAAA (RFC 3263), by dnspython.

A number is what it says; a host with a port is looked up as it is; otherwise the domain's records
say transport, host and port. Answers are kept as long as they may be (at least 5 s, at most an
hour), failures for 10 s, so that a dead name server does not stop every call for its timeout.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import random
import socket
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, cast

from chorus.lines.sip.uri import Uri
from chorus.lines.sip.wire import Hop, Transport

log = logging.getLogger(__name__)

TIMEOUT_S = 4.0
FAILURE_TTL_S = 10.0
LEAST_TTL_S = 5.0
MOST_TTL_S = 3600.0
MOST_CACHED = 2000

DEFAULT_PORTS: dict[Transport, int] = {"udp": 5060, "tcp": 5060, "tls": 5061}
_SERVICES: dict[Transport, str] = {
    "udp": "_sip._udp",
    "tcp": "_sip._tcp",
    "tls": "_sips._tcp",
}
_NAPTR: dict[str, Transport] = {"SIP+D2U": "udp", "SIP+D2T": "tcp", "SIPS+D2T": "tls"}


def literal(host: str) -> str | None:
    """The address, if `host` is one."""
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        return None


def transport_of(uri: Uri) -> Transport | None:
    """What the URI asks for; None where the records may decide."""
    if uri.scheme == "sips":
        return "tls"
    wanted = uri.transport
    return wanted if wanted in DEFAULT_PORTS else None


@dataclass(slots=True)
class _Kept:
    hops: list[Hop]
    until_s: float


class Resolver:
    """One per process. `transports` are those that this process listens on: records for others
    are passed over. A callback comes at once for addresses and for what is kept."""

    def __init__(self, transports: frozenset[Transport], nameservers: tuple[str, ...] = ()) -> None:
        self._transports = transports
        self._nameservers = nameservers
        self._kept: dict[tuple[str, int | None, Transport | None], _Kept] = {}
        self._waiting: dict[tuple[str, int | None, Transport | None], asyncio.Task[None]] = {}
        self._asked: dict[
            tuple[str, int | None, Transport | None], list[Callable[[list[Hop]], None]]
        ] = {}

    def resolve(self, uri: Uri, then: Callable[[list[Hop]], None]) -> None:
        transport = transport_of(uri)
        address = literal(uri.host)
        if address is not None:
            chosen = transport or "udp"
            then([Hop(chosen, address, uri.port or DEFAULT_PORTS[chosen])])
            return
        key = (uri.host, uri.port, transport)
        loop = asyncio.get_running_loop()
        kept = self._kept.get(key)
        if kept is not None and kept.until_s > loop.time():
            then(list(kept.hops))
            return
        self._asked.setdefault(key, []).append(then)
        if key not in self._waiting:
            self._waiting[key] = loop.create_task(self._ask(key), name="sip dns")

    async def addresses(self, uri: Uri) -> list[Hop]:
        """The same, awaited."""
        found: asyncio.Future[list[Hop]] = asyncio.get_running_loop().create_future()
        self.resolve(uri, lambda hops: None if found.done() else found.set_result(hops))
        return await found

    async def close(self) -> None:
        for task in list(self._waiting.values()):
            task.cancel()
        await asyncio.gather(*self._waiting.values(), return_exceptions=True)

    async def _ask(self, key: tuple[str, int | None, Transport | None]) -> None:
        host, port, transport = key
        hops: list[Hop] = []
        ttl_s = FAILURE_TTL_S
        try:
            async with asyncio.timeout(TIMEOUT_S * 3):
                hops, ttl_s = await self._look(host, port, transport)
        except TimeoutError:
            log.warning("%s was not resolved in time", host)
        except Exception as failure:
            # dnspython raises many kinds; every one of them means that there is no address.
            log.warning("%s cannot be resolved: %s", host, failure)
        finally:
            self._waiting.pop(key, None)
        if len(self._kept) >= MOST_CACHED:
            self._kept.clear()
        ttl_s = min(max(ttl_s, LEAST_TTL_S), MOST_TTL_S) if hops else FAILURE_TTL_S
        self._kept[key] = _Kept(hops, asyncio.get_running_loop().time() + ttl_s)
        for then in self._asked.pop(key, []):
            then(list(hops))

    async def _look(
        self, host: str, port: int | None, transport: Transport | None
    ) -> tuple[list[Hop], float]:
        if port is not None:
            return await self._hosts(host, port, transport or "udp", host)
        services: list[Transport] = [transport] if transport else await self._naptr(host)
        hops: list[Hop] = []
        ttl_s = MOST_TTL_S
        for each in services:
            for target, service_port, service_ttl_s in await self._srv(host, each):
                found, host_ttl_s = await self._hosts(target, service_port, each, host)
                hops += found
                ttl_s = min(ttl_s, service_ttl_s, host_ttl_s)
            if hops:
                return hops, ttl_s
        chosen = transport or "udp"
        return await self._hosts(host, DEFAULT_PORTS[chosen], chosen, host)

    async def _naptr(self, host: str) -> list[Transport]:
        """The transports that a domain prefers; without records, those that we have."""
        records = await self._query(host, "NAPTR")
        found: list[tuple[int, int, Transport]] = []
        for record in records[0]:
            service = record.service.decode("ascii", "replace").upper()
            transport = _NAPTR.get(service)
            if transport in self._transports:
                found.append((record.order, record.preference, transport))
        if found:
            return [transport for _, _, transport in sorted(found)]
        plain: tuple[Transport, ...] = ("udp", "tcp", "tls")
        return [each for each in plain if each in self._transports]

    async def _srv(self, host: str, transport: Transport) -> list[tuple[str, int, float]]:
        records, ttl_s = await self._query(f"{_SERVICES[transport]}.{host}", "SRV")
        if len(records) == 1 and str(records[0].target) == ".":
            return []  # decidedly not available (RFC 2782)
        # By priority, then by weight with chance: an approximation of RFC 2782 that is exact
        # where the weights of a priority are the same.
        records.sort(key=lambda r: (r.priority, -r.weight * random.random()))  # noqa: S311
        return [(str(r.target).rstrip("."), r.port, ttl_s) for r in records[:8]]

    async def _hosts(
        self, host: str, port: int, transport: Transport, name: str
    ) -> tuple[list[Hop], float]:
        address = literal(host)
        if address is not None:
            return [Hop(transport, address, port, name=name)], MOST_TTL_S
        found: list[str] = []
        ttl_s = MOST_TTL_S
        for kind in ("A", "AAAA"):
            records, record_ttl_s = await self._query(host, kind)
            if records:
                found += [str(record.address) for record in records]
                ttl_s = min(ttl_s, record_ttl_s)
        if not found:
            # /etc/hosts and what else the machine knows, such as a container's neighbours.
            loop = asyncio.get_running_loop()
            try:
                infos = await loop.getaddrinfo(host, port, type=socket.SOCK_DGRAM)
            except OSError:
                infos = []
            found = list(dict.fromkeys(str(info[4][0]) for info in infos))
            ttl_s = 60.0
        return [Hop(transport, each, port, name=name) for each in found], ttl_s

    async def _query(self, name: str, kind: str) -> tuple[list[Any], float]:
        """The records and how long they hold; none for any kind of no."""
        import dns.asyncresolver
        import dns.exception

        resolver = dns.asyncresolver.Resolver(configure=not self._nameservers)
        if self._nameservers:
            resolver.nameservers = list(self._nameservers)
        resolver.lifetime = TIMEOUT_S
        ask = cast("Callable[..., Coroutine[Any, Any, Any]]", resolver.resolve)
        try:
            answer = await ask(name, kind, raise_on_no_answer=False)
        except dns.exception.DNSException:
            return [], FAILURE_TTL_S
        records = list(answer.rrset or [])
        return records, float(answer.rrset.ttl if answer.rrset else FAILURE_TTL_S)
