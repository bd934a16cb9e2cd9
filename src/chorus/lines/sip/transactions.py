"""Requests and their answers, repeated as long as it takes (RFC 3261 §17, RFC 6026).

`Transactions` matches what comes in: a response to the request that was sent, a request to the
one that is being answered already. A client transaction repeats its request over UDP until
somebody answers (timers A, E), gives up after 32 s (B, F), and acknowledges a refused INVITE. A
server transaction repeats a refusal until it is acknowledged (G, H) and answers a repeated
request with what it said before. A 2xx to an INVITE is the business of whoever sent it
(`incoming.py`), on UDP and TCP alike.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from chorus.lines.sip.message import (
    Request,
    Response,
    Via,
    response_to,
)
from chorus.lines.sip.wire import (
    GIVE_UP_S,
    T1_S,
    T2_S,
    T4_S,
    Hop,
    Timer,
    Timers,
    Wire,
    new_branch,
)

log = logging.getLogger(__name__)

MAX_TRANSACTIONS = 50_000
"""More at once is an attack: 50 calls a second, held 32 s each, are a few thousand."""

Answered = Callable[[Response], None]
Failed = Callable[[str], None]


class ClientTransaction:
    """One request on its way to one place. `on_response` gets each response once, but every 2xx of
    an INVITE, since each repetition is to be acknowledged; `on_failure` gets `timeout` or
    `transport` instead of a final response."""

    def __init__(
        self,
        layer: Transactions,
        request: Request,
        hop: Hop,
        on_response: Answered,
        on_failure: Failed,
        give_up_s: float,
    ) -> None:
        self.request = request
        self.hop = hop
        self.provisional = False
        self._layer = layer
        self._on_response = on_response
        self._on_failure = on_failure
        self._invite = request.method == "INVITE"
        self._final: int | None = None
        self._ack: bytes | None = None
        self._interval_s = T1_S
        self._data = request.encode()
        self._again: Timer | None = None
        self._end = layer.timers.call_later(give_up_s, self._give_up)
        self.key = (request.via.branch, request.method)
        if not hop.reliable:
            self._again = layer.timers.call_later(T1_S, self._repeat)
        layer.wire.send(hop, self._data)

    @property
    def over(self) -> bool:
        return self._final is not None

    def response(self, response: Response) -> None:
        if response.status < 200:
            if self._final is None:
                self._proceed()
                self._on_response(response)
            return
        if self._final is not None:
            self._repeated(response)
            return
        self._final = response.status
        self._stop()
        if not self._invite:
            self._linger(0 if self.hop.reliable else T4_S)
        elif response.status < 300:
            # Accepted: repetitions and the 2xx of other branches still come (RFC 6026 §7.2).
            self._linger(GIVE_UP_S)
        else:
            self._ack = ack_of_refusal(self.request, response).encode()
            self._layer.wire.send(self.hop, self._ack)
            self._linger(0 if self.hop.reliable else GIVE_UP_S)
        self._on_response(response)

    def unreachable(self) -> None:
        if self._final is None:
            self._fail("transport")

    def abandon_after(self, seconds: float) -> None:
        """Cancelled: the final response is awaited no longer than this (RFC 3261 §9.1)."""
        if self._final is None:
            self._end.cancel()
            self._end = self._layer.timers.call_later(seconds, self._give_up)

    def _repeated(self, response: Response) -> None:
        if self._ack is not None and response.status >= 300:
            self._layer.wire.send(self.hop, self._ack)
        elif self._invite and response.status < 300 and (self._final or 0) < 300:
            self._on_response(response)

    def _proceed(self) -> None:
        first, self.provisional = not self.provisional, True
        if not self._invite:
            self._interval_s = T2_S
        elif first:
            # An answer may take as long as somebody lets it ring: only the caller gives up now.
            self._stop()

    def _repeat(self) -> None:
        self._layer.wire.send(self.hop, self._data)
        doubled = self._interval_s * 2
        self._interval_s = doubled if self._invite else min(doubled, T2_S)
        self._again = self._layer.timers.call_later(self._interval_s, self._repeat)

    def _give_up(self) -> None:
        if self._final is None:
            self._fail("timeout")

    def _fail(self, why: str) -> None:
        self._final = 408 if why == "timeout" else 503
        self._stop()
        self._layer.forget_client(self)
        self._on_failure(why)

    def _stop(self) -> None:
        self._end.cancel()
        if self._again is not None:
            self._again.cancel()
            self._again = None

    def _linger(self, seconds: float) -> None:
        if seconds:
            self._end = self._layer.timers.call_later(seconds, self._layer.forget_client, self)
        else:
            self._layer.forget_client(self)


class ServerTransaction:
    """One request that is being answered. `respond` may be called with any number of provisional
    responses and one final one."""

    def __init__(self, layer: Transactions, request: Request, hop: Hop, key: str) -> None:
        self.request = request
        self.hop = hop
        self.key = key
        self.acknowledged = False
        self._layer = layer
        self._invite = request.method == "INVITE"
        self._last: bytes | None = None
        self._final: int | None = None
        self._interval_s = T1_S
        self._again: Timer | None = None
        self._end: Timer | None = None
        self._back = _way_back(request.via, hop)

    @property
    def final(self) -> int | None:
        return self._final

    def respond(self, response: Response) -> None:
        """What is said after a final response is dropped."""
        if self._final is not None:
            return
        self._last = response.encode()
        self._layer.wire.send(self._back, self._last)
        if response.status < 200:
            return
        self._final = response.status
        if not self._invite:
            self._linger(0 if self.hop.reliable else GIVE_UP_S)
        elif response.status < 300:
            self._linger(GIVE_UP_S)
        else:
            self._linger(GIVE_UP_S)
            if not self.hop.reliable:
                self._again = self._layer.timers.call_later(T1_S, self._repeat)

    def reject(self, status: int, *headers: tuple[str, str], tag: str = "") -> None:
        """A final response without a body."""
        answer = response_to(self.request, status, tag=tag or self._layer.own_tag)
        for name, value in headers:
            answer.headers.add(name, value)
        self.respond(answer)

    def send_again(self) -> None:
        """The last response once more: for a 2xx that was not acknowledged yet."""
        if self._last is not None:
            self._layer.wire.send(self._back, self._last)

    def repeated(self) -> None:
        if self._last is not None and not self.acknowledged:
            self.send_again()

    def ack(self) -> None:
        """Of a refusal."""
        if self.acknowledged or self._final is None or self._final < 300:
            return
        self.acknowledged = True
        self._stop()
        self._linger(0 if self.hop.reliable else T4_S)

    def _repeat(self) -> None:
        self.send_again()
        self._interval_s = min(self._interval_s * 2, T2_S)
        self._again = self._layer.timers.call_later(self._interval_s, self._repeat)

    def _linger(self, seconds: float) -> None:
        if self._end is not None:
            self._end.cancel()
        if seconds:
            self._end = self._layer.timers.call_later(seconds, self._finish)
        else:
            self._finish()

    def _finish(self) -> None:
        self._stop()
        self._layer.forget_server(self)

    def _stop(self) -> None:
        if self._again is not None:
            self._again.cancel()
            self._again = None


class Transactions:
    """All of one process. `on_request` gets each new request once (never a repetition, nor the ACK
    of a refusal), `on_ack` every other ACK; `own_tag` is the To tag of answers that no dialog
    comes of."""

    def __init__(
        self,
        wire: Wire,
        timers: Timers,
        on_request: Callable[[ServerTransaction], None],
        on_ack: Callable[[Request, Hop], None],
        own_tag: str,
    ) -> None:
        self.wire = wire
        self.timers = timers
        self.own_tag = own_tag
        self._on_request = on_request
        self._on_ack = on_ack
        self._clients: dict[tuple[str, str], ClientTransaction] = {}
        self._servers: dict[str, ServerTransaction] = {}

    def __len__(self) -> int:
        return len(self._clients) + len(self._servers)

    def request(
        self,
        request: Request,
        hop: Hop,
        on_response: Answered,
        on_failure: Failed,
        give_up_s: float = GIVE_UP_S,
        branch: str = "",
    ) -> ClientTransaction:
        """Send `request`, which has no Via yet, in a transaction of its own. `branch` is for a
        CANCEL, which has that of the INVITE."""
        self.add_via(request, hop, branch)
        transaction = ClientTransaction(self, request, hop, on_response, on_failure, give_up_s)
        self._clients[transaction.key] = transaction
        return transaction

    def add_via(self, request: Request, hop: Hop, branch: str = "") -> None:
        host, port = self.wire.local(hop)
        # rport asks for the answer to come where the request came from (RFC 3581).
        via = Via(hop.transport, host, port, {"branch": branch or new_branch(), "rport": None})
        request.headers.put_first("Via", str(via))
        request.__dict__.pop("vias", None)

    def send_ack(self, ack: Request, hop: Hop) -> None:
        """The ACK of a 2xx: a transaction of nobody's, sent anew for every repetition."""
        self.add_via(ack, hop)
        self.wire.send(hop, ack.encode())

    def receive_response(self, response: Response) -> bool:
        """False for one that nobody asked for."""
        key = (response.via.branch, response.cseq[1])
        transaction = self._clients.get(key)
        if transaction is None:
            return False
        transaction.response(response)
        return True

    def receive_request(self, request: Request, hop: Hop) -> None:
        _mark_source(request, hop)
        key = _server_key(request)
        known = self._servers.get(key)
        if request.method == "ACK":
            if known is not None and known.final is not None and known.final >= 300:
                known.ack()
            else:
                self._on_ack(request, hop)
            return
        if known is not None:
            known.repeated()
            return
        if len(self) >= MAX_TRANSACTIONS:
            log.warning("more than %d SIP transactions at once: one is refused", len(self))
            answer = response_to(request, 503, tag=self.own_tag)
            self.wire.send(_way_back(request.via, hop), answer.encode())
            return
        transaction = ServerTransaction(self, request, hop, key)
        self._servers[key] = transaction
        self._on_request(transaction)

    def invite_of(self, cancel: Request) -> ServerTransaction | None:
        """The INVITE that a CANCEL means (RFC 3261 §9.2)."""
        return self._servers.get(_server_key(cancel, "INVITE"))

    def unreachable(self, hop: Hop) -> None:
        """Nothing can be sent there."""
        for transaction in [t for t in self._clients.values() if t.hop == hop]:
            transaction.unreachable()

    def forget_client(self, transaction: ClientTransaction) -> None:
        self._clients.pop(transaction.key, None)

    def forget_server(self, transaction: ServerTransaction) -> None:
        self._servers.pop(transaction.key, None)


