"""JSON Schemas that customers write (draft 2020-12): what is taken of them, and values held to one.

A schema comes from a stranger, so it is bounded in size, refers to nothing but its own parts, and
those are put in the place of its `$ref`s, so that what it costs to hold a value to it is bounded
by its size and the value's. What could take for ever is told to the language model and not
enforced: `pattern` and `patternProperties`, because a regular expression can; with the latter
`additionalProperties`, which is of what no pattern matches; and `unevaluatedProperties` and
`unevaluatedItems`, which look at every schema within once more at each level. Whether a schema is
one is looked at here, keyword by keyword: the library holds it to the schema of schemas, which
takes a second for a large one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import Any, cast

import orjson

MOST_BYTES = 32_768
MOST_SCHEMAS = 500
"""One within the other, all together, with `$ref`s replaced."""
MOST_FIELDS = 100
MOST_COMPARED = 30_000
"""Values within a value times those within its schema."""
_LONGEST_NAME = 64

_MAPS = ("properties", "patternProperties", "dependentSchemas")
_LISTS = ("allOf", "anyOf", "oneOf", "prefixItems")
_SINGLE = (
    *("items", "additionalProperties", "not", "if", "then", "else", "contains"),
    *("propertyNames", "unevaluatedItems", "unevaluatedProperties"),
)
_TYPES = ("string", "number", "integer", "boolean", "array", "object", "null")
_DROPPED = ("$defs", "definitions", "$id", "$schema", "$anchor", "$comment", "$ref")
_NOT_ENFORCED = ("pattern", "patternProperties", "unevaluatedItems", "unevaluatedProperties")
_REFUSED = ("$dynamicRef", "$recursiveRef", "$dynamicAnchor", "$recursiveAnchor")


def checked(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema of an object as it was given; `{}` is one without properties. Raises `ValueError`
    with the end of a sentence."""
    if len(orjson.dumps(schema)) > MOST_BYTES:
        raise ValueError(f"must have at most {MOST_BYTES} bytes as JSON")
    if schema and schema.get("type", "object") != "object":
        raise ValueError("must be the JSON Schema of an object")
    named = schema.get("properties", {})
    if not isinstance(named, dict) or (schema and not named):
        raise ValueError("must have properties, one for each value to extract")
    if len(cast("dict[str, Any]", named)) > MOST_FIELDS:
        raise ValueError(f"must have at most {MOST_FIELDS} properties")
    for name in cast("dict[str, Any]", named):
        if not 0 < len(name) <= _LONGEST_NAME or not name.isprintable():
            raise ValueError(f"has a property whose name is not 1 to {_LONGEST_NAME} characters")
    resolved(schema)
    return schema


