"""/v1/tools on both databases."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import pytest
from tests.fakes.api import Api

from chorus.tools import queries
from chorus.tools.masks import MASK
from chorus.tools.spec import http_tool

TOOL: dict[str, Any] = {
    "name": "Book a table",
    "description": "Books a table. Use it when the caller has named a time.",
    "type": "http",
    "config": {
        "url": "https://api.example.com/places/{place}/bookings?q={place}&code=a-very-secret-word",
        "method": "POST",
        "timeout": 2500,
        "headers": [
            {"key": "X-Tenant", "value": "acme", "secret": False},
            {"key": "X-Auth", "value": "Bearer a-very-secret-word", "secret": True},
        ],
        "body": [
            {"name": "place", "type": "string", "description": "Where", "required": True},
            {"name": "guests", "type": "integer", "description": "How many", "required": False},
        ],
    },
}


def shown(tool: dict[str, Any]) -> dict[str, Any]:
    config = {**tool["config"]}
    config["headers"] = [config["headers"][0], {**config["headers"][1], "value": MASK}]
    config["url"] = config["url"].replace("a-very-secret-word", MASK)
    return {**tool, "config": config}


async def kept_headers(api: Api, id: str) -> list[dict[str, str]]:
    """As they are sent."""
    async with api.process.database.reading() as session:
        tool = await queries.one(session, await api.organization_id(), uuid.UUID(id))
        kept = http_tool(tool, api.process.secrets)
    assert "a-very-secret-word" not in repr(kept)
    return [{"key": key, "value": value} for key, value in kept.headers]


SENT = [{"key": header["key"], "value": header["value"]} for header in TOOL["config"]["headers"]]


async def test_a_tool_comes_back_without_its_secret(api: Api):
    made = await api.made("/v1/tools", TOOL)
    got = await api.get(f"/v1/tools/{made['id']}")
    assert "a-very-secret-word" not in got.text + (await api.get("/v1/tools")).text
    assert {name: got.json()["data"][name] for name in TOOL} == shown(TOOL)


async def test_defaults(api: Api):
    wish = {"name": "t", "description": "d", "config": {"url": "https://a.example"}}
    made = await api.made("/v1/tools", wish)
    assert made["type"] == "http"
    assert made["config"] == {
        "url": "https://a.example",
        "method": "POST",
        "timeout": 5000,
        "headers": [],
        "body": [],
    }


async def test_a_masked_header_keeps_its_value(api: Api):
    made = await api.made("/v1/tools", TOOL)
    config = {**made["config"], "timeout": 900}
    response = await api.patch(f"/v1/tools/{made['id']}", json={"config": config})
    assert response.json()["data"]["config"] == config
    assert await kept_headers(api, made["id"]) == SENT
    config["headers"] = [{"key": "X-Key", "value": MASK}]
    response = await api.patch(f"/v1/tools/{made['id']}", json={"config": config})
    assert response.status_code == 400
    assert response.json()["details"][0]["field"] == "config.headers.0.value"


async def test_a_change_of_the_config_changes_only_what_is_sent(api: Api):
    made = await api.made("/v1/tools", TOOL)
    path = f"/v1/tools/{made['id']}"
    for change in ({"timeout": 900}, {"method": "PUT"}, {"url": "https://api.example.com/x"}, {}):
        answer = await api.patch(path, json={"config": change})
        assert answer.json()["data"]["config"] == {**made["config"], **change}
        made = answer.json()["data"]
    assert await kept_headers(api, made["id"]) == SENT
    answer = await api.patch(path, json={"config": {"headers": [], "body": []}})
    assert answer.json()["data"]["config"] == {**made["config"], "headers": [], "body": []}
    assert await kept_headers(api, made["id"]) == []


async def test_two_who_change_different_parts_of_the_config_both_succeed(api: Api):
    made = await api.made("/v1/tools", TOOL)
    path = f"/v1/tools/{made['id']}"
    changes: list[dict[str, Any]] = [
        {"timeout": 900},
        {"method": "PUT"},
        {"url": "https://api.example.com/x"},
        {"headers": []},
        {"body": []},
    ]
    answers = await asyncio.gather(*(api.patch(path, json={"config": c}) for c in changes))
    assert [answer.status_code for answer in answers] == [200] * 5
    config = (await api.get(path)).json()["data"]["config"]
    assert config == {name: value for change in changes for name, value in change.items()}


async def test_masks_of_headers_with_one_name_are_told_apart(api: Api):
    headers = [{"key": "X-Key", "value": "one"}, {"key": "x-key", "value": "two"}]
    made = await api.made("/v1/tools", {**TOOL, "config": {"url": "https://a", "headers": headers}})
    path = f"/v1/tools/{made['id']}"
    assert [header["value"] for header in made["config"]["headers"]] == [MASK, MASK]
    await api.patch(path, json={"config": made["config"]})
    assert await kept_headers(api, made["id"]) == headers
    masks = [*made["config"]["headers"], {"key": "X-KEY", "value": MASK}]
    refused = await api.patch(path, json={"config": {"headers": masks}})
    assert refused.json()["details"][0]["field"] == "config.headers.2.value"


@pytest.mark.parametrize(
    ("change", "field", "says"),
    [
        ({"name": None}, "name", "must be a string"),
        ({"description": ""}, "description", "must not be empty"),
        ({"type": "mcp"}, "type", "must be one of http"),
        ({"config": None}, "config", "must be an object"),
        ({"config": {}}, "config.url", "URL is required"),
        ({"config": {"url": "a.example"}}, "config.url", "https://"),
        ({"config": {"url": "https://{host}/x"}}, "config.url", "parameter in its host"),
        ({"config": {"url": "https://a/{नाम}"}}, "config.url", "{नाम} is no parameter"),
        ({"config": {"url": "https://a", "method": "HEAD"}}, "config.method", "one of GET, POST"),
        ({"config": {"url": "https://a", "timeout": 0}}, "config.timeout", "at least 100"),
        ({"config": {"url": "https://a", "timeout": 60001}}, "config.timeout", "at most 60000"),
        (
            {"config": {"url": "https://a", "headers": [{"key": "a b", "value": "c"}]}},
            "config.headers.0.key",
            "name of an HTTP header",
        ),
        (
            {"config": {"url": "https://a", "headers": [{"key": "Host", "value": "c"}]}},
            "config.headers.0.key",
            "sets itself",
        ),
        (
            {"config": {"url": "https://a", "headers": [{"key": "a", "value": "b\r\nc: d"}]}},
            "config.headers.0.value",
            "printable",
        ),
        (
            {"config": {"url": "https://a", "body": [{"name": "a b", "type": "string"}]}},
            "config.body.0.name",
            "letters, digits",
        ),
        (
            {"config": {"url": "https://a", "body": [{"name": "a", "type": "string"}] * 2}},
            "config.body",
            "twice",
        ),
    ],
)
async def test_what_is_refused(sqlite_api: Api, change: dict[str, Any], field: str, says: str):
    created = await sqlite_api.post("/v1/tools", json={**TOOL, **change})
    made = await sqlite_api.made("/v1/tools", TOOL)
    patched = await sqlite_api.patch(f"/v1/tools/{made['id']}", json=change)
    # What is not sent stays as it is: a PATCH misses nothing.
    for response in (created, patched) if change != {"config": {}} else (created,):
        assert response.status_code == 400
        details = {d["field"]: d["message"] for d in response.json()["details"]}
        assert says in details[field]


async def test_a_tool_in_use_cannot_be_deleted(api: Api):
    tool = await api.made("/v1/tools", TOOL)
    agents = [
        await api.made("/v1/agents", {"name": name, "toolIds": [tool["id"]]}) for name in "ba"
    ]
    response = await api.delete(f"/v1/tools/{tool['id']}")
    assert response.status_code == 409
    assert response.json()["code"] == "in_use"
    assert [d["message"] for d in response.json()["details"]] == [
        f"Used by the agent 'a' ({agents[1]['id']})",
        f"Used by the agent 'b' ({agents[0]['id']})",
    ]
    await api.patch(f"/v1/agents/{agents[0]['id']}", json={"toolIds": []})
    await api.delete(f"/v1/agents/{agents[1]['id']}")
    assert (await api.delete(f"/v1/tools/{tool['id']}")).status_code == 200
    assert (await api.get(f"/v1/tools/{tool['id']}")).json()["error"] == "Tool not found"


async def test_secrets_are_not_sent_elsewhere(api: Api):
    made = await api.made("/v1/tools", TOOL)
    path = f"/v1/tools/{made['id']}"
    kept = made["config"]["headers"]
    for url in (
        "https://evil.example/x",
        "http://api.example.com/x",
        "https://api.example.com:8443/x",
    ):
        for change in ({"url": url}, {"url": url, "headers": kept}):
            refused = await api.patch(path, json={"config": change})
            assert refused.status_code == 400, change
            assert refused.json()["details"][0]["field"] == "config.headers"
    moved = made["config"]["url"].replace("api.", "evil.")
    headers = [{"key": "X-Auth", "value": "another"}]
    refused = await api.patch(path, json={"config": {"url": moved, "headers": headers}})
    assert refused.json()["details"][0]["field"] == "config.url"
    assert (await api.get(path)).json()["data"]["config"] == made["config"]
    # With new ones it may.
    change = {"url": "https://other.example/x", "headers": headers}
    assert (await api.patch(path, json={"config": change})).status_code == 200
    assert await kept_headers(api, made["id"]) == headers


async def test_a_masked_query_keeps_its_values(api: Api):
    made = await api.made("/v1/tools", TOOL)
    assert MASK in made["config"]["url"]
    url = made["config"]["url"] + "&more=1"
    answer = await api.patch(f"/v1/tools/{made['id']}", json={"config": {"url": url}})
    assert answer.status_code == 200
    async with api.process.database.reading() as session:
        tool = await queries.one(session, await api.organization_id(), uuid.UUID(made["id"]))
    assert tool.config["url"] == TOOL["config"]["url"] + "&more=1"
