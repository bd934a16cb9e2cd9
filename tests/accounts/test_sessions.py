"""Logging in and out: the cookie, how a session ends, other sites, and the throttle."""

from __future__ import annotations

import asyncio
import re
import uuid
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from tests.accounts.people import (
    OURS,
    PASSWORD,
    QUICK,
    browser,
    log_in,
    member,
    prepared,
    stranger,
)
from tests.conftest import settings_for
from tests.fakes.api import Api, running

from chorus.accounts import identities, ring, sessions, throttle
from chorus.accounts.passwords import Passwords
from chorus.accounts.secrets import digest
from chorus.accounts.tables import LoginAttempts, Member, MemberSession
from chorus.accounts.throttle import ACCOUNT, ADDRESS, PAIR, Attempt

EMAIL = "owner@example.com"


async def owner(api: Api) -> Member:
    return await member(api.process, await api.organization_id(), "owner")


async def test_in_and_out(api: Api):
    prepared(api)
    await owner(api)
    client = stranger(api)
    answer = await log_in(client, "OWNER@example.com")
    assert answer.status_code == 201, answer.text
    data = answer.json()["data"]
    assert data["member"]["role"] == "owner"
    assert data["organization"]["name"] == "Default"
    token = client.cookies["chorus_session"]
    assert token not in answer.text
    assert re.search("HttpOnly", answer.headers["set-cookie"])
    assert "SameSite=lax" in answer.headers["set-cookie"]
    assert "Secure" not in answer.headers["set-cookie"]
    async with api.process.database.reading() as session:
        [row] = await session.scalars(sa.select(MemberSession))
    assert row.token_hash == digest(token)
    assert (await client.get("/v1/sessions/current")).json()["data"]["id"] == data["id"]
    assert (await client.post("/v1/agents", json={"name": "a"})).status_code == 201
    gone = await client.delete("/v1/sessions/current")
    assert gone.status_code == 200
    assert 'chorus_session=""' in gone.headers["set-cookie"]
    # Whoever kept the cookie has nothing of it.
    client.cookies.set("chorus_session", token)
    assert (await client.get("/v1/agents")).status_code == 401


async def test_who_has_an_address_that_is_taken_no_more_logs_in_with_it(api: Api):
    prepared(api)
    await member(api.process, await api.organization_id(), "owner", email="jos\u00e9@example.com")
    assert (await log_in(stranger(api), "JOS\u00c9@example.com")).status_code == 201


async def test_with_https_the_cookie_is_secure(tmp_path: Path):
    settings = settings_for(tmp_path, public_url="https://chorus.example")
    async with running(settings) as api:
        prepared(api)
        await owner(api)
        client = stranger(api)
        client.headers["origin"] = "https://chorus.example"
        cookie = (await log_in(client, EMAIL)).headers["set-cookie"]
        assert cookie.startswith("__Host-chorus_session=")
        assert "Secure" in cookie
        assert "Path=/" in cookie
        assert "Domain" not in cookie


async def test_the_token_is_another_one_after_each_login(sqlite_api: Api):
    prepared(sqlite_api)
    await owner(sqlite_api)
    client = stranger(sqlite_api)
    await log_in(client, EMAIL)
    first = client.cookies["chorus_session"]
    await log_in(client, EMAIL)
    assert client.cookies["chorus_session"] != first
    old = stranger(sqlite_api)
    old.cookies.set("chorus_session", first)
    assert (await old.get("/v1/agents")).status_code == 401


async def test_a_session_ends_when_it_is_not_used_and_in_any_case(api: Api):
    clock = prepared(api)
    client = await browser(api, await owner(api))

    async def status() -> int:
        return (await client.get("/v1/agents")).status_code

    clock.forward(hours=11)
    assert await status() == 200
    clock.forward(hours=11)
    assert await status() == 200  # it slides
    await api.process.flush()
    clock.forward(hours=11)
    assert await status() == 200  # and what was written down counts
    clock.forward(hours=12)
    assert await status() == 401
    client = await browser(api, await owner_again(api))
    for _ in range(28):
        assert await status() == 200
        clock.forward(hours=11.9)
    clock.forward(hours=3)
    assert await status() == 401
    await api.process.sessions.sweep()
    async with api.process.database.reading() as session:
        assert (await session.scalars(sa.select(MemberSession))).all() == []


