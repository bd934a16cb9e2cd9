"""Each thing that OpenAPI 3.0 says otherwise than 3.1."""

from __future__ import annotations

from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV30SpecValidator

from chorus.openapi import v30

A = {"$ref": "#/components/schemas/A"}
NULL = {"type": "null"}


@pytest.mark.parametrize(
    ("new", "old"),
    [
        ({"anyOf": [{"type": "string"}, NULL]}, {"type": "string", "nullable": True}),
        ({"type": ["string", "null"]}, {"type": "string", "nullable": True}),
        (
            {"type": ["string", "integer"]},
            {"anyOf": [{"type": "string"}, {"type": "integer"}]},
        ),
        ({"anyOf": [A, NULL], "title": "T"}, {"allOf": [A], "nullable": True, "title": "T"}),
        (
            {"oneOf": [A, {"type": "string"}, NULL]},
            {"oneOf": [A, {"type": "string"}], "nullable": True},
        ),
        (
            {"anyOf": [{"type": "string", "enum": ["a"]}, NULL]},
            {"type": "string", "enum": ["a", None], "nullable": True},
        ),
        (NULL, {"nullable": True, "enum": [None]}),
        ({"anyOf": [NULL]}, {"nullable": True, "enum": [None]}),
        ({"const": 5}, {"enum": [5]}),
        ({"examples": ["a", "b"]}, {"example": "a"}),
        ({"examples": ["a"], "example": "c"}, {"example": "c"}),
        ({"examples": []}, {}),
        ({"type": "string", "default": None}, {"type": "string"}),
        ({"type": "boolean", "default": False}, {"type": "boolean", "default": False}),
        ({"exclusiveMinimum": 0}, {"minimum": 0, "exclusiveMinimum": True}),
        ({"exclusiveMinimum": 0, "minimum": 5}, {"minimum": 5}),
        (
            {"exclusiveMaximum": 9, "maximum": 10},
            {"maximum": 9, "exclusiveMaximum": True},
        ),
        (
            {"type": "integer", "minimum": 0.0, "maximum": 2000.0},
            {"type": "integer", "minimum": 0, "maximum": 2000},
        ),
        (
            {"type": "integer", "maximum": 2**63 - 1},
            {"type": "integer", "maximum": 2**63 - 1, "format": "int64"},
        ),
        (
            {"type": "array", "prefixItems": [{"type": "string"}, {"type": "number"}]},
            {"type": "array", "items": {"anyOf": [{"type": "string"}, {"type": "number"}]}},
        ),
        (
            {"type": "array", "prefixItems": [A, A], "minItems": 2, "maxItems": 2},
            {"type": "array", "items": A, "minItems": 2, "maxItems": 2},
        ),
        (
            {"type": "string", "contentMediaType": "application/octet-stream"},
            {"type": "string", "format": "binary"},
        ),
        ({"type": "string", "contentEncoding": "base64"}, {"type": "string", "format": "byte"}),
        ({**A, "description": "d"}, {"allOf": [A], "description": "d"}),
        (A, A),
        (
            {"type": "object", "propertyNames": {"pattern": "a"}, "additionalProperties": NULL},
            {"type": "object", "additionalProperties": {"nullable": True, "enum": [None]}},
        ),
        (
            # A field may have the name of a keyword.
            {"properties": {"const": {"const": 1}, "if": {"examples": [1]}}},
            {"properties": {"const": {"enum": [1]}, "if": {"example": 1}}},
        ),
    ],
)
def test_a_schema(new: dict[str, Any], old: dict[str, Any]):
    before = repr(new)
    lowered = v30.schema(new)
    assert lowered == old
    assert repr(new) == before, "the original was changed"
    assert v30.schema(lowered) == lowered, "twice is not as once"
    wanted = {"A": {"type": "object"}, "B": lowered}
    document = {
        "openapi": "3.0.3",
        "info": {"title": "t", "version": "1"},
        "paths": {},
        "components": {"schemas": wanted},
    }
    assert list(OpenAPIV30SpecValidator(document).iter_errors()) == []


def test_schemas_wherever_they_stand():
    media = {"schema": {"const": 1}, "example": {"const": 1, "schema": {"const": 2}}}
    lowered = v30.lower(
        {
            "openapi": "3.1.0",
            "jsonSchemaDialect": "x",
            "webhooks": {},
            "paths": {
                "/a": {
                    "get": {
                        "parameters": [{"name": "p", "schema": {"const": 1}}],
                        "responses": {"200": {"content": {"application/json": media}}},
                    }
                }
            },
        }
    )
    operation = lowered["paths"]["/a"]["get"]
    assert operation["parameters"][0]["schema"] == {"enum": [1]}
    told = operation["responses"]["200"]["content"]["application/json"]
    assert told == {"schema": {"enum": [1]}, "example": media["example"]}
    assert lowered.keys() == {"openapi", "paths"}


def test_what_may_be_null_is_written_out():
    may_be = {"anyOf": [A, NULL], "description": "d"}
    kind = {"type": "object", "properties": {"next": {"anyOf": [A, NULL]}, "b": {"type": "string"}}}
    schemas = v30.lower(
        {"components": {"schemas": {"A": kind, "Holder": {"properties": {"a": may_be}}}}}
    )["components"]["schemas"]
    a = schemas["Holder"]["properties"]["a"]
    assert (a["type"], a["nullable"], a["description"]) == ("object", True, "d")
    assert a["properties"]["b"] == {"type": "string"}
    # It holds itself: there it can only be referred to.
    assert a["properties"]["next"] == {"allOf": [A], "nullable": True}
