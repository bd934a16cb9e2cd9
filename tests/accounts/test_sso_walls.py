"""What an organization's identity provider may not do: reach into another organization, make
owners, or take a member's place; and what it means that it is required."""

from __future__ import annotations

import asyncio
import uuid
from pathlib import Path

import httpx
import pytest
import sqlalchemy as sa
from tests.accounts.people import PASSWORD, browser, log_in, member, stranger
from tests.accounts.signing_in import OWNER, Company, another, company, wish
from tests.accounts.test_sso import EMAIL, of
from tests.fakes.identity_provider import identity_provider

from chorus import cli
from chorus.accounts import members

OURS_AND_THEIRS = 2
EVIL = "owner@evil.example"


async def current(client: httpx.AsyncClient) -> dict[str, object]:
    return (await client.get("/v1/sessions/current")).json()["data"]


async def join(acme: Company, evil: Company, email: str, role: str = "viewer") -> None:
    """The member of ours accepts an invitation of theirs, with the account that there is."""
    made = await evil.owner.post("/v1/members", json={"email": email, "role": role})
    token = made.json()["data"]["invitationToken"]
    body = {"token": token, "password": PASSWORD, "existing": True}
    joined = await stranger(acme.api).post("/v1/invitations", json=body)
    assert joined.status_code == 201, joined.text


async def test_a_provider_that_names_anothers_member_gets_nothing_of_theirs(
    tmp_path: Path, database_url: str
):
    """An admin of `evil` runs a provider that says whatever he likes: here, that he is the owner of
    `acme`."""
    async with company(tmp_path, database_url=database_url) as (acme, clock):
        with identity_provider() as theirs:
            evil = await another(acme, theirs, EVIL)
            agent = (await acme.owner.post("/v1/agents", json={"name": "a"})).json()["data"]["id"]
            thief = stranger(acme.api)
            entered = await evil.come(OWNER, thief)
            # Somebody new in his own organization, who happens to be called so.
            assert entered.status_code == 201
            data = entered.json()["data"]
            assert data["organization"]["id"] == evil.id
            assert [each["id"] for each in data["organizations"]] == [evil.id]
            assert (await thief.get(f"/v1/agents/{agent}")).status_code == 404
            over = await thief.post("/v1/sessions/switch", json={"organizationId": acme.id})
            assert of(over) == (403, "signed_in_by_sso")
            assert (await thief.get("/v1/sessions")).json()["pagination"]["total"] == 1
            # He cannot finish there what began here, nor with the same subject.
            theirs.people[OWNER] = {"sub": "subject of ours"}
            acme.provider.people["x@acme.example"] = {"sub": "subject of ours"}
            assert (await acme.come("x@acme.example")).status_code == 201
            entered = await evil.come(OWNER)
            assert of(entered) == (403, "not_linked")
            # The owner of ours logs in as ever.
            clock.forward(seconds=1)
            entered = await log_in(stranger(acme.api), OWNER)
            assert entered.json()["data"]["organization"]["id"] == acme.id
            assert len(entered.json()["data"]["organizations"]) == 1


