"""A call that comes in, until it is answered, refused or withdrawn (RFC 3261 §13.3, RFC 3262).

`ring` says 180, reliably where the other side insists; `accept` answers with 200 and makes the
`Session`; `reject` refuses. A CANCEL that comes before ends it with 487. The INVITE may leave the
offer to us: then the 200 makes one and the ACK answers it.
"""

from __future__ import annotations

from collections.abc import Callable

from chorus.lines.line import LineCause, LineEnded
from chorus.lines.sip import refresh
from chorus.lines.sip.causes import reason_of
from chorus.lines.sip.dialog import Dialog
from chorus.lines.sip.grammar import Malformed
from chorus.lines.sip.message import Request, Response, response_to
from chorus.lines.sip.negotiate import Agreed, Negotiation
from chorus.lines.sip.outgoing import Registry
from chorus.lines.sip.sending import Context
from chorus.lines.sip.session import ALLOW, SUPPORTED, Session, SessionEvents
from chorus.lines.sip.transactions import ServerTransaction
from chorus.lines.sip.wire import GIVE_UP_S, T1_S, Timer, new_tag

RING_S = 180.0
"""Nobody rings longer (RFC 3261 §13.3.1.1 asks for a reminder every minute instead)."""
_CANCELED = LineEnded(LineCause.CANCELED)


class IncomingCall:
    """`on_withdrawn` is called if the caller gives up before `accept`; afterwards everything is
    told to the `SessionEvents` given to `accept`. `settled` is called when it is decided. Raises
    `Malformed` for an INVITE without a Contact."""

    def __init__(
        self,
        context: Context,
        registry: Registry,
        transaction: ServerTransaction,
        contact: str,
        settled: Callable[[ServerTransaction], None],
    ) -> None:
        self.request = transaction.request
        self.hop = transaction.hop
        self._context = context
        self._registry = registry
        self._transaction = transaction
        self.on_withdrawn: Callable[[LineEnded], None] | None = None
        self._settled = settled
        self._tag = new_tag()
        self.dialog = Dialog.from_request(self.request, self._tag, contact)
        self.dialog.source = transaction.hop
        self._over = False
        self._reliable = 1
        self._unacknowledged = False
        self._again: Timer | None = None
        self._interval_s = T1_S
        self._rang_s = 0.0
        registry.add(self.dialog.key, self)
        self._end = context.timers.call_later(RING_S, self._give_up, 480, _CANCELED)

    @property
    def over(self) -> bool:
        """Answered, refused or withdrawn."""
        return self._over

    @property
    def call_id(self) -> str:
        return self.request.call_id

    def ring(self) -> None:
        if self._over:
            return
        answer = self._answer(180)
        if "100rel" in self.request.headers.tokens("Require"):
            answer.headers.add("Require", "100rel")
            answer.headers.add("RSeq", str(self._reliable))
            self._unacknowledged = True
            self._rang_s = self._context.timers.time()
            self._again = self._context.timers.call_later(T1_S, self._ring_again)
        self._transaction.respond(answer)

    def accept(
        self, negotiation: Negotiation, events: SessionEvents
    ) -> tuple[Session, Agreed | None] | None:
        """Answer: 200, and what was agreed, which is None as long as the ACK is awaited for it
        (then `events.media` tells). None, and a refusal sent, where there is no common stream,
        or the caller is gone. Raises nothing."""
        if self._over:
            return None
        answer = self._answer(200)
        agreed: Agreed | None = None
        try:
            if self.request.body:
                body, agreed = negotiation.answer(self.request.body)
            else:
                body = negotiation.offer()
        except Malformed as broken:
            self.reject(broken.status, ("Warning", f'399 chorus "{broken.reason}"'))
            return None
        answer.carry("application/sdp", body)
        session = Session(
            self._context,
            self.dialog,
            negotiation,
            events,
            lambda over: self._registry.remove(over.dialog.key),
            peer_allows=self.request.headers.get("Allow") or "",
        )
        timer = refresh.grant(self.request, answer)
        self._settle()
        self._registry.add(self.dialog.key, session)
        self._transaction.respond(answer)
        session.await_ack(self._transaction)
        session.timer.agree(timer)
        return session, agreed

    def reject(self, status: int, *headers: tuple[str, str]) -> None:
        if self._over:
            return
        self._settle()
        self._registry.remove(self.dialog.key)
        answer = self._answer(status)
        for name, value in headers:
            answer.headers.add(name, value)
        self._transaction.respond(answer)

    def cancelled(self, cancel: Request) -> None:
        """A CANCEL came. After our answer it means nothing (RFC 3261 §9.2)."""
        if self._over:
            return
        self._give_up(487, LineEnded(LineCause.CANCELED, reason_of(cancel)))

    def handle(self, transaction: ServerTransaction) -> None:
        """Requests of the early dialog."""
        request = transaction.request
        if not self.dialog.takes(request):
            transaction.reject(500, ("Retry-After", "1"))
        elif request.method == "PRACK":
            self._acknowledged_reliable(transaction)
        elif request.method == "BYE":
            transaction.reject(200)
            self._give_up(487, _CANCELED)
        elif request.method == "UPDATE" and not request.body:
            transaction.reject(200, ("Contact", self.dialog.contact))
        elif request.method == "UPDATE":
            transaction.reject(500, ("Retry-After", "2"))  # the first offer is unanswered
        elif request.method == "INVITE":
            transaction.reject(500, ("Retry-After", "2"))  # RFC 3261 §14.2
        elif request.method in ("OPTIONS", "INFO"):
            transaction.reject(200)
        else:
            transaction.reject(405, ("Allow", ALLOW))

    def acknowledged(self, ack: Request) -> None:
        """Nothing was accepted yet."""

    def _acknowledged_reliable(self, transaction: ServerTransaction) -> None:
        words = (transaction.request.headers.get("RAck") or "").split()
        expected = [str(self._reliable), str(self.request.cseq[0]), "INVITE"]
        if not self._unacknowledged or words != expected:
            transaction.reject(481)
            return
        self._stop_ringing()
        transaction.reject(200)

    def _ring_again(self) -> None:
        """RFC 3262 §3: repeated until its PRACK, and given up after 32 s."""
        if self._context.timers.time() - self._rang_s >= GIVE_UP_S:
            never = LineEnded(LineCause.FAILED, "the caller never acknowledged ringing")
            self._give_up(504, never)
            return
        self._transaction.send_again()
        self._interval_s *= 2
        self._again = self._context.timers.call_later(self._interval_s, self._ring_again)

    def _stop_ringing(self) -> None:
        self._unacknowledged = False
        if self._again is not None:
            self._again.cancel()
            self._again = None

    def _give_up(self, status: int, ended: LineEnded) -> None:
        self.reject(status)
        if self.on_withdrawn is not None:
            self.on_withdrawn(ended)

    def _settle(self) -> None:
        self._over = True
        self._settled(self._transaction)
        self._end.cancel()
        self._stop_ringing()

    def _answer(self, status: int) -> Response:
        answer = response_to(self.request, status, tag=self._tag)
        if status < 300:
            answer.headers.add("Contact", self.dialog.contact)
            answer.headers.add("Allow", ALLOW)
            answer.headers.add("Supported", SUPPORTED)
        answer.headers.add("Server", self._context.product)
        return answer
