"""A call that we place, until it is answered or not (RFC 3261 §13.2, RFC 3262, RFC 4028).

Behind one INVITE several telephones may ring (forking): each has an early dialog of its own. The
first 2xx wins and becomes the `Session`; another one is acknowledged and hung up at once. Sound
before the answer is taken from any 18x that describes it. `cancel` withdraws; where the answer
and the CANCEL cross, the answered call is hung up. A 3xx is followed (`redirect`). `events` hears
of ringing, sound, the answer or the end, in that order.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from chorus.lines.line import LineCause, LineEnded
from chorus.lines.sip import refresh
from chorus.lines.sip.causes import ended_by, reason_of
from chorus.lines.sip.dialog import Dialog
from chorus.lines.sip.digest import Credentials
from chorus.lines.sip.grammar import Malformed, number
from chorus.lines.sip.message import Request, Response
from chorus.lines.sip.negotiate import Negotiation
from chorus.lines.sip.redirect import Redirects, allowed
from chorus.lines.sip.sending import Context, Failed, Sending
from chorus.lines.sip.session import ALLOW, SUPPORTED, Session, SessionEvents
from chorus.lines.sip.transactions import ServerTransaction, cancel_of
from chorus.lines.sip.uri import Address, Uri
from chorus.lines.sip.wire import GIVE_UP_S, Hop, Timer, new_call_id, new_tag

MOST_EARLY = 16
"""Telephones that may ring behind one call."""


class OutgoingEvents(SessionEvents, Protocol):
    def ringing(self, status: int) -> None:
        """180, 181, 182 or 183; may come again."""
        ...

    def answered(self, session: Session) -> None:
        """`media` has been told already."""
        ...


@dataclass(frozen=True)
class Invitation:
    """Whom to call, and as whom. `route` is the outbound proxy. `contact` writes our Contact for
    a hop. `headers` are sent as they are."""

    target: Uri
    from_: Address
    to: Address
    contact: Callable[[Hop], str]
    route: Uri | None = None
    headers: tuple[tuple[str, str], ...] = ()
    ring_timeout_s: float = 60.0
    credentials: Credentials | None = field(default=None, repr=False)


class Registry(Protocol):
    """The user agent's list of dialogs."""

    def add(self, key: tuple[str, str, str], owner: Handler) -> None: ...

    def remove(self, key: tuple[str, str, str]) -> None: ...


class Handler(Protocol):
    """Whoever takes the requests of a dialog."""

    def handle(self, transaction: ServerTransaction) -> None: ...

    def acknowledged(self, ack: Request) -> None: ...


