"""That every code and every reason is explained: they are looked for in the source itself, so that
a new one cannot be forgotten."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

from tests.fakes.api import Api

from chorus import errors, route
from chorus.calls import finish
from chorus.openapi import codes
from chorus.openapi.document import operations
from chorus.webhooks import redeliver

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src" / "chorus"


def _not_found(noun: str) -> str:
    return errors.not_found(noun).code


# What other programs answer that are only in this package to try Chorus with.
_NOT_OURS = {"demo"}
# Codes that are no literal where they are raised, and those that they can be.
_COMPUTED = {
    "errors.py: code": set[str](),  # of `conflict`, whose callers are looked at
    "errors.py: f'{_snake(thing)}_not_found'": set[str](),  # of `not_found`, likewise
    "lists.py: what": set[str](),  # of `one`, likewise
    "route.py: noun": set(map(_not_found, route._NOUNS.values())),
    "route.py: _INNER_NOUNS[name]": set(map(_not_found, route._INNER_NOUNS.values())),
    "webhooks/redeliver.py: nobody.reason": set(redeliver._NOBODY),
    "calls/publishable.py: f'too_many_calls_{what}'": {
        f"too_many_calls_{what}" for what in ("address", "hour", "concurrent")
    },
}
# Of `translate`, whose other codes are literal.
_TRANSLATED = {"bad_request", "rate_limited", "unavailable"}
# What the dashboard says of itself: `client.ts`.
_DASHBOARD = {"unreachable", "http_status"}


def _calls() -> Iterator[tuple[str, str, ast.Call]]:
    """Every call in the source: in which file, of what, and the call."""
    for path in sorted(SOURCE.rglob("*.py")):
        place = path.relative_to(SOURCE)
        if place.parts[0] in _NOT_OURS:
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call):
                name = getattr(node.func, "attr", None) or getattr(node.func, "id", "")
                yield place.as_posix(), name, node


def _raised() -> tuple[dict[str, set[int]], set[str]]:
    """The codes of the source with their statuses, and the places where one is no literal."""
    found: dict[str, set[int]] = {}
    computed: set[str] = set()
    for place, name, call in _calls():
        status: int | None
        match name, call.args:
            case "Error", [ast.Constant(value=int(status)), code, *_]:
                pass
            case "conflict", [code, _, *_]:
                status = 409
            case ("not_found", [code]) | ("one", [_, _, code]):
                status = 404
            case "NoTarget", [code]:
                status = 409
            case _:
                continue
        if isinstance(code, ast.Constant) and isinstance(code.value, str):
            text = _not_found(code.value) if status == 404 and name != "Error" else code.value
            found.setdefault(text, set()).add(status)
        elif name != "one":  # else an `one` of another module, which takes an id
            computed.add(f"{place}: {ast.unparse(code)}")
    return found, computed


def test_every_code_in_the_source_is_explained():
    found, computed = _raised()
    assert len(found) > 70
    assert computed - _COMPUTED.keys() - {"errors.py: error.status_code"} == set(), (
        "say here which codes these can be"
    )
    everything = found.keys() | _TRANSLATED | set().union(*_COMPUTED.values())
    assert everything - codes.errors().keys() == set(), "explain them in openapi/codes.toml"
    assert codes.errors().keys() - everything == _DASHBOARD, "nobody answers these any more"


def test_the_statuses_are_those_of_the_source():
    for code, statuses in _raised()[0].items():
        assert statuses <= set(codes.errors()[code].statuses), code


def test_every_sentence_is_one():
    for each in (*codes.errors().values(), *codes.reasons().values()):
        for text in filter(None, (each.means, each.mend)):
            assert text.endswith("."), each.name
            assert text.count("`") % 2 == 0, each.name
    assert all(each.mend for each in codes.errors().values())


def test_what_an_explanation_asks_for_is_in_the_api(sqlite_api: Api):
    known = {
        (method.upper(), re.sub(r"{[^}]*}", "{}", path))
        for path, method, _ in operations(sqlite_api.app.openapi())
    }
    named = re.compile(r"`(GET|POST|PUT|PATCH|DELETE) (/v1/[^`?]+)")
    for each in (*codes.errors().values(), *codes.reasons().values()):
        for method, path in named.findall(each.means + each.mend):
            assert (method, re.sub(r"{[^}]*}", "{}", path)) in known, each.name


def _ended_with() -> set[str]:
    """The reasons that are literal where a call is ended."""
    enders = {"hang_up", "take_leave", "end_after_reply", "_end_or_talk", "_let_go", "deliver"}
    found = {reason for _, reason in finish._UNANSWERED.values()}
    for place, name, call in _calls():
        inside = place.startswith(("talk/", "calls/", "billing/"))
        ends = name in enders or (name == "_end" and place.startswith(("talk/", "calls/recover")))
        if inside and ends:
            given = [*call.args, *(each.value for each in call.keywords if each.arg == "reason")]
            texts = [each.value for each in given if isinstance(each, ast.Constant)]
            words = [
                text for text in texts if isinstance(text, str) and re.fullmatch("[a-z_]+", text)
            ]
            found |= set(words) - {"failed", "completed"}
    return found


def test_every_reason_in_the_source_is_explained():
    found = _ended_with()
    assert {"worker_lost", "screened_out", "not_accepted", "silence", "busy", "fax"} <= found
    assert found - codes.reasons().keys() == set(), "explain them in openapi/reasons.toml"


def test_the_guide_and_the_dashboard_have_every_reason():
    guide = (ROOT / "docs" / "concepts" / "calls.md").read_text("utf-8")
    words = (ROOT / "dashboard" / "src" / "words" / "en-calls.ts").read_text("utf-8")
    for reason in codes.reasons():
        assert f"`{reason}`" in guide
        assert f'"reason.{reason}"' in words


class _Read(HTMLParser):
    """The ids of a page, and the anchors that it links to."""

    def __init__(self) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.anchors: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if "id" in given:
            self.ids.append(given["id"])
        if given.get("href", "").startswith("#"):
            self.anchors.append(given["href"][1:])


async def test_the_page_has_a_place_for_each(sqlite_api: Api):
    answer = await sqlite_api.client_with(None).get("/docs/errors")
    assert answer.status_code == 200
    read = _Read()
    read.feed(answer.text)
    assert len(read.ids) == len(set(read.ids))
    wanted = codes.errors().keys() | {codes.REASON + name for name in codes.reasons()}
    assert wanted <= set(read.ids)
    assert set(read.anchors) <= set(read.ids)


async def test_what_an_error_says_is_found_on_the_page(sqlite_api: Api):
    refused = await sqlite_api.post("/v1/agents", json={"name": ""})
    assert refused.status_code == 400
    page = (await sqlite_api.get("/docs/errors")).text
    assert f'<section id="{refused.json()["code"]}"' in page
