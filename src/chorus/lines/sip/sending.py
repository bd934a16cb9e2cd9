"""One request until it is answered: found, sent, authenticated, and tried elsewhere.

A request goes to the places that its URI resolves to, in order: the next one is tried when a
place cannot be reached, does not answer, or says 503 (RFC 3263 §4.3). A 401 or 407 is answered
with the trunk's credentials, once for each nonce. Each attempt is a request of its own, made by
`build`, because its CSeq and its branch must be new.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from chorus.lines.sip.digest import Credentials
from chorus.lines.sip.grammar import Malformed
from chorus.lines.sip.message import Request, Response
from chorus.lines.sip.transactions import ClientTransaction, Transactions
from chorus.lines.sip.uri import Uri
from chorus.lines.sip.wire import GIVE_UP_S, Hop, Timers, Wire

Resolve = Callable[[Uri, Callable[[list[Hop]], None]], None]
"""Finds the places of a URI and calls back with them, best first, none if there is none; at
once or later, but only once."""

SILENT_S = 5.0
"""A place that says nothing at all is given up after this long where there is another one."""
MOST_CHALLENGES = 3
MOST_HOPS = 6


@dataclass(frozen=True)
class Context:
    """What every part of the user agent works with."""

    transactions: Transactions
    timers: Timers
    wire: Wire
    resolve: Resolve
    product: str
    """User-Agent and Server."""


@dataclass(frozen=True, slots=True)
class Failed:
    """No answer came: `status` is what RFC 3261 §8.1.3.1 takes it for."""

    status: int
    detail: str


class Sending:
    """`on_final` gets the final response, or what stands for it, once (of an INVITE again for
    every repeated 2xx); `on_provisional` each 1xx."""

    def __init__(
        self,
        context: Context,
        build: Callable[[Hop], Request],
        where: Uri | Hop | list[Hop],
        on_final: Callable[[Response | Failed], None],
        *,
        credentials: Credentials | None = None,
        on_provisional: Callable[[Response], None] | None = None,
    ) -> None:
        self._context = context
        self._build = build
        self._on_final = on_final
        self._on_provisional = on_provisional
        self._credentials = credentials
        self._hops: list[Hop] = []
        self._tried = 0
        self._stopped = False
        self.transaction: ClientTransaction | None = None
        self.request: Request | None = None
        if isinstance(where, Uri):
            context.resolve(where, self._found)
        else:
            self._found([where] if isinstance(where, Hop) else where)

    def stop(self) -> None:
        """Try nothing more; an attempt under way goes on and is reported."""
        self._stopped = True

    @property
    def under_way(self) -> bool:
        return self.transaction is not None and not self.transaction.over

    def _found(self, hops: list[Hop]) -> None:
        self._hops = hops[:MOST_HOPS]
        if self._stopped:
            self._on_final(Failed(487, "withdrawn before it was sent"))
        elif not self._hops:
            self._on_final(Failed(503, "the address cannot be resolved"))
        else:
            self._attempt()

    def _attempt(self) -> None:
        hop = self._hops[0]
        request = self._build(hop)
        if self._credentials is not None and self._credentials.asked:
            self._credentials.sign(request)
        self.request = request
        more = len(self._hops) > 1
        # Assigned before anything can come back, since a fake wire answers at once.
        self.transaction = None
        self.transaction = self._context.transactions.request(
            request,
            hop,
            self._response,
            self._failed,
            SILENT_S if more else GIVE_UP_S,
        )

    def _response(self, response: Response) -> None:
        if response.status < 200:
            if self._on_provisional is not None:
                self._on_provisional(response)
        elif response.status in (401, 407) and self._challenged(response):
            self._attempt()
        elif response.status == 503 and self._next_place():
            return
        else:
            self._on_final(response)

    def _failed(self, why: str) -> None:
        if self._next_place():
            return
        status = 408 if why == "timeout" else 503
        hop = self._hops[0] if self._hops else None
        said = "did not answer" if why == "timeout" else "cannot be reached"
        self._on_final(Failed(status, f"{hop} {said}"))

    def _challenged(self, response: Response) -> bool:
        if self._credentials is None or self._stopped or self._tried >= MOST_CHALLENGES:
            return False
        answered = self.request is not None and any(
            self.request.headers.get(name) for name in ("Authorization", "Proxy-Authorization")
        )
        try:
            if not self._credentials.accept(response, tried=answered and self._tried > 0):
                return False
        except Malformed:
            return False
        self._tried += 1
        return True

    def _next_place(self) -> bool:
        if self._stopped or len(self._hops) < 2:
            return False
        del self._hops[0]
        self._attempt()
        return True
