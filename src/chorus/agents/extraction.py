"""What an agent wants to know after its calls, at the HTTP edge: an array of fields, or a JSON
Schema of an object, one field for each of its properties (`json_schema.py`)."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Discriminator,
    Field,
    Tag,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)

from chorus.agents import json_schema
from chorus.agents.key_input import FIELD, field_name
from chorus.wire import ARRAY, OBJECT, Flag, In, Number, Text, told


def _allowed(value: Any, check: ValidatorFunctionWrapHandler) -> Any:
    try:
        return check(value)
    except ValidationError:
        raise ValueError("must be a text of up to 500 characters, a number, or a boolean") from None


AllowedValue = Annotated[
    Annotated[Text, Field(max_length=500)] | Number | Flag, WrapValidator(_allowed)
]


class ExtractionField(In):
    """One value to take out of a finished call."""

    name: Annotated[Text, told(FIELD), AfterValidator(field_name)]
    type: Annotated[
        Literal["string", "number", "integer", "boolean", "array", "object", "date"],
        Field(description="A `date` is a text such as 2025-01-31."),
    ]
    description: Annotated[Text, Field(max_length=2000)] = ""
    required: Flag = False
    enum: Annotated[
        list[AllowedValue] | None,
        Field(min_length=1, max_length=100, description="The values that are allowed."),
    ] = None


def _unique_names(fields: list[ExtractionField]) -> list[ExtractionField]:
    names = [field.name for field in fields]
    if len(set(names)) < len(names):
        raise ValueError("must not hold the same name twice")
    return fields


def _kind(value: Any) -> str:
    return OBJECT if isinstance(value, dict) else ARRAY


def _none_is_empty(value: Any) -> Any:
    return [] if value is None else value


ExtractionSchema = Annotated[
    Annotated[
        list[ExtractionField], Field(max_length=100), AfterValidator(_unique_names), Tag(ARRAY)
    ]
    | Annotated[
        dict[str, Any],
        Field(
            title="JSON Schema",
            description="A JSON Schema of an object; each of its properties is a field.",
            json_schema_extra={"example": {"type": "object", "properties": {"size": {}}}},
        ),
        AfterValidator(json_schema.checked),
        Tag(OBJECT),
    ],
    Discriminator(_kind),
    BeforeValidator(_none_is_empty),
]
