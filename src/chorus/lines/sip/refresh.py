"""Session timers: a call whose other side is gone ends by itself (RFC 4028).

One side refreshes the session in good time, the other ends it when no refresh came. `SessionTimer`
is told what was agreed and calls `refresh` or `expire`; which headers say so is here too.
"""

from __future__ import annotations

from collections.abc import Callable

from chorus.lines.sip.grammar import Malformed, number, parse_params, split
from chorus.lines.sip.message import Message, Request, Response
from chorus.lines.sip.wire import Timer, Timers

EXPIRES_S = 1800  # what RFC 4028 §4 recommends
LEAST_S = 90  # and the least that it allows
MOST_S = 86_400


def read(message: Message) -> tuple[int, str | None] | None:
    """Session-Expires: seconds, and who refreshes (`uac`, `uas` or None). None without one, or
    with one that cannot be read: a timer is a service, no reason to refuse a call."""
    value = message.headers.get("Session-Expires")
    if value is None:
        return None
    try:
        first, *params = split(value, ";")
        seconds = number(first, 2**31, "Session-Expires")
        refresher = parse_params(params).get("refresher")
    except Malformed:
        return None
    return min(seconds, MOST_S), refresher if refresher in ("uac", "uas") else None


def read_min(message: Message) -> int:
    """Min-SE, at least 90."""
    try:
        value = number((message.headers.get("Min-SE") or "0").split(";")[0], 2**31, "Min-SE")
    except Malformed:
        value = 0
    return max(min(value, MOST_S), LEAST_S)


def ask(request: Request, seconds: int, least: int, refresher: str | None = None) -> None:
    """Into a request of ours."""
    who = f";refresher={refresher}" if refresher else ""
    request.headers.set("Session-Expires", f"{seconds}{who}")
    request.headers.set("Min-SE", str(least))


def grant(request: Request, response: Response) -> tuple[int, bool] | None:
    """Answer what a request asks for: seconds, and whether it is us who refresh; None without a
    timer. Call only when the interval is not too small (`too_small`)."""
    asked = read(request)
    if asked is None:
        return None
    seconds, refresher = asked
    theirs = "timer" in request.headers.tokens("Supported")
    if refresher is None:
        refresher = "uac" if theirs else "uas"
    response.headers.set("Session-Expires", f"{seconds};refresher={refresher}")
    if refresher == "uac":
        response.headers.add("Require", "timer")
    return seconds, refresher == "uas"


def granted(response: Response) -> tuple[int, bool] | None:
    """What a 2xx to our request says: seconds, and whether it is us who refresh."""
    said = read(response)
    if said is None:
        return None
    return max(said[0], LEAST_S), said[1] != "uas"


def too_small(request: Request) -> bool:
    asked = read(request)
    return asked is not None and asked[0] < LEAST_S


class SessionTimer:
    """Started anew by each `agree`; `None` switches it off."""

    def __init__(
        self, timers: Timers, refresh: Callable[[], None], expire: Callable[[], None]
    ) -> None:
        self._timers = timers
        self._refresh = refresh
        self._expire = expire
        self._timer: Timer | None = None
        self.seconds = EXPIRES_S
        self.ours = False

    def agree(self, what: tuple[int, bool] | None) -> None:
        self.stop()
        if what is None:
            return
        self.seconds, self.ours = what
        if self.ours:
            # Half of it, as RFC 4028 §7.2 recommends.
            self._timer = self._timers.call_later(self.seconds / 2, self._refresh)
        else:
            # §10: a little before the end, so that the BYE still finds its way.
            early_s = min(32.0, self.seconds / 3)
            self._timer = self._timers.call_later(self.seconds - early_s, self._expire)

    def retry(self, seconds: float) -> None:
        """A refresh was put off (491)."""
        self.stop()
        self._timer = self._timers.call_later(seconds, self._refresh)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