class OutgoingCall:
    """`start` once."""

    def __init__(
        self,
        context: Context,
        registry: Registry,
        invitation: Invitation,
        negotiation: Negotiation,
        events: OutgoingEvents,
    ) -> None:
        self.call_id = new_call_id()
        self.session: Session | None = None
        self._context = context
        self._registry = registry
        self._invitation = invitation
        self._negotiation = negotiation
        self._events = events
        self._from = invitation.from_.with_tag(new_tag())
        self._target = invitation.target
        self._credentials = invitation.credentials
        self._redirects = Redirects(invitation.target)
        self._home: Uri | Hop | list[Hop] = invitation.target
        self._trunk: Hop | None = None
        self._sequence = 0
        self._expires_s = refresh.EXPIRES_S
        self._least_s = refresh.LEAST_S
        self._offer = negotiation.offer()
        self._sending: Sending | None = None
        self._early: dict[str, _Early] = {}
        self._withdrawn: LineCause | None = None
        self._cancel_sent = False
        self._over = False
        self._ringing: Timer | None = None

    def start(self, where: Uri | Hop | list[Hop] | None = None) -> None:
        """Send the INVITE: to the outbound proxy, else to where the target's URI leads."""
        invitation = self._invitation
        self._ringing = self._context.timers.call_later(
            invitation.ring_timeout_s, self.cancel, LineCause.NO_ANSWER
        )
        self._home = where or invitation.route or invitation.target
        self._send(self._home)

    def cancel(self, cause: LineCause = LineCause.CANCELED) -> None:
        """Stop ringing; end the call if it was answered meanwhile."""
        if self.session is not None:
            self.session.bye()
            return
        if self._over or self._withdrawn is not None:
            return
        self._withdrawn = cause
        sending = self._sending
        if sending is None:
            return
        sending.stop()
        if sending.transaction is not None and sending.transaction.provisional:
            self._send_cancel()
        elif sending.transaction is not None:
            # §9.1: no CANCEL before a provisional response. One may come any time.
            sending.transaction.abandon_after(GIVE_UP_S)

    # --- the INVITE -----------------------------------------------------------------------------

    def _send(self, where: Uri | Hop | list[Hop]) -> None:
        self._where = where
        self._sending = Sending(
            self._context,
            self._build,
            where,
            self._final,
            credentials=self._credentials,
            on_provisional=self._provisional,
        )

    def _build(self, hop: Hop) -> Request:
        invitation = self._invitation
        self._sequence += 1
        request = Request(method="INVITE", target=str(self._target))
        add = request.headers.add
        add("Max-Forwards", "70")
        if invitation.route is not None:
            add("Route", f"<{invitation.route}>")
        add("From", str(self._from))
        add("To", str(invitation.to))
        add("Call-ID", self.call_id)
        add("CSeq", f"{self._sequence} INVITE")
        add("Contact", invitation.contact(hop))
        add("Allow", ALLOW)
        add("Supported", SUPPORTED)
        add("User-Agent", self._context.product)
        refresh.ask(request, max(self._expires_s, self._least_s), self._least_s)
        for name, value in invitation.headers:
            add(name, value)
        request.carry("application/sdp", self._offer)
        return request

    def _provisional(self, response: Response) -> None:
        if self._withdrawn is not None:
            self._send_cancel()
            return
        if response.status == 100:
            return
        early = self._early_dialog(response)
        if early is not None:
            self._acknowledge_reliable(early, response)
            if response.body and response.content_type == "application/sdp":
                early.answer = response.body
                try:
                    agreed = self._negotiation.answered(response.body)
                except Malformed:
                    early.answer = b""  # the 2xx says it again, or ends the call
                else:
                    self._events.media(agreed)
                # Until the 2xx, the offer is not settled: another telephone may answer it.
                self._negotiation.offering = True
        self._events.ringing(response.status)

    def _early_dialog(self, response: Response) -> _Early | None:
        """The early dialog that a provisional response belongs to, made by the first."""
        tag = response.to.tag
        request = self._sending.request if self._sending else None
        if not tag or request is None:
            return None
        known = self._early.get(tag)
        if known is None and len(self._early) < MOST_EARLY:
            contact = request.headers.get("Contact") or ""
            try:
                dialog = Dialog.from_response(request, response, contact)
            except Malformed:
                return None
            known = self._early[tag] = _Early(self, dialog)
            self._registry.add(dialog.key, known)
        return known

    def _acknowledge_reliable(self, early: _Early, response: Response) -> None:
        """PRACK, for a provisional response that is sent until it is acknowledged (RFC 3262)."""
        if "100rel" not in response.headers.tokens("Require"):
            return
        try:
            sequence = number(response.headers.get("RSeq") or "", 2**31 - 1, "RSeq")
        except Malformed:
            return
        if sequence <= early.reliable:
            return  # repeated: its PRACK is under way
        early.reliable = sequence
        rack = f"{sequence} {response.cseq[0]} INVITE"

        def build(_: Hop) -> Request:
            request = early.dialog.request("PRACK")
            request.headers.add("RAck", rack)
            return request

        where = early.dialog.nat_hop or early.dialog.first_hop
        credentials = self._credentials
        Sending(self._context, build, where, lambda _: None, credentials=credentials)

    def _final(self, response: Response | Failed) -> None:
        if isinstance(response, Response) and response.status < 300:
            self._answered(response)
            return
        if self._over:
            return
        if self._withdrawn is None and response.status == 422 and isinstance(response, Response):
            least = refresh.read_min(response)
            if least > self._least_s:
                self._least_s = least
                self._send(self._where)
                return
        if self._withdrawn is None and self._elsewhere(response):
            return
        if self._withdrawn is not None:
            self._finish(LineEnded(self._withdrawn))
        elif isinstance(response, Failed):
            self._finish(ended_by(response.status, response.detail))
        else:
            self._finish(ended_by(response.status, reason_of(response), response.reason))

    def _elsewhere(self, response: Response | Failed) -> bool:
        """Try what a 3xx named, one after the other, until one says no for all (6xx)."""
        if isinstance(response, Response) and response.status < 400:
            self._redirects.take(response)
        following = self._redirects.following() if response.status < 600 else None
        if self._sending is not None and self._sending.transaction is not None:
            self._trunk = self._trunk or self._sending.transaction.hop
        trunk = self._trunk
        if following is None or trunk is None:
            return False
        self._target = following
        self._sending = None
        if self._invitation.route is not None or self._redirects.stays(following):
            self._credentials = self._invitation.credentials
            self._send(self._home)
            return True
        # A stranger gets no answer that our password went into.
        self._credentials = None

        def found(hops: list[Hop]) -> None:
            places = allowed(hops, trunk)
            if self._withdrawn is not None:
                self._finish(LineEnded(self._withdrawn))
            elif places:
                self._send(places)
            else:
                place = following.host
                refused = Failed(503, f"redirected to {place}, which cannot be called from here")
                if not self._elsewhere(refused):
                    self._finish(ended_by(refused.status, refused.detail))

        self._context.resolve(following, found)
        return True

    def _answered(self, response: Response) -> None:
        tag = response.to.tag or ""
        session = self.session
        if session is not None and session.dialog.remote_tag == tag:
            session.acknowledge(response)  # repeated: our ACK was lost
            return
        request = self._sending.request if self._sending else None
        assert request is not None  # a response has a request
        early = self._early.get(tag)
        body = response.body or (early.answer if early else b"")
        try:
            dialog = Dialog.from_response(request, response, request.headers.get("Contact") or "")
        except Malformed as broken:
            self._finish(LineEnded(LineCause.FAILED, f"the answer is broken: {broken.reason}"))
            return
        if early is not None:
            dialog.local_seq = early.dialog.local_seq
            dialog.remote_seq = early.dialog.remote_seq
        taken = Session(
            self._context,
            dialog,
            self._negotiation,
            self._events,
            lambda over: self._registry.remove(over.dialog.key),
            credentials=self._credentials,
            peer_allows=response.headers.get("Allow") or "",
        )
        taken.acknowledge(response)
        if session is not None or self._over:
            # Two telephones were picked up, or we have given up: this one is too late.
            self._too_late(taken)
            return
        if self._withdrawn is not None:
            self._too_late(taken)
            self._finish(LineEnded(self._withdrawn))
            return
        try:
            agreed = self._negotiation.answered(body)
        except Malformed as broken:
            self._too_late(taken)
            self._finish(LineEnded(LineCause.FAILED, f"no common stream: {broken.reason}"))
            return
        self.session = taken
        self._settle()
        self._registry.add(dialog.key, taken)
        taken.timer.agree(refresh.granted(response))
        self._events.media(agreed)
        self._events.answered(taken)

    def _too_late(self, session: Session) -> None:
        session.timer.stop()
        session.drop()

    def _send_cancel(self) -> None:
        sending = self._sending
        if self._cancel_sent or sending is None or sending.transaction is None:
            return
        self._cancel_sent = True
        transaction = sending.transaction
        self._context.transactions.request(
            cancel_of(transaction.request),
            transaction.hop,
            lambda _: None,
            lambda _: None,
            branch=transaction.request.via.branch,
        )
        transaction.abandon_after(GIVE_UP_S)

    def _finish(self, ended: LineEnded) -> None:
        if self._over:
            return
        self._settle()
        self._over = True
        self._events.ended(ended)

    def _settle(self) -> None:
        """No early dialog is left, and nobody waits for an answer any more."""
        if self._ringing is not None:
            self._ringing.cancel()
        for early in self._early.values():
            self._registry.remove(early.dialog.key)
        self._early.clear()


class _Early:
    """An early dialog: what a telephone that rings may ask."""

    def __init__(self, call: OutgoingCall, dialog: Dialog) -> None:
        self.call = call
        self.dialog = dialog
        self.reliable = 0
        self.answer = b""

    def handle(self, transaction: ServerTransaction) -> None:
        request = transaction.request
        if not self.dialog.takes(request):
            transaction.reject(500, ("Retry-After", "1"))
        elif request.method == "UPDATE" and not request.body:
            transaction.reject(200, ("Contact", self.dialog.contact))
        elif request.method == "UPDATE":
            transaction.reject(491)  # our offer is still open (RFC 3311 §5.2)
        elif request.method in ("OPTIONS", "INFO"):
            transaction.reject(200)
        else:
            transaction.reject(481)

    def acknowledged(self, ack: Request) -> None:
        """Nothing was accepted yet."""