async def test_who_is_in_both_stays_whole(tmp_path: Path, database_url: str):
    async with company(tmp_path, database_url=database_url) as (acme, clock):
        api = acme.api
        with identity_provider() as theirs:
            evil = await another(acme, theirs, EVIL)
            await join(acme, evil, OWNER)
            thief = stranger(api)
            asked = await evil.come(OWNER, thief)
            assert of(asked) == (401, "link_required")
            given = {"organizationId": evil.id, "challenge": asked.json()["challenge"]}
            guess = {**given, "password": "not the password"}
            assert (await thief.post("/v1/sessions/sso/link", json=guess)).status_code == 400
            # The challenge of one organization is none of the other's.
            other = {**given, "organizationId": acme.id, "password": PASSWORD}
            answer = await thief.post("/v1/sessions/sso/link", json=other)
            assert of(answer) == (401, "sign_in_ended")
            assert "chorus_session" not in thief.cookies
            # She links it herself, and what it opens is there alone.
            ada = stranger(api)
            given["challenge"] = (await evil.come(OWNER, ada)).json()["challenge"]
            linked = await ada.post("/v1/sessions/sso/link", json={**given, "password": PASSWORD})
            assert linked.status_code == 201, linked.text
            both = stranger(api)
            assert (await log_in(both, OWNER, organizationId=evil.id)).status_code == 201
            assert len((await current(both))["organizations"]) == OURS_AND_THEIRS  # type: ignore[arg-type]
            assert [each["id"] for each in (await current(ada))["organizations"]] == [evil.id]  # type: ignore[attr-defined]
            over = {"organizationId": acme.id}
            assert of(await ada.post("/v1/sessions/switch", json=over)) == (403, "signed_in_by_sso")
            # Of her sessions, those there: to be seen and to be ended.
            seen = (await ada.get("/v1/sessions")).json()["data"]
            assert len(seen) == 3
            assert {each["bySso"] for each in seen} == {True, False}
            [here] = [
                each
                for each in (await acme.owner.get("/v1/sessions")).json()["data"]
                if each["current"]
            ]
            assert here["id"] not in [each["id"] for each in seen]
            assert (await ada.delete(f"/v1/sessions/{here['id']}")).status_code == 404
            assert (await ada.delete("/v1/sessions")).json()["data"] == {"ended": 2}
            assert (await acme.owner.get("/v1/agents")).status_code == 200
            # With another provider, who was let in by the one before is out, and linked no more.
            with identity_provider() as worse:
                evil.provider = worse
                await evil.put()
                assert (await ada.get("/v1/agents")).status_code == 401
                assert of(await evil.come(OWNER)) == (401, "link_required")
            # Required there, it is no way to keep her out of here.
            evil.provider = theirs
            clock.forward(seconds=1)
            assert (await log_in(both, OWNER, organizationId=evil.id)).status_code == 201
            await evil.put(domains=["acme.example"], required=True)
            assert (await both.get("/v1/agents")).status_code == 401
            entered = await log_in(both, OWNER)
            assert entered.json()["data"]["organization"]["id"] == acme.id
            refused = await log_in(stranger(api), OWNER, organizationId=evil.id)
            assert of(refused) == (403, "sso_required")
            assert refused.json()["organizationId"] == evil.id
            over = await both.post("/v1/sessions/switch", json={"organizationId": evil.id})
            assert of(over) == (403, "sso_required")
            assert (await both.get("/v1/agents")).status_code == 200