def ack_of_refusal(invite: Request, response: Response) -> Request:
    """RFC 3261 §17.1.1.3: in the INVITE's own transaction."""
    ack = Request(method="ACK", target=invite.target)
    ack.headers.add("Via", str(invite.via))
    ack.headers.add("Max-Forwards", "70")
    for line in invite.headers.all("Route"):
        ack.headers.add("Route", line)
    ack.headers.add("From", invite.headers.get("From") or "")
    ack.headers.add("To", response.headers.get("To") or "")
    ack.headers.add("Call-ID", invite.call_id)
    ack.headers.add("CSeq", f"{invite.cseq[0]} ACK")
    return ack


def cancel_of(invite: Request) -> Request:
    """RFC 3261 §9.1: the same branch, so that whoever has the INVITE finds it."""
    cancel = Request(method="CANCEL", target=invite.target)
    cancel.headers.add("Max-Forwards", "70")
    for line in invite.headers.all("Route"):
        cancel.headers.add("Route", line)
    for name in ("From", "To", "Call-ID"):
        cancel.headers.add(name, invite.headers.get(name) or "")
    cancel.headers.add("CSeq", f"{invite.cseq[0]} CANCEL")
    return cancel


def _server_key(request: Request, method: str = "") -> str:
    """RFC 3261 §17.2.3. Who has no branch of RFC 3261 is told apart by everything else."""
    via = request.via
    method = method or ("INVITE" if request.method == "ACK" else request.method)
    if via.branch.startswith("z9hG4bK"):
        return f"{via.branch} {via.sent_by} {method}"
    sequence = request.cseq[0]
    return f"{request.call_id} {request.from_.tag} {sequence} {via.sent_by} {method}"


def _mark_source(request: Request, hop: Hop) -> None:
    """RFC 3261 §18.2.1 and RFC 3581 §4: where it really came from, in the topmost Via."""
    via = request.via
    params = dict(via.params)
    if via.host != hop.ip:
        params["received"] = hop.ip
    if "rport" in params:
        params["rport"] = str(hop.port)
        params["received"] = hop.ip
    if params == dict(via.params):
        return
    marked = Via(via.transport, via.host, via.port, params)
    rest = [str(other) for other in request.vias[1:]]
    request.headers.set("Via", ", ".join([str(marked), *rest]))
    request.vias = [marked, *request.vias[1:]]


def _way_back(via: Via, hop: Hop) -> Hop:
    """Where the answer goes: back on the connection; over UDP to the port that it came from if it
    asked so (`rport`), else to the port it says. `maddr` is not followed: it would let a stranger
    aim our answers at somebody else."""
    if hop.reliable or "rport" in via.params:
        return hop
    return Hop(hop.transport, hop.ip, via.port or 5060)
