"""One person in several organizations: joined, gone over, parted again; and no organization reaches
into another by somebody who is in both."""

from __future__ import annotations

import uuid

import httpx
import sqlalchemy as sa
from tests.accounts.people import (
    PASSWORD,
    browser,
    log_in,
    member,
    prepared,
    stranger,
)
from tests.accounts.test_second_factor import code_of, enrolled, finish
from tests.fakes.api import Api

from chorus.accounts.tables import Identity

EMAIL = "ada@example.com"
OTHER = "another correct horse"


class Two:
    """Ada, an owner of ours and invited to theirs as a viewer; `boss` owns theirs."""

    def __init__(self, api: Api) -> None:
        self.api = api

    async def begin(self) -> None:
        self.clock = prepared(self.api)
        self.ours = str(await self.api.organization_id())
        row = await member(self.api.process, uuid.UUID(self.ours), "owner", email=EMAIL)
        self.ada = await browser(self.api, row)
        key = await self.api.another_organization()
        self.theirs: str = (await key.get("/v1/organization")).json()["data"]["id"]
        boss = await member(self.api.process, uuid.UUID(self.theirs), "owner", email="b@x.com")
        self.boss = await browser(self.api, boss)
        made = await self.boss.post("/v1/members", json={"email": EMAIL, "role": "viewer"})
        self.invited = made.json()["data"]

    async def accept(self, password: str, *, existing: bool, token: str = "") -> httpx.Response:
        client = stranger(self.api)
        body = {"token": token or self.invited["invitationToken"], "password": password}
        answer = await client.post("/v1/invitations", json={**body, "existing": existing})
        self.there = client
        return answer

    async def invite_again(self) -> str:
        path = f"/v1/members/{self.invited['id']}"
        answer = await self.boss.post(f"{path}/invitation")
        return answer.json()["data"]["invitationToken"]

    async def identities(self) -> int:
        async with self.api.process.database.reading() as session:
            query = sa.select(sa.func.count()).where(Identity.email == EMAIL)
            return await session.scalar(query) or 0


async def two(api: Api) -> Two:
    found = Two(api)
    await found.begin()
    return found


async def test_joined_gone_over_and_parted(api: Api):
    of = await two(api)
    wrong = await of.accept("not the password", existing=True)
    assert (wrong.status_code, wrong.json()["code"]) == (401, "invalid_credentials")
    joined = await of.accept(PASSWORD, existing=True)
    assert joined.status_code == 201, joined.text
    data = joined.json()["data"]
    assert data["organization"]["id"] == of.theirs
    assert {each["id"]: each["role"] for each in data["organizations"]} == {
        of.ours: "owner",
        of.theirs: "viewer",
    }
    assert await of.identities() == 1
    # A role in each: what the owner of ours makes, the viewer of theirs does not even see.
    agent = (await of.ada.post("/v1/agents", json={"name": "a"})).json()["data"]
    assert (await of.there.get(f"/v1/agents/{agent['id']}")).status_code == 404
    assert (await of.there.post("/v1/agents", json={"name": "a"})).status_code == 403
    # The same password for both; without a name the one that was used last is meant.
    of.clock.forward(seconds=1)
    for name in (of.theirs, of.ours):
        entered = await log_in(stranger(api), EMAIL, organizationId=name)
        assert entered.json()["data"]["organization"]["id"] == name
        of.clock.forward(seconds=1)
    assert (await log_in(stranger(api), EMAIL)).json()["data"]["organization"]["id"] == of.ours
    # Over, with another token, and no longer than the session would have lasted.
    before = of.there.cookies["chorus_session"]
    ends = (await of.there.get("/v1/sessions/current")).json()["data"]["expiresAt"]
    of.clock.forward(hours=1)
    over = await of.there.post("/v1/sessions/switch", json={"organizationId": of.ours})
    assert over.status_code == 201, over.text
    assert (over.json()["data"]["organization"]["id"], over.json()["data"]["expiresAt"]) == (
        of.ours,
        ends,
    )
    assert (await of.there.get(f"/v1/agents/{agent['id']}")).status_code == 200
    old = stranger(api)
    old.cookies.set("chorus_session", before)
    assert (await old.get("/v1/agents")).status_code == 401
    for nowhere in (str(uuid.uuid4()), "no id"):
        answer = await of.there.post("/v1/sessions/switch", json={"organizationId": nowhere})
        assert answer.status_code in (400, 404)
    refused = await of.boss.post("/v1/sessions/switch", json={"organizationId": of.ours})
    assert (refused.status_code, refused.json()["code"]) == (404, "organization_not_found")
    # Removed there, nothing changes here.
    back = await of.there.post("/v1/sessions/switch", json={"organizationId": of.theirs})
    assert back.status_code == 201
    assert (await of.boss.delete(f"/v1/members/{of.invited['id']}")).status_code == 200
    assert (await of.there.get("/v1/agents")).status_code == 401
    assert (await of.ada.get("/v1/agents")).status_code == 200
    assert len((await of.ada.get("/v1/sessions/current")).json()["data"]["organizations"]) == 1
    assert await of.identities() == 1