async def test_where_the_provider_is_required(
    tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
):
    async with company(tmp_path, database_url=database_url) as (acme, _):
        api = acme.api
        id = uuid.UUID(acme.id)
        people = {
            email: await browser(api, await member(api.process, id, role, email=email))
            for email, role in (
                ("ada@acme.example", "admin"),
                ("eve@elsewhere.example", "viewer"),
            )
        }
        made = await acme.owner.post(
            "/v1/members", json={"email": "new@acme.example", "role": "viewer"}
        )
        token = made.json()["data"]["invitationToken"]
        await acme.put(required=True)
        # Out with those whom it holds for, but not whoever asked; in with the others.
        assert (await people["ada@acme.example"].get("/v1/agents")).status_code == 401
        assert (await people["eve@elsewhere.example"].get("/v1/agents")).status_code == 200
        assert (await acme.owner.get("/v1/agents")).status_code == 200
        assert of(await log_in(stranger(api), "ada@acme.example")) == (403, "sso_required")
        wrong = await log_in(stranger(api), "ada@acme.example", "not the password")
        assert of(wrong) == (401, "invalid_credentials")
        assert (await log_in(stranger(api), "eve@elsewhere.example")).status_code == 201
        # The last owner with a password may, until there is another.
        assert (await log_in(stranger(api), OWNER)).status_code == 201
        assert (await acme.come("second@acme.example")).status_code == 201
        listed = (await acme.owner.get("/v1/members")).json()["data"]
        ids = {each["email"]: each["id"] for each in listed}
        second = f"/v1/members/{ids['second@acme.example']}"
        assert (await acme.owner.patch(second, json={"role": "owner"})).status_code == 200
        assert (await log_in(stranger(api), OWNER)).status_code == 201
        # Nor may the last one go, who alone could take a broken provider away.
        mine = f"/v1/members/{ids[OWNER]}"
        for leave in (acme.owner.patch(mine, json={"role": "admin"}), acme.owner.delete(mine)):
            assert of(await leave) == (409, "last_owner")
        ada = f"/v1/members/{ids['ada@acme.example']}"
        assert (await acme.owner.patch(ada, json={"role": "owner"})).status_code == 200
        assert of(await log_in(stranger(api), OWNER)) == (403, "sso_required")
        # With a provider that is out of order, it takes the operator.
        monkeypatch.setenv("CHORUS_DATABASE_URL", database_url)
        monkeypatch.setenv("CHORUS_DATA_DIR", str(tmp_path))
        command = ["orgs", "allow-passwords"]
        assert await asyncio.to_thread(cli.run, command) == 0
        assert await asyncio.to_thread(cli.run, command) == 1
        assert (await log_in(stranger(api), OWNER)).status_code == 201
        await acme.put(required=True)
        # An invitation's password is set, and shown to the provider's return.
        client = stranger(api)
        body = {"token": token, "password": PASSWORD}
        assert of(await client.post("/v1/invitations", json=body)) == (403, "sso_required")
        asked = await acme.come("new@acme.example", client)
        assert of(asked) == (401, "link_required")
        given = {"organizationId": acme.id, "challenge": asked.json()["challenge"]}
        linked = await client.post("/v1/sessions/sso/link", json={**given, "password": PASSWORD})
        assert linked.status_code == 201, linked.text
        # Taken away, passwords do again, and who came by it is out.
        assert (await acme.owner.delete("/v1/sso")).status_code == 200
        assert (await client.get("/v1/agents")).status_code == 401
        assert (await log_in(client, "ada@acme.example")).status_code == 201
        assert (await acme.owner.get("/v1/sso")).json()["data"]["connection"] is None
        assert of(await acme.owner.delete("/v1/sso")) == (404, "identity_provider_not_found")
        begin = {"organizationId": acme.id}
        answer = await client.post("/v1/sso/authorizations", json=begin)
        assert of(answer) == (404, "identity_provider_not_found")


async def test_a_secret_is_sent_to_no_other_provider(tmp_path: Path):
    async with company(tmp_path) as (acme, _):
        unchanged = wish(acme.provider, clientSecret=None, defaultRole="viewer")
        assert (await acme.owner.put("/v1/sso", json=unchanged)).status_code == 200
        assert (await acme.come("ada@acme.example")).status_code == 201
        for changes in ({"issuer": "https://evil.example"}, {"clientId": "another"}):
            answer = await acme.owner.put("/v1/sso", json={**unchanged, **changes})
            assert [each["field"] for each in answer.json()["details"]] == ["clientSecret"]


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
async def test_who_is_invited_at_the_same_moment_comes_by_it(tmp_path: Path, database_url: str):
    waiting = sa.text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
    async with company(tmp_path, database_url=database_url) as (acme, clock):
        ada, database = stranger(acme.api), acme.api.process.database
        back = await acme.there(EMAIL, ada)
        async with database.writing() as session:
            await members.add(
                session,
                uuid.UUID(acme.id),
                email=EMAIL,
                role="viewer",
                name=None,
                password_hash=None,
                now=clock.utcnow(),
            )
            comes = asyncio.create_task(ada.post("/v1/sessions/sso", json=back), name="comes")
            async with asyncio.timeout(20), database.reading() as other:
                while not await other.scalar(waiting):
                    assert not comes.done()
                    await other.rollback()  # what it sees is of one transaction
        entered = await comes
        assert entered.status_code == 201, entered.text
        assert entered.json()["data"]["member"]["role"] == "viewer"
