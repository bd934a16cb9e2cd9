"""Who may do what: the table is whole, and every route keeps to it."""

from __future__ import annotations

import re
import uuid
from pathlib import Path

import httpx
import pytest
from tests.accounts.people import browser, filled, member, prepared, routes, stranger
from tests.fakes.api import Api

from chorus.accounts import permissions
from chorus.accounts.permissions import TABLE
from chorus.accounts.principal import FULL, ROLES, SCOPES, reaches
from chorus.route import Route

DOCS = Path(__file__).parents[2] / "docs" / "accounts.md"


async def test_every_route_is_in_the_table(sqlite_api: Api):
    found = list(routes(sqlite_api))
    assert len(found) > 50
    absent = [
        f"{method} {path}"
        for method, path, route in found
        if permissions.find(method, route.path) is None
    ]
    assert absent == [], "add these to accounts/permissions.py"
    assert [path for _, path, route in found if not isinstance(route, Route)] == []


async def test_every_row_of_the_table_is_of_a_route(sqlite_api: Api):
    rules = [permissions.find(method, route.path) for method, _, route in routes(sqlite_api)]
    assert [name for name, rule in TABLE.items() if not any(rule is one for one in rules)] == []


def allowed(client_role: str, method: str, rule: permissions.Rule) -> bool:
    if rule.open:
        return True
    least = rule.look if method == "GET" else rule.change
    if least is None:
        return False
    if client_role.startswith("key"):
        if not rule.keys or (client_role == "key read" and method != "GET"):
            return False
        if method != "GET" and rule in (TABLE["api-keys"], TABLE["members"]):
            return client_role == "key full"
        stands_for = "viewer" if client_role == "key read" else "admin"
        return ROLES.index(stands_for) >= ROLES.index(least)
    return ROLES.index(client_role) >= ROLES.index(least)  # type: ignore[arg-type]  # a role


@pytest.mark.parametrize("who", [*ROLES, "key read", "key write", "key full", "nobody"])
async def test_every_role_on_every_route(sqlite_api: Api, who: str):
    prepared(sqlite_api)
    organization_id = await sqlite_api.organization_id()
    person = await member(sqlite_api.process, organization_id, who) if who in ROLES else None
    client: httpx.AsyncClient | None = None
    for method, path, route in routes(sqlite_api):
        rule = permissions.find(method, route.path)
        assert rule is not None
        if person is not None:
            # Another session each time, because some of these end it.
            client = await browser(sqlite_api, person)
        elif who == "nobody":
            client = stranger(sqlite_api)
        elif client is None:
            scopes = {"key read": ("read",), "key write": SCOPES, "key full": FULL}[who]
            client = await sqlite_api.another_organization(scopes=scopes)
        body = {} if route.body_field is not None else None
        answer = await client.request(method, filled(path, uuid.uuid4()), json=body)
        told = f"{who}: {method} {path} gives {answer.status_code} {answer.text}"
        if who == "nobody":
            assert (answer.status_code == 401) is not rule.open, told
            continue
        refused = answer.status_code == 403 and answer.json()["code"] == "forbidden"
        assert refused is not allowed(who, method, rule), told
        assert answer.status_code not in (401, 500), told


def test_roles_are_a_ladder():
    assert [reaches(role, "admin") for role in ROLES] == [False, False, True, True]


async def test_a_refusal_says_what_it_takes(sqlite_api: Api):
    prepared(sqlite_api)
    organization_id = await sqlite_api.organization_id()
    viewer = await browser(sqlite_api, await member(sqlite_api.process, organization_id, "viewer"))
    said = (await viewer.post("/v1/agents", json={"name": "a"})).json()
    assert said["error"] == (
        "A viewer may not change agents: that takes a developer, an admin or an owner"
    )
    reading = await sqlite_api.another_organization(scopes=("read",))
    said = (await reading.post("/v1/agents", json={"name": "a"})).json()
    assert said["error"] == "This API key may not change agents: its scopes are read"
    said = (await reading.get("/v1/audit-log")).json()
    assert "an admin or an owner" in said["error"]
    said = (await sqlite_api.get("/v1/sessions")).json()
    assert said["code"] == "forbidden"
    assert "API key" in said["error"]


def test_what_is_in_no_row_is_refused():
    assert permissions.find("GET", "/secrets-of-all/{id}") is None


def test_the_documentation_has_the_same_table():
    told = {
        match[1]: (match[2], match[3], match[4])
        for match in re.finditer(
            r"^\| `([^`]+)` \| ([\w—]+) \| ([\w—]+) \| (yes|no|—) \|$", DOCS.read_text(), re.M
        )
    }
    assert told == {
        name: (rule.look or "—", rule.change or "—", "yes" if rule.keys else "no")
        for name, rule in TABLE.items()
        if not rule.open
    }
