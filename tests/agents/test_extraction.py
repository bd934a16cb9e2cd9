"""`postCallExtractionSchema` as a JSON Schema, and values held to it."""

from __future__ import annotations

import re
from typing import Any

import orjson
import pytest
from tests.fakes.api import Api

from chorus.agents import json_schema
from chorus.analysis.fields import Field, Invalid, answer_schema, checked, fields_of

SCHEMA: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "Booking",
    "type": "object",
    "properties": {
        "party": {"type": "integer", "minimum": 1, "maximum": 12},
        "day": {"type": "string", "format": "date"},
        "where": {"$ref": "#/$defs/place"},
        "mood": {"enum": ["good", "bad"]},
        "wishes": {"type": "array", "items": {"type": "string", "maxLength": 20}},
        "price": {"anyOf": [{"type": "number"}, {"type": "null"}]},
    },
    "required": ["party", "price"],
    "additionalProperties": False,
    "$defs": {
        "place": {
            "type": "object",
            "properties": {"street": {"$ref": "#/$defs/line"}},
            "required": ["street"],
        },
        "line": {"type": "string", "minLength": 3, "pattern": "^(a+)+$"},
    },
}
FIELDS = {field.name: field for field in fields_of(SCHEMA)}


async def test_a_json_schema_is_kept_as_it_was_given(api: Api):
    made = await api.made("/v1/agents", {"name": "a", "postCallExtractionSchema": SCHEMA})
    assert made["postCallExtractionSchema"] == SCHEMA
    path = f"/v1/agents/{made['id']}"
    read = (await api.get(path)).json()["data"]
    assert read["postCallExtractionSchema"] == SCHEMA
    again = await api.patch(path, json={**read, "name": "b"})
    assert again.json()["data"]["postCallExtractionSchema"] == SCHEMA
    for nothing, kept in (({}, {}), ([], []), (None, [])):
        answer = await api.patch(path, json={"postCallExtractionSchema": nothing})
        assert answer.json()["data"]["postCallExtractionSchema"] == kept


