"""An answered call: everything that may happen in it until somebody hangs up (RFC 3261 §12 to 15).

`handle` takes the other side's requests: BYE, re-INVITE and UPDATE (hold, another codec, another
address), INFO with a key, NOTIFY about a transfer, OPTIONS. `offer`, `refer` and `bye` are ours.
Two offers at once are refused with 491 and tried again (§14.1). A 2xx of ours is repeated until
its ACK comes, on any transport (§13.3.1.4). Whatever ends it, `events.ended` is called once.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Protocol

from chorus.lines.line import LineCause, LineEnded
from chorus.lines.sip import refresh
from chorus.lines.sip.accepting import Accepting
from chorus.lines.sip.causes import printable, reason_of
from chorus.lines.sip.dialog import Dialog
from chorus.lines.sip.digest import Credentials
from chorus.lines.sip.grammar import Malformed
from chorus.lines.sip.info import key_of
from chorus.lines.sip.message import Request, Response, response_to
from chorus.lines.sip.negotiate import Agreed, Negotiation
from chorus.lines.sip.refer import Reported, Transfer, refer_to
from chorus.lines.sip.sdp import Direction
from chorus.lines.sip.sending import Context, Failed, Sending
from chorus.lines.sip.transactions import ServerTransaction
from chorus.lines.sip.uri import Uri
from chorus.lines.sip.wire import Hop, Timer

ALLOW = "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE, PRACK, NOTIFY"
SUPPORTED = "timer, 100rel"
MOST_GLARES = 5


class SessionEvents(Protocol):
    """What the owner of a call hears of it. Called from within `handle`; must not block."""

    def media(self, agreed: Agreed) -> None:
        """The stream is (or has become) this."""
        ...

    def digit(self, digit: str) -> None:
        """A key, told by INFO."""
        ...

    def ended(self, ended: LineEnded) -> None: ...


class Session:
    """`forget` takes it out of the user agent's list of dialogs."""

    def __init__(
        self,
        context: Context,
        dialog: Dialog,
        negotiation: Negotiation,
        events: SessionEvents,
        forget: Callable[[Session], None],
        *,
        credentials: Credentials | None = None,
        peer_allows: str = "",
    ) -> None:
        self.dialog = dialog
        self.negotiation = negotiation
        self.credentials = credentials
        self.over = False
        self.timer = refresh.SessionTimer(context.timers, self._refresh, self._expired)
        self._context = context
        self._events = events
        self._forget = forget
        self._updates = "UPDATE" in {method.strip().upper() for method in peer_allows.split(",")}
        self._inviting = False
        self._wanted: Direction = "sendrecv"
        self._told: list[Callable[[int], None]] = []
        self._glares = 0
        self._later: Timer | None = None
        self._accepted: Accepting | None = None
        self._bye_after_ack: tuple[str, ...] | None = None
        self._transfer: Transfer | None = None

    # --- what we do -----------------------------------------------------------------------------

    def offer(self, direction: Direction, told: Callable[[int], None] | None = None) -> None:
        """Hold (`sendonly`, `inactive`), resume, or ask for the stream anew. Comes true with
        `events.media`; a refusal leaves everything as it was. `told` gets the final status."""
        self._wanted = direction
        if told is not None:
            self._told.append(told)
        if self.over:
            self._tell(481)
        if self.over or self._inviting:
            return
        if self._accepted is not None or self.negotiation.offering:
            self._try_again(0.2)
            return
        self._invite()

    def refer(self, target: Uri, report: Reported, *, replaces: Session | None = None) -> None:
        """Ask the other side to call `target` instead. One at a time: a second is refused (491)."""
        if self.over or (self._transfer is not None and not self._transfer.over):
            report(481 if self.over else 491, True)
            return
        transfer = self._transfer = Transfer(self._context.timers, report)
        other = None
        if replaces is not None:
            theirs = replaces.dialog
            other = (theirs.call_id, theirs.remote_tag, theirs.local_tag)

        def build(hop: Hop) -> Request:
            request = self._request("REFER", hop)
            request.headers.add("Refer-To", refer_to(target, other))
            request.headers.add("Referred-By", f"<{self.dialog.local.uri}>")
            return request

        def final(response: Response | Failed) -> None:
            transfer.answered(response.status)

        self._send(build, final)

    def bye(self, *reason: str) -> None:
        """Hang up. `reason` is a Reason header's value."""
        if self.over:
            return
        if self._accepted is not None:
            # The called side may not hang up before the ACK (§15).
            self._bye_after_ack = reason
            self._end(LineEnded(LineCause.LOCAL), keep=True)
            return
        self._send_bye(reason)
        self._end(LineEnded(LineCause.LOCAL))

    def drop(self) -> None:
        """Hang up a call that nobody knows of: it lost the race to be answered."""
        self.over = True
        self._send_bye(())

    def await_ack(self, transaction: ServerTransaction) -> None:
        """Its 2xx was sent: repeat it until it is acknowledged."""
        self._stop_accepting()
        self._accepted = Accepting(self._context.timers, transaction, self._never_acknowledged)

    # --- what the other side does ---------------------------------------------------------------

    def handle(self, transaction: ServerTransaction) -> None:
        request = transaction.request
        self.dialog.source = transaction.hop
        if self.over and request.method != "BYE":
            transaction.reject(481)
        elif not self.dialog.takes(request):
            transaction.reject(500, ("Retry-After", "1"))
        elif request.method == "BYE":
            transaction.reject(200)
            self._hung_up(request)
        elif request.method in ("INVITE", "UPDATE"):
            self._changed(transaction)
        elif request.method == "INFO":
            self._informed(transaction)
        elif request.method == "NOTIFY":
            self._notified(transaction)
        elif request.method == "OPTIONS":
            transaction.respond(self._answer(request, 200))
        elif request.method == "REFER":
            # Nobody who calls in may have calls placed at our cost.
            transaction.reject(603)
        elif request.method == "PRACK":
            transaction.reject(481)
        else:
            transaction.reject(405, ("Allow", ALLOW))

    def acknowledged(self, ack: Request) -> None:
        """The ACK of a 2xx of ours; it may hold the answer to our offer."""
        waiting = self._accepted
        if waiting is None or ack.cseq[0] != waiting.sequence:
            return
        self._stop_accepting()
        if self._bye_after_ack is not None:
            self._finish_bye()
            return
        if self.negotiation.offering:
            try:
                agreed = self.negotiation.answered(ack.body)
            except Malformed as broken:
                self._break(488, f"the ACK's answer cannot be used: {broken.reason}")
                return
            self._events.media(agreed)

    # --- inside ---------------------------------------------------------------------------------

    def _changed(self, transaction: ServerTransaction) -> None:
        """A re-INVITE or an UPDATE."""
        request = transaction.request
        invite = request.method == "INVITE"
        if (
            self._inviting
            or self._accepted is not None
            or (self.negotiation.offering and (invite or request.body))
        ):
            transaction.reject(491)
            return
        if refresh.too_small(request):
            transaction.reject(422, ("Min-SE", str(refresh.LEAST_S)))
            return
        answer = self._answer(request, 200)
        agreed: Agreed | None = None
        try:
            if request.body:
                if request.content_type not in ("application/sdp", ""):
                    transaction.reject(415, ("Accept", "application/sdp"))
                    return
                body, agreed = self.negotiation.answer(request.body, self._wanted)
                answer.carry("application/sdp", body)
            elif invite:
                answer.carry("application/sdp", self.negotiation.offer(self._wanted))
        except Malformed as broken:
            transaction.reject(broken.status if broken.status == 488 else 400)
            return
        self.dialog.refresh_target(request)
        # A refresh keeps the timer going, whoever asked for it.
        self.timer.agree(refresh.grant(request, answer))
        transaction.respond(answer)
        if invite:
            self.await_ack(transaction)
        if agreed is not None:
            self._events.media(agreed)

    def _informed(self, transaction: ServerTransaction) -> None:
        request = transaction.request
        digit = key_of(request.content_type, request.body)
        if request.body and digit is None and request.content_type != "application/dtmf-relay":
            transaction.reject(415, ("Accept", "application/dtmf-relay, application/dtmf"))
            return
        transaction.reject(200)
        if digit is not None:
            self._events.digit(digit)

    def _notified(self, transaction: ServerTransaction) -> None:
        event = (transaction.request.headers.get("Event") or "").split(";")[0].strip().lower()
        if event != "refer" or self._transfer is None:
            transaction.reject(489 if event != "refer" else 481)
            return
        transaction.reject(200)
        self._transfer.notified(transaction.request)

    def _hung_up(self, request: Request) -> None:
        if self._transfer is not None:
            self._transfer.hung_up()
        self._end(LineEnded(LineCause.FAR_END, reason_of(request)))

    def _invite(self, *, refreshing: bool = False) -> None:
        body = self.negotiation.offer(self._wanted)

        def build(hop: Hop) -> Request:
            request = self._request("INVITE", hop)
            request.carry("application/sdp", body)
            if self.timer.ours or refreshing:
                refresh.ask(request, self.timer.seconds, refresh.LEAST_S, "uac")
            return request

        self._inviting = True
        self._send(build, self._invited)

    def _invited(self, response: Response | Failed) -> None:
        """The final answer to a re-INVITE; a 2xx comes again as long as its ACK is lost."""
        first, self._inviting = self._inviting, False
        if isinstance(response, Response) and response.status < 300:
            self.acknowledge(response)
            if not first or self.over:
                return  # repeated
            self._glares = 0
            self.dialog.refresh_target(response)
            self.timer.agree(refresh.granted(response))
            try:
                agreed = self.negotiation.answered(response.body)
            except Malformed as broken:
                self._break(488, f"the answer cannot be used: {broken.reason}")
                return
            self._events.media(agreed)
            self._tell(200)
            return
        self.negotiation.withdrawn()
        if response.status == 491 and self._glares < MOST_GLARES:
            self._glares += 1
            # §14.1: whoever made the Call-ID waits longer, so that the two do not meet again.
            owner = self.dialog.remote_seq is None
            wait_s = random.uniform(2.1, 4.0) if owner else random.uniform(0.0, 2.0)  # noqa: S311
            self._try_again(wait_s)
            return
        self._tell(response.status)
        if response.status in (408, 481):
            self._break(response.status, "the other side does not know of the call any more")

    def _tell(self, status: int) -> None:
        waiting, self._told = self._told, []
        for told in waiting:
            told(status)

    def acknowledge(self, response: Response) -> None:
        """A 2xx of an INVITE of ours, and each repetition of it."""
        ack = self.dialog.request("ACK", response.cseq[0])
        send = self._context.transactions.send_ack
        where = self.dialog.nat_hop
        if where is not None:
            send(ack, where)
        else:
            self._context.resolve(
                self.dialog.first_hop, lambda hops: send(ack, hops[0]) if hops else None
            )

    def _refresh(self) -> None:
        if self._inviting or self._accepted is not None:
            self.timer.retry(1.0)
        elif not self._updates:
            self._invite(refreshing=True)
        else:

            def build(hop: Hop) -> Request:
                request = self._request("UPDATE", hop)
                refresh.ask(request, self.timer.seconds, refresh.LEAST_S, "uac")
                return request

            def final(response: Response | Failed) -> None:
                if isinstance(response, Response) and response.status < 300:
                    self.timer.agree(refresh.granted(response))
                elif response.status in (408, 481):
                    self._break(response.status, "the other side did not answer a refresh")
                elif response.status == 491:
                    self.timer.retry(random.uniform(0.5, 3.0))  # noqa: S311 - no secret
                else:
                    self._updates = False
                    self.timer.retry(1.0)

            self._send(build, final)

    def _expired(self) -> None:
        self._break(408, "the session was not refreshed in time")

    def _try_again(self, seconds: float) -> None:
        if self._later is not None:
            self._later.cancel()
        self._later = self._context.timers.call_later(seconds, self._again)

    def _again(self) -> None:
        self._later = None
        self.offer(self._wanted)

    def _never_acknowledged(self) -> None:
        self._stop_accepting()
        if self._bye_after_ack is not None:
            self._finish_bye()
        else:
            self._break(408, "our answer was never acknowledged")

    def _stop_accepting(self) -> None:
        if self._accepted is not None:
            self._accepted.stop()
            self._accepted = None

    def _break(self, status: int, detail: str) -> None:
        """End what cannot go on."""
        if self.over:
            return
        self._send_bye((f'SIP;cause={status};text="{printable(detail)}"',))
        self._end(LineEnded(LineCause.DROPPED, detail))

    def _finish_bye(self) -> None:
        reason, self._bye_after_ack = self._bye_after_ack, None
        self._send_bye(reason or ())
        self._forget(self)

    def _send_bye(self, reason: tuple[str, ...]) -> None:
        def build(hop: Hop) -> Request:
            request = self._request("BYE", hop)
            for each in reason:
                request.headers.add("Reason", each)
            return request

        self._send(build, lambda _: None)

    def _end(self, ended: LineEnded, *, keep: bool = False) -> None:
        if self.over:
            return
        self.over = True
        self._tell(481)
        self.timer.stop()
        if self._later is not None:
            self._later.cancel()
        if not keep:
            self._stop_accepting()
            self._forget(self)
        self._events.ended(ended)

    def _send(
        self, build: Callable[[Hop], Request], final: Callable[[Response | Failed], None]
    ) -> Sending:
        where = self.dialog.nat_hop or self.dialog.first_hop
        return Sending(self._context, build, where, final, credentials=self.credentials)

    def _request(self, method: str, hop: Hop) -> Request:
        request = self.dialog.request(method)
        request.headers.add("User-Agent", self._context.product)
        if method in ("INVITE", "UPDATE"):
            request.headers.add("Allow", ALLOW)
            request.headers.add("Supported", SUPPORTED)
        return request

    def _answer(self, request: Request, status: int) -> Response:
        answer = response_to(request, status)
        answer.headers.add("Contact", self.dialog.contact)
        answer.headers.add("Allow", ALLOW)
        answer.headers.add("Supported", SUPPORTED)
        answer.headers.add("Server", self._context.product)
        return answer
