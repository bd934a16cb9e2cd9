"""What of a tool is secret: shown as a mask, and kept where the mask is sent back.

The value of every header is, unless it says otherwise, and every value in the URL's query that is
not a parameter. A mask stands for what is stored only as long as the tool asks the same server: who
may change a tool but not see its secrets must not have them sent elsewhere.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from typing import Any
from urllib.parse import unquote_plus, urlsplit

from chorus import errors

MASK = "********"
_SHORTEST = 4
_LONG = 8


def masked_headers(stored: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those of before there was `secret` are."""
    found: list[dict[str, Any]] = []
    for header in stored:
        secret: bool = header.get("secret", True)
        value = MASK if secret else header["value"]
        found.append({"key": header["key"], "value": value, "secret": secret})
    return found


def masked_url(url: str) -> str:
    def shown(_: str, value: str) -> str:
        return value if "{" in value else MASK

    return _with_values(url, shown)


def secrets_of(
    url: str, headers: Sequence[tuple[str, str]], hidden: Collection[str]
) -> tuple[str, ...]:
    """What may not be shown, longest first: values of `hidden` headers (names in small letters) and
    of the URL's query, and the words they are of, since a server may send back the token without
    its "Bearer". What is shorter than four characters is no secret, and would mask anything."""
    values = [value for name, value in headers if name.lower() in hidden]
    for _, value in _query(url):
        if "{" not in value:
            values += [value, unquote_plus(value)]
    words = [word for value in values for word in value.split() if len(word) >= _LONG]
    found = {value for value in [*values, *words] if len(value) >= _SHORTEST}
    return tuple(sorted(found, key=len, reverse=True))


def is_same_server(one: str, other: str) -> bool:
    def server(url: str) -> tuple[str, str | None, int | None]:
        parts = urlsplit(url)
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
        return parts.scheme, parts.hostname, port

    return server(one) == server(other)


def unmasked_url(sent: str, stored: str) -> str:
    """`sent`, with the stored values in the place of masks. Raises `Error` 400."""
    values = _by_name(_query(stored))

    def value_of(name: str, value: str) -> str:
        if value != MASK:
            return value
        if not values[name] or not is_same_server(sent, stored):
            raise errors.invalid_field(
                "config.url", f"URL has a masked value for {name!r}, and no value is stored for it"
            )
        return values[name].pop(0)

    return _with_values(sent, value_of)


def unmasked_headers(
    sent: Sequence[dict[str, Any]], stored: Sequence[dict[str, Any]]
) -> list[dict[str, Any]]:
    """`sent`, with the stored values in the place of masks. Headers of one name are told apart by
    their order. Raises `Error` 400."""
    values = _by_name([(header["key"].lower(), header["value"]) for header in stored])
    found: list[dict[str, Any]] = []
    for place, header in enumerate(sent):
        of_this_name = values[header["key"].lower()]
        kept = of_this_name.pop(0) if of_this_name else None
        value = header["value"]
        if value == MASK:
            if kept is None:
                raise errors.invalid_field(
                    f"config.headers.{place}.value", "Value is masked, and no value is stored"
                )
            value = kept
        found.append({**header, "value": value})
    return found


def _by_name(pairs: Sequence[tuple[str, str]]) -> defaultdict[str, list[str]]:
    values: defaultdict[str, list[str]] = defaultdict(list)
    for name, value in pairs:
        values[name].append(value)
    return values


def _query(url: str) -> list[tuple[str, str]]:
    _, _, query = url.partition("#")[0].partition("?")
    return [(part.partition("=")[0], part.partition("=")[2]) for part in query.split("&") if part]


def _with_values(url: str, value_of: Callable[[str, str], str]) -> str:
    """As it is written but for the values of its query: no other byte may change."""
    start, mark, fragment = url.partition("#")
    path, question, query = start.partition("?")
    parts: list[str] = []
    for part in query.split("&"):
        name, equals, value = part.partition("=")
        parts.append(f"{name}{equals}{value_of(name, value) if value else value}")
    return f"{path}{question}{'&'.join(parts)}{mark}{fragment}"