async def test_what_an_organization_does_to_a_member_stays_in_it(api: Api):
    of = await two(api)
    secret, _ = await enrolled(api, of.ada, of.clock)
    asked = await of.accept(PASSWORD, existing=True)
    assert (await finish(of.there, asked, code_of(secret, of.clock))).status_code == 201
    of.clock.forward(seconds=60)
    # A new password in theirs is one of theirs; the second factor is not got round by it.
    parted = await of.accept(OTHER, existing=False, token=await of.invite_again())
    assert (parted.status_code, parted.json()["code"]) == (401, "second_factor_required")
    assert await of.identities() == 2
    assert (await of.ada.get("/v1/agents")).status_code == 200
    refused = await log_in(stranger(api), EMAIL, OTHER, organizationId=of.ours)
    assert refused.status_code == 401
    asked = await log_in(stranger(api), EMAIL, organizationId=of.ours)
    assert (await finish(stranger(api), asked, code_of(secret, of.clock))).status_code == 201
    # Joined again, and the second factor taken away in theirs: in ours it stays.
    of.clock.forward(seconds=60)
    asked = await of.accept(PASSWORD, existing=True, token=await of.invite_again())
    assert asked.json()["code"] == "second_factor_required"
    assert await of.identities() == 1
    path = f"/v1/members/{of.invited['id']}/second-factor"
    assert (await of.boss.delete(path)).json()["data"]["hasSecondFactor"] is False
    assert (await of.ada.get("/v1/second-factor")).json()["data"]["enabled"] is True
    here = await log_in(stranger(api), EMAIL, organizationId=of.ours)
    assert here.json()["code"] == "second_factor_required"
    assert (await log_in(stranger(api), EMAIL, organizationId=of.theirs)).status_code == 201


async def test_what_a_person_does_holds_everywhere(sqlite_api: Api):
    api = sqlite_api
    of = await two(api)
    assert (await of.accept(PASSWORD, existing=True)).status_code == 201
    assert (await of.ada.get("/v1/sessions")).json()["pagination"]["total"] == 2
    change = {"currentPassword": PASSWORD, "newPassword": OTHER}
    assert (await of.ada.post("/v1/password", json=change)).status_code == 200
    assert (await of.there.get("/v1/agents")).status_code == 401
    assert (await log_in(of.there, EMAIL, OTHER, organizationId=of.theirs)).status_code == 201
    for client in (of.ada, of.boss):
        found = await client.get("/v1/audit-log?action=changePassword")
        assert [each["actorName"] for each in found.json()["data"]] == [EMAIL]
    # Logged out of all other devices, in whichever organization they were.
    assert (await of.ada.delete("/v1/sessions")).json()["data"] == {"ended": 1}
    assert (await of.there.get("/v1/agents")).status_code == 401


async def test_an_account_that_somebody_else_made_is_not_joined_by(sqlite_api: Api):
    """Who knows the password that they set for somebody would come in with them."""
    api = sqlite_api
    of = await two(api)
    key = await api.another_organization()
    third = (await key.get("/v1/organization")).json()["data"]["id"]
    boss = await browser(api, await member(api.process, uuid.UUID(third), "owner", email="c@x.com"))
    added = {"email": EMAIL, "role": "viewer", "password": OTHER}
    assert (await boss.post("/v1/members", json=added)).status_code == 201
    refused = await of.accept(OTHER, existing=True)
    assert (refused.status_code, refused.json()["code"]) == (409, "password_not_own")
    client = stranger(api)
    assert (await log_in(client, EMAIL, OTHER, organizationId=third)).status_code == 201
    own = "a third correct horse"
    change = {"currentPassword": OTHER, "newPassword": own}
    assert (await client.post("/v1/password", json=change)).status_code == 200
    assert (await of.accept(own, existing=True)).status_code == 201