async def owner_again(api: Api) -> Member:
    async with api.process.database.reading() as session:
        return (await session.scalars(sa.select(Member))).one()


async def test_one_that_another_process_ended(sqlite_api: Api):
    clock = prepared(sqlite_api)
    client = await browser(sqlite_api, await owner(sqlite_api))
    assert (await client.get("/v1/agents")).status_code == 200
    async with sqlite_api.process.database.writing() as session:
        await session.execute(sa.delete(MemberSession))
    clock.forward(seconds=ring.CACHE_S)
    assert (await client.get("/v1/agents")).status_code == 401


async def test_own_sessions_and_nobody_elses(api: Api):
    prepared(api)
    me = await owner(api)
    one, two, three = [await browser(api, me) for _ in range(3)]
    other = await browser(api, await member(api.process, me.organization_id, "admin"))
    listed = (await one.get("/v1/sessions")).json()
    assert listed["pagination"]["total"] == 3
    [mine] = [each["id"] for each in listed["data"] if each["current"]]
    theirs = (await other.get("/v1/sessions/current")).json()["data"]["id"]
    assert (await one.delete(f"/v1/sessions/{theirs}")).status_code == 404
    second = (await two.get("/v1/sessions/current")).json()["data"]["id"]
    assert (await one.delete(f"/v1/sessions/{second}")).status_code == 200
    assert (await two.get("/v1/agents")).status_code == 401
    assert (await one.delete("/v1/sessions")).json()["data"] == {"ended": 1}
    assert (await three.get("/v1/agents")).status_code == 401
    assert (await one.get("/v1/sessions/current")).json()["data"]["id"] == mine
    assert (await other.get("/v1/agents")).status_code == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (OURS, 201),
        ({"origin": "http://localhost:8000", "x-chorus-request": "1"}, 201),
        ({"origin": "https://evil.example", "x-chorus-request": "1"}, 403),
        ({"origin": "null", "x-chorus-request": "1"}, 403),
        ({"origin": "http://127.0.0.1:8000.evil.example", "x-chorus-request": "1"}, 403),
        ({"x-chorus-request": "1"}, 403),
        ({"origin": "http://127.0.0.1:8000"}, 403),
    ],
)
async def test_changes_by_cookie_come_from_our_own_pages(
    sqlite_api: Api, headers: dict[str, str], status: int
):
    prepared(sqlite_api)
    client = await browser(sqlite_api, await owner(sqlite_api))
    for name in OURS:
        del client.headers[name]
    answer = await client.post("/v1/agents", json={"name": "a"}, headers=headers)
    assert answer.status_code == status
    if status == 403:
        assert answer.json()["code"] == "cross_site_request"
    assert (await client.get("/v1/agents")).status_code == 200


async def test_another_site_cannot_log_a_browser_in(sqlite_api: Api):
    prepared(sqlite_api)
    await owner(sqlite_api)
    client = stranger(sqlite_api)
    client.headers["origin"] = "https://evil.example"
    assert (await log_in(client, EMAIL)).json()["code"] == "cross_site_request"


async def test_a_wrong_key_is_not_made_good_by_a_cookie(sqlite_api: Api):
    prepared(sqlite_api)
    client = await browser(sqlite_api, await owner(sqlite_api))
    headers = {"authorization": "Bearer sk_live_" + "x" * 32}
    assert (await client.get("/v1/agents", headers=headers)).status_code == 401


