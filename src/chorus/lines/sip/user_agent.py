"""The user agent: what comes in finds its transaction, its dialog, or the gate (RFC 3261 §8.2).

`receive` takes the bytes of one message and where they came from. In order: a response goes to
the request that waits for it; a request of a dialog to whoever holds it; what is left is a
stranger's, and the gate decides whether it gets anything at all. Only then a call may come of it.
"""

from __future__ import annotations

import logging
from typing import Generic, Protocol, TypeVar

from chorus.lines.sip.grammar import Malformed
from chorus.lines.sip.incoming import IncomingCall
from chorus.lines.sip.message import (
    MalformedRequest,
    Request,
    Response,
    parse_message,
    response_to,
)
from chorus.lines.sip.negotiate import Negotiation
from chorus.lines.sip.outgoing import Handler, Invitation, OutgoingCall, OutgoingEvents
from chorus.lines.sip.sending import Context, Resolve
from chorus.lines.sip.session import ALLOW, SUPPORTED
from chorus.lines.sip.transactions import ServerTransaction, Transactions
from chorus.lines.sip.uri import Uri
from chorus.lines.sip.wire import GIVE_UP_S, Hop, Timers, Wire, new_call_id, new_tag

log = logging.getLogger(__name__)

EXTENSIONS = frozenset({"timer", "100rel"})
"""What a request may require of us."""
_KNOWN = frozenset({"REGISTER", "SUBSCRIBE", "PUBLISH", "MESSAGE", "REFER", "INFO", "UPDATE",
                    "PRACK", "NOTIFY", "BYE"})  # fmt: skip

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
T_contra = TypeVar("T_contra", contravariant=True)


def options(agent: UserAgent[T], target: Uri, hop: Hop) -> Request:
    """A question whether somebody is there (RFC 3261 §11)."""
    request = Request(method="OPTIONS", target=str(target))
    add = request.headers.add
    add("Max-Forwards", "70")
    add("From", f"<{Uri.sip('chorus', agent.context.wire.local(hop)[0])}>;tag={new_tag()}")
    add("To", f"<{target}>")
    add("Call-ID", new_call_id())
    add("CSeq", "1 OPTIONS")
    add("Contact", agent.contact(hop, "chorus"))
    add("Accept", "application/sdp")
    add("User-Agent", agent.context.product)
    return request


class Gate(Protocol[T_co]):
    """Decides who may speak to us (`trust.py`). Both are asked for every stranger's request, so
    they must be quick."""

    def admit(self, request: Request, hop: Hop) -> T_co | None:
        """Whose request this is: a trunk; None for nobody's."""
        ...

    def may_answer(self, hop: Hop) -> bool:
        """Whether a stranger gets a refusal at all, or silence."""
        ...


class Calls(Protocol[T_contra]):
    """Takes the calls that come in."""

    def incoming(self, call: IncomingCall, trunk: T_contra) -> None: ...


