"""Whatever is wrong with a request: 400, the field is named, and nothing is stored.

The bodies are made from the application's own schemas (`bad_input.py`), for all routes that take
one: a route or a field that is added is covered without a change here.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import NoneType
from typing import Any, cast, get_args

import httpx
import pytest
import sqlalchemy as sa
from fastapi.routing import APIRoute
from pydantic import BaseModel
from tests.accounts.people import browser, filled, member, prepared, routes
from tests.api import bad_input
from tests.conftest import settings_for
from tests.fakes.api import Api, running

from chorus.accounts import permissions, sessions
from chorus.db import Base
from chorus.route import UnauthenticatedRoute

_JSON = {"content-type": "application/json"}
_BY_ITSELF = ("beat", "last_seen_at", "last_used_at")
_SMALL = 300_000  # bytes of a body at most, in one test


def model_of(route: APIRoute) -> type[BaseModel] | None:
    if route.body_field is None:
        return None
    found = route.body_field.field_info.annotation
    [model] = [cast("type", kind) for kind in get_args(found) or (found,) if kind is not NoneType]
    assert issubclass(model, BaseModel)
    return model


def may_be_absent(route: APIRoute) -> bool:
    return route.body_field is not None and not route.body_field.field_info.is_required()


def writing(api: Api) -> Iterator[tuple[str, str, type[BaseModel], APIRoute]]:
    """Every route that takes a body: method, a path with an id in it, the body's model."""
    for method, path, route in routes(api):
        model = model_of(route)
        if model is not None:
            yield method, filled(path, uuid.uuid4()), model, route


async def stored(api: Api) -> dict[str, Sequence[Any]]:
    """All rows of all tables, but for what the process writes by itself while time passes."""
    async with api.process.database.reading() as session:
        return {
            table.name: (
                await session.execute(sa.select(*(c for c in table.c if c.name not in _BY_ITSELF)))
            ).all()
            for table in Base.metadata.sorted_tables
        }


async def people(api: Api) -> dict[bool, httpx.AsyncClient]:
    """Who may use a route: with the key, or where only members may, logged in."""
    prepared(api)
    owner = await member(api.process, await api.organization_id(), "owner")
    return {True: api.client, False: await browser(api, owner)}


def keys_may(method: str, route: APIRoute) -> bool:
    rule = permissions.find(method, route.path)
    assert rule is not None
    return rule.keys or rule.open


@pytest.mark.timeout(300)  # thousands of requests
async def test_every_field_of_every_route(sqlite_api: Api, monkeypatch: pytest.MonkeyPatch):
    # More requests of one member than in a minute are let through.
    monkeypatch.setattr(sessions, "LIMIT_PER_MINUTE", 100_000)
    api = sqlite_api
    clients = await people(api)
    before = await stored(api)
    wrong: list[str] = []
    tried: Counter[str] = Counter()
    for method, path, model, route in writing(api):
        client = clients[keys_may(method, route)]
        for case in bad_input.cases(model):
            most = api.process.settings.max_request_bytes
            if isinstance(route, UnauthenticatedRoute):
                most = UnauthenticatedRoute.most_bytes
            if len(case.body) > most:
                continue  # refused for its size, before it is read
            answer = await client.request(method, path, content=case.body, headers=_JSON)
            tried[route.path] += 1
            named = [detail["field"] for detail in answer.json().get("details", [])]
            if answer.status_code != 400 or case.field not in named:
                said = f"{answer.status_code} {answer.json().get('code')} {named}"
                wrong.append(f"{method} {route.path} {case}: {said}")
    assert not wrong, "\n".join(wrong)
    assert await stored(api) == before
    assert len(tried) >= 10
    assert sum(tried.values()) > 5000


async def test_every_field_is_walked(sqlite_api: Api):
    for _, _, model, route in writing(sqlite_api):
        found = {case.field.partition(".")[0] for case in bad_input.cases(model)}
        assert found >= set(bad_input.fields(model)), route.path