async def test_a_refused_login_does_not_tell_whether_there_is_an_account(
    sqlite_api: Api, monkeypatch: pytest.MonkeyPatch
):
    prepared(sqlite_api)
    await owner(sqlite_api)
    organization_id = await sqlite_api.organization_id()
    await member(
        sqlite_api.process, organization_id, "viewer", email="new@example.com", password=None
    )
    compared: list[bool] = []
    really = Passwords._matches

    def counted(self: Passwords, stored: str | None, password: str) -> bool:
        compared.append(stored is None)
        return really(self, stored, password)

    monkeypatch.setattr(Passwords, "_matches", counted)
    client = stranger(sqlite_api)
    answers = [
        await log_in(client, email, "not the password")
        for email in (EMAIL, "nobody@example.com", "new@example.com")
    ]
    assert {answer.status_code for answer in answers} == {401}
    bodies = [{**answer.json(), "requestId": ""} for answer in answers]
    assert bodies[0] == bodies[1] == bodies[2]
    assert bodies[0]["code"] == "invalid_credentials"
    # As many comparisons each, with somebody's hash or nobody's.
    assert compared == [False, True, True] + 6 * [True]
    assert not Passwords(QUICK)._matches(None, PASSWORD)


async def test_each_failure_makes_the_next_attempt_wait_longer(api: Api):
    clock = prepared(api)
    await owner(api)
    client = stranger(api)
    waited: list[int] = []
    for email in (EMAIL, "nobody@example.com"):
        waits: list[int] = []
        for _ in range(PAIR.free + 1):
            assert (await log_in(client, email, "wrong wrong wrong")).status_code == 401
        for _ in range(4):
            answer = await log_in(client, email, PASSWORD)  # even the right one
            assert answer.status_code == 429
            body = answer.json()
            assert body["code"] == "too_many_attempts"
            assert answer.headers["Retry-After"] == str(body["retryAfter"])
            waits.append(body["retryAfter"])
            clock.forward(seconds=body["retryAfter"])
            assert (await log_in(client, email, "wrong wrong wrong")).status_code == 401
        waited = waited or waits
        assert waits == waited  # whether there is such an account or not
    assert waited == [2, 4, 8, 16]
    clock.forward(seconds=32)
    assert (await log_in(client, EMAIL)).status_code == 201
    # What succeeded is forgotten.
    assert (await log_in(client, EMAIL, "wrong wrong wrong")).status_code == 401
    assert (await log_in(client, EMAIL)).status_code == 201


async def test_an_address_is_bounded_whatever_the_accounts(sqlite_api: Api):
    clock = prepared(sqlite_api)
    database, now = sqlite_api.process.database, clock.utcnow()
    for n in range(ADDRESS.free + 1):
        assert await Attempt(f"{n}@example.com", "2001:db8::1").begin(database, now) == 0
    assert await Attempt("x@example.com", "2001:db8::1").begin(database, now) == 2
    # The same household, and another one.
    assert await Attempt("x@example.com", "2001:db8::ffff").begin(database, now) == 2
    assert await Attempt("x@example.com", "2001:db8:1::1").begin(database, now) == 0


async def test_an_account_is_bounded_whatever_the_addresses_but_never_for_long(sqlite_api: Api):
    clock = prepared(sqlite_api)
    database = sqlite_api.process.database
    for n in range(ACCOUNT.free + 20):
        now = clock.utcnow()
        wait_s = await Attempt("x@example.com", f"10.0.{n}.1").begin(database, now)
        assert wait_s <= 60
        clock.forward(seconds=wait_s)
        if wait_s:
            await Attempt("x@example.com", f"10.0.{n}.1").begin(database, clock.utcnow())
    assert 0 < await Attempt("x@example.com", "10.9.9.9").begin(database, clock.utcnow()) <= 60
    clock.forward(hours=25)
    await throttle.sweep(database, clock.utcnow())
    async with database.reading() as session:
        assert (await session.scalars(sa.select(LoginAttempts))).all() == []


async def test_many_at_once_gain_nothing(api: Api):

    clock = prepared(api)
    await owner(api)
    client = stranger(api)
    await log_in(client, EMAIL, "wrong wrong wrong")
    answers = await asyncio.gather(*(log_in(client, EMAIL, f"guess number {n}") for n in range(12)))
    assert sum(answer.status_code == 401 for answer in answers) == PAIR.free
    assert {answer.status_code for answer in answers} == {401, 429}
    assert clock.passed_s == 0