def properties(schema: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The schema of each property, `$ref`s replaced, of one that was `checked`."""
    found = cast("dict[str, Any]", resolved(schema).get("properties", {}))
    # A boolean is a schema too: true takes anything.
    return {name: each if isinstance(each, dict) else {} for name, each in found.items()}


def misfit(schema: Mapping[str, Any], value: Any) -> str | None:
    """Which of a schema's demands `value` does not meet, None if it meets all. Nothing of the
    value is in it."""
    if _size(value) * _size(schema) > MOST_COMPARED:
        return "it is too large to be held to it"
    for wrong in _validator()(schema).iter_errors(value):
        demand = orjson.dumps(wrong.validator_value, default=str).decode()
        return f"{wrong.validator} {demand if len(demand) <= 100 else '…'}"
    return None


def resolved(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The schema with what its `$ref`s name in their place. Raises `ValueError` for one that names
    something else, itself, or too much."""
    return cast("dict[str, Any]", _Resolver(schema).schema(schema, ()))


class _Resolver:
    def __init__(self, root: Mapping[str, Any]) -> None:
        self._root = root
        self._count = 0

    def schema(self, node: Any, within: tuple[str, ...]) -> Any:
        """`within`: the references that led here."""
        if not isinstance(node, dict):
            return node
        self._count += 1
        if self._count > MOST_SCHEMAS:
            raise ValueError(f"must hold at most {MOST_SCHEMAS} schemas, with its $refs replaced")
        if len(within) > 100:
            raise ValueError("is nested too deeply")
        given = cast("dict[str, Any]", node)
        for name, value in given.items():
            if not _is_right(name, value):
                raise ValueError(f"is no JSON Schema of draft 2020-12: see {name[:100]}")
        for name in _REFUSED:
            if name in given:
                raise ValueError(f"must not have {name}")
        made = {
            name: self._keyword(name, value, (*within, ""))
            for name, value in given.items()
            if name not in _DROPPED
        }
        if "$ref" not in given:
            return made
        named = self._named(given["$ref"], within)
        if not made:
            return named
        return {**made, "allOf": [*cast("list[Any]", made.get("allOf") or []), named]}

    def _keyword(self, name: str, value: Any, within: tuple[str, ...]) -> Any:
        if name in _MAPS and isinstance(value, dict):
            members = cast("dict[str, Any]", value)
            return {key: self.schema(each, within) for key, each in members.items()}
        if name in _LISTS and isinstance(value, list):
            return [self.schema(each, within) for each in cast("list[Any]", value)]
        return self.schema(value, within) if name in _SINGLE else value

    def _named(self, reference: Any, within: tuple[str, ...]) -> Any:
        if not isinstance(reference, str) or not reference.startswith("#/"):
            raise ValueError("must refer to its own parts only, such as #/$defs/address")
        if reference in within:
            raise ValueError(f"refers to itself by {reference[:100]}")
        node: Any = self._root
        for part in reference[2:].split("/"):
            name = part.replace("~1", "/").replace("~0", "~")
            node = cast("dict[str, Any]", node).get(name) if isinstance(node, dict) else None
        if not isinstance(node, dict | bool):
            raise ValueError(f"has no part {reference[:100]}")
        return self.schema(node, (*within, reference))


def _is_right(name: str, value: Any) -> bool:
    """Whether a keyword has what the draft lets it have; of what it does not know, anything."""
    match name:
        case "type":
            listed = cast("list[Any]", value) if isinstance(value, list) else [value]
            return bool(listed) and all(isinstance(e, str) and e in _TYPES for e in listed)
        case "enum":
            return isinstance(value, list)
        case "required":
            return _is_texts(value)
        case "properties" | "patternProperties" | "dependentSchemas" | "$defs" | "definitions":
            return isinstance(value, dict) and all(
                isinstance(each, dict | bool) for each in cast("dict[str, Any]", value).values()
            )
        case "dependentRequired":
            return isinstance(value, dict) and all(
                map(_is_texts, cast("dict[str, Any]", value).values())
            )
        case "minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum":
            return _is_number(value)
        case "multipleOf":
            return _is_number(value) and value > 0
        case "pattern" | "format" | "title" | "description":
            return isinstance(value, str)
        case "uniqueItems":
            return isinstance(value, bool)
        case _ if name in _LISTS:
            return isinstance(value, list) and all(
                isinstance(each, dict | bool) for each in cast("list[Any]", value)
            )
        case _ if name in _SINGLE:
            return isinstance(value, dict | bool)
        case _ if re.fullmatch("(min|max)(Length|Items|Properties|Contains)", name):
            return isinstance(value, int) and not isinstance(value, bool) and value >= 0
        case _:
            return True


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(each, str) for each in cast("list[Any]", value)
    )


def _size(value: Any) -> int:
    """How many values there are within it, itself included."""
    size, left = 0, [value]
    while left:
        each = left.pop()
        size += 1
        if isinstance(each, dict):
            left += cast("dict[str, Any]", each).values()
        elif isinstance(each, list):
            left += cast("list[Any]", each)
    return size


@cache
def _validator() -> Callable[[Mapping[str, Any]], Any]:
    """Makes what holds values to a schema. The library has no types."""
    from jsonschema import Draft202012Validator, FormatChecker, validators

    extend: Any = validators.extend  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    plain: Any = Draft202012Validator.VALIDATORS["additionalProperties"]  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]

    def additional(validator: Any, wanted: Any, value: Any, schema: Mapping[str, Any]) -> Any:
        # The library runs the patterns to know what they do not match.
        return () if "patternProperties" in schema else plain(validator, wanted, value, schema)

    ignored = dict.fromkeys(_NOT_ENFORCED, _ignored)
    kind = extend(Draft202012Validator, {**ignored, "additionalProperties": additional})
    return partial(kind, format_checker=FormatChecker(("date", "email", "ipv4", "ipv6")))


def _ignored(*_: Any) -> None:
    return None
