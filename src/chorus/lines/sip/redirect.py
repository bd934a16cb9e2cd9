"""Where a call goes that is redirected (3xx, RFC 3261 §8.1.3.4, §21.3).

A trunk may send a call elsewhere: to another of its own machines, or to whom somebody's calls are
forwarded. It is followed a few times and never to the same place twice. A place inside our own
network is tried only if the trunk is there too, and one that does not encrypt only if the trunk did
not: whoever answers our calls must not be able to have messages sent where he cannot send himself.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import replace

from chorus.lines.sip.grammar import Malformed
from chorus.lines.sip.message import Response
from chorus.lines.sip.uri import Uri, parse_addresses
from chorus.lines.sip.wire import Hop

MOST_TARGETS = 5


class Redirects:
    """One call's. `take` notes what a 3xx names, `following` says what to try next."""

    def __init__(self, target: Uri) -> None:
        self._first = target
        self._seen = {str(target)}
        self._waiting: list[Uri] = []
        self._tried = 0

    def take(self, response: Response) -> None:
        found: list[tuple[float, Uri]] = []
        for line in response.headers.all("Contact")[:MOST_TARGETS]:
            try:
                addresses = parse_addresses(line)[:MOST_TARGETS]
            except Malformed:
                continue
            for address in addresses:
                uri = self._fitting(address.uri)
                if uri is not None and str(uri) not in self._seen:
                    self._seen.add(str(uri))
                    found.append((_weight(address.params.get("q")), uri))
        # The most wanted first, and before what an earlier one left.
        found.sort(key=lambda each: -each[0])
        self._waiting = [uri for _, uri in found] + self._waiting

    def following(self) -> Uri | None:
        if not self._waiting or self._tried >= MOST_TARGETS:
            return None
        self._tried += 1
        return self._waiting.pop(0)

    def stays(self, uri: Uri) -> bool:
        """Whether it is the trunk's own, so that the request goes where the first one went."""
        return (uri.host, uri.port) == (self._first.host, self._first.port)

    def _fitting(self, uri: Uri) -> Uri | None:
        """As a Request-URI: without headers, which could say anything; a telephone number is at
        the trunk."""
        if uri.scheme == "tel":
            return replace(self._first, user=uri.user)
        return replace(uri, headers="", password=None) if uri.host else None


def allowed(hops: Sequence[Hop], first: Hop) -> list[Hop]:
    """Those of `hops` that a trunk at `first` may send us to."""
    return [
        hop
        for hop in hops
        if (first.transport != "tls" or hop.transport == "tls")
        and (is_private(first.ip) or not is_private(hop.ip))
    ]


def is_private(ip: str) -> bool:
    """Not of the internet: private, loopback, link-local. What is no address is, too."""
    try:
        return not ipaddress.ip_address(ip).is_global
    except ValueError:
        return True


def _weight(q: str | None) -> float:
    try:
        return min(max(float(q or "1"), 0.0), 1.0)
    except ValueError:
        return 0.0
