"""SIP and tel URIs, and the addresses of From, To, Contact and Route (RFC 3261 §19.1, §20.10).

The user part is kept as it was written; `plain_user` is it without escapes. A URI of any other
scheme is refused with 416.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from urllib import parse

from chorus.lines.sip.grammar import (
    Malformed,
    Params,
    format_params,
    host_port,
    in_brackets,
    parse_params,
    quote,
    split,
    unquote,
)

_SCHEME = frozenset("abcdefghijklmnopqrstuvwxyz0123456789+-.")
_USER = "&=+$,;?/-_.!~*'()"  # what may stand in a user part without an escape


@dataclass(frozen=True, slots=True)
class Uri:
    """`sip:user:password@host:port;params?headers`; of a `tel:` URI the number is the user and
    there is no host. `host` is in lower case, an IPv6 address without brackets."""

    scheme: str
    user: str | None
    host: str
    port: int | None = None
    params: Mapping[str, str | None] = field(default_factory=dict[str, "str | None"])
    headers: str = ""
    password: str | None = None

    @classmethod
    def sip(cls, user: str | None, host: str, port: int | None = None, /, **params: str) -> Uri:
        """One of our own. `user` is plain text."""
        safe = None if user is None else parse.quote(user, safe=_USER)
        return cls("sip", safe, host.lower(), port, dict(params))

    @property
    def plain_user(self) -> str:
        """The user part without escapes and without the parameters that may stand in it."""
        return parse.unquote((self.user or "").split(";", 1)[0])

    @property
    def transport(self) -> str | None:
        value = self.params.get("transport")
        return value.lower() if value else None

    @property
    def is_loose(self) -> bool:
        return "lr" in self.params

    def with_params(self, **params: str | None) -> Uri:
        return replace(self, params={**self.params, **params})

    def __str__(self) -> str:
        if self.scheme == "tel":
            return f"tel:{self.user or ''}{format_params(self.params)}"
        user = ""
        if self.user is not None:
            secret = "" if self.password is None else f":{self.password}"
            user = f"{self.user}{secret}@"
        port = "" if self.port is None else f":{self.port}"
        headers = f"?{self.headers}" if self.headers else ""
        where = in_brackets(self.host)
        return f"{self.scheme}:{user}{where}{port}{format_params(self.params)}{headers}"


def parse_uri(text: str) -> Uri:
    """Raises `Malformed`: 400 for a broken URI, 416 for another scheme."""
    text = text.strip()
    scheme, colon, rest = text.partition(":")
    scheme = scheme.lower()
    if not colon or not set(scheme) <= _SCHEME or not scheme[:1].isalpha():
        raise Malformed("a URI has no scheme")
    if any(char.isspace() or char in '<>"' or not char.isprintable() for char in rest):
        raise Malformed("a URI has characters that none may have")
    if scheme == "tel":
        tel, *params = rest.split(";")
        if not tel:
            raise Malformed("a tel URI has no number")
        return Uri("tel", tel, "", params=parse_params(params))
    if scheme not in ("sip", "sips"):
        raise Malformed(f"URIs of the scheme {scheme[:20]} are not known", 416)
    # The last @ that stands before any header; "@" cannot stand in a host.
    rest, _, headers = _cut_headers(rest)
    user: str | None
    user, at, where = rest.rpartition("@")
    password = None
    if not at:
        user = None
    else:
        user, has_password, secret = user.partition(":")
        password = secret if has_password else None
        if not user:
            raise Malformed("a URI has an @ but no user")
    place, *params = where.split(";")
    host, port = host_port(place)
    return Uri(scheme, user, host, port, parse_params(params), headers, password)


def _cut_headers(rest: str) -> tuple[str, str, str]:
    """`?` may stand in a user part too, so headers begin at the first one after the @."""
    at = rest.rfind("@")
    before, mark, headers = rest[at + 1 :].partition("?")
    return rest[: at + 1] + before, mark, headers


@dataclass(frozen=True, slots=True)
class Address:
    """`"Alice" <sip:alice@example.com>;tag=1`."""

    uri: Uri
    display: str = ""
    params: Mapping[str, str | None] = field(default_factory=dict[str, "str | None"])

    @property
    def tag(self) -> str | None:
        return self.params.get("tag")

    def with_tag(self, tag: str) -> Address:
        return replace(self, params={**self.params, "tag": tag})

    def __str__(self) -> str:
        name = f"{quote(self.display)} " if self.display else ""
        return f"{name}<{self.uri}>{format_params(self.params)}"


def parse_address(text: str) -> Address:
    """One address; `*`, which Contact may be, is none. Raises `Malformed`."""
    text = text.strip()
    begin = _open_bracket(text)
    if begin < 0:
        # Without brackets what follows a semicolon belongs to the header, not to the URI.
        uri, *params = split(text, ";")
        return Address(parse_uri(uri), "", parse_params(params))
    end = text.find(">", begin)
    if end < 0:
        raise Malformed("an angle bracket is not closed")
    rest = text[end + 1 :].strip()
    if rest and not rest.startswith(";"):
        raise Malformed("something follows an address")
    params = parse_params(split(rest[1:], ";")) if rest else Params()
    name = text[:begin].strip()
    if name.startswith('"') and (len(name) < 2 or not name.endswith('"')):
        raise Malformed("a display name's quote is not closed")
    return Address(parse_uri(text[begin + 1 : end]), unquote(name), params)


def parse_addresses(text: str) -> list[Address]:
    """A list of them, as in Route and Contact. Raises `Malformed`."""
    return [parse_address(piece) for piece in split(text, ",") if piece]


def _open_bracket(text: str) -> int:
    """Where the first `<` outside quotes is; -1 for none."""
    quoted = escaped = False
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
            return at
    return -1
