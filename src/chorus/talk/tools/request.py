"""From a tool and the model's values to one HTTP request.

What fills a URL is data from a caller's mouth by way of a model. It can fill a place and do
nothing else: it cannot add a path segment, leave one out, climb with `..`, begin a query, or
name another host.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast
from urllib.parse import quote, unquote, urlencode, urlsplit

from chorus.talk.spec import HttpTool
from chorus.talk.tools.arguments import ArgumentsWrong, placeholders
from chorus.talk.tools.template import PLACE, fill, is_field, is_name, json_text

_START = re.compile(r"https?://[^/?#]*", re.IGNORECASE)
_LABEL = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]+")
_FORM = "application/x-www-form-urlencoded"


class ToolWrong(Exception):
    """The tool's own definition makes no request. The text is a sentence."""


@dataclass(frozen=True, slots=True)
class ToolRequest:
    method: str
    url: str
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    content: bytes | None


def request_of(
    tool: HttpTool, values: Mapping[str, Any], variables: Mapping[str, Any]
) -> ToolRequest:
    """`values` by field, as `read_arguments` gives them. Fields that fill the URL are sent there
    alone; the others as JSON (as a form, if the tool's Content-Type says so), or for GET and
    DELETE in the query. Raises `ArgumentsWrong` and `ToolWrong`."""
    url = _url(tool.url, values, variables)
    rest = {name: value for name, value in values.items() if name not in placeholders(tool.url)}
    headers = [
        (name, fill(value, variables, lambda v: _CONTROL.sub(" ", v)).text)
        for name, value in tool.headers
    ]
    given = {name.lower(): value for name, value in headers}
    content = None
    if tool.method in ("GET", "DELETE"):
        url = _with_query(url, rest)
    elif given.get("content-type", "").lower().startswith(_FORM):
        content = urlencode(_pairs(rest)).encode()
    else:
        content = json.dumps(rest, ensure_ascii=False).encode("utf-8", "replace")
        if "content-type" not in given:
            headers.append(("Content-Type", "application/json"))
    if "accept" not in given:
        headers.append(("Accept", "application/json, text/plain;q=0.9, */*;q=0.5"))
    return ToolRequest(tool.method, url, tuple(headers), content)


def _url(template: str, values: Mapping[str, Any], variables: Mapping[str, Any]) -> str:
    start = _START.match(template)
    if start is None:
        raise ToolWrong("The tool's URL must begin with http:// or https://.")
    path_begins = start.end()
    query_begins = min(
        (at for at in (template.find(c, path_begins) for c in "?#") if at >= 0),
        default=len(template),
    )

    named = {unicodedata.normalize("NFC", name): value for name, value in variables.items()}

    def put(match: re.Match[str]) -> str:
        variable, argument = match.groups()
        name: str = variable or argument
        if not (is_name(name) if variable else is_field(name)):
            if variable and name.strip():
                raise ToolWrong(f"'{name}' is no name of a variable.")
            return match.group()
        found = named.get(unicodedata.normalize("NFC", name)) if variable else values.get(name)
        text = "" if found is None else found if isinstance(found, str) else json_text(found)
        wrong = ToolWrong if variable else ArgumentsWrong
        what = f"The variable '{name}'" if variable else f"The field '{name}'"
        if match.start() < path_begins:
            if argument:
                raise ToolWrong(f"The field '{name}' may not be part of the URL's host.")
            if not _LABEL.fullmatch(text):
                raise ToolWrong(f"{what} is no part of a host name.")
            return text
        if match.start() < query_begins:
            if not text.strip():
                raise wrong(f"{what} is empty, but the URL needs it.")
            if _climbs(text) or _CONTROL.search(text):
                raise wrong(f"{what} may not be {text[:40]!r}: it is part of a path.")
        return quote(text.encode("utf-8", "replace"), safe="")

    filled = PLACE.sub(put, template)
    if _climbs(urlsplit(filled).path) and not _climbs(urlsplit(template).path):
        raise ArgumentsWrong("The fields together would climb in the URL's path.")
    return filled


def _climbs(path: str) -> bool:
    """Servers differ in how often they decode; `%2e%2e%2f` is treated as what it may become."""
    for _ in range(3):
        path = unquote(path)
    return any(segment in (".", "..") for segment in re.split(r"[/\\]", path))


def _with_query(url: str, values: Mapping[str, Any]) -> str:
    if not values:
        return url
    url = url.partition("#")[0]
    joint = "" if url.endswith(("?", "&")) else "&" if "?" in url else "?"
    return url + joint + urlencode(_pairs(values), quote_via=quote)


def _pairs(values: Mapping[str, Any]) -> list[tuple[str, bytes]]:
    """A list is its key several times, as most servers read it; an object is JSON."""
    pairs: list[tuple[str, bytes]] = []
    for name, value in values.items():
        each: object
        for each in cast(list[object], value) if isinstance(value, list) else [value]:
            text = each if isinstance(each, str) else json_text(each)
            pairs.append((name, text.encode("utf-8", "replace")))
    return pairs
