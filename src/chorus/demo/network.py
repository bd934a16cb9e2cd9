"""Whether the demo talks to anybody but itself: the remote ends of its processes' sockets.

Linux alone tells (proc(5), `/proc/net/tcp`); elsewhere nothing is claimed.
"""

from __future__ import annotations

import asyncio
import ipaddress
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

_PROC = Path("/proc")
_TABLES = ("tcp", "tcp6", "udp", "udp6")
_SOCKET = re.compile(r"socket:\[(\d+)\]")
LOOK_EVERY_S = 1.0


class Strangers:
    """Looks once a second, in a thread, while `run` lasts. `found`: addresses that are not of
    this machine's loopback. `looks`: 0 where it cannot be seen."""

    def __init__(self) -> None:
        self.found: set[str] = set()
        self.looks = 0

    async def run(self) -> None:
        while sys.platform == "linux":
            seen = await asyncio.to_thread(remote_addresses, os.getpid())
            if seen is None:
                return
            self.looks += 1
            self.found |= {address for address in seen if not _here(address)}
            await asyncio.sleep(LOOK_EVERY_S)


def remote_addresses(pid: int) -> set[str] | None:
    """To whom the process and its descendants are connected; None where that is not shown."""
    try:
        inodes = {inode for each in family(pid) for inode in _sockets(each)}
        return {
            address
            for table in _TABLES
            for inode, address in _connections(_PROC / "net" / table)
            if inode in inodes
        }
    except (OSError, ValueError):
        return None


def family(pid: int) -> set[int]:
    """A process and all that descend from it. Raises `OSError` where there is no /proc."""
    parents: dict[int, int] = {}
    for entry in _PROC.iterdir():
        if entry.name.isdecimal():
            try:
                # The name in parentheses may hold anything; state and parent follow it.
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue  # it has just ended
            parents[int(entry.name)] = int(fields[1])
    family = {pid}
    while more := {child for child, parent in parents.items() if parent in family} - family:
        family |= more
    return family


def _sockets(pid: int) -> Iterator[str]:
    try:
        descriptors = list((_PROC / str(pid) / "fd").iterdir())
    except OSError:
        return  # it has just ended
    for descriptor in descriptors:
        try:
            match = _SOCKET.fullmatch(str(descriptor.readlink()))
        except OSError:
            continue
        if match:
            yield match.group(1)


def _connections(table: Path) -> Iterator[tuple[str, str]]:
    """(inode, remote address); a socket that is connected to nobody is left out."""
    if not table.exists():
        return
    for line in table.read_text().splitlines()[1:]:
        fields = line.split()
        address, _, port = fields[2].partition(":")
        if int(port, 16):
            yield fields[9], str(_address(address))


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """In hexadecimal, 32 bits at a time in the machine's byte order."""
    raw = bytes.fromhex(text)
    if sys.byteorder == "little":
        raw = b"".join(raw[at : at + 4][::-1] for at in range(0, len(raw), 4))
    found = ipaddress.ip_address(raw)
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return mapped or found


def _here(address: str) -> bool:
    return ipaddress.ip_address(address).is_loopback
