"""Which network addresses may be reached on behalf of a user.

A URL that a user typed must not lead to the operator's own network: only addresses that are
routed on the public Internet are let through, and of those none that carries another address
inside (IPv4 in IPv6) whose own would not be. Sources: the IANA IPv4 and IPv6 Special-Purpose
Address Registries, RFC 6598 (carrier-grade NAT), RFC 6052 and 8215 (NAT64), RFC 3056 (6to4).
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)

# The standard library's `is_global` changed between patch releases; what matters is stated here.
_REFUSED = tuple(
    (ip_network(network), why)
    for network, why in (
        ("0.0.0.0/8", "this network"),
        ("10.0.0.0/8", "private"),
        ("100.64.0.0/10", "shared (carrier-grade NAT)"),
        ("127.0.0.0/8", "loopback"),
        ("168.63.129.16/32", "a cloud's own services"),
        ("169.254.0.0/16", "link-local"),
        ("172.16.0.0/12", "private"),
        ("192.0.0.0/24", "reserved"),
        ("192.0.2.0/24", "documentation"),
        ("192.31.196.0/24", "reserved"),
        ("192.52.193.0/24", "reserved"),
        ("192.88.99.0/24", "a 6to4 relay"),
        ("192.168.0.0/16", "private"),
        ("192.175.48.0/24", "reserved"),
        ("198.18.0.0/15", "benchmarking"),
        ("198.51.100.0/24", "documentation"),
        ("203.0.113.0/24", "documentation"),
        ("224.0.0.0/4", "multicast"),
        ("240.0.0.0/4", "reserved"),
        ("::/96", "loopback or reserved"),
        ("64:ff9b:1::/48", "a local NAT64"),
        ("100::/64", "discard-only"),
        ("2001::/23", "reserved"),
        ("2001:db8::/32", "documentation"),
        ("3fff::/20", "documentation"),
        ("5f00::/16", "segment routing"),
        ("fc00::/7", "private"),
        ("fe80::/10", "link-local"),
        ("fec0::/10", "site-local"),
        ("ff00::/8", "multicast"),
    )
)
_GLOBAL_UNICAST = ip_network("2000::/3")
_NAT64 = ip_network("64:ff9b::/96")


def refusal(address: str) -> str | None:
    """Why an address must not be reached ("private", "loopback" …); None if it may be."""
    if "%" in address:
        return "link-local"  # a zone is only ever written for one interface's own network
    try:
        ip = ip_address(address)
    except ValueError:
        return "not an IP address"
    inner = _inside(ip)
    if inner is not None:
        return refusal(str(inner))
    for network, why in _REFUSED:
        if ip.version == network.version and ip in network:
            return why
    if isinstance(ip, IPv6Address) and ip not in _GLOBAL_UNICAST:
        return "not globally routed"
    return None


def _inside(ip: IPv4Address | IPv6Address) -> IPv4Address | None:
    """The IPv4 address that packets to an IPv6 address would reach in the end."""
    if isinstance(ip, IPv4Address):
        return None
    if ip in _NAT64:
        return IPv4Address(int(ip) & 0xFFFFFFFF)
    return ip.ipv4_mapped or ip.sixtofour


class Allowed:
    """What the operator allows besides: names as `hooks.internal`, all names below one as
    `*.internal`, addresses as `10.0.0.7` and networks as `10.0.0.0/24`."""

    def __init__(self, entries: Iterable[str] = (), *, everything: bool = False) -> None:
        self._everything = everything
        self._names: set[str] = set()
        self._below: list[str] = []
        self._networks: list[IPv4Network | IPv6Network] = []
        for entry in entries:
            entry = entry.strip().lower().rstrip(".")
            try:
                self._networks.append(ip_network(entry))
            except ValueError:
                if not entry or "/" in entry or ":" in entry:
                    raise ValueError(
                        f"allowed hosts: {entry!r} is no host name, address or network"
                    ) from None
                if entry.startswith("*."):
                    self._below.append(entry[1:])
                else:
                    self._names.add(entry)

    def refusal(self, host: str, address: str) -> str | None:
        """Why `address`, to which `host` resolved, must not be reached; None if it may be."""
        if self._everything:
            return None
        host = host.lower().rstrip(".")
        if host in self._names or any(host.endswith(end) for end in self._below):
            return None
        try:
            ip = ip_address(address)
        except ValueError:
            return "not an IP address"
        if any(ip.version == n.version and ip in n for n in self._networks):
            return None
        return refusal(address)
