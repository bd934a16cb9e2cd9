"""Every refusal looks the same and says what is wrong."""

from __future__ import annotations

from typing import Any

import pytest
from tests.conftest import settings_for
from tests.fakes.api import KEY, Api, running


def problem(response: Any) -> tuple[str, str]:
    """The one field that is wrong, and what is said of it."""
    [detail] = response.json()["details"]
    return detail["field"], detail["message"]


async def test_an_error_names_its_code_and_the_request(sqlite_api: Api):
    response = await sqlite_api.get("/v1/nothing", headers={"X-Request-Id": "mine-1"})
    assert response.status_code == 404
    assert response.json() == {"error": "Not found", "code": "not_found", "requestId": "mine-1"}
    assert response.headers["X-Request-Id"] == "mine-1"


async def test_a_hostile_request_id_is_replaced(sqlite_api: Api):
    response = await sqlite_api.get("/healthz", headers={"X-Request-Id": "a b\tc"})
    assert response.headers["X-Request-Id"] not in ("", "a b\tc")


@pytest.mark.parametrize(
    "authorization",
    ["", "Bearer", "Bearer sk_live_" + "x" * 32, "Basic dGVzdA==", f"Token {KEY}", KEY, "Bearer é"],
)
async def test_without_a_valid_key_there_is_nothing(sqlite_api: Api, authorization: str):
    client = sqlite_api.client_with(None)
    headers = {"authorization": authorization.encode()} if authorization else {}
    response = await client.post("/v1/agents", content=b"{not json", headers=headers)
    assert response.status_code == 401
    assert response.json()["error"] == "Invalid API key"
    assert response.json()["code"] == "invalid_api_key"


@pytest.mark.parametrize(
    ("body", "field", "says"),
    [
        (b'{"name": ', "body", "not valid JSON"),
        (b'{"name": "\xff', "body", "not valid UTF-8"),
        (b'{"name": "\xff"}', "name", "not valid UTF-8"),
        (b'{"name": "a", "name": "b"}', "name", "'name' stands twice"),
        (b'{"config": [{"a": 1, "a": 1}]}', "config.0.a", "'a' stands twice"),
        (b'{"name": NaN}', "name", "NaN is not a JSON number"),
        (b'{"name": -Infinity}', "name", "-Infinity is not a JSON number"),
        (b'{"metadata": ' + b"[" * 70 + b"]" * 70 + b"}", "metadata", "nested deeper than 64"),
        (b'{"a": {}, "b": ' + b"[" * 200_000, "b", "nested deeper than 64"),
        (b"[" * 200_000, "body", "nested deeper than 64"),
    ],
)
async def test_a_body_that_is_not_json(sqlite_api: Api, body: bytes, field: str, says: str):
    response = await sqlite_api.post(
        "/v1/agents", content=body, headers={"content-type": "application/json"}
    )
    assert response.status_code == 400
    assert response.json()["code"] == "invalid_json"
    named, message = problem(response)
    assert named == field
    assert says in message


@pytest.mark.parametrize(
    ("body", "field", "says"),
    [
        (b'{"voiceSpeed": 1e999}', "voiceSpeed", "too large"),
        (b'{"name": 123456789012345678901234567890}', "name", "beyond 64 bits"),
        (b'{"name": 9223372036854775808}', "name", "beyond 64 bits"),
        (b'{"name": ' + b"1" * 5000 + b"}", "name", "beyond 64 bits"),
        (b'{"metadata": {"a": ["b", "a\\u0000b"]}}', "metadata.a.1", "NUL"),
        (b'{"name": "\\ud800"}', "name", "surrogate"),
        (b'{"name": "a\\u001bb"}', "name", "U+001B"),
        (b'{"name": "\xc2\x85"}', "name", "U+0085"),
        (b'{"metadata": {"a\\u0007": 1}}', "metadata.a\ufffd", "U+0007"),
    ],
)
async def test_what_no_field_takes(sqlite_api: Api, body: bytes, field: str, says: str):
    response = await sqlite_api.post(
        "/v1/agents", content=body, headers={"content-type": "application/json"}
    )
    assert response.status_code == 400
    assert response.json()["code"] == "validation_failed"
    named, message = problem(response)
    assert named == field
    assert says in message


@pytest.mark.parametrize("body", [b"", b"  \n"])
async def test_no_body(sqlite_api: Api, body: bytes):
    response = await sqlite_api.post(
        "/v1/agents", content=body, headers={"content-type": "application/json"}
    )
    assert response.status_code == 400
    assert problem(response) == ("body", "The request body must be a JSON object")


