"""/v1/views: a member's own, and nobody else's."""

from __future__ import annotations

import pytest
from tests.accounts.people import browser, member, prepared
from tests.fakes.api import Api

from chorus.accounts import view_routes


async def test_a_view_is_saved_changed_and_deleted(api: Api):
    prepared(api)
    owner = await browser(api, await member(api.process, await api.organization_id(), "viewer"))
    wish = {"name": "Failed", "query": "status=failed&hide=cost"}
    answer = await owner.post("/v1/views", json=wish)
    assert answer.status_code == 201, answer.text
    made = answer.json()["data"]
    assert {name: made[name] for name in ("name", "page", "query")} == {**wish, "page": "calls"}
    assert (await owner.get("/v1/views")).json()["data"] == [made]
    path = f"/v1/views/{made['id']}"
    assert (await owner.get(path)).json()["data"] == made
    changed = (await owner.patch(path, json={"query": "status=no_answer"})).json()["data"]
    assert (changed["name"], changed["query"]) == ("Failed", "status=no_answer")
    assert (await owner.delete(path)).status_code == 200
    assert (await owner.get(path)).status_code == 404


async def test_it_is_of_nobody_else(sqlite_api: Api):
    api = sqlite_api
    prepared(api)
    organization_id = await api.organization_id()
    one = await browser(api, await member(api.process, organization_id, "viewer"))
    made = (await one.post("/v1/views", json={"name": "Mine", "query": ""})).json()["data"]
    path = f"/v1/views/{made['id']}"
    # Not even of the organization's owner.
    other = await browser(api, await member(api.process, organization_id, "owner"))
    assert (await other.get("/v1/views")).json()["data"] == []
    for method in ("GET", "PATCH", "DELETE"):
        body = {"name": "Theirs"} if method == "PATCH" else None
        assert (await other.request(method, path, json=body)).status_code == 404
    assert (await api.get("/v1/views")).status_code == 403
    # It goes with the member.
    members = (await other.get("/v1/members")).json()["data"]
    [id] = [each["id"] for each in members if each["role"] == "viewer"]
    assert (await other.delete(f"/v1/members/{id}")).status_code == 200


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"name": "", "query": ""}, "name"),
        ({"name": "a"}, "query"),
        ({"name": "a", "query": "?status=failed"}, "query"),
        ({"name": "a", "query": "a\nb"}, "query"),
        ({"name": "a", "query": "a" * 2001}, "query"),
        ({"name": "a", "query": "", "page": "agents"}, "page"),
    ],
)
async def test_what_is_refused(sqlite_api: Api, body: dict[str, str], field: str):
    prepared(sqlite_api)
    organization_id = await sqlite_api.organization_id()
    one = await browser(sqlite_api, await member(sqlite_api.process, organization_id, "viewer"))
    answer = await one.post("/v1/views", json=body)
    assert answer.status_code == 400
    assert [detail["field"] for detail in answer.json()["details"]] == [field]


async def test_there_is_room_for_so_many(sqlite_api: Api, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(view_routes, "MOST", 1)
    prepared(sqlite_api)
    organization_id = await sqlite_api.organization_id()
    one = await browser(sqlite_api, await member(sqlite_api.process, organization_id, "viewer"))
    first, second = [
        await one.post("/v1/views", json={"name": name, "query": ""}) for name in ("a", "b")
    ]
    assert (first.status_code, second.status_code) == (201, 409)
    assert second.json()["code"] == "too_many_views"
