"""The OpenAPI document: to be had without a key, whole, valid, and true."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from openapi_schema_validator import OAS30Validator, oas30_format_checker
from openapi_spec_validator import OpenAPIV30SpecValidator
from tests.fakes.api import Api

from chorus.openapi.document import operations

Node = dict[str, Any]

COOKIE = [{"session": []}]
OWN = (
    *("/sessions", "/sessions/current", "/sessions/switch", "/sessions/{id}", "/password"),
    *("/second-factor", "/second-factor/confirmation", "/second-factor/removal"),
    *("/views", "/views/{id}"),
    *("/sso", "/sso/test", "/sso/domains/verify"),
)
SECURITY = dict.fromkeys(OWN, COOKIE)
OPEN = {
    ("post", f"/v1/{path}")
    for path in (
        *("sessions", "sessions/second-factor", "sessions/sso", "sessions/sso/link"),
        *("sso/organizations", "sso/authorizations", "invitations", "owners"),
    )
} | {("post", "/v1/publishable-tokens/{token}/calls")}


async def document(api: Api) -> Node:
    response = await api.client_with(None).get("/v1/openapi.json")
    assert response.status_code == 200
    return response.json()


def resolved(document: Node, node: Node) -> Node:
    while "$ref" in node:
        found: Any = document
        for part in node["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        node = found
    return node


async def test_it_is_valid_openapi_3_0(sqlite_api: Api):
    found = await document(sqlite_api)
    assert found["openapi"] == "3.0.3"
    assert list(OpenAPIV30SpecValidator(found).iter_errors()) == []
    assert found["servers"][0]["url"] == sqlite_api.process.settings.url


async def test_every_operation_has_a_name_of_its_own_and_its_errors(sqlite_api: Api):
    found = await document(sqlite_api)
    names = [operation["operationId"] for _, _, operation in operations(found)]
    assert len(set(names)) == len(names) >= 27
    for path, method, operation in operations(found):
        where = f"{method} {path}"
        assert re.fullmatch(r"[a-z]+([A-Z][a-z]+)+", operation["operationId"]), where
        assert path.startswith(("/v1/", "/api/")), where
        assert operation["summary"], where
        known_by = SECURITY.get(path.removeprefix("/v1"), [{"apiKey": []}])
        assert operation["security"] == ([] if (method, path) in OPEN else known_by), where
        expected = {"400", "429", "500", "503"}
        if operation["security"]:
            expected |= {"401", "403"}
        if "requestBody" in operation:
            expected |= {"413"}
        if "{" in path:
            expected |= {"404"}
        assert expected <= operation["responses"].keys(), where
        assert not {"422", "default"} & operation["responses"].keys(), where
        assert [s for s in operation["responses"] if s < "400"], where


async def test_it_tells_the_forms_that_the_server_holds_texts_to(sqlite_api: Api):
    schemas = (await document(sqlite_api))["components"]["schemas"]
    model = schemas["KnowledgeBaseCreate"]["properties"]["embeddingModel"]
    assert re.search(model["pattern"], "openai/text-embedding-3-small")
    assert not re.search(model["pattern"], "?")
    origins = schemas["PublishableTokenCreate"]["properties"]["origins"]
    assert origins["uniqueItems"]
    for good in ("https://a.example", "https://[::1]:8443/", "http://localhost:80"):
        assert re.search(origins["items"]["pattern"], good)
    for wrong in (
        "https://a.example/b",
        "https://\u00e4.example",
        "http://a.example",
        "https://a:0",
    ):
        assert not re.search(origins["items"]["pattern"], wrong)
    email = schemas["MemberCreate"]["properties"]["email"]
    assert (email["format"], email["maxLength"]) == ("email", 254)
    assert not re.search(email["pattern"], "a..b@c.de")


async def test_every_answer_has_its_headers_and_every_error_the_envelope(sqlite_api: Api):
    found = await document(sqlite_api)
    always = {"X-Request-Id", "X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"}
    for path, method, operation in operations(found):
        for status, given in operation["responses"].items():
            response = resolved(found, given)
            where = f"{method} {path} {status}"
            assert always <= response["headers"].keys(), where
            assert response["description"] != "Successful Response", where
            if status >= "400":
                schema = response["content"]["application/json"]["schema"]
                assert schema == {"$ref": "#/components/schemas/Failure"}, where


async def test_who_may_ask_again_is_always_told_when(sqlite_api: Api):
    found = await document(sqlite_api)
    assert found["components"]["headers"]["Retry-After"]["required"] is True


async def test_every_tag_is_explained(sqlite_api: Api):
    found = await document(sqlite_api)
    told = {tag["name"]: tag.get("description") for tag in found["tags"]}
    used = {tag for _, _, operation in operations(found) for tag in operation["tags"]}
    assert used == told.keys()
    assert [name for name, description in told.items() if not description] == []


async def test_a_post_tells_of_its_idempotency_key(sqlite_api: Api):
    create = (await document(sqlite_api))["paths"]["/v1/agents"]["post"]
    assert {"$ref": "#/components/parameters/IdempotencyKey"} in create["parameters"]
    assert "Idempotency-Replayed" in create["responses"]["201"]["headers"]
    assert "409" in create["responses"]


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
    for name in ("Agent", "PhoneNumber"):
        told = set(schemas[name]["properties"])
        assert not {n for n in told if re.search("secret|password|token|apiKey", n)} - {
            "hasPostCallWebhookSecret"
        }


# --- examples ------------------------------------------------------------------------------


def media_of(found: Node) -> Iterator[tuple[str, Node]]:
    for path, method, operation in operations(found):
        bodies = {"request": operation.get("requestBody", {}), **operation["responses"]}
        for which, given in bodies.items():
            body = resolved(found, given)
            for media_type, media in body.get("content", {}).items():
                if media_type == "application/json":
                    yield f"{method} {path} {which}", media


def examples_in(found: Node, media: Node) -> list[Any]:
    many = [example["value"] for example in media.get("examples", {}).values()]
    own = resolved(found, media["schema"]).get("example")
    one = [media["example"]] if "example" in media else []
    return [*many, *one, *([own] if own is not None else [])]


async def test_every_example_is_of_its_own_schema(sqlite_api: Api):
    found = await document(sqlite_api)
    wrong: list[str] = []
    for where, media in media_of(found):
        schema = {**media["schema"], "components": found["components"]}
        validator = OAS30Validator(schema, format_checker=oas30_format_checker)
        examples = examples_in(found, media)
        assert examples, f"{where} has no example"
        for example in examples:
            wrong += [f"{where}: {e.json_path} {e.message}" for e in validator.iter_errors(example)]
    assert wrong == []


async def test_parameters_have_examples_of_their_schema(sqlite_api: Api):
    found = await document(sqlite_api)
    for path, method, operation in operations(found):
        for given in operation.get("parameters", ()):
            parameter = resolved(found, given)
            if parameter["in"] == "path":
                example, schema = parameter["example"], parameter["schema"]
                assert OAS30Validator(schema).is_valid(example), f"{method} {path}"


async def test_the_server_takes_the_requests_that_are_shown(sqlite_api: Api):
    """Those that create, in an order in which what they refer to is there."""
    found = await document(sqlite_api)
    ids: dict[str, str] = {}

    def example(path: str) -> Node:
        body = found["paths"][path]["post"]["requestBody"]["content"]["application/json"]["example"]
        return {k: ids.get(v, v) if isinstance(v, str) else v for k, v in body.items()}

    for path in (
        "/v1/agents",
        "/v1/tools",
        "/v1/phone-numbers",
        "/v1/calls",
        "/api/calls/outbound",
    ):
        media = found["paths"][path]["post"]["responses"]["201"]["content"]["application/json"]
        made = await sqlite_api.made(path, example(path))
        ids[media["example"]["data"]["id"]] = made["id"]
    for path in ("/v1/agents/{id}", "/v1/tools/{id}", "/v1/phone-numbers/{id}"):
        patch = found["paths"][path]["patch"]
        [parameter] = [resolved(found, p) for p in patch["parameters"] if p.get("in") == "path"]
        body = patch["requestBody"]["content"]["application/json"]["example"]
        response = await sqlite_api.patch(path.format(id=ids[parameter["example"]]), json=body)
        assert response.status_code == 200, response.text


async def test_what_the_server_answers_is_of_the_schema(sqlite_api: Api):
    found = await document(sqlite_api)
    response = await sqlite_api.post("/v1/agents", json={"name": "An agent"})
    media = found["paths"]["/v1/agents"]["post"]["responses"]["201"]["content"]["application/json"]
    schema = {**media["schema"], "components": found["components"]}
    assert list(OAS30Validator(schema).iter_errors(response.json())) == []
    broken = {"data": {**response.json()["data"], "voiceSpeed": "fast"}}
    assert not OAS30Validator(schema).is_valid(broken)


async def test_nothing_among_the_components_is_unused(sqlite_api: Api):
    found = await document(sqlite_api)
    text = (await sqlite_api.get("/v1/openapi.json")).text
    for kind in ("parameters", "responses", "schemas", "headers"):
        for name in found["components"][kind]:
            assert f'"#/components/{kind}/{name}"' in text, name


async def test_what_is_created_is_linked_to_what_can_be_done_with_it(sqlite_api: Api):
    created = (await document(sqlite_api))["paths"]["/v1/agents"]["post"]["responses"]["201"]
    assert {"getAgent", "updateAgent", "deleteAgent"} <= created["links"].keys()
    assert created["links"]["getAgent"]["parameters"] == {"id": "$response.body#/data/id"}


async def test_a_patch_tells_the_same_bounds_as_the_post(sqlite_api: Api):
    schemas = (await document(sqlite_api))["components"]["schemas"]
    for name in ("toolIds", "knowledgeBaseIds"):
        assert schemas["AgentCreate"]["properties"][name]["uniqueItems"] is True
        assert schemas["AgentPatch"]["properties"][name]["uniqueItems"] is True
