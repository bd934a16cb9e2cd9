"""Who may call: the gate in front of everything that a stranger could send.

A trunk is known by where a request comes from *and* by what it says:

- one that registers: by the unguessable user part of our Contact, which only the registrar was
  told; or by coming from the address (or connection) of a registrar that took our password, and
  calling the trunk's number or user name;
- one of an allowlist: by coming from the listed address, over the listed transport, and calling
  the trunk's number, in the Request-URI, To, or what diverted it.

Two organizations may name the same number at the same address, and nothing in a request without
the unguessable part tells them apart: then it is for the older of the two, so that whoever comes
later gets no call and takes none away.

Anything else never becomes a call. It gets no answer, or a refusal a few times a second: a scanner
that hears nothing looks elsewhere, and a misconfigured PBX still finds its 403 in its log.
"""

from __future__ import annotations

import ipaddress
import logging
from collections import OrderedDict
from collections.abc import Callable, Iterable

from chorus.lines.sip.grammar import Malformed
from chorus.lines.sip.message import Request
from chorus.lines.sip.registration import Registration
from chorus.lines.sip.trunks import Trunk, is_number
from chorus.lines.sip.uri import parse_addresses
from chorus.lines.sip.wire import Hop

log = logging.getLogger(__name__)

ANSWERS_PER_S = 10.0
"""To all strangers together."""
ANSWERS_PER_S_EACH = 0.5
REMEMBERED = 4096
"""Strangers whose rate is known; the one that was silent longest is forgotten first."""


class Gatekeeper:
    """Implements `user_agent.Gate`. `time` is the loop's clock."""

    def __init__(self, time: Callable[[], float]) -> None:
        self._time = time
        self._listed: list[Trunk] = []
        self._registered: dict[str, tuple[Trunk, Registration]] = {}  # by token
        self._tokens: dict[str, str] = {}  # of a phone number's id
        self._all = _Bucket(ANSWERS_PER_S)
        self._each: OrderedDict[str, _Bucket] = OrderedDict()
        self.turned_away = 0

    def set_listed(self, trunks: Iterable[Trunk]) -> None:
        """The oldest first."""
        self._listed = list(trunks)

    def set_order(self, phone_number_ids: Iterable[str]) -> None:
        """Of those that register, which is older."""
        place = {id: number for number, id in enumerate(phone_number_ids)}
        self._registered = dict(
            sorted(
                self._registered.items(),
                key=lambda each: place.get(each[1][0].phone_number_id, len(place)),
            )
        )

    def add(self, trunk: Trunk, registration: Registration) -> None:
        self._registered[registration.token] = (trunk, registration)

    def remove(self, registration: Registration) -> None:
        self._registered.pop(registration.token, None)

    def admit(self, request: Request, hop: Hop) -> Trunk | None:
        called = _called(request)
        user = called[0] if called else ""
        known = self._registered.get(user)
        if known is not None:
            return known[0]
        options = request.method == "OPTIONS"
        placed: list[Trunk] = []
        for trunk, registration in self._registered.values():
            # Where it was only sent to, anybody's number may have been sent.
            if not registration.accepted or not _same_place(registration.hop, hop):
                continue
            if options:
                return trunk
            if _means(trunk, called, trunk.account.username if trunk.account else ""):
                placed.append(trunk)
        if placed:
            return _best(placed, called)
        try:
            address = ipaddress.ip_address(hop.ip)
        except ValueError:
            return None
        found: list[Trunk] = []
        for trunk in self._listed:
            if trunk.network is None or address not in trunk.network:
                continue
            if trunk.transport == "tls" and hop.transport != "tls":
                continue
            if options:
                return trunk
            if _means(trunk, called, ""):
                found.append(trunk)
        return _best(found, called)

    def may_answer(self, hop: Hop) -> bool:
        self.turned_away += 1
        now_s = self._time()
        bucket = self._each.pop(hop.ip, None) or _Bucket(ANSWERS_PER_S_EACH)
        self._each[hop.ip] = bucket
        while len(self._each) > REMEMBERED:
            self._each.popitem(last=False)
        # Each one's own first, so that one flood does not use up everybody's.
        return bucket.take(now_s) and self._all.take(now_s)


class _Bucket:
    """`rate` a second, bursts of twice that (at least one)."""

    __slots__ = ("_at_s", "_left", "_most", "_rate")

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._most = max(rate * 2, 1.0)
        self._left = self._most
        self._at_s: float | None = None

    def take(self, now_s: float) -> bool:
        if self._at_s is not None:
            self._left = min(self._left + (now_s - self._at_s) * self._rate, self._most)
        self._at_s = now_s
        if self._left < 1:
            return False
        self._left -= 1
        return True


def _called(request: Request) -> list[str]:
    """All that may name the number: Request-URI, To, and the headers of a diverted call."""
    users = [request.uri.plain_user, request.to.uri.plain_user]
    for name in ("P-Called-Party-ID", "Diversion", "History-Info"):
        for line in request.headers.all(name)[:8]:
            try:
                users += [address.uri.plain_user for address in parse_addresses(line)[:8]]
            except Malformed:
                continue
    return [user for user in users if user]


def _means(trunk: Trunk, called: list[str], username: str) -> bool:
    return any(is_number(user, trunk.number) or (username and user == username) for user in called)


def _best(found: list[Trunk], called: list[str]) -> Trunk | None:
    """Of several numbers at one address, the one that is called by all its digits."""
    if len(found) < 2:
        return found[0] if found else None
    for user in called:
        for trunk in found:
            if user.lstrip("+") == trunk.number.lstrip("+"):
                return trunk
    return found[0]


def _same_place(registrar: Hop | None, hop: Hop) -> bool:
    if registrar is None:
        return False
    if registrar.reliable and registrar.transport != hop.transport:
        return False
    return registrar.ip == hop.ip
