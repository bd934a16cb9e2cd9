"""Addresses of those who knock, as they are counted."""

from __future__ import annotations

import ipaddress
from functools import lru_cache


@lru_cache(4096)  # asked several times for each request
def household(address: str) -> str:
    """The address itself or, of IPv6, its /64: one household has a whole one."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if parsed.version == 6 and parsed.ipv4_mapped is None:
        return str(ipaddress.ip_network(f"{parsed}/64", strict=False))
    return address


def is_public(address: str) -> bool:
    """Whether it is somebody's on the internet, and not of this machine or a private network."""
    try:
        return ipaddress.ip_address(address).is_global
    except ValueError:
        return False


def is_loopback(address: str) -> bool:
    """Whether it is this machine's own, and no other can have it."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
        parsed = parsed.ipv4_mapped
    return parsed.is_loopback
