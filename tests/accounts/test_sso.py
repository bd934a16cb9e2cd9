"""Signing in by an organization's identity provider, over real HTTP: there, back, and in."""

from __future__ import annotations

import socket
import threading
import uuid
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dns.message
import dns.rcode
import dns.rrset
import httpx
import sqlalchemy as sa
from tests.accounts.people import OURS, PASSWORD, browser, log_in, member, stranger
from tests.accounts.signing_in import OWNER, company, wish
from tests.accounts.test_second_factor import code_of, enrolled
from tests.conftest import settings_for
from tests.fakes.api import Api, running
from tests.fakes.identity_provider import SECRET, Claims, key_of

from chorus.accounts.sso import flows
from chorus.accounts.sso.domains import TxtRecords
from chorus.accounts.sso.tables import SsoFlow
from chorus.accounts.tables import Member, Organization

EMAIL = "ada@acme.example"


def of(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json().get("code", "")


async def people(api: Api) -> dict[str, dict[str, Any]]:
    listed = (await api.get("/v1/members")).json()["data"]
    return {each["email"]: each for each in listed}


async def flows_under_way(api: Api) -> int:
    async with api.process.database.reading() as session:
        return await session.scalar(sa.select(sa.func.count()).select_from(SsoFlow)) or 0


async def test_somebody_new_comes_and_comes_again(tmp_path: Path, database_url: str):
    async with company(tmp_path, database_url=database_url) as (acme, clock):
        api = acme.api
        shown = await acme.owner.get("/v1/sso")
        assert shown.json()["data"]["connection"]["clientId"] == "chorus at work"
        assert SECRET not in shown.text
        acme.provider.people[EMAIL] = {"email": "Ada@ACME.example", "name": "Ada  Lind"}
        ada = stranger(api)
        entered = await acme.come(EMAIL, ada)
        assert entered.status_code == 201, entered.text
        data = entered.json()["data"]
        assert (data["member"]["email"], data["member"]["name"], data["member"]["role"]) == (
            EMAIL,
            "Ada Lind",
            "developer",
        )
        assert [each["id"] for each in data["organizations"]] == [acme.id]
        assert data["bySso"] is True
        assert (await ada.post("/v1/agents", json={"name": "a"})).status_code == 201
        known = (await people(api))[EMAIL]
        assert (known["hasPassword"], known["invitationExpiresAt"]) == (False, None)
        log = (await acme.owner.get("/v1/audit-log?action=createMember")).json()["data"]
        assert [(each["actorName"], each["detail"]) for each in log] == [
            (EMAIL, {"by": "identity provider"})
        ]
        # Once more: the same member by the same subject, though the address is another one by now.
        acme.provider.people[EMAIL] = {"email": "ada.lind@acme.example"}
        again = await acme.come(EMAIL)
        assert again.json()["data"]["member"]["id"] == data["member"]["id"]
        assert len(await people(api)) == 2
        # The session ends after a day; one who has no password cannot show any.
        change = {"currentPassword": PASSWORD, "newPassword": "another correct horse"}
        assert of(await ada.post("/v1/password", json=change)) == (409, "no_password")
        assert of(await log_in(stranger(api), EMAIL)) == (401, "invalid_credentials")
        clock.forward(hours=11)
        assert (await ada.get("/v1/agents")).status_code == 200
        clock.forward(hours=11)
        assert (await ada.get("/v1/agents")).status_code == 200
        clock.forward(hours=2)
        assert (await ada.get("/v1/agents")).status_code == 401
        assert await flows_under_way(api) == 0


async def test_a_return_is_good_once_in_its_browser_and_in_time(tmp_path: Path, database_url: str):
    async with company(tmp_path, database_url=database_url) as (acme, clock):
        ended = (401, "sign_in_ended")
        ada = stranger(acme.api)
        back = await acme.there(EMAIL, ada)
        assert (await ada.post("/v1/sessions/sso", json=back)).status_code == 201
        assert of(await ada.post("/v1/sessions/sso", json=back)) == ended
        # In the browser of somebody else, whom a stranger sent the address to.
        back = await acme.there(EMAIL, ada)
        other = stranger(acme.api)
        assert of(await other.post("/v1/sessions/sso", json=back)) == ended
        await acme.there("eve@acme.example", other)
        back = await acme.there(EMAIL, ada)
        assert of(await other.post("/v1/sessions/sso", json=back)) == ended
        assert "chorus_session" not in other.cookies
        # To the address of another organization.
        key = await acme.api.another_organization()
        theirs = (await key.get("/v1/organization")).json()["data"]["id"]
        back = await acme.there(EMAIL, ada)
        wrong = {**back, "organizationId": theirs}
        assert of(await ada.post("/v1/sessions/sso", json=wrong)) == ended
        # Too late, and swept.
        back = await acme.there(EMAIL, ada)
        clock.forward(minutes=10)
        assert of(await ada.post("/v1/sessions/sso", json=back)) == ended
        await acme.there(EMAIL, ada)
        assert await flows_under_way(acme.api) == 2, "this one, and the one that never came back"
        await flows.sweep(acme.api.process.database, clock.utcnow())
        assert await flows_under_way(acme.api) == 1
        clock.forward(minutes=11)
        await flows.sweep(acme.api.process.database, clock.utcnow())
        assert await flows_under_way(acme.api) == 0
        # Of a provider that is another one by now.
        back = await acme.there(EMAIL, ada)
        await acme.put(issuer=f"{acme.provider.issuer}/other")
        assert of(await ada.post("/v1/sessions/sso", json=back)) == ended
        # From a page of another site, nothing begins.
        begin = {"organizationId": acme.id}
        evil = {**OURS, "origin": "https://evil.example"}
        answer = await ada.post("/v1/sso/authorizations", json=begin, headers=evil)
        assert of(answer) == (403, "cross_site_request")


def claim(**changes: Any) -> Callable[[Claims], None]:
    return lambda claims: claims.update(changes)


def without(name: str) -> Callable[[Claims], None]:
    def change(claims: Claims) -> None:
        claims.pop(name, None)

    return change


def as_entra(edov: object) -> Callable[[Claims], None]:
    """As Entra ID says it, where its optional claims `email` and `xms_edov` are switched on."""

    def change(claims: Claims) -> None:
        del claims["email_verified"]
        claims["xms_edov"] = edov

    return change


def _later(seconds: int) -> Callable[[Claims], None]:
    return lambda claims: claims.update(iat=claims["iat"] + seconds, exp=claims["exp"] + seconds)


WRONG: dict[str, tuple[dict[str, Any], str, str]] = {
    "another nonce": ({"claims": claim(nonce="x" * 43)}, "sign_in_refused", "another sign-in"),
    "no nonce": ({"claims": without("nonce")}, "sign_in_refused", "nonce"),
    "not signed": ({"algorithm": "none"}, "sign_in_refused", "in a way that is not taken"),
    "by the public key": ({"algorithm": "HS256"}, "sign_in_refused", "that is not taken"),
    "by another key": ({"signs_by": "second"}, "sign_in_refused", "none of the provider's keys"),
    "for another": ({"claims": claim(aud="another")}, "sign_in_refused", "another program"),
    "for two": ({"claims": claim(aud=["chorus at work", "b"])}, "sign_in_refused", "another prog"),
    "by way of another": ({"claims": claim(azp="another")}, "sign_in_refused", "another program"),
    "of another": ({"claims": claim(iss="https://b.example")}, "sign_in_refused", "another prov"),
    "expired": ({"claims": _later(-400)}, "sign_in_refused", "has expired"),
    "of tomorrow": ({"claims": _later(3600)}, "sign_in_refused", "of a time to come"),
    "without an end": ({"claims": without("exp")}, "sign_in_refused", "exp"),
    "of nobody": ({"claims": claim(sub="")}, "sign_in_refused", "names nobody"),
    "not verified": ({"claims": claim(email_verified=False)}, "email_not_verified", EMAIL),
    "verified in words": ({"claims": claim(email_verified="true")}, "email_not_verified", EMAIL),
    "not said": ({"claims": without("email_verified")}, "email_not_verified", EMAIL),
    "not verified by either": (
        {"claims": claim(email_verified=False, xms_edov=True)},
        "email_not_verified",
        EMAIL,
    ),
    "of a domain of nobody": ({"claims": as_entra(False)}, "email_not_verified", EMAIL),
    "of another domain": ({"claims": claim(email="a@b.example")}, "email_not_allowed", "b.exa"),
    "below the domain": (
        {"claims": claim(email="a@x.acme.example")},
        "email_not_allowed",
        "a@x.acme.example",
    ),
    "no address": ({"claims": claim(email=None)}, "sign_in_refused", "the claim email"),
    "two domains": ({"claims": claim(email="a@b@acme.example")}, "sign_in_refused", "address"),
    "not let in": ({"error": "access_denied"}, "sign_in_refused", "ask whoever runs it"),
    "an error": ({"error": "server_error"}, "sign_in_refused", "server_error"),
}


async def test_what_does_not_check_out_lets_nobody_in(tmp_path: Path):
    async with company(tmp_path) as (acme, _):
        assert key_of("second").kid == "second"
        provider = acme.provider
        right = {name: getattr(provider, name) for name in ("claims", "algorithm", "signs_by")}
        for what, (wrong, code, said) in WRONG.items():
            for name, value in wrong.items():
                setattr(provider, name, value)
            client = stranger(acme.api)
            answer = await acme.come(EMAIL, client)
            assert answer.json().get("code") == code, (what, answer.text)
            assert said in answer.json()["error"], (what, answer.text)
            assert "chorus_session" not in client.cookies, what
            for name, value in {**right, "error": ""}.items():
                setattr(provider, name, value)
            # So that the next one has not tried too often.
            assert (await acme.come(OWNER)).json()["code"] == "link_required"
            await _forget_attempts(acme.api)
        # Another provider's answer, and one that does not say whose it is.
        for changes in ({"iss": "https://b.example"}, {"iss": None}, {"code": None}):
            client = stranger(acme.api)
            back = await acme.there(EMAIL, client)
            answer = await client.post("/v1/sessions/sso", json={**back, **changes})
            assert of(answer) == (401, "sign_in_refused"), changes
        assert set(await people(acme.api)) == {OWNER}
        # One that says in another way whose the address is.
        for edov in (True, "1"):
            provider.claims = as_entra(edov)
            assert (await acme.come(EMAIL)).status_code == 201, edov
        provider.claims = right["claims"]
        # A provider whose ID token is thin says the address when it is asked.
        provider.thin = True
        assert (await acme.come(EMAIL)).status_code == 201
        assert "/userinfo" in provider.asked
        provider.thin = False
        # Keys that are asked for by a kid, a secret that is wrong, a provider that is away.
        await acme.put(clientSecret="wrong")
        failed = await acme.come(EMAIL)
        assert of(failed) == (503, "identity_provider_failed")
        assert "id or secret is wrong" in failed.json()["error"]
        await acme.put(issuer="http://127.0.0.1:1")
        client = stranger(acme.api)
        away = await client.post("/v1/sso/authorizations", json={"organizationId": acme.id})
        assert of(away) == (503, "identity_provider_failed")


async def _forget_attempts(api: Api) -> None:
    async with api.process.database.writing() as session:
        await session.execute(sa.text("DELETE FROM login_attempts"))


async def test_who_was_invited_comes_and_nobody_else(tmp_path: Path):
    async with company(tmp_path) as (acme, clock):
        api = acme.api
        await acme.put(defaultRole=None)
        assert of(await acme.come("eve@acme.example")) == (403, "not_invited")
        for email, role in ((EMAIL, "viewer"), ("boss@acme.example", "owner")):
            made = await acme.owner.post("/v1/members", json={"email": email, "role": role})
            assert made.status_code == 201
        entered = await acme.come(EMAIL)
        assert entered.json()["data"]["member"]["role"] == "viewer"
        # Who decides about the provider is an admin, and must not make owners by it.
        assert of(await acme.come("boss@acme.example")) == (403, "not_linked")
        # An invitation that has ended lets nobody in; who was removed stays so.
        late = {"email": "late@acme.example", "role": "viewer"}
        assert (await acme.owner.post("/v1/members", json=late)).status_code == 201
        clock.forward(days=8)
        acme.owner = await browser(api, await _row(api, OWNER))
        assert of(await acme.come("late@acme.example")) == (403, "not_linked")
        ada = stranger(api)
        assert (await acme.come(EMAIL, ada)).status_code == 201
        id = (await people(api))[EMAIL]["id"]
        assert (await acme.owner.delete(f"/v1/members/{id}")).status_code == 200
        assert (await ada.get("/v1/agents")).status_code == 401
        assert of(await acme.come(EMAIL)) == (403, "not_invited")
        # One without a password takes a new account at the provider by another invitation.
        again = await acme.owner.post("/v1/members", json={"email": EMAIL, "role": "viewer"})
        assert (await acme.come(EMAIL)).status_code == 201
        acme.provider.people[EMAIL] = {"sub": "another subject"}
        assert of(await acme.come(EMAIL)) == (403, "not_linked")
        id = again.json()["data"]["id"]
        assert (await acme.owner.post(f"/v1/members/{id}/invitation")).status_code == 201
        assert (await acme.come(EMAIL)).status_code == 201
        assert (await acme.come(EMAIL)).status_code == 201
        # A suspended organization lets in nobody at all.
        async with api.process.database.writing() as session:
            await session.execute(sa.update(Organization).values(suspended_at=clock.utcnow()))
        assert of(await acme.come(EMAIL)) == (403, "organization_suspended")


async def _row(api: Api, email: str) -> Member:
    async with api.process.database.reading() as session:
        row = await session.scalar(sa.select(Member).where(Member.email == email))
    assert row is not None
    return row


async def test_a_password_is_shown_once_and_a_code_with_it(tmp_path: Path, database_url: str):
    async with company(tmp_path, database_url=database_url) as (acme, clock):
        api = acme.api
        row = await member(
            api.process, (await _row(api, OWNER)).organization_id, "admin", email=EMAIL
        )
        secret, _ = await enrolled(api, await browser(api, row), clock)
        ada = stranger(api)
        asked = await acme.come(EMAIL, ada)
        assert of(asked) == (401, "link_required")
        assert "chorus_session" not in ada.cookies
        challenge = asked.json()["challenge"]
        given = {"organizationId": acme.id, "challenge": challenge, "password": PASSWORD}
        # Not by another browser, to which a stranger could have sent the challenge.
        other = stranger(api)
        await acme.there("eve@acme.example", other)
        assert of(await other.post("/v1/sessions/sso/link", json=given)) == (401, "sign_in_ended")
        for wrong, field in (
            ({"password": "not the password"}, "password"),
            ({}, "code"),
            ({"code": "000000"}, "code"),
        ):
            answer = await ada.post("/v1/sessions/sso/link", json={**given, **wrong})
            assert answer.status_code == 400, answer.text
            assert [each["field"] for each in answer.json()["details"]] == [field]
        code = {"code": code_of(secret, clock)}
        linked = await ada.post("/v1/sessions/sso/link", json={**given, **code})
        assert linked.status_code == 201, linked.text
        assert linked.json()["data"]["member"]["id"] == str(row.id)
        assert linked.json()["data"]["bySso"] is True
        # It is used up; and neither password nor code is asked for again.
        clock.forward(seconds=60)
        code = {"code": code_of(secret, clock)}
        answer = await ada.post("/v1/sessions/sso/link", json={**given, **code})
        assert of(answer) == (401, "sign_in_ended")
        assert (await acme.come(EMAIL)).status_code == 201
        log = (await acme.owner.get("/v1/audit-log?action=linkSso")).json()["data"]
        assert [each["actorName"] for each in log] == [EMAIL]
        await api.process.reads.flush()
        failed = (await acme.owner.get("/v1/audit-log?action=failedLogin")).json()["data"]
        assert {each["detail"]["reason"] for each in failed} == {"password"}
        # Guessing is counted as at the log-in.
        acme.provider.people[EMAIL] = {"sub": "somebody else at the provider"}
        given["challenge"] = (await acme.come(EMAIL, ada)).json()["challenge"]
        codes: set[str] = set()
        for _ in range(8):
            tried = {**given, "password": "not the password"}
            codes.add((await ada.post("/v1/sessions/sso/link", json=tried)).json()["code"])
        assert codes == {"validation_failed", "too_many_attempts"}


async def test_begun_too_often_from_one_address(tmp_path: Path):
    async with company(tmp_path) as (acme, _):
        client, begin = stranger(acme.api), {"organizationId": acme.id}
        answers = [await client.post("/v1/sso/authorizations", json=begin) for _ in range(33)]
        assert of(answers[29]) == (201, "")
        assert of(answers[-1]) == (429, "too_many_attempts")


@contextmanager
def name_server(records: dict[str, list[str]]) -> Generator[int]:
    """A real one over UDP, which knows these TXT records and no others; its port."""
    opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    opened.bind(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            wire, peer = opened.recvfrom(4096)
            if wire == b"end":
                return
            asked = dns.message.from_wire(wire)
            answer = dns.message.make_response(asked)
            name = asked.question[0].name
            found = records.get(name.to_text(omit_final_dot=True))
            if found is None:
                answer.set_rcode(dns.rcode.NXDOMAIN)
            elif found:
                texts = [f'"{each}"' for each in found]
                answer.answer.append(dns.rrset.from_text(name, 60, "IN", "TXT", *texts))
            opened.sendto(answer.to_wire(), peer)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield opened.getsockname()[1]
    finally:
        opened.sendto(b"end", opened.getsockname())
        thread.join()
        opened.close()


async def test_an_organization_is_found_by_a_domain_that_its_dns_proves(
    tmp_path: Path, database_url: str
):
    records: dict[str, list[str]] = {}
    async with company(tmp_path, database_url=database_url) as (acme, _):
        with name_server(records) as port:
            acme.api.process.__dict__["txt_records"] = TxtRecords(["127.0.0.1"], port)
            find = {"email": "Anybody@Acme.example"}
            verify = {"domain": "acme.example"}

            async def found() -> list[dict[str, str]]:
                answer = await stranger(acme.api).post("/v1/sso/organizations", json=find)
                return answer.json()["data"]["organizations"]

            [domain] = (await acme.owner.get("/v1/sso")).json()["data"]["connection"]["domains"]
            assert domain["verifiedAt"] is None
            assert await found() == [], "to name a domain is not to have it"
            key = await acme.api.another_organization()
            theirs = (await key.get("/v1/organization")).json()["data"]["id"]
            for wrong in ([], ["v=spf1 -all", "chorus-sso=" + "0" * 64, "chorus-sso"]):
                records[domain["recordName"]] = wrong
                answer = await acme.owner.post("/v1/sso/domains/verify", json=verify)
                assert answer.status_code == 400, answer.text
            assert await found() == []
            records[domain["recordName"]] = ["v=spf1 -all", domain["recordValue"]]
            answer = await acme.owner.post("/v1/sso/domains/verify", json=verify)
            assert answer.status_code == 200, answer.text
            [domain] = answer.json()["data"]["connection"]["domains"]
            assert domain["verifiedAt"] is not None
            assert [each["id"] for each in await found()] == [acme.id]
            log = (await acme.owner.get("/v1/audit-log?action=verifySsoDomain")).json()["data"]
            assert [each["detail"] for each in log] == [{"domain": "acme.example"}]
            # The record proves it for nobody else, nor for another domain.
            boss = await browser(
                acme.api,
                await member(acme.api.process, uuid.UUID(theirs), "owner", email="b@x.com"),
            )
            put = await boss.put("/v1/sso", json=wish(acme.provider))
            assert put.status_code == 200
            answer = await boss.post("/v1/sso/domains/verify", json=verify)
            assert answer.status_code == 400
            records["_chorus-sso.b.example"] = records[domain["recordName"]]
            answer = await acme.owner.post("/v1/sso/domains/verify", json={"domain": "b.example"})
            assert answer.status_code == 400
            # What is set again stays verified; what is taken off and named again does not.
            await acme.put(domains=["acme.example", "b.example"])
            assert len(await found()) == 1
            await acme.put(domains=["b.example"])
            await acme.put()
            assert await found() == []


async def test_no_private_address_is_asked(tmp_path: Path):
    async with running(settings_for(tmp_path)) as api:
        id = await api.organization_id()
        owner = await browser(api, await member(api.process, id, "owner", email=OWNER))
        plain = {"issuer": "http://idp.example", "clientId": "a", "clientSecret": "b"}
        answer = await owner.put("/v1/sso", json={**plain, "domains": ["acme.example"]})
        assert "Issuer must begin with https://" in answer.text
        for issuer, said in (
            ("https://127.0.0.1:1", "loopback"),
            ("https://169.254.169.254/latest", "link-local"),
            ("http://idp.example", "https://"),
        ):
            told = (await owner.post("/v1/sso/test", json={"issuer": issuer})).json()["data"]
            assert told["ok"] is False
            assert said in told["message"], told


TOLD: tuple[tuple[Claims, str], ...] = (
    ({}, "People are sent to http"),
    ({"issuer": "https://another.example"}, "calls itself 'https://another.example'"),
    ({"authorization_endpoint": "javascript:alert(1)"}, "authorization_endpoint must be"),
    ({"token_endpoint": None}, "token_endpoint is missing"),
    ({"id_token_signing_alg_values_supported": ["HS256", "none"]}, "signs by none of"),
    ({"token_endpoint_auth_methods_supported": ["private_key_jwt"]}, "no client secret"),
    ({"jwks_uri": "{issuer}/nowhere"}, "did not tell its keys: it answered 404"),
)


async def test_the_test_says_what_is_wrong(tmp_path: Path):
    async with company(tmp_path) as (acme, _):
        issuer = acme.provider.issuer
        for told, said in TOLD:
            acme.provider.discovery = {
                name: value.replace("{issuer}", issuer) if isinstance(value, str) else value
                for name, value in told.items()
            }
            found = await acme.owner.post("/v1/sso/test", json={"issuer": issuer})
            assert found.status_code == 200, found.text
            assert found.json()["data"]["ok"] is (not told)
            assert said in found.json()["data"]["message"]
