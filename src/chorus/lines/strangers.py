"""Those who knock at carriers' webhooks and at media sockets before anybody knows who they are.

A carrier has no key: what shows that a request is genuine is a signature or a token, and looking at
one costs something. So an address that keeps sending what is refused is turned away for the rest
of a minute, before anything of it is read, and of all that nothing is known of yet only so many are
looked at at once, in all and of one address. What is genuine counts against nothing. Refusals are
told of in the log, once in a while, with how many.

A carrier that passes on what its customers make it send (as Twilio posts to any URL) may be made to
send what is refused, from its own addresses; `REFUSALS` is more than that pays for.
"""

from __future__ import annotations

import logging
from collections import Counter, OrderedDict
from collections.abc import Callable, Generator
from contextlib import contextmanager
from time import monotonic

from chorus.addresses import household

log = logging.getLogger(__name__)

REFUSALS = 300
"""Of one address within `MINUTE_S`; then it is turned away until that has passed."""
MINUTE_S = 60.0
AT_ONCE = 500
"""Looked at at the same moment."""
AT_ONCE_OF_ADDRESS = 250
REMEMBERED = 4096
"""Addresses whose refusals are known; the one that was silent longest is forgotten first."""
TOLD_EVERY_S = 10.0


class TurnedAway(Exception):
    """Not looked at. `wait_s` says when to come again; `busy` that it is not this address's own
    doing alone."""

    def __init__(self, what: str, wait_s: int, *, busy: bool = False) -> None:
        super().__init__(what)
        self.wait_s = wait_s
        self.busy = busy


class Strangers:
    """`what` is what comes, as the log names it: "a webhook". `time` is in seconds."""

    def __init__(self, what: str, time: Callable[[], float] = monotonic) -> None:
        self._what = what
        self._time = time
        self._refused: OrderedDict[str, tuple[float, int]] = OrderedDict()
        self._looked_at: Counter[str] = Counter()
        self._told_s = -TOLD_EVERY_S
        self._untold = 0

    def knock(self, address: str) -> None:
        """Before anything is read of a request. Raises `TurnedAway`."""
        since_s, count = self._refused.get(household(address), (0.0, 0))
        left_s = since_s + MINUTE_S - self._time()
        if count >= REFUSALS and left_s > 0:
            why = f"{REFUSALS} of this address were refused within a minute"
            raise self._away(address, TurnedAway(why, int(left_s) + 1))

    @contextmanager
    def look(self, address: str) -> Generator[None]:
        """Held while somebody is looked at. Raises `TurnedAway`."""
        self.knock(address)
        name = household(address)
        if self._looked_at.total() >= AT_ONCE or self._looked_at[name] >= AT_ONCE_OF_ADDRESS:
            why = f"{self._looked_at[name]} others of this address are being looked at"
            if self._looked_at.total() >= AT_ONCE:
                why = f"{AT_ONCE} others are being looked at"
            raise self._away(address, TurnedAway(why, 1, busy=True))
        self._looked_at[name] += 1
        try:
            yield
        finally:
            self._looked_at[name] -= 1
            if not self._looked_at[name]:
                del self._looked_at[name]

    def refused(self, address: str, why: str) -> None:
        """It was not genuine."""
        name, now_s = household(address), self._time()
        since_s, count = self._refused.pop(name, (now_s, 0))
        if now_s >= since_s + MINUTE_S:
            since_s, count = now_s, 0
        self._refused[name] = (since_s, count + 1)
        while len(self._refused) > REMEMBERED:
            self._refused.popitem(last=False)
        self.tell(address, why)

    def tell(self, address: str, why: str) -> None:
        """One line at once, and then the number of all that follow within some seconds."""
        now_s = self._time()
        if now_s < self._told_s + TOLD_EVERY_S:
            self._untold += 1
            return
        more = f" (and {self._untold} before it)" if self._untold else ""
        log.warning("%s from %s was refused: %s%s", self._what, address, why, more)
        self._told_s, self._untold = now_s, 0

    def _away(self, address: str, away: TurnedAway) -> TurnedAway:
        self.tell(address, str(away))
        return away