@pytest.mark.parametrize(
    ("schema", "says"),
    [
        ({"type": "array", "items": {}}, "of an object"),
        ({"type": "object"}, "properties"),
        ({"properties": []}, "properties"),
        ({"properties": {"": {}}}, "name"),
        ({"properties": {"a": {"type": "text"}}}, "see type"),
        ({"properties": {"a": {"minLength": -1}}}, "see minLength"),
        ({"properties": {"a": {"items": [{"type": "string"}]}}}, "see items"),
        ({"properties": {"a": {"anyOf": [{"exclusiveMinimum": True}]}}}, "see exclusiveMinimum"),
        ({"properties": {"a": {"$ref": "https://example.com/x"}}}, "own parts only"),
        ({"properties": {"a": {"$ref": "#/$defs/no"}}}, "has no part"),
        (
            {"properties": {"a": {"$ref": "#/$defs/a"}}, "$defs": {"a": {"$ref": "#/$defs/a"}}},
            "refers to itself",
        ),
        ({"properties": {"a": {"$dynamicRef": "#a"}}}, "$dynamicRef"),
        ({"properties": {"a": {"description": "x" * 40_000}}}, "32768 bytes"),
        ({"properties": {f"p{n}": {} for n in range(101)}}, "100 properties"),
        (
            # Each twice the one before: a thousand million, if nobody counted.
            {
                "properties": {"a": {"$ref": "#/$defs/d0"}},
                "$defs": {
                    f"d{n}": {"anyOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(30)
                }
                | {"d30": {}},
            },
            "at most 500 schemas",
        ),
        ("text", "must be an array"),
    ],
)
async def test_what_is_no_such_schema(sqlite_api: Api, schema: Any, says: str):
    wish = {"name": "a", "postCallExtractionSchema": schema}
    answer = await sqlite_api.post("/v1/agents", json=wish)
    assert answer.status_code == 400
    [problem] = answer.json()["details"]
    assert problem["field"] == "postCallExtractionSchema"
    assert says in problem["message"]


def test_a_field_for_each_property() -> None:
    assert list(FIELDS) == ["party", "day", "where", "mood", "wishes", "price"]
    assert [name for name, field in FIELDS.items() if field.required] == ["party", "price"]
    asked = orjson.dumps(answer_schema(list(FIELDS.values()), summary=False)).decode()
    assert "$ref" not in asked
    assert '"street":{"type":"string","minLength":3' in asked


@pytest.mark.parametrize(
    ("name", "written", "value"),
    [
        ("party", "4", 4),
        ("mood", "GOOD", "good"),
        ("where", {"street": "Mill Lane", "floor": 2}, {"street": "Mill Lane", "floor": 2}),
        ("where", '{"street": "Mill Lane"}', {"street": "Mill Lane"}),
        ("wishes", ["window"], ["window"]),
        ("price", 4.5, 4.5),
        ("price", None, None),
        ("day", None, None),
    ],
)
def test_what_fits(name: str, written: Any, value: Any) -> None:
    assert checked(FIELDS[name], written) == value


@pytest.mark.parametrize(
    ("name", "written", "says"),
    [
        ("party", None, "required"),
        ("party", 13, "maximum 12"),
        ("party", "many", "integer"),
        ("mood", "so so", "allowed"),
        ("where", {"floor": 2}, 'required ["street"]'),
        ("where", {"street": "St"}, "minLength 3"),
        ("wishes", ["a secret that is much too long"], "maxLength 20"),
        ("day", "on Friday", 'format "date"'),
        ("price", "much", "anyOf"),
    ],
)
def test_what_does_not_fit(name: str, written: Any, says: str) -> None:
    with pytest.raises(Invalid, match=re.escape(says)) as wrong:
        checked(FIELDS[name], written)
    assert "secret" not in str(wrong.value), "nothing that was said"


@pytest.mark.parametrize("pattern", ["^(a+)+$", "("])
@pytest.mark.parametrize("more", ["additionalProperties", "unevaluatedProperties"])
def test_a_regular_expression_is_not_run(pattern: str, more: str) -> None:
    slow = "a" * 40 + "b"
    assert json_schema.misfit({"type": "string", "pattern": pattern}, slow) is None
    schema = {"patternProperties": {pattern: {"type": "null"}}, more: False}
    assert json_schema.checked({"properties": {"a": schema}})
    assert json_schema.misfit(schema, {slow: 1}) is None


def test_what_no_pattern_stands_beside_is_enforced() -> None:
    schema = {"properties": {"a": {}}, "additionalProperties": False}
    assert json_schema.misfit(schema, {"a": 1}) is None
    assert json_schema.misfit(schema, {"b": 1}) == "additionalProperties false"
    assert json_schema.misfit({"additionalProperties": {"type": "null"}}, {"b": 1}) is not None


@pytest.mark.parametrize("keyword", ["unevaluatedProperties", "unevaluatedItems"])
def test_what_looks_at_everything_once_more_at_each_level_is_not_run(keyword: str) -> None:
    schema: dict[str, Any] = {keyword: True}
    for _ in range(40):
        schema = {"allOf": [schema], keyword: True}
    assert json_schema.misfit(schema, {"a": 1}) is None
    assert json_schema.misfit(schema, [1]) is None


@pytest.mark.parametrize(
    ("written", "day"),
    [
        ("2025-01-31", "2025-01-31"),
        (" 2025-01-31T10:00:00Z ", "2025-01-31"),
        ("20250131", "2025-01-31"),
    ],
)
def test_a_date(written: str, day: str) -> None:
    assert checked(Field("day", "date"), written) == day


@pytest.mark.parametrize("written", ["Friday", "2025-02-30", "31.01.2025", "2025-01-31Tnoon", 5])
def test_no_date(written: Any) -> None:
    with pytest.raises(Invalid, match="must be a date"):
        checked(Field("day", "date"), written)


def test_what_would_take_long_is_not_looked_at() -> None:
    schema = {"items": {"anyOf": [{"required": [f"x{n}"]} for n in range(400)]}}
    assert json_schema.checked({"properties": {"a": schema}})
    found = json_schema.misfit(schema, [{"a": 1}] * 1000)
    assert found is not None
    assert "too large" in found


async def test_the_type_date_is_taken(sqlite_api: Api):
    field = {"name": "day", "type": "date", "description": "Of the visit"}
    made = await sqlite_api.made("/v1/agents", {"name": "a", "postCallExtractionSchema": [field]})
    assert made["postCallExtractionSchema"][0]["type"] == "date"
    [property] = fields_of(made["postCallExtractionSchema"])
    assert property.schema["format"] == "date"
