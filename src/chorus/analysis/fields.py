"""The fields that an agent wants to know after its calls: as a schema, and checked.

A field is `{name, type, description, required, enum}` of `postCallExtractionSchema` or, where that
is a JSON Schema, one of its properties. To the model all of them may be null, also those that are
required: else a model invents what nobody said.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, cast

from chorus.agents import json_schema
from chorus.llm import lenient

DATE = "date"

_MOST_CHARACTERS = 10_000
_DEEPEST = 10
_WIDEST = 1_000
_MOST_INTEGER = 2**63 - 1


class Invalid(Exception):
    """A value is not what its field asks for; the message finishes a sentence about it. It holds
    nothing that was said."""


@dataclass(frozen=True, slots=True)
class Field:
    name: str
    type: str
    description: str = ""
    required: bool = False
    enum: tuple[Any, ...] | None = None
    given: Mapping[str, Any] | None = None
    """Its own JSON Schema, `$ref`s replaced; `type` is then what that says, "" for several."""

    @property
    def schema(self) -> dict[str, Any]:
        """What a value must be that is not null, as JSON Schema."""
        if self.given is not None:
            return dict(self.given)
        schema: dict[str, Any] = {"type": self.type}
        if self.type == DATE:
            schema = {"type": "string", "format": "date"}
        if self.description:
            schema["description"] = self.description
        if self.enum is not None:
            schema["enum"] = list(self.enum)
        return schema


def fields_of(stored: Iterable[Mapping[str, Any]] | Mapping[str, Any]) -> tuple[Field, ...]:
    """From an agent's row."""
    if isinstance(stored, Mapping):
        schema = cast("Mapping[str, Any]", stored)
        required = schema.get("required") or ()
        return tuple(
            Field(
                name=name,
                type=kind if (kind := given.get("type")) in lenient.KINDS else "",
                required=name in required,
                given=given,
            )
            for name, given in json_schema.properties(schema).items()
        )
    return tuple(
        Field(
            name=each["name"],
            type=each["type"],
            description=each.get("description") or "",
            required=bool(each.get("required")),
            enum=None if each.get("enum") is None else tuple(each["enum"]),
        )
        for each in stored
    )


def answer_schema(fields: Sequence[Field], *, summary: bool) -> dict[str, Any]:
    """The JSON that a model is asked for."""
    properties: dict[str, Any] = {}
    if summary:
        properties["summary"] = {"type": "string"}
    if fields:
        properties["extractions"] = _object({field.name: _nullable(field) for field in fields})
    return _object(properties)


def checked(field: Field, value: Any) -> Any:
    """The value as it is stored; null stays null unless the field is required. Raises `Invalid`."""
    if value is None:
        if field.required and not _may_be_null(field):
            raise Invalid("is required, and was not found in the call")
        return None
    if field.type:
        try:
            value = lenient.read("string" if field.type == DATE else field.type, value)
        except (ValueError, RecursionError):
            raise Invalid(f"must be {_article(field.type)} {field.type}") from None
    value = clean(value)
    if field.type == DATE:
        value = _date(value)
    if field.given is not None:
        return _fitting(field.given, value)
    if field.enum is None:
        return value
    try:
        return lenient.allowed(value, field.enum)
    except ValueError:
        raise Invalid("must be one of the values that are allowed") from None


def _fitting(schema: Mapping[str, Any], value: Any) -> Any:
    """`value`, or the one of the schema's own that it plainly means. Raises `Invalid`."""
    if isinstance(schema.get("enum"), list):
        try:
            value = lenient.allowed(value, schema["enum"])
        except ValueError:
            raise Invalid("must be one of the values that are allowed") from None
    try:
        wrong = json_schema.misfit(schema, value)
    except RecursionError:
        raise Invalid("is nested too deeply") from None
    if wrong:
        raise Invalid(f"does not fit its schema: {wrong}")
    return value


def _may_be_null(field: Field) -> bool:
    return field.given is not None and json_schema.misfit(field.given, None) is None


def _date(text: str) -> str:
    """A day as ISO 8601; of a time its day. Raises `Invalid`."""
    day, _, time = text.strip().replace(" ", "T").partition("T")
    try:
        found = date.fromisoformat(day)
        if time:
            datetime.fromisoformat(f"{day}T{time}")
    except ValueError:
        raise Invalid("must be a date such as 2025-01-31") from None
    return found.isoformat()


def clean(value: Any, depth: int = 0) -> Any:
    """What JSON and both databases can hold: finite numbers of 64 bits, text without NUL and
    halves of characters, nothing huge. Raises `Invalid`."""
    match value:
        case str():
            text = value.replace("\0", "").encode("utf-16", "surrogatepass")
            text = text.decode("utf-16", "ignore")
            if len(text) > _MOST_CHARACTERS:
                raise Invalid(f"must have at most {_MOST_CHARACTERS} characters")
            return text
        case bool() | None:
            return value
        case int() if abs(value) > _MOST_INTEGER:
            raise Invalid("must be a number of at most 64 bits")
        case float() if not math.isfinite(value):
            raise Invalid("must be a finite number")
        case int() | float():
            return value
        case _ if depth >= _DEEPEST:
            raise Invalid("is nested too deeply")
        case list():
            items = cast("list[Any]", value)
            _limit(len(items))
            return [clean(item, depth + 1) for item in items]
        case dict():
            members = cast("dict[str, Any]", value)
            _limit(len(members))
            return {clean(key, depth + 1): clean(item, depth + 1) for key, item in members.items()}
        case _:
            raise Invalid("is no JSON")


def _limit(count: int) -> None:
    if count > _WIDEST:
        raise Invalid(f"must have at most {_WIDEST} entries")


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _nullable(field: Field) -> dict[str, Any]:
    schema = field.schema
    if not isinstance(schema.get("type"), str):
        return {"anyOf": [schema, {"type": "null"}]}
    if isinstance(schema.get("enum"), list):
        schema["enum"] = [*schema["enum"], None]
    if field.type == "array":
        schema.setdefault("items", {})
    return {**schema, "type": [schema["type"], "null"]}


def _article(word: str) -> str:
    return "an" if word[0] in "aeiou" else "a"