NO_OBJECTS = [
    (b"{}", {"content-type": "text/plain"}, "unsupported_content_type"),
    (b"a=b", {"content-type": "application/x-www-form-urlencoded"}, "unsupported_content_type"),
    (b"{}", {}, "unsupported_content_type"),
    (b"", _JSON, "validation_failed"),
    (b"[]", _JSON, "validation_failed"),
    (b"null", _JSON, "validation_failed"),
    (b'"text"', _JSON, "validation_failed"),
    (b"5", _JSON, "validation_failed"),
    (b"NaN", _JSON, "invalid_json"),
    (b"{", _JSON, "invalid_json"),
    (b"{} {}", _JSON, "invalid_json"),
    (b"{'a': 1}", _JSON, "invalid_json"),
    (b'{"a": 1,}', _JSON, "invalid_json"),
    (b"\xef\xbb\xbf{}", _JSON, "invalid_json"),
    (b"\xff\xfe{\x00}\x00", _JSON, "invalid_json"),
    (b"[" * 10_000, _JSON, "invalid_json"),
]


async def test_what_is_no_object_of_json(sqlite_api: Api):
    clients = await people(sqlite_api)
    before = await stored(sqlite_api)
    for method, path, _, route in writing(sqlite_api):
        client = clients[keys_may(method, route)]
        for body, headers, code in NO_OBJECTS:
            if may_be_absent(route) and body in (b"", b"null"):
                continue
            answer = await client.request(method, path, content=body, headers=headers)
            told = answer.json()
            case = f"{method} {route.path} {body[:20]!r}: {answer.text}"
            assert (answer.status_code, told["code"]) == (400, code), case
            wrong = "Content-Type" if code == "unsupported_content_type" else "body"
            assert [detail["field"] for detail in told["details"]] == [wrong], case
    assert await stored(sqlite_api) == before


async def test_a_body_that_is_too_large(tmp_path: Path):
    async with running(settings_for(tmp_path, max_request_bytes=_SMALL)) as api:
        clients = await people(api)
        for method, path, _, route in writing(api):
            client = clients[keys_may(method, route)]
            body = b'{"name": "' + b"x" * _SMALL + b'"}'
            answer = await client.request(method, path, content=body, headers=_JSON)
            assert (answer.status_code, answer.json()["code"]) == (413, "request_too_large")


async def test_a_made_up_name_is_not_given_back_at_any_length(sqlite_api: Api):
    answer = await sqlite_api.post("/v1/agents", json={"name": "a", "k" * 100_000: 1})
    assert answer.status_code == 400
    assert [d["field"] for d in answer.json()["details"]] == ["k" * 100]
    assert len(answer.content) < 1000


async def test_who_is_not_known_yet_is_read_little_of(sqlite_api: Api):
    body = b'{"email": "' + b"x" * 20_000 + b'"}'
    stranger = sqlite_api.client_with(None)
    for path in ("/v1/sessions", "/v1/invitations", "/v1/owners"):
        answer = await stranger.post(path, content=body, headers=_JSON)
        assert (answer.status_code, answer.json()["code"]) == (413, "request_too_large")