async def test_a_new_password_ends_the_other_sessions(api: Api):
    prepared(api)
    me = await owner(api)
    here, there = await browser(api, me), await browser(api, me)
    assert (await there.get("/v1/agents")).status_code == 200
    body = {"currentPassword": "not the password", "newPassword": "another long password"}
    wrong = await here.post("/v1/password", json=body)
    assert wrong.json()["details"][0]["field"] == "currentPassword"
    body["currentPassword"] = PASSWORD
    assert (await here.post("/v1/password", json=body)).status_code == 200
    assert (await here.get("/v1/agents")).status_code == 200
    assert (await there.get("/v1/agents")).status_code == 401
    assert (await log_in(stranger(api), EMAIL)).status_code == 401
    assert (await log_in(stranger(api), EMAIL, "another long password")).status_code == 201


async def test_a_member_of_two_organizations_names_one(sqlite_api: Api):
    clock = prepared(sqlite_api)
    first = await owner(sqlite_api)
    key = await sqlite_api.another_organization()
    other_id = (await key.get("/v1/organization")).json()["data"]["id"]

    second_password = "a different password"
    await member(
        sqlite_api.process, uuid.UUID(other_id), "viewer", email=EMAIL, password=second_password
    )
    client = stranger(sqlite_api)
    answer = await log_in(client, EMAIL, second_password, organizationId=other_id)
    assert answer.json()["data"]["organization"]["id"] == other_id
    # Without a name the one is meant that the password is of, whichever was used last.
    clock.forward(seconds=1)
    answer = await log_in(client, EMAIL)
    assert answer.json()["data"]["organization"]["id"] == str(first.organization_id)
    assert (await log_in(client, EMAIL, second_password)).status_code == 201
    answer = await log_in(client, EMAIL, PASSWORD, organizationId=str(first.organization_id))
    assert answer.json()["data"]["organization"]["id"] == str(first.organization_id)


async def test_another_organization_cannot_keep_somebody_out(sqlite_api: Api):
    """Whatever it does with the address: adds accounts with it, and logs in to them."""
    prepared(sqlite_api)
    await owner(sqlite_api)
    for n in range(identities.ACCOUNTS + 1):
        key = await sqlite_api.another_organization()
        other_id = (await key.get("/v1/organization")).json()["data"]["id"]
        password = f"of an attacker, number {n}"
        added = {"email": EMAIL, "role": "owner" if n else "admin", "password": password}
        await member(
            sqlite_api.process, uuid.UUID(other_id), "admin", email=EMAIL, password=password
        )
        assert (await key.post("/v1/members", json=added)).status_code in (403, 409)
        entered = await log_in(stranger(sqlite_api), EMAIL, password, organizationId=other_id)
        assert entered.status_code == 201
    answer = await log_in(stranger(sqlite_api), EMAIL)
    assert answer.status_code == 201
    mine = str(await sqlite_api.organization_id())
    assert answer.json()["data"]["organization"]["id"] == mine


async def test_made_up_invitations_hold_up_nobody_else(sqlite_api: Api):
    clock = prepared(sqlite_api)
    database, now = sqlite_api.process.database, clock.utcnow()
    for n in range(ACCOUNT.free + 10):
        assert await Attempt(None, f"10.0.{n}.1").begin(database, now) == 0
    made = await sqlite_api.made("/v1/members", {"email": "n@example.com", "role": "viewer"})
    body = {"token": made["invitationToken"], "password": PASSWORD}
    assert (await stranger(sqlite_api).post("/v1/invitations", json=body)).status_code == 201


async def test_where_somebody_is_logged_in_strangers_hold_nobody_up(sqlite_api: Api):
    clock = prepared(sqlite_api)
    await owner(sqlite_api)
    database = sqlite_api.process.database
    home = stranger(sqlite_api)
    assert (await log_in(home, EMAIL)).status_code == 201
    for n in range(ACCOUNT.free + 5):
        wait_s = await Attempt(EMAIL, f"10.0.{n}.1").begin(database, clock.utcnow())
        clock.forward(seconds=wait_s)
    assert await Attempt(EMAIL, "10.9.9.9").begin(database, clock.utcnow()) > 0
    assert (await log_in(home, EMAIL)).status_code == 201


def test_the_times_that_the_documentation_tells():
    assert timedelta(hours=12) == sessions.IDLE
    assert timedelta(days=14) == sessions.ABSOLUTE
