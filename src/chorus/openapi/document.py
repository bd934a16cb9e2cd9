"""The whole document, from the routes of an application.

1. what FastAPI makes of the routes (OpenAPI 3.1)
2. names that read well in generated code: `Agent`, `AgentResponse`, `AgentList`
3. a key and all possible answers at every operation (`answers.py`)
4. what a field means is written once, at the request's model, and holds for the response's too
5. OpenAPI 3.0.3 (`v30.py`), which more programs read
6. an example at every request and success (`examples.py`)
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import iter_route_contexts

from chorus.openapi import answers, examples, v30, words

Node = dict[str, Any]

METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
# What FastAPI calls the schemes, and what we do.
_SCHEMES = {"HTTPBearer": "apiKey", "APIKeyCookie": "session"}
_GENERIC = re.compile(r"(?P<kind>Data|Page)_(?P<of>\w+?)_")
_SUFFIX = {"Data": "Response", "Page": "List"}
_NOT_SHARED = ("createdAt", "updatedAt", "id")


def build(app: FastAPI, url: str) -> Node:
    """The document of the API that is reached at `url`."""
    document = get_openapi(
        title=words.TITLE,
        version=app.version,
        openapi_version="3.1.0",
        description=words.DESCRIPTION,
        routes=app.routes,
        servers=[{"url": url, "description": "This installation"}],
        license_info=words.LICENSE,
        separate_input_output_schemas=False,
    )
    document = _renamed(document)
    _tell_tags(document)
    _tell_security(document)
    _tell_answers(document, _repeatable(app))
    document = v30.lower(document)
    _tidy(document)
    _share_descriptions(document["components"]["schemas"])
    examples.fill(document)
    _link(document)
    _prune(document)
    return document


def operations(document: Node) -> Iterator[tuple[str, str, Node]]:
    """Path, method in small letters, operation."""
    for path, item in document["paths"].items():
        for method, operation in item.items():
            if method in METHODS:
                yield path, method, operation


def _renamed(document: Node) -> Node:
    names = {name: _name(name) for name in document["components"]["schemas"]}
    if len(set(names.values())) < len(names):
        twice = sorted(new for new in names.values() if list(names.values()).count(new) > 1)
        raise ValueError(f"two schemas would have the same name: {twice}")
    document["components"]["schemas"] = {
        names[name]: schema for name, schema in document["components"]["schemas"].items()
    }
    start = "#/components/schemas/"

    def change(found: Node) -> Node:
        # Values of `$ref`, and of a discriminator's mapping.
        for key, value in found.items():
            if isinstance(value, str) and value.startswith(start):
                found[key] = start + names[value.removeprefix(start)]
        return found

    return json.loads(json.dumps(document), object_hook=change)


def _name(name: str) -> str:
    if generic := _GENERIC.fullmatch(name):
        return _name(generic["of"]) + _SUFFIX[generic["kind"]]
    return name.removesuffix("Out")


def _tell_tags(document: Node) -> None:
    used: dict[str, None] = {}
    for _, _, operation in operations(document):
        used |= dict.fromkeys(operation.get("tags", ()))
    document["tags"] = [
        {"name": tag, **({"description": words.TAGS[tag]} if tag in words.TAGS else {})}
        for tag in used
    ]


def _tell_security(document: Node) -> None:
    schemes: Node = document["components"].get("securitySchemes", {})
    document["components"]["securitySchemes"] = {
        _SCHEMES.get(name, name): scheme for name, scheme in schemes.items()
    }
    for _, _, operation in operations(document):
        operation["security"] = [
            {_SCHEMES.get(name, name): scopes for name, scopes in wanted.items()}
            for wanted in operation.get("security", ())
        ]


def _tell_answers(document: Node, repeatable: set[tuple[str, str]]) -> None:
    document["components"] |= answers.components()
    for path, method, operation in operations(document):
        answers.complete(method, operation, repeatable=(path, method) in repeatable)


def _repeatable(app: FastAPI) -> set[tuple[str, str]]:
    """The operations that heed an Idempotency-Key."""
    return {
        (str(route.path_format), "post")
        for route in iter_route_contexts(app.routes)
        if "POST" in (route.methods or ())
        and getattr(route.original_route, "in_transaction", True)
        and getattr(route.original_route, "keeps_answers", True)
    }


def _tidy(document: Node) -> None:
    """Leave out what Pydantic makes of names, and bring whole sentences where there were none."""
    for name, schema in document["components"]["schemas"].items():
        schema["title"] = name
        for member in schema.get("properties", {}).values():
            member.pop("title", None)
        if schema.get("description"):
            schema["description"] = " ".join(schema["description"].split())
    for _, _, operation in operations(document):
        for parameter in operation.get("parameters", ()):
            schema = parameter.get("schema", {})
            schema.pop("title", None)
            schema.pop("description", None)  # it stands beside the schema as well
            # A parameter that is left out is absent, never null.
            if schema.pop("nullable", False) and None in schema.get("enum", ()):
                schema["enum"].remove(None)
        if operation.get("description"):
            operation["description"] = " ".join(operation["description"].split())


def _link(document: Node) -> None:
    """What is created can be asked for, changed and deleted: say by which operations."""
    paths: Node = document["paths"]
    for path, item in paths.items():
        created = item.get("post", {}).get("responses", {}).get("201")
        if created is None:
            continue
        start = f"{path}/{{id}}"
        # A call placed below /api is looked at below /v1.
        start = start if start in paths else "/v1/calls/{id}" if "/calls" in path else start
        found = {
            operation["operationId"]: {
                "operationId": operation["operationId"],
                "parameters": {"id": "$response.body#/data/id"},
            }
            for other, members in paths.items()
            if other == start or other.startswith(f"{start}/")
            for method, operation in members.items()
            if method in METHODS and other.count("{") == 1
        }
        if found:
            created["links"] = found


def _prune(document: Node) -> None:
    """Leave out components that nothing refers to."""
    unused = True
    while unused:
        text = json.dumps(document)
        unused = [
            (members, name)
            for kind, members in document["components"].items()
            for name in members
            if kind != "securitySchemes" and f'"#/components/{kind}/{name}"' not in text
        ]
        for members, name in unused:
            del members[name]


def _share_descriptions(schemas: Node) -> None:
    for name, schema in schemas.items():
        asked = schemas.get(f"{name}Create")
        if asked is None:
            continue
        for field, told in schema.get("properties", {}).items():
            source = asked.get("properties", {}).get(field, {})
            if field not in _NOT_SHARED and "description" in source and "$ref" not in told:
                told.setdefault("description", source["description"])
