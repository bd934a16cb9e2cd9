"""The link by which the first owner comes in."""

from __future__ import annotations

import uuid

from tests.accounts.people import PASSWORD, member, prepared, stranger
from tests.fakes.api import Api

from chorus.accounts import first_owner


async def token_of(api: Api) -> str | None:
    return await first_owner.pending(api.process.database, api.process.secrets)


def wish(token: str, email: str = "ada@example.com") -> dict[str, str]:
    return {"token": token, "email": email, "password": PASSWORD, "name": "Ada"}


async def test_whoever_has_the_link_becomes_the_owner_once(api: Api):
    prepared(api)
    token = await token_of(api)
    assert token is not None
    assert await token_of(api) == token  # every process prints the same one
    client = stranger(api)
    made = await client.post("/v1/owners", json=wish(token))
    assert made.status_code == 201, made.text
    assert made.json()["data"]["member"]["role"] == "owner"
    current = await client.get("/v1/sessions/current")
    assert current.status_code == 200
    assert current.json()["data"]["serverUrl"] == api.process.settings.url
    again = await stranger(api).post("/v1/owners", json=wish(token, "eve@example.com"))
    assert (again.status_code, again.json()["code"]) == (404, "invitation_not_found")
    assert await token_of(api) is None


async def test_a_token_of_ones_own_making_opens_nothing(api: Api):
    prepared(api)
    token = await token_of(api)
    assert token is not None
    other = uuid.uuid4().hex
    for wrong in (token[:-1] + "x", other + token[32:], "z" * 96, token[:40]):
        refused = await stranger(api).post("/v1/owners", json=wish(wrong))
        assert refused.status_code == 404, refused.text


async def test_an_invitation_that_nobody_accepted_shuts_nobody_out(api: Api):
    prepared(api)
    await member(
        api.process, await api.organization_id(), "admin", email="ada@example.com", password=None
    )
    token = await token_of(api)
    assert token is not None
    made = await stranger(api).post("/v1/owners", json=wish(token))
    assert made.json()["data"]["member"]["role"] == "owner"


async def test_where_somebody_can_log_in_there_is_no_link(api: Api):
    prepared(api)
    token = await token_of(api)
    assert token is not None
    await member(api.process, await api.organization_id(), "viewer")
    assert await token_of(api) is None
    assert (await stranger(api).post("/v1/owners", json=wish(token))).status_code == 404


async def test_another_site_cannot_send_it(api: Api):
    prepared(api)
    token = await token_of(api)
    assert token is not None
    client = stranger(api)
    refused = await client.post(
        "/v1/owners", json=wish(token), headers={"origin": "https://evil.example"}
    )
    assert refused.json()["code"] == "cross_site_request"
