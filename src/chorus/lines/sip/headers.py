"""Headers that carry a business's own data, both ways.

`X-Order-Id: 77` of an INVITE becomes the context variable `sip_x_order_id`, and User-to-User
(RFC 7433) `sip_user_to_user`; who was called before the call was forwarded to us (Diversion,
RFC 5806, else History-Info, RFC 7044) is `sip_diversion`. A variable of a header's name that a call
is placed with becomes the header. What could break a message (line ends, other headers) never gets
into one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from urllib.parse import unquote

from chorus.lines.sip.causes import printable
from chorus.lines.sip.grammar import Malformed
from chorus.lines.sip.grammar import unquote as unquoted
from chorus.lines.sip.message import Message
from chorus.lines.sip.uri import parse_addresses

PREFIX = "sip_"
MOST = 32
MOST_CHARS = 1024
_NAME = re.compile(r"x_[a-z0-9_]{1,60}")


def variables_of(message: Message) -> dict[str, str]:
    """Of an INVITE: those of its headers, and `sip_diversion`."""
    found = variables_from(message.headers)
    if diverted := _diverted(message):
        found.setdefault(f"{PREFIX}diversion", diverted)
    return found


def variables_from(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    """`{"sip_x_order_id": "77"}`; a value that was repeated is told once."""
    found: dict[str, str] = {}
    for name, value in headers:
        lower = name.lower()
        if lower == "user-to-user":
            found.setdefault(f"{PREFIX}user_to_user", _user_to_user(value))
        elif lower.startswith("x-"):
            key = lower.replace("-", "_").replace(".", "_")
            if _NAME.fullmatch(key):
                found.setdefault(PREFIX + key, printable(unquoted(value))[:MOST_CHARS])
        if len(found) >= MOST:
            break
    return found


def headers_of(variables: Mapping[str, object]) -> tuple[tuple[str, str], ...]:
    """The headers of an INVITE of ours, from the variables that are named like ours."""
    headers: list[tuple[str, str]] = []
    for name, value in variables.items():
        if not name.startswith(PREFIX) or not isinstance(value, str | int | float):
            continue
        key = name.removeprefix(PREFIX)
        if key == "user_to_user":
            headers.append(("User-to-User", _written("user-to-user", str(value))))
        elif _NAME.fullmatch(key):
            header = "-".join(word.capitalize() for word in key.split("_") if word)
            headers.append((header, _clean(str(value))))
        if len(headers) >= MOST:
            break
    return tuple(headers)


def _diverted(message: Message) -> str:
    """The number that was called at first; empty for a call that nobody forwarded. Diversion has
    the last one on top (RFC 5806 §4), History-Info goes on at its end and begins with whom the
    first request was for, which is a diversion only if there are more."""
    diversion = _users(message, "Diversion")
    if diversion:
        return diversion[-1]
    history = _users(message, "History-Info")
    return history[0] if len(history) > 1 and history[0] != history[-1] else ""


def _users(message: Message, name: str) -> list[str]:
    users: list[str] = []
    for line in message.headers.all(name)[:8]:
        try:
            users += [address.uri.plain_user for address in parse_addresses(line)[:8]]
        except Malformed:
            continue
    return [printable(user)[:MOST_CHARS] for user in users if user]


def headers_for(
    variables: Mapping[str, object], more: Iterable[tuple[str, str]]
) -> tuple[tuple[str, str], ...]:
    """As `headers_of`, and `more`, names and texts, each instead of a variable's of its name."""
    written = [(name, _written(name, text)) for name, text in more]
    names = {name.lower() for name, _ in written}
    own = (header for header in headers_of(variables) if header[0].lower() not in names)
    return (*own, *written)


def _written(name: str, text: str) -> str:
    text = _clean(text)
    if name.lower() == "user-to-user":
        return f"{text.encode().hex()};encoding=hex"
    return text


def _user_to_user(value: str) -> str:
    """Decoded where it says how."""
    data, _, parameters = value.partition(";")
    data = unquoted(data.strip())
    if "encoding=hex" in parameters.replace(" ", "").lower():
        try:
            data = bytes.fromhex(data).decode("utf-8", "replace")
        except ValueError:
            pass  # it says hex and is none: as it is
    elif "%" in data:
        data = unquote(data)
    return printable(data)[:MOST_CHARS]


def _clean(text: str) -> str:
    return "".join(char if char.isprintable() else " " for char in text)[:MOST_CHARS].strip()