@pytest.mark.parametrize(("field", "most"), [("contextVariables", 65_536), ("metadata", 16_384)])
async def test_what_a_call_takes_along_has_a_size(sqlite_api: Api, field: str, most: int):
    value = "é" * ((most - len('{"a":""}')) // 2)
    for more, status in (("", 404), ("x", 400)):
        wish = {
            "agentId": str(uuid.uuid4()),
            "phoneNumberId": str(uuid.uuid4()),
            "to": "+14155550100",
            field: {"a": value + more},
        }
        answer = await sqlite_api.post("/v1/calls", json=wish)
        assert answer.status_code == status, answer.text
        if status == 400:
            assert [d["field"] for d in answer.json()["details"]] == [field]


NAMES = [
    "😀",
    "\U0010ffff",
    "𝒜𝓁𝒾𝒸ℯ",
    "👩‍👩‍👧‍👦 und Familie",
    "e\u0301",  # not to be made one character
    "שלום",
    "\u202eright to left",
    "a" * 254 + "😀",
]


async def test_all_of_unicode_comes_back_as_it_was(api: Api):
    for name in NAMES:
        made = await api.made("/v1/agents", {"name": name, "systemPrompt": f"{name}\r\n\t{name}"})
        shown = (await api.get(f"/v1/agents/{made['id']}")).json()["data"]
        assert shown == made
        assert (shown["name"], shown["systemPrompt"]) == (name, f"{name}\r\n\t{name}")
        found = (await api.get("/v1/agents", params={"search": name})).json()["data"]
        assert [agent["id"] for agent in found] == [made["id"]]  # none is in an earlier one


async def test_metadata_comes_back_as_it_was(api: Api):
    metadata: dict[str, Any] = {
        "😀": ["𝒜", None, True, {"": ""}],
        "large": 2**63 - 1,
        "small": -(2**63),
        "tiny": 5e-324,
        "big": 1.7976931348623157e308,
        "zero": 0,
        "lines": "a\n\tb\r\n",
        "deep": {"a": {"a": {"a": [[[[]]]]}}},
    }
    number = {
        "number": "+14155551234",
        "twilioAccountSid": "AC",
        "twilioAuthToken": "t",
        "metadata": metadata,
    }
    made: dict[str, Any] = await api.made("/v1/phone-numbers", number)
    assert made["metadata"] == metadata
    shown = (await api.get(f"/v1/phone-numbers/{made['id']}")).json()["data"]
    assert shown["metadata"] == metadata


async def test_minus_nothing_is_nothing(api: Api):
    for zero in ("-0", "-0.0", "0e400", "-0e-999"):
        body = f'{{"name": "a", "voiceStability": {zero}}}'.encode()
        answer = await api.post("/v1/agents", content=body, headers=_JSON)
        assert answer.status_code == 201, answer.text
        assert answer.json()["data"]["voiceStability"] == 0


async def test_lists(api: Api):
    clients = await people(api)
    lists = 0
    for method, path, route in routes(api):
        parameters = {p.alias for p in route.dependant.query_params} | {
            name
            for parameter in route.dependant.query_params
            if isinstance(kind := parameter.field_info.annotation, type)
            and issubclass(kind, BaseModel)
            for name in (kind.model_json_schema(by_alias=True)["properties"])
        }
        if method != "GET" or "offset" not in parameters or "{" in path:
            continue
        lists += 1
        client = clients[keys_may(method, route)]
        whole = (await client.get(path)).json()["pagination"]
        for offset in (10_000, 2**53 - 1):
            answer = await client.get(path, params={"offset": offset, "limit": 100})
            assert answer.status_code == 200, (path, answer.text)
            assert answer.json()["data"] == []
            assert answer.json()["pagination"] == {**whole, "limit": 100, "offset": offset}
        for query, field in (
            ("limit=0", "limit"),
            ("limit=101", "limit"),
            ("limit=1.5", "limit"),
            ("limit=", "limit"),
            ("offset=-1", "offset"),
            (f"offset={2**53}", "offset"),
            (f"offset={2**70}", "offset"),
            ("noSuchParameter=1", "noSuchParameter"),
        ):
            answer = await client.get(f"{path}?{query}")
            assert answer.status_code == 400, (path, query)
            assert [d["field"] for d in answer.json()["details"]] == [field]
        for name in sorted(parameters - {"limit", "offset"}):
            for value in ("%00", "%F0%9F%98%80", "%ff", "x" * 2000, "%ED%A0%80", "0001-01-01", ""):
                answer = await client.get(f"{path}?{name}={value}")
                assert answer.status_code in (200, 400), (path, name, value, answer.text)
    assert lists >= 8


NO_IDS = ["x", "%00", "%F0%9F%98%80", "1" * 3000, "00000000-0000-0000"]


async def test_an_id_in_a_path_that_is_none(api: Api):
    clients = await people(api)
    for method, path, route in routes(api):
        if "{" not in path:
            continue
        client = clients[keys_may(method, route)]
        key = {"Idempotency-Key": "k"} if method == "POST" else {}
        for id in NO_IDS:
            answer = await client.request(method, filled(path, id), headers=key)
            assert answer.status_code in (400, 404), (method, path, answer.text)
