"""Handing the other side over: REFER, and what it reports about it (RFC 3515, RFC 3891).

`Transfer` is one REFER: refused at once by a 4xx to 6xx, or accepted, after which NOTIFYs with a
line of the response that the new target gave say how it goes. What the world does beyond the RFC
counts too: a subscription that ends without a word, and a BYE instead of the last NOTIFY after
the REFER was accepted, which is how some report success.
"""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import quote

from chorus.lines.sip.message import Request
from chorus.lines.sip.uri import Uri
from chorus.lines.sip.wire import Timer, Timers

WAIT_S = 60.0
"""For the target to answer: a telephone may ring as long."""

Reported = Callable[[int, bool], None]
"""The status that the target gave, or what stands for it, and whether it is the last word."""


class Transfer:
    """`report` is called with each status; the last time with True. Then it is over."""

    def __init__(self, timers: Timers, report: Reported) -> None:
        self._report = report
        self._timer: Timer | None = timers.call_later(WAIT_S, self._finish, 408)
        self._last = 0
        self.accepted = False

    @property
    def over(self) -> bool:
        return self._timer is None

    def answered(self, status: int) -> None:
        """The response to the REFER itself."""
        if status >= 300:
            self._finish(status)
        elif not self.over:
            self.accepted = True
            self._report(202, False)

    def notified(self, notify: Request) -> None:
        """A NOTIFY of `Event: refer`."""
        status = sipfrag_status(notify.body)
        state = (notify.headers.get("Subscription-State") or "").lower()
        ended = state.split(";")[0].strip() == "terminated"
        if status is not None and status >= 200:
            self._finish(status)
        elif ended:
            # "noresource" after nothing: it was let go. What was said last is the best guess.
            self._finish(200 if "noresource" in state and self._last >= 180 else 500)
        elif status is not None:
            self._last = status
            if not self.over:
                self._report(status, False)

    def hung_up(self) -> None:
        """The other side said BYE."""
        self._finish(200 if self.accepted else 487)

    def _finish(self, status: int) -> None:
        if self._timer is None:
            return
        self._timer.cancel()
        self._timer = None
        self._report(status, True)


def sipfrag_status(body: bytes) -> int | None:
    """`SIP/2.0 200 OK` of a message/sipfrag (RFC 3420); None where there is none."""
    words = body[:200].decode("ascii", "replace").split()
    if len(words) >= 2 and words[0] == "SIP/2.0" and words[1].isdecimal() and len(words[1]) == 3:
        return int(words[1])
    return None


def refer_to(target: Uri, replaces: tuple[str, str, str] | None = None) -> str:
    """The header: where to, and with `replaces` (Call-ID, the target's tag, ours) the call there
    that the new one takes over."""
    if replaces is None:
        return f"<{target}>"
    call_id, to_tag, from_tag = replaces
    header = quote(f"{call_id};to-tag={to_tag};from-tag={from_tag}", safe="")
    return f"<{target}?Replaces={header}>"
