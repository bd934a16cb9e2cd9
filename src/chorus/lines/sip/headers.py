"""Headers that carry a business's own data, both ways.

`X-Order-Id: 77` of an INVITE becomes the context variable `sip_x_order_id`, and User-to-User
(RFC 7433) `sip_user_to_user`; a variable of such a name that a call is placed with becomes the
header. What could break a message (line ends, other headers) never gets into one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from urllib.parse import unquote

from chorus.lines.sip.causes import printable
from chorus.lines.sip.grammar import unquote as unquoted
from chorus.lines.sip.message import Message

PREFIX = "sip_"
MOST = 32
MOST_CHARS = 1024
_NAME = re.compile(r"x_[a-z0-9_]{1,60}")


def variables_of(message: Message) -> dict[str, str]:
    return variables_from(message.headers)


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
        key, text = name.removeprefix(PREFIX), _clean(str(value))
        if key == "user_to_user":
            headers.append(("User-to-User", f"{text.encode().hex()};encoding=hex"))
        elif _NAME.fullmatch(key):
            headers.append(("-".join(word.capitalize() for word in key.split("_") if word), text))
        if len(headers) >= MOST:
            break
    return tuple(headers)


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
