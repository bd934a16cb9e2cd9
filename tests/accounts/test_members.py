"""Members: added, invited, changed, removed; owners are touched by owners, and one stays."""

from __future__ import annotations

import asyncio
import uuid

import httpx
import pytest
from tests.accounts.people import PASSWORD, browser, log_in, member, prepared, stranger
from tests.fakes.api import Api

NEW = {"email": "New@Example.com", "role": "developer"}


async def as_(api: Api, role: str) -> httpx.AsyncClient:
    return await browser(api, await member(api.process, await api.organization_id(), role))


async def test_with_a_password(api: Api):
    prepared(api)
    answer = await api.post("/v1/members", json={**NEW, "name": "Ada", "password": PASSWORD})
    assert answer.status_code == 201
    data = answer.json()["data"]
    assert (data["email"], data["name"], data["role"]) == ("new@example.com", "Ada", "developer")
    assert (data["hasPassword"], data["invitationToken"]) == (True, None)
    assert PASSWORD not in answer.text
    assert (await log_in(stranger(api), "new@example.com")).status_code == 201
    again = await api.post("/v1/members", json=NEW)
    assert (again.status_code, again.json()["code"]) == (409, "member_exists")
    found = await api.get("/v1/members?search=ada")
    assert [each["id"] for each in found.json()["data"]] == [data["id"]]
    assert "lastLoginAt" in found.json()["data"][0]


async def test_by_invitation(api: Api):
    clock = prepared(api)
    made = await api.made("/v1/members", NEW)
    token = made["invitationToken"]
    assert made["hasPassword"] is False
    assert token not in (await api.get(f"/v1/members/{made['id']}")).text
    client = stranger(api)
    body = {"token": token, "password": PASSWORD, "name": "Ada"}
    short = await client.post("/v1/invitations", json={**body, "password": "short"})
    assert short.json()["details"][0]["message"] == "Password must have 10 to 256 characters"
    entered = await client.post("/v1/invitations", json=body)
    assert entered.status_code == 201, entered.text
    assert (await client.get("/v1/sessions/current")).json()["data"]["member"]["name"] == "Ada"
    # Once.
    assert (await client.post("/v1/invitations", json=body)).status_code == 404
    # A lost password: the old one works until the new one is set.
    admin = await member(api.process, await api.organization_id(), "admin")
    inviting = await browser(api, admin)
    again = (await inviting.post(f"/v1/members/{made['id']}/invitation")).json()["data"]
    assert (await log_in(stranger(api), "new@example.com")).status_code == 201
    body = {"token": again["invitationToken"], "password": "another long password"}
    clock.forward(days=7)
    assert (await stranger(api).post("/v1/invitations", json=body)).status_code == 404
    inviting = await browser(api, admin)
    again = (await inviting.post(f"/v1/members/{made['id']}/invitation")).json()["data"]
    body["token"] = again["invitationToken"]
    assert (await stranger(api).post("/v1/invitations", json=body)).status_code == 201
    assert (await client.get("/v1/agents")).status_code == 401
    assert (await log_in(stranger(api), "new@example.com")).status_code == 401


@pytest.mark.parametrize(
    "email",
    [
        *("", "a", "a@", "@b", "a b@c", "a@b@c"),
        # Not of the form that the document tells.
        *("a..b@c.de", ".a@c.de", "a(b@c.de", "a@c-.de", "a@c..de", "a@[127.0.0.1]"),
        *("jos\u00e9@c.de", "a@c\u00e9.de", "a" * 65 + "@c.de", "a@" + "b" * 64 + ".de"),
    ],
)
async def test_what_is_no_address(sqlite_api: Api, email: str):
    answer = await sqlite_api.post("/v1/members", json={**NEW, "email": email})
    assert answer.status_code == 400
    assert answer.json()["details"][0]["field"] == "email"


@pytest.mark.parametrize("email", ["o'neil{x}+a@example.com", "a.b@localhost", "a" * 64 + "@c.de"])
async def test_what_is_an_address(sqlite_api: Api, email: str):
    made = await sqlite_api.made("/v1/members", {**NEW, "email": email})
    assert made["email"] == email


async def test_a_change_of_role_counts_at_once(api: Api):
    prepared(api)
    owner, viewer = await as_(api, "owner"), await as_(api, "viewer")
    id = (await viewer.get("/v1/sessions/current")).json()["data"]["member"]["id"]
    assert (await viewer.post("/v1/agents", json={"name": "a"})).status_code == 403
    changed = await owner.patch(f"/v1/members/{id}", json={"role": "developer"})
    assert changed.json()["data"]["role"] == "developer"
    assert (await viewer.post("/v1/agents", json={"name": "a"})).status_code == 201
    assert (await owner.delete(f"/v1/members/{id}")).status_code == 200
    assert (await viewer.get("/v1/agents")).status_code == 401


async def test_owners_are_made_and_touched_by_owners_alone(api: Api):
    prepared(api)
    owner, admin = await as_(api, "owner"), await as_(api, "admin")
    ids = {each["role"]: each["id"] for each in (await api.get("/v1/members")).json()["data"]}
    for client in (admin, api.client):
        for answer in (
            await client.post("/v1/members", json={**NEW, "role": "owner"}),
            await client.patch(f"/v1/members/{ids['admin']}", json={"role": "owner"}),
            await client.patch(f"/v1/members/{ids['owner']}", json={"role": "viewer"}),
            await client.patch(f"/v1/members/{ids['owner']}", json={"name": "Fool"}),
            await client.post(f"/v1/members/{ids['owner']}/invitation"),
            await client.delete(f"/v1/members/{ids['owner']}"),
        ):
            assert answer.status_code == 403, answer.text
            assert "owner" in answer.json()["error"]
    made = await owner.patch(f"/v1/members/{ids['admin']}", json={"role": "owner"})
    assert made.json()["data"]["role"] == "owner"


async def test_the_last_owner_stays(api: Api):
    prepared(api)
    owner = await as_(api, "owner")
    # An invitation is no owner yet.
    invited = await owner.post("/v1/members", json={**NEW, "role": "owner"})
    me = (await owner.get("/v1/sessions/current")).json()["data"]["member"]["id"]
    for answer in (
        await owner.patch(f"/v1/members/{me}", json={"role": "admin"}),
        await owner.delete(f"/v1/members/{me}"),
    ):
        assert (answer.status_code, answer.json()["code"]) == (409, "last_owner")
    assert (await owner.patch(f"/v1/members/{me}", json={"name": "I"})).status_code == 200
    token = invited.json()["data"]["invitationToken"]
    body = {"token": token, "password": PASSWORD}
    assert (await stranger(api).post("/v1/invitations", json=body)).status_code == 201
    assert (await owner.delete(f"/v1/members/{me}")).status_code == 200


async def test_two_owners_cannot_remove_each_other_at_once(api: Api):
    prepared(api)
    organization_id = await api.organization_id()
    people = [
        await member(api.process, organization_id, "owner", email=f"{n}@example.com")
        for n in range(2)
    ]
    one, two = [await browser(api, person) for person in people]
    answers = await asyncio.gather(
        one.delete(f"/v1/members/{people[1].id}"), two.delete(f"/v1/members/{people[0].id}")
    )
    left = (await api.get("/v1/members")).json()["pagination"]["total"]
    assert left == 1, [answer.text for answer in answers]


async def test_nobody_there(sqlite_api: Api):
    for method in ("get", "delete"):
        answer = await getattr(sqlite_api, method)(f"/v1/members/{uuid.uuid4()}")
        assert answer.json()["code"] == "member_not_found"
