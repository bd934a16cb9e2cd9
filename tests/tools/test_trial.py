"""POST /v1/tools/{id}/test against a real server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import settings_for
from tests.fakes.api import Api, running
from tests.fakes.http_peer import Asked, HttpPeer, respond

SECRET = 'Bearer a-very-"secret"-word'


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    async with running(settings_for(tmp_path, allow_private_addresses=True)) as found:
        yield found


def tool(url: str) -> dict[str, Any]:
    return {
        "name": "book",
        "description": "Books a table.",
        "config": {
            "url": f"{url}/places/{{place}}?key=key%20in-the-query",
            "headers": [
                {"key": "X-Tenant", "value": "{{tenant}}", "secret": False},
                {"key": "Authorization", "value": SECRET},
            ],
            "body": [
                {"name": "place", "type": "string", "required": True},
                {"name": "guests", "type": "integer"},
            ],
        },
    }


def echo(asked: Asked) -> bytes:
    """As a server that tells everything it was sent, in several ways."""
    key = asked.target.partition("key=")[2]
    said = {
        "all": asked.headers,
        "token": asked.headers["authorization"].split()[1],
        "query": [key, key.replace("%20", " ")],
    }
    return respond(200, said)


async def test_a_tool_is_run_and_its_secrets_are_in_nothing_that_is_shown(api: Api):
    async with HttpPeer(echo) as peer:
        made = await api.made("/v1/tools", tool(peer.url))
        answer = await api.post(
            f"/v1/tools/{made['id']}/test",
            json={"arguments": {"place": "a b", "guests": "4"}, "variables": {"tenant": "acme"}},
        )
    (asked,) = peer.requests
    assert asked.target == "/places/a%20b?key=key%20in-the-query"
    assert asked.headers["authorization"] == SECRET
    assert asked.json == {"guests": 4}
    ran = answer.json()["data"]
    assert (answer.status_code, ran["ok"], ran["status"]) == (200, True, 200)
    assert ran["request"] == {
        "method": "POST",
        "url": f"{peer.url}/places/a%20b?key=********",
        "headers": [
            {"key": "X-Tenant", "value": "acme"},
            {"key": "Authorization", "value": "********"},
            {"key": "Content-Type", "value": "application/json"},
            {"key": "Accept", "value": ran["request"]["headers"][3]["value"]},
        ],
        "body": '{"guests": 4}',
    }
    assert '"x-tenant": "acme"' in ran["result"]
    assert "********" in ran["result"]
    for secret in ("secret", "in-the-query"):
        assert secret not in answer.text


async def test_what_makes_no_request_says_why_and_sends_nothing(api: Api):
    async with HttpPeer(lambda _: respond(500, "broken")) as peer:
        made = await api.made("/v1/tools", tool(peer.url))
        url = f"/v1/tools/{made['id']}/test"
        ran = (await api.post(url, json={"arguments": {"guests": "four"}})).json()["data"]
        assert (ran["ok"], ran["request"], ran["status"]) == (False, None, None)
        assert "'place' (string) is missing" in ran["result"]
        assert "'guests' must be an integer" in ran["result"]
        assert peer.requests == []
        ran = (await api.post(url, json={"arguments": {"place": "here"}})).json()["data"]
        assert (ran["ok"], ran["status"]) == (False, 500)
        assert "HTTP 500" in ran["result"]


async def test_a_run_goes_nowhere_that_a_call_may_not(tmp_path: Path):
    async with HttpPeer(lambda _: respond(200, "inside")) as peer:
        async with running(settings_for(tmp_path)) as api:
            made = await api.made("/v1/tools", tool(peer.url))
            answer = await api.post(
                f"/v1/tools/{made['id']}/test", json={"arguments": {"place": "here"}}
            )
        assert peer.requests == []
    assert answer.json()["data"]["ok"] is False
    assert "inside" not in answer.text
