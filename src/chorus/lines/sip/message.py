"""SIP messages: from bytes and back (RFC 3261 §7).

Headers are kept in order, as text, under their long names; what a header says is read when
somebody asks, and the five that route every message (Via, From, To, Call-ID, CSeq) when it is
parsed. A message that lacks one of them, or has two where one is allowed, is `Malformed`; the
exception carries what could be read of a request (`request`), so that it can be answered.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from chorus.lines.sip.grammar import (
    Malformed,
    format_params,
    host_port,
    in_brackets,
    is_token,
    number,
    parse_params,
    split,
)
from chorus.lines.sip.uri import Address, Uri, parse_address, parse_addresses, parse_uri

MAX_MESSAGE_BYTES = 65_535
MAX_HEADERS = 256
MAX_SEQUENCE = 2**31 - 1  # RFC 3261 §8.1.1.5
VERSION = "SIP/2.0"

# https://www.iana.org/assignments/sip-parameters, "Header Fields", column "compact"
_COMPACT = {
    "a": "Accept-Contact", "b": "Referred-By", "c": "Content-Type", "d": "Request-Disposition",
    "e": "Content-Encoding", "f": "From", "i": "Call-ID", "j": "Reject-Contact",
    "k": "Supported", "l": "Content-Length", "m": "Contact", "n": "Identity-Info",
    "o": "Event", "r": "Refer-To", "s": "Subject", "t": "To", "u": "Allow-Events",
    "v": "Via", "x": "Session-Expires", "y": "Identity",
}  # fmt: skip
_ONCE = ("from", "to", "call-id", "cseq", "max-forwards", "content-length", "content-type")

REASONS = {
    100: "Trying", 180: "Ringing", 181: "Call Is Being Forwarded", 183: "Session Progress",
    200: "OK", 202: "Accepted", 400: "Bad Request", 401: "Unauthorized", 403: "Forbidden",
    404: "Not Found", 405: "Method Not Allowed", 406: "Not Acceptable", 408: "Request Timeout",
    415: "Unsupported Media Type", 416: "Unsupported URI Scheme", 420: "Bad Extension",
    422: "Session Interval Too Small", 423: "Interval Too Brief",
    480: "Temporarily Unavailable", 481: "Call/Transaction Does Not Exist",
    482: "Loop Detected", 483: "Too Many Hops", 486: "Busy Here", 487: "Request Terminated",
    488: "Not Acceptable Here", 489: "Bad Event", 491: "Request Pending",
    500: "Server Internal Error", 501: "Not Implemented", 503: "Service Unavailable",
    505: "Version Not Supported", 513: "Message Too Large", 600: "Busy Everywhere",
    603: "Decline", 604: "Does Not Exist Anywhere", 606: "Not Acceptable",
}  # fmt: skip


class Headers:
    """Names and values in the order of the message. Names compare without case."""

    __slots__ = ("_items",)

    def __init__(self, items: list[tuple[str, str]] | None = None) -> None:
        self._items: list[tuple[str, str, str]] = [
            (name.lower(), name, value) for name, value in items or ()
        ]

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return ((name, value) for _, name, value in self._items)

    def __len__(self) -> int:
        return len(self._items)

    def get(self, name: str) -> str | None:
        """The first, or None."""
        key = name.lower()
        return next((value for known, _, value in self._items if known == key), None)

    def all(self, name: str) -> list[str]:
        key = name.lower()
        return [value for known, _, value in self._items if known == key]

    def listed(self, name: str) -> list[str]:
        """The elements of a header that is a list, over all its lines."""
        lines = self.all(name)
        return [piece for line in lines for piece in split(line, ",") if piece]

    def tokens(self, name: str) -> set[str]:
        """The same in lower case, for option tags and methods' names. Nothing in those is quoted,
        so nothing can be wrong with it: what is no token is one that nobody knows."""
        pieces = (piece.strip() for line in self.all(name) for piece in line.split(","))
        return {piece.lower() for piece in pieces if piece}

    def add(self, name: str, value: str) -> None:
        self._items.append((name.lower(), name, value))

    def put_first(self, name: str, value: str) -> None:
        self._items.insert(0, (name.lower(), name, value))

    def set(self, name: str, value: str) -> None:
        """One line of that name, where the first was."""
        key = name.lower()
        for at, (known, _, _) in enumerate(self._items):
            if known == key:
                self._items[at] = (key, name, value)
                self._items[at + 1 :] = [i for i in self._items[at + 1 :] if i[0] != key]
                return
        self._items.append((key, name, value))

    def remove(self, name: str) -> None:
        key = name.lower()
        self._items = [item for item in self._items if item[0] != key]

    def copy(self) -> Headers:
        copied = Headers()
        copied._items = self._items.copy()
        return copied


@dataclass(frozen=True, slots=True)
class Via:
    """Where a request has been, and how its answer comes back."""

    transport: str
    host: str
    port: int | None
    params: Mapping[str, str | None]

    @property
    def branch(self) -> str:
        return self.params.get("branch") or ""

    @property
    def sent_by(self) -> str:
        return f"{self.host}:{self.port or 5060}"

    def __str__(self) -> str:
        port = "" if self.port is None else f":{self.port}"
        where = f"{in_brackets(self.host)}{port}"
        return f"{VERSION}/{self.transport.upper()} {where}{format_params(self.params)}"


def parse_via(text: str) -> Via:
    """One element of Via. Raises `Malformed`."""
    first, *params = split(text, ";")
    # "SIP / 2.0 / UDP host : port": spaces may stand anywhere.
    protocol, _, rest = first.partition("/")
    version, _, rest = rest.partition("/")
    words = rest.split(None, 1)
    if protocol.strip().upper() != "SIP" or version.strip() != "2.0" or len(words) != 2:
        raise Malformed("a Via is broken")
    if not is_token(words[0]):
        raise Malformed("a Via has no transport")
    host, port = host_port(words[1].replace(" ", ""))
    return Via(words[0].lower(), host, port, parse_params(params))


@dataclass
class Message:
    """What requests and responses share. The parsed headers are read once: whoever changes one
    of those makes another message."""

    headers: Headers = field(default_factory=Headers)
    body: bytes = b""

    @cached_property
    def vias(self) -> list[Via]:
        return [parse_via(piece) for piece in self.headers.listed("Via")]

    @property
    def via(self) -> Via:
        return self.vias[0]

    @cached_property
    def from_(self) -> Address:
        return parse_address(self.headers.get("From") or "")

    @cached_property
    def to(self) -> Address:
        return parse_address(self.headers.get("To") or "")

    @property
    def call_id(self) -> str:
        return self.headers.get("Call-ID") or ""

    @cached_property
    def cseq(self) -> tuple[int, str]:
        """Number and method."""
        words = (self.headers.get("CSeq") or "").split()
        if len(words) != 2 or not is_token(words[1]):
            raise Malformed("CSeq is broken")
        return number(words[0], MAX_SEQUENCE, "CSeq"), words[1]

    @cached_property
    def contact(self) -> Address | None:
        """The first Contact; None for none, or for `*`."""
        value = self.headers.get("Contact")
        if value is None or value.strip() == "*":
            return None
        found = parse_addresses(value)
        return found[0] if found else None

    @property
    def content_type(self) -> str:
        """In lower case, without its parameters."""
        return (self.headers.get("Content-Type") or "").split(";")[0].strip().lower()

    def carry(self, content_type: str, body: bytes) -> None:
        self.headers.set("Content-Type", content_type)
        self.body = body

    def _text(self, first: str) -> bytes:
        lines = [first]
        lines += [f"{name}: {value}" for name, value in self.headers if name != "Content-Length"]
        lines.append(f"Content-Length: {len(self.body)}")
        return "\r\n".join(lines).encode("utf-8", "surrogateescape") + b"\r\n\r\n" + self.body


@dataclass
class Request(Message):
    method: str = ""
    target: str = ""
    """The Request-URI as it was written."""

    @cached_property
    def uri(self) -> Uri:
        return parse_uri(self.target)

    @property
    def max_forwards(self) -> int:
        """70 where it is left out, which RFC 2543 allowed."""
        value = self.headers.get("Max-Forwards")
        return 70 if value is None else number(value, 255, "Max-Forwards")

    def encode(self) -> bytes:
        return self._text(f"{self.method} {self.target} {VERSION}")


@dataclass
class Response(Message):
    status: int = 0
    reason: str = ""

    def encode(self) -> bytes:
        return self._text(f"{VERSION} {self.status} {self.reason}")


class MalformedRequest(Malformed):
    """A broken request of which enough could be read to answer it."""

    def __init__(self, cause: Malformed, request: Request) -> None:
        super().__init__(cause.reason, cause.status)
        self.request = request


def parse_message(data: bytes) -> Request | Response:
    """One whole message. Raises `Malformed`, and `MalformedRequest` where an answer is due.

    Content-Length may be left out, as in a datagram; bytes beyond it are dropped.
    """
    if len(data) > MAX_MESSAGE_BYTES:
        raise Malformed("a message of more than 64 KiB", 513)
    head, blank, body = data.lstrip(b"\r\n").partition(b"\r\n\r\n")
    if not blank:
        # Some write line feeds alone; RFC 4475 has none of those, but the world has.
        head, blank, body = data.lstrip(b"\r\n").partition(b"\n\n")
        if not blank:
            raise Malformed("a message without an end of its headers")
    text = head.decode("utf-8", "surrogateescape").replace("\r\n", "\n")
    first, *lines = text.split("\n")
    message = _first_line(first)
    try:
        message.headers = _headers(lines)
        message.body = body
        _check(message)
    except Malformed as cause:
        if isinstance(message, Request) and message.method != "ACK" and _answerable(message):
            raise MalformedRequest(cause, message) from None
        raise
    return message


def _first_line(line: str) -> Request | Response:
    words = line.split(" ", 2)
    if len(words) != 3:
        raise Malformed("neither a request nor a response")
    if words[0] == VERSION:
        if not (words[1].isascii() and words[1].isdecimal() and len(words[1]) == 3):
            raise Malformed("a status that is not three digits")
        status = int(words[1])
        if not 100 <= status <= 699:
            raise Malformed("a status that is none")
        return Response(status=status, reason=words[2])
    method, target, version = words
    if not is_token(method):
        raise Malformed("a method that is none")
    return Request(method=method, target=target if version == VERSION else f"{target} {version}")


def _headers(lines: list[str]) -> Headers:
    if len(lines) > MAX_HEADERS * 4:
        raise Malformed("too many headers", 513)
    found: list[tuple[str, str]] = []
    for line in lines:
        if line[:1] in (" ", "\t"):
            # Folded: it goes on (RFC 3261 §7.3.1).
            if not found:
                raise Malformed("the first header is folded")
            found[-1] = (found[-1][0], f"{found[-1][1]} {line.strip()}".strip())
            continue
        name, colon, value = line.partition(":")
        name = name.strip()
        if not colon or not is_token(name):
            raise Malformed("a header without a name")
        found.append((_COMPACT.get(name.lower(), name), value.strip()))
    if len(found) > MAX_HEADERS:
        raise Malformed("too many headers", 513)
    return Headers(found)


def _check(message: Request | Response) -> None:
    headers = message.headers
    for name in _ONCE:
        if len(headers.all(name)) > 1:
            raise Malformed(f"{name} stands there twice")
    if not message.call_id:
        raise Malformed("there is no Call-ID")
    if not message.vias:
        raise Malformed("there is no Via")
    sequence_method = message.cseq[1]
    # Reading them is the check.
    _ = (message.from_, message.to)
    length = headers.get("Content-Length")
    if length is not None:
        size = number(length, MAX_MESSAGE_BYTES, "Content-Length")
        if size > len(message.body):
            raise Malformed("the body is shorter than Content-Length says")
        message.body = message.body[:size]
    if isinstance(message, Request):
        if " " in message.target:
            version = message.target.rsplit(" ", 1)[1]
            if version.startswith("SIP/") and is_token(version[4:]):
                raise Malformed("another version of SIP", 505)
            raise Malformed("the first line has too many words")
        if sequence_method != message.method:
            raise Malformed("CSeq names another method")
        _ = (message.uri, message.max_forwards, message.contact)


def _answerable(request: Request) -> bool:
    """Whether a response could find its way: one Via that can be read."""
    try:
        return bool(request.vias) and bool(request.call_id)
    except Malformed:
        return False


def response_to(request: Request, status: int, reason: str = "", tag: str = "") -> Response:
    """With what RFC 3261 §8.2.6 has copied. `tag` is added to To if it has none."""
    answer = Response(status=status, reason=reason or REASONS.get(status, "Unknown"))
    for line in request.headers.all("Via"):
        answer.headers.add("Via", line)
    for name in ("From", "To", "Call-ID", "CSeq"):
        value = request.headers.get(name)
        if value is None:
            continue
        if name == "To" and tag and status > 100:
            value = _tagged(value, tag)
        answer.headers.add(name, value)
    if status > 100:
        for line in request.headers.all("Record-Route"):
            answer.headers.add("Record-Route", line)
    if (stamp := request.headers.get("Timestamp")) and status == 100:
        answer.headers.add("Timestamp", stamp)
    return answer


def _tagged(to: str, tag: str) -> str:
    try:
        return to if parse_address(to).tag else f"{to};tag={tag}"
    except Malformed:
        return to
