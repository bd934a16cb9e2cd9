"""The few rules of SIP's grammar that everything else is read with (RFC 3261 §25.1).

Lists are split at commas and parameters at semicolons, but not inside quotes or angle brackets.
Everything is scanned once from left to right: what strangers send must not cost more time than
its length, which regular expressions with repeated alternatives do not promise.
"""

from __future__ import annotations

from collections.abc import Mapping

_TOKEN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.!%*_+`'~")
_HOST = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._")
# What a parameter's value may hold without quotes: tokens, and hosts such as [2001:db8::1].
_BARE = _TOKEN | frozenset("[]:/?@$&=")

Params = dict[str, str | None]
"""Parameters by lower-case name, quotes taken off; None for one without a value."""


class Malformed(ValueError):
    """A message or a part of one that breaks the grammar. `status` is what a request that does
    so is answered with, if it can be answered at all."""

    def __init__(self, reason: str, status: int = 400) -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status


def is_token(text: str) -> bool:
    return bool(text) and _TOKEN.issuperset(text)


def split(text: str, separator: str) -> list[str]:
    """`text` cut at `separator` outside quotes and angle brackets, pieces stripped. Raises
    `Malformed` for a quote or a bracket that is not closed."""
    if '"' not in text and "<" not in text:
        return [piece.strip() for piece in text.split(separator)]
    pieces: list[str] = []
    begin = 0
    quoted = escaped = angle = False
    for at, char in enumerate(text):
        if quoted:
            if escaped:
                escaped = False
            elif char == "\\":
                escaped = True
            elif char == '"':
                quoted = False
        elif char == '"':
            quoted = True
        elif char == "<":
            angle = True
        elif char == ">":
            angle = False
        elif char == separator and not angle:
            pieces.append(text[begin:at].strip())
            begin = at + 1
    if quoted or angle:
        raise Malformed("a quote or an angle bracket is not closed")
    pieces.append(text[begin:].strip())
    return pieces


def unquote(text: str) -> str:
    """A quoted string's content; anything else as it is."""
    if len(text) < 2 or text[0] != '"' or text[-1] != '"':
        return text
    inner = text[1:-1]
    if "\\" not in inner:
        return inner
    plain: list[str] = []
    escaped = False
    for char in inner:
        if escaped or char != "\\":
            plain.append(char)
            escaped = False
        else:
            escaped = True
    return "".join(plain)


def quote(text: str) -> str:
    """As a quoted string. Control characters, which no header may hold, become spaces."""
    clean = "".join(char if char.isprintable() else " " for char in text)
    return '"' + clean.replace("\\", "\\\\").replace('"', '\\"') + '"'


def parse_params(pieces: list[str]) -> Params:
    """`["tag=1", "lr"]`; the first of a name counts. Raises `Malformed` for one without a name."""
    params: Params = {}
    for piece in pieces:
        if not piece:
            continue  # ";;" and a ";" at the end are seen in the wild and harm nobody
        name, equals, value = piece.partition("=")
        name = name.strip().lower()
        if not name:
            raise Malformed("a parameter has no name")
        params.setdefault(name, unquote(value.strip()) if equals else None)
    return params


def format_params(params: Mapping[str, str | None]) -> str:
    """`;tag=1;lr`."""
    return "".join(
        f";{name}" if value is None else f";{name}={value if _is_bare(value) else quote(value)}"
        for name, value in params.items()
    )


def _is_bare(value: str) -> bool:
    return bool(value) and _BARE.issuperset(value)


def number(text: str, most: int, what: str) -> int:
    """A decimal number, at most `most`. Raises `Malformed`."""
    text = text.strip()
    # isdecimal alone would take digits of other scripts; a long text is refused unread.
    if not text.isascii() or not text.isdecimal() or len(text) > 20 or int(text) > most:
        raise Malformed(f"{what} is not a number up to {most}")
    return int(text)


def host_port(text: str) -> tuple[str, int | None]:
    """`example.com:5060` or `[2001:db8::1]`, the host in lower case and an IPv6 address without
    its brackets. Raises `Malformed`."""
    text = text.strip()
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or not host or not set(host) <= set("0123456789abcdefABCDEF:."):
            raise Malformed("an IPv6 address is not closed")
        rest = rest.strip()
        if rest and not rest.startswith(":"):
            raise Malformed("something follows an IPv6 address")
        port = rest[1:]
    else:
        host, colon, port = text.partition(":")
        rest = colon
        host = host.strip()
        if not host or not set(host) <= _HOST:
            raise Malformed("a host has characters that none may have")
    if not rest:
        return host.lower(), None
    return host.lower(), number(port, 65535, "a port")


def in_brackets(host: str) -> str:
    """A host as it is written in a URI or a Via: an IPv6 address in brackets."""
    return f"[{host}]" if ":" in host else host
