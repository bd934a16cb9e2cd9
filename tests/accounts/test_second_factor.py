"""A second factor: enrolled, asked for, used up, taken away."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from pyotp.totp import TOTP
from tests.accounts.people import (
    PASSWORD,
    VirtualClock,
    browser,
    log_in,
    member,
    prepared,
    stranger,
)
from tests.fakes.api import Api

from chorus.accounts import entering, second_factor
from chorus.accounts.tables import AuditEntry, Identity
from chorus.accounts.throttle import Bound

FACTOR = "/v1/second-factor"


def code_of(secret: str, clock: VirtualClock, later_s: float = 0) -> str:
    return TOTP(secret).at(int(clock.utcnow().timestamp() + later_s))


async def enrolled(
    api: Api, client: httpx.AsyncClient, clock: VirtualClock
) -> tuple[str, list[str]]:
    """The secret and the recovery codes of a second factor that is in use; its first code is used
    up."""
    answer = await client.post(FACTOR, json={"password": PASSWORD})
    assert answer.status_code == 201, answer.text
    begun = answer.json()["data"]
    code = code_of(begun["secret"], clock)
    confirmed = await client.post(f"{FACTOR}/confirmation", json={"code": code})
    assert confirmed.json()["data"]["enabled"] is True
    clock.forward(seconds=60)
    return begun["secret"], begun["recoveryCodes"]


async def finish(client: httpx.AsyncClient, asked: httpx.Response, code: str) -> httpx.Response:
    assert (asked.status_code, asked.json()["code"]) == (401, "second_factor_required")
    wish = {"challenge": asked.json()["challenge"], "code": code}
    return await client.post("/v1/sessions/second-factor", json=wish)


async def test_from_enrolment_to_the_next_login(api: Api):
    clock = prepared(api)
    row = await member(api.process, await api.organization_id(), "developer")
    mine, other = await browser(api, row), await browser(api, row)
    assert (await mine.get(FACTOR)).json()["data"] == {
        "enabled": False,
        "confirmedAt": None,
        "recoveryCodesLeft": 0,
    }
    assert (await mine.post(FACTOR, json={"password": "not mine at all"})).status_code == 400
    begun = (await mine.post(FACTOR, json={"password": PASSWORD})).json()["data"]
    assert begun["uri"].startswith("otpauth://totp/Chorus:developer%40example.com")
    assert f"secret={begun['secret']}" in begun["uri"]
    assert len(set(begun["recoveryCodes"])) == 10
    # Until it is confirmed it counts for nothing.
    assert (await log_in(stranger(api), row.email)).status_code == 201
    secret, codes = await enrolled(api, mine, clock)
    assert secret != begun["secret"]
    assert (await other.get(FACTOR)).status_code == 401, "the other sessions have ended"
    assert (await mine.get(FACTOR)).json()["data"]["recoveryCodesLeft"] == 10
    assert (await mine.post(FACTOR, json={"password": PASSWORD})).status_code == 409
    # Now the password alone does not let in.
    client = stranger(api)
    asked = await log_in(client, row.email)
    assert "chorus_session" not in client.cookies
    wrong = await finish(client, asked, "000000")
    assert (wrong.status_code, wrong.json()["details"][0]["field"]) == (400, "code")
    code = code_of(secret, clock)
    entered = await finish(client, asked, f"{code[:3]} {code[3:]}")
    assert entered.status_code == 201
    assert entered.json()["data"]["member"]["email"] == row.email
    assert (await client.get("/v1/agents")).status_code == 200
    # A code that somebody looked at over a shoulder is used up, and so are those before it.
    for late in (code, code_of(secret, clock, -30)):
        again = await finish(stranger(api), await log_in(stranger(api), row.email), late)
        assert again.status_code == 400
    # A recovery code stands for one, once, however it is written.
    for status in (201, 400):
        asked = await log_in(stranger(api), row.email)
        assert (await finish(stranger(api), asked, codes[0].upper())).status_code == status
    assert (await mine.get(FACTOR)).json()["data"]["recoveryCodesLeft"] == 9
    # Nothing of it is anywhere in clear.
    async with api.process.database.reading() as session:
        stored = await session.get(Identity, row.identity_id)
        assert stored is not None
        assert secret not in str(stored.second_factor_secret)
        assert codes[1].replace("-", "") not in str(stored.recovery_hashes)
        actions = (await session.scalars(sa.select(AuditEntry.action))).all()
    assert {"createSecondFactor", "confirmSecondFactor"} <= set(actions)


async def test_a_challenge_is_worth_nothing_later_or_elsewhere(sqlite_api: Api):
    api, clock = sqlite_api, prepared(sqlite_api)
    row = await member(api.process, await api.organization_id(), "developer")
    mine = await browser(api, row)
    secret, _ = await enrolled(api, mine, clock)
    late = await log_in(stranger(api), row.email)
    clock.forward(minutes=6)
    ended = await finish(stranger(api), late, code_of(secret, clock))
    assert (ended.status_code, ended.json()["code"]) == (401, "invalid_challenge")
    old = await log_in(stranger(api), row.email)
    change = {"currentPassword": PASSWORD, "newPassword": "another correct horse"}
    assert (await mine.post("/v1/password", json=change)).status_code == 200
    assert (await finish(stranger(api), old, code_of(secret, clock))).status_code == 401
    for made_up in ("x", "v1:" + "A" * 100, api.process.secrets.encrypt({"for": "tools"})):
        wish = {"challenge": made_up, "code": "123456"}
        answer = await stranger(api).post("/v1/sessions/second-factor", json=wish)
        assert answer.status_code == 401


async def test_codes_cannot_be_tried_without_end(sqlite_api: Api, monkeypatch: pytest.MonkeyPatch):
    api, clock = sqlite_api, prepared(sqlite_api)
    monkeypatch.setattr(entering, "CODES", Bound(free=3, most_s=3600))
    row = await member(api.process, await api.organization_id(), "developer")
    secret, _ = await enrolled(api, await browser(api, row), clock)
    asked = await log_in(stranger(api), row.email)
    tried = [await finish(stranger(api), asked, f"{n:06}") for n in range(8)]
    assert [answer.status_code for answer in tried][-1] == 429
    assert int(tried[-1].headers["retry-after"]) > 0
    # Also who has the right one waits, and then comes in.
    assert (await finish(stranger(api), asked, code_of(secret, clock))).status_code == 429
    clock.forward(minutes=2)
    asked = await log_in(stranger(api), row.email)
    assert (await finish(stranger(api), asked, code_of(secret, clock))).status_code == 201


async def test_it_takes_password_and_code_to_remove(sqlite_api: Api):
    api, clock = sqlite_api, prepared(sqlite_api)
    row = await member(api.process, await api.organization_id(), "viewer")
    mine = await browser(api, row)
    secret, _ = await enrolled(api, mine, clock)
    right = {"password": PASSWORD, "code": code_of(secret, clock)}
    for wrong in ({"password": "not mine at all"}, {"code": "000000"}):
        answer = await mine.post(f"{FACTOR}/removal", json={**right, **wrong})
        assert (answer.status_code, answer.json()["details"][0]["field"]) == (
            400,
            next(iter(wrong)),
        )
    removed = await mine.post(f"{FACTOR}/removal", json=right)
    assert removed.json()["data"]["enabled"] is False
    assert (await log_in(stranger(api), row.email)).status_code == 201
    assert (await mine.post(f"{FACTOR}/removal", json=right)).status_code == 409


async def test_an_owner_sees_who_has_one_and_helps_who_lost_it(sqlite_api: Api):
    api, clock = sqlite_api, prepared(sqlite_api)
    organization = await api.organization_id()
    boss = await browser(api, await member(api.process, organization, "owner"))
    row = await member(api.process, organization, "admin")
    mine = await browser(api, row)
    await enrolled(api, mine, clock)
    shown: list[dict[str, Any]] = (await boss.get("/v1/members")).json()["data"]
    assert {m["email"]: m["hasSecondFactor"] for m in shown} == {
        "owner@example.com": False,
        "admin@example.com": True,
    }
    path = f"/v1/members/{row.id}/second-factor"
    assert (await api.delete(path)).status_code == 403, "a key is no person"
    # An invitation sets a new password, and does not go round the second factor.
    token = (await boss.post(f"/v1/members/{row.id}/invitation")).json()["data"]["invitationToken"]
    accepted = await stranger(api).post(
        "/v1/invitations", json={"token": token, "password": "another correct horse"}
    )
    assert (accepted.status_code, accepted.json()["code"]) == (401, "second_factor_required")
    helped = await boss.delete(path)
    assert (helped.status_code, helped.json()["data"]["hasSecondFactor"]) == (200, False)
    assert (await mine.get(FACTOR)).status_code == 401
    assert (await log_in(stranger(api), row.email, "another correct horse")).status_code == 201


def test_recovery_codes_are_random_and_readable() -> None:
    codes = {second_factor.new_code() for _ in range(200)}
    assert len(codes) == 200
    assert not set("".join(codes)) & set("ilo01")
