"""/v1/tools on both databases."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from tests.fakes.api import Api

from chorus.tools import queries
from chorus.tools.schemas import MASK

TOOL: dict[str, Any] = {
    "name": "Book a table",
    "description": "Books a table. Use it when the caller has named a time.",
    "type": "http",
    "config": {
        "url": "https://api.example.com/places/{place}/bookings?lang=en",
        "method": "POST",
        "timeout": 2500,
        "headers": [
            {"key": "X-Tenant", "value": "acme"},
            {"key": "Authorization", "value": "Bearer a-very-secret-word"},
        ],
        "body": [
            {"name": "place", "type": "string", "description": "Where", "required": True},
            {"name": "guests", "type": "integer", "description": "How many", "required": False},
        ],
    },
}


def shown(tool: dict[str, Any]) -> dict[str, Any]:
    config = {**tool["config"]}
    config["headers"] = [config["headers"][0], {"key": "Authorization", "value": MASK}]
    return {**tool, "config": config}


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
    async with api.process.database.reading() as session:
        [tool] = await queries.http_tools(
            session, await api.organization_id(), [uuid.UUID(made["id"])], api.process.secrets
        )
    assert dict(tool.headers)["Authorization"] == "Bearer a-very-secret-word"
    assert tool.timeout_ms == 900
    assert "a-very-secret-word" not in repr(tool)
    config["headers"] = [{"key": "X-Key", "value": MASK}]
    response = await api.patch(f"/v1/tools/{made['id']}", json={"config": config})
    assert response.status_code == 400
    assert response.json()["details"][0]["field"] == "config.headers.0.value"


async def test_the_models_see_names_that_they_take(api: Api):
    config = {"url": "https://a.example"}
    ids = [
        uuid.UUID(
            (await api.made("/v1/tools", {"name": n, "description": "d", "config": config}))["id"]
        )
        for n in ("Book a table!", "book_a_table", "Book a table!", "日本", "x" * 200)
    ]
    async with api.process.database.reading() as session:
        tools = await queries.http_tools(
            session, await api.organization_id(), ids, api.process.secrets
        )
    names = [tool.name for tool in tools]
    assert names[:4] == ["Book_a_table", "book_a_table", "Book_a_table_2", "tool"]
    assert len(names[4]) <= 64


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
    for response in (created, patched):
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
