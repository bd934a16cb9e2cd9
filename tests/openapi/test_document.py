"""The OpenAPI document: to be had without a key, whole, and true."""

from __future__ import annotations

import re
from typing import Any

from tests.fakes.api import Api

COOKIE = [{"APIKeyCookie": []}]
SECURITY = dict.fromkeys(("/sessions", "/sessions/current", "/sessions/{id}", "/password"), COOKIE)
OPEN = {("post", "/v1/sessions"), ("post", "/v1/invitations")}


async def document(api: Api) -> dict[str, Any]:
    response = await api.client_with(None).get("/v1/openapi.json")
    assert response.status_code == 200
    return response.json()


async def test_every_operation_has_a_name_of_its_own_and_its_errors(sqlite_api: Api):
    found = await document(sqlite_api)
    operations = [
        (path, method, operation)
        for path, methods in found["paths"].items()
        for method, operation in methods.items()
    ]
    names = [operation["operationId"] for _, _, operation in operations]
    assert len(set(names)) == len(names) >= 27
    assert all(re.fullmatch(r"[a-z]+([A-Z][a-z]+)+", name) for name in names)
    for path, method, operation in operations:
        assert path.startswith(("/v1/", "/api/")), path
        known_by = SECURITY.get(path.removeprefix("/v1"), [{"HTTPBearer": []}])
        if (method, path) not in OPEN:
            assert operation["security"] == known_by, (method, path)
        else:
            assert "security" not in operation, (method, path)
        assert {"400", "401", "429", "500"} <= operation["responses"].keys()
        assert "422" not in operation["responses"]
        assert ("404" in operation["responses"]) or "{id}" not in path
        assert operation["summary"]


async def test_a_patch_requires_nothing_and_has_no_defaults(sqlite_api: Api):
    schemas = (await document(sqlite_api))["components"]["schemas"]
    for name in ("AgentPatch", "PhoneNumberPatch", "ToolPatch"):
        assert "required" not in schemas[name]
        assert schemas[name]["additionalProperties"] is False
        assert not [f for f, s in schemas[name]["properties"].items() if "default" in s]
    assert schemas["AgentCreate"]["required"] == ["name"]
    assert schemas["AgentCreate"]["properties"]["fallbackSilenceMs"]["default"] == 3000
    speed = schemas["AgentPatch"]["properties"]["voiceSpeed"]
    assert (speed["minimum"], speed["maximum"]) == (0.6, 1.5)


async def test_secrets_are_in_no_response(sqlite_api: Api):
    schemas = (await document(sqlite_api))["components"]["schemas"]
    for name in ("AgentOut", "PhoneNumberOut"):
        told = set(schemas[name]["properties"])
        assert not {n for n in told if re.search("secret|password|token|apiKey", n)} - {
            "hasPostCallWebhookSecret"
        }
