"""Hosts and routers with NAT on this machine: network namespaces of Linux.

    host inside ── router, which hides it ── host outside
    10.9.0.2       10.9.0.1 │ 192.88.99.1    192.88.99.9

Nothing here is connected to the machine's own network. The addresses outside are of a block that
nobody has any more (RFC 7526) and that is no private one, which Chorus looks at.
"""

from __future__ import annotations

import ctypes
import functools
import os
import shutil
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

INSIDE, OUTSIDE, PUBLIC = "10.9.0.2", "192.88.99.9", "192.88.99.1"
_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


@functools.cache
def refused() -> str | None:
    """Why there can be no namespaces with NAT here; None if there can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    for program in ("ip", "iptables"):
        if shutil.which(program) is None:
            return f"{program} is not installed (scripts/peers.py)"
    try:
        with network() as net, net.on("inside"):
            net.forget_after(2)
            net.forward(9, 9)
    except (subprocess.CalledProcessError, OSError) as failure:
        said = failure.stderr if isinstance(failure, subprocess.CalledProcessError) else failure
        return f"no network namespaces with NAT here: {said}"
    return None


class Network:
    """`on` puts what is made meanwhile, sockets and processes, on the host `inside` or
    `outside`."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix

    def name(self, host: str) -> str:
        return f"{self._prefix}{host}"

    def forget_after(self, seconds: int) -> None:
        """Have the router forget who sent to whom, once nothing came for so long."""
        for name in ("nf_conntrack_udp_timeout", "nf_conntrack_udp_timeout_stream"):
            write = f"echo {seconds} > /proc/sys/net/netfilter/{name}"
            _run("ip", "netns", "exec", self.name("router"), "sh", "-c", write)

    @contextmanager
    def on(self, host: str) -> Generator[None]:
        here = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        there = os.open(Path("/run/netns") / self.name(host), os.O_RDONLY)
        try:
            _enter(there)
            try:
                yield
            finally:
                _enter(here)
        finally:
            os.close(here)
            os.close(there)

    def forward(self, first: int, last: int) -> None:
        """Have the router hand these UDP ports on to the host inside, unchanged."""
        _run(
            "ip", "netns", "exec", self.name("router"), "iptables", "-t", "nat", "-A",
            "PREROUTING", "-d", PUBLIC, "-p", "udp", "--dport", f"{first}:{last}",
            "-j", "DNAT", "--to-destination", INSIDE,
        )  # fmt: skip


@contextmanager
def network() -> Generator[Network]:
    """The picture above, with a router that hides every host behind its own address and gives
    every sender another port."""
    net = Network(f"chorus{os.getpid()}-")
    inside, router, outside = (net.name(each) for each in ("inside", "router", "outside"))
    hosts = (inside, router, outside)
    try:
        for host in hosts:
            _run("ip", "netns", "add", host)
            _run("ip", "-n", host, "link", "set", "lo", "up")
        for host, side, own, gateway in (
            (inside, "in", INSIDE, "10.9.0.1"),
            (outside, "out", OUTSIDE, PUBLIC),
        ):
            _run("ip", "-n", host, "link", "add", "net", "type", "veth",
                 "peer", "name", side, "netns", router)  # fmt: skip
            for where, device, address in ((host, "net", own), (router, side, gateway)):
                _run("ip", "-n", where, "addr", "add", f"{address}/24", "dev", device)
                _run("ip", "-n", where, "link", "set", device, "up")
        # Only the host inside has a way out; the one outside knows of no network behind the router.
        _run("ip", "-n", inside, "route", "add", "default", "via", "10.9.0.1")
        execute = ("ip", "netns", "exec", router)
        _run(*execute, "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward")
        _run(*execute, "iptables", "-t", "nat", "-A", "POSTROUTING", "-o", "out",
             "-j", "MASQUERADE", "--random-fully")  # fmt: skip
        yield net
    finally:
        for host in hosts:
            subprocess.run(["ip", "netns", "del", host], capture_output=True, check=False)


def _run(*command: str) -> None:
    subprocess.run(command, capture_output=True, text=True, check=True)


def _enter(descriptor: int) -> None:
    if _libc.setns(descriptor, _NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")