class UserAgent(Generic[T]):
    """One per process, over all its sockets. `T` is what the gate tells trunks apart by."""

    def __init__(
        self,
        wire: Wire,
        timers: Timers,
        resolve: Resolve,
        gate: Gate[T],
        calls: Calls[T],
        product: str,
    ) -> None:
        self._gate = gate
        self._calls = calls
        self._wire = wire
        self.transactions = Transactions(wire, timers, self._request, self._ack, new_tag())
        self.context = Context(self.transactions, timers, wire, resolve, product)
        self._dialogs: dict[tuple[str, str, str], Handler] = {}
        self._ringing: dict[str, IncomingCall] = {}
        self._seen: set[tuple[str, str, int]] = set()
        self.malformed = 0
        self.refused = 0

    @property
    def dialogs(self) -> int:
        return len(self._dialogs)

    # Registry, for calls.

    def add(self, key: tuple[str, str, str], owner: Handler) -> None:
        self._dialogs[key] = owner

    def remove(self, key: tuple[str, str, str]) -> None:
        self._dialogs.pop(key, None)

    def call(
        self, invitation: Invitation, negotiation: Negotiation, events: OutgoingEvents
    ) -> OutgoingCall:
        """A call to be placed by its `start`."""
        return OutgoingCall(self.context, self, invitation, negotiation, events)

    def receive(self, data: bytes, hop: Hop) -> None:
        """One message. Never raises for what is in it."""
        try:
            message = parse_message(data)
        except MalformedRequest as broken:
            self._refuse_malformed(broken, hop)
            if self._gate.may_answer(hop):
                answer = response_to(broken.request, broken.status, tag=self.transactions.own_tag)
                self._wire.send(hop, answer.encode())
            return
        except Malformed as broken:
            self._refuse_malformed(broken, hop)
            return
        if isinstance(message, Response):
            # A response with two Vias is somebody else's (RFC 3261 §8.1.3.3).
            if len(message.vias) == 1:
                self.transactions.receive_response(message)
        else:
            self.transactions.receive_request(message, hop)

    def unreachable(self, hop: Hop) -> None:
        self.transactions.unreachable(hop)

    def _refuse_malformed(self, broken: Malformed, hop: Hop) -> None:
        self.malformed += 1
        log.debug("%s sent what is no SIP: %s", hop, broken.reason)

    def _ack(self, ack: Request, hop: Hop) -> None:
        owner = self._owner(ack)
        if owner is not None:
            owner.acknowledged(ack)

    def _owner(self, request: Request) -> Handler | None:
        key = (request.call_id, request.to.tag or "", request.from_.tag or "")
        return self._dialogs.get(key)

    def _request(self, transaction: ServerTransaction) -> None:
        request = transaction.request
        if request.method == "CANCEL":
            self._cancel(transaction)
            return
        if request.to.tag:
            owner = self._owner(request)
            if owner is not None:
                owner.handle(transaction)
                return
        trunk = self._gate.admit(request, transaction.hop)
        if trunk is None:
            self._turn_away(transaction)
        elif request.to.tag:
            transaction.reject(481)
        elif request.max_forwards == 0 and request.method != "OPTIONS":
            transaction.reject(483)
        elif wanted := request.headers.tokens("Require") - EXTENSIONS:
            transaction.reject(420, ("Unsupported", ", ".join(sorted(wanted))))
        elif request.method == "OPTIONS":
            transaction.reject(
                200,
                ("Allow", ALLOW),
                ("Accept", "application/sdp"),
                ("Supported", SUPPORTED),
                ("Server", self.context.product),
            )
        elif request.method == "INVITE":
            self._invite(transaction, trunk)
        elif request.method in ("NOTIFY", "SUBSCRIBE", "PUBLISH"):
            # Unasked notices (message-summary, keepalive) are told that nobody listens.
            transaction.reject(489)
        elif request.method in _KNOWN:
            transaction.reject(405, ("Allow", ALLOW))
        else:
            transaction.reject(501, ("Allow", ALLOW))

    def _turn_away(self, transaction: ServerTransaction) -> None:
        self.refused += 1
        if self._gate.may_answer(transaction.hop):
            transaction.reject(403)
        else:
            self.transactions.forget_server(transaction)

    def _cancel(self, transaction: ServerTransaction) -> None:
        invite = self.transactions.invite_of(transaction.request)
        if invite is None or invite.hop.ip != transaction.hop.ip:
            transaction.reject(481)
            return
        transaction.reject(200)
        call = self._ringing.get(invite.key)
        if call is not None:
            call.cancelled(transaction.request)

    def _invite(self, transaction: ServerTransaction, trunk: T) -> None:
        request = transaction.request
        merged = (request.call_id, request.from_.tag or "", request.cseq[0])
        if merged in self._seen:
            transaction.reject(482)  # the same call by another way (RFC 3261 §8.2.2.2)
            return
        self._seen.add(merged)
        self.context.timers.call_later(GIVE_UP_S, self._seen.discard, merged)
        if request.body and request.content_type not in ("application/sdp", ""):
            transaction.reject(415, ("Accept", "application/sdp"))
            return
        transaction.respond(response_to(request, 100))
        contact = self.contact(transaction.hop, request.uri.plain_user or "chorus")
        try:
            call = IncomingCall(self.context, self, transaction, contact, self._settled)
        except Malformed:
            transaction.reject(400)
            return
        self._ringing[transaction.key] = call
        self._calls.incoming(call, trunk)

    def _settled(self, transaction: ServerTransaction) -> None:
        self._ringing.pop(transaction.key, None)

    def contact(self, hop: Hop, user: str) -> str:
        """Our address as `hop` reaches it, for a Contact."""
        host, port = self._wire.local(hop)
        uri = Uri.sip(user, host, port)
        return f"<{uri if hop.transport == 'udp' else uri.with_params(transport=hop.transport)}>"