@pytest.mark.parametrize("body", [[], "text", 5, None, True])
async def test_a_body_that_is_no_object(sqlite_api: Api, body: Any):
    response = await sqlite_api.post("/v1/agents", json=body)
    assert response.status_code == 400
    assert problem(response)[0] == "body"


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", ""])
async def test_another_content_type(sqlite_api: Api, kind: str):
    response = await sqlite_api.post(
        "/v1/agents", content=b'{"name": "a"}', headers={"content-type": kind}
    )
    assert response.status_code == 400
    assert response.json()["code"] == "unsupported_content_type"


async def test_a_content_type_with_a_charset_is_fine(sqlite_api: Api):
    response = await sqlite_api.post(
        "/v1/agents",
        content=b'{"name": "a"}',
        headers={"content-type": "Application/JSON; charset=utf-8"},
    )
    assert response.status_code == 201


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_that_is_too_large(tmp_path: Any, chunked: bool):
    async def pieces() -> Any:
        for _ in range(20):
            yield b" " * 1000

    async with running(settings_for(tmp_path, max_request_bytes=2000)) as api:
        response = await api.post(
            "/v1/agents",
            content=pieces() if chunked else b" " * 2001,
            headers={"content-type": "application/json"},
        )
    assert response.status_code == 413
    assert response.json()["code"] == "request_too_large"
    assert "2000 bytes" in response.json()["error"]


async def test_all_wrong_fields_are_named_at_once(sqlite_api: Api):
    response = await sqlite_api.post(
        "/v1/agents",
        json={
            "systemPrompt": 5,
            "voiceSpeed": 2,
            "voiceStability": True,
            "turnEndpointDelay": 10.5,
            "isActive": "yes",
            "backgroundSoundId": "x",
            "firstSpeaker": "both",
            "colour": "red",
            "postCallExtractionSchema": [{"name": "a", "type": "time"}],
        },
    )
    assert response.status_code == 400
    assert response.json()["error"] == "Validation failed"
    found = {detail["field"]: detail["message"] for detail in response.json()["details"]}
    assert found == {
        "name": "Name is required",
        "systemPrompt": "System prompt must be a string",
        "voiceSpeed": "Voice speed must be at most 1.5",
        "voiceStability": "Voice stability must be a number",
        "turnEndpointDelay": "Turn endpoint delay must be a whole number",
        "isActive": "Is active must be true or false",
        "backgroundSoundId": "Background sound ID must be a UUID",
        "firstSpeaker": "First speaker must be one of user, agent",
        "colour": "colour is not a known field",
        "postCallExtractionSchema.0.type": (
            "Type must be one of string, number, integer, boolean, array, object, date"
        ),
    }


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("limit=x", "limit"),
        ("offset=-1", "offset"),
        ("offset=99999999999999999999", "offset"),
        ("agent_id=5", "agent_id"),
    ],
)
@pytest.mark.parametrize("path", ["agents", "phone-numbers", "tools", "calls", "voices"])
async def test_wrong_query_parameters(sqlite_api: Api, path: str, query: str, field: str):
    response = await sqlite_api.get(f"/v1/{path}?{query}")
    assert response.status_code == 400
    assert problem(response)[0] == field


@pytest.mark.parametrize("path", ["agents", "phone-numbers", "tools", "calls", "voices"])
async def test_an_id_that_is_no_uuid(sqlite_api: Api, path: str):
    response = await sqlite_api.get(f"/v1/{path}/123")
    assert response.status_code == 404


async def test_another_method(sqlite_api: Api):
    response = await sqlite_api.client.put("/v1/agents", json={})
    assert response.status_code == 405
    assert response.json()["code"] == "method_not_allowed"
    assert "GET" in response.headers["Allow"]


async def test_a_failure_inside_says_nothing_of_the_inside(
    sqlite_api: Api, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    async def broken(*_: Any, **__: Any) -> Any:
        raise RuntimeError("the secret inside")

    monkeypatch.setattr("chorus.agents.queries.page", broken)
    response = await sqlite_api.get("/v1/agents", headers={"X-Request-Id": "r1"})
    assert response.status_code == 500
    assert response.json() == {
        "error": "Internal server error",
        "code": "internal_error",
        "requestId": "r1",
    }
    assert response.headers["X-RateLimit-Limit"] == "100000"
    assert "the secret inside" in caplog.text
