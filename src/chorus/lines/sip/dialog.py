"""A dialog: what both sides agree on so that requests find each other (RFC 3261 §12).

`from_request` is the side that was called, `from_response` the side that calls. A request within
the dialog is built by `request`; `first_hop` is the URI that it is sent to.
"""

from __future__ import annotations

import ipaddress

from chorus.lines.sip.grammar import Malformed
from chorus.lines.sip.message import Message, Request, Response
from chorus.lines.sip.uri import Address, Uri, parse_addresses
from chorus.lines.sip.wire import Hop


class Dialog:
    """`local` and `remote` are From and To as we write them, tags included."""

    def __init__(
        self,
        call_id: str,
        local: Address,
        remote: Address,
        local_seq: int,
        remote_seq: int | None,
        routes: list[Address],
        target: Uri,
        contact: str,
    ) -> None:
        self.call_id = call_id
        self.local = local
        self.remote = remote
        self.local_seq = local_seq
        self.remote_seq = remote_seq
        self.routes = routes
        self.target = target
        self.contact = contact
        """Ours, as it is written in the header."""
        self.source: Hop | None = None
        """Where the other side's last message came from."""

    @classmethod
    def from_response(cls, invite: Request, response: Response, contact: str) -> Dialog:
        """Raises `Malformed` without a To tag or a Contact that can be read."""
        if not response.to.tag:
            raise Malformed("a response without a tag makes no dialog")
        where = response.contact
        return cls(
            invite.call_id,
            invite.from_,
            response.to,
            invite.cseq[0],
            None,
            list(reversed(_routes(response))),
            where.uri if where else invite.uri,
            contact,
        )

    @classmethod
    def from_request(cls, invite: Request, local_tag: str, contact: str) -> Dialog:
        """Raises `Malformed` without a Contact (RFC 3261 §12.1.1)."""
        if invite.contact is None:
            raise Malformed("an INVITE without a Contact")
        return cls(
            invite.call_id,
            invite.to.with_tag(local_tag),
            invite.from_,
            0,
            invite.cseq[0],
            _routes(invite),
            invite.contact.uri,
            contact,
        )

    @property
    def local_tag(self) -> str:
        return self.local.tag or ""

    @property
    def remote_tag(self) -> str:
        return self.remote.tag or ""

    @property
    def key(self) -> tuple[str, str, str]:
        return self.call_id, self.local_tag, self.remote_tag

    @property
    def first_hop(self) -> Uri:
        return self.routes[0].uri if self.routes else self.target

    @property
    def nat_hop(self) -> Hop | None:
        """The address that the other side's messages come from, where the one that it gives is
        a private one which cannot be reached from outside. None where its word can be taken."""
        if self.routes or self.source is None:
            return None
        if self.source.connection:
            return self.source
        return self.source if is_hidden(self.target.host, self.source.ip) else None

    def request(self, method: str, sequence: int | None = None) -> Request:
        """A request without Via, Content-Length and body. ACK and CANCEL have the number of what
        they belong to; every other one gets the next."""
        if sequence is None:
            self.local_seq += 1
            sequence = self.local_seq
        routes = list(self.routes)
        target = self.target
        if routes and not routes[0].uri.is_loose:
            # A strict router of RFC 2543 (RFC 3261 §12.2.1.1).
            routes = [*routes[1:], Address(target)]
            target = self.routes[0].uri
        request = Request(method=method, target=str(target))
        add = request.headers.add
        add("Max-Forwards", "70")
        for route in routes:
            add("Route", str(route))
        add("From", str(self.local))
        add("To", str(self.remote))
        add("Call-ID", self.call_id)
        add("CSeq", f"{sequence} {method}")
        if method != "ACK":
            add("Contact", self.contact)
        return request

    def takes(self, request: Request) -> bool:
        """Whether a request comes in order (RFC 3261 §12.2.2); remembers its number if so."""
        sequence = request.cseq[0]
        if self.remote_seq is not None and sequence < self.remote_seq:
            return False
        self.remote_seq = sequence
        return True

    def refresh_target(self, message: Message) -> None:
        """An INVITE or UPDATE and their 2xx may say that the other side has moved. One that says
        it in a way that cannot be read has not."""
        try:
            contact = message.contact
        except Malformed:
            return
        if contact is not None:
            self.target = contact.uri


def _routes(message: Message) -> list[Address]:
    return [
        route for line in message.headers.all("Record-Route") for route in parse_addresses(line)
    ]


def is_hidden(host: str, seen_from: str) -> bool:
    """Whether `host` is an address that cannot be reached from where `seen_from` can: private or
    unspecified, while the messages came from another network."""
    try:
        said, seen = ipaddress.ip_address(host), ipaddress.ip_address(seen_from)
    except ValueError:
        return False
    if said == seen:
        return False
    return said.is_unspecified or (said.is_private and not seen.is_private)
