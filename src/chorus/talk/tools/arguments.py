"""What a model is told of a tool's arguments, and what it wrote checked against that.

The schema is JSON Schema as function calling documents it. What the model writes is read
leniently where the meaning is beyond doubt ("2" for an integer); anything else becomes a
sentence that names the field, for the model to try again.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from chorus.llm.lenient import no_number, read
from chorus.llm.model import ToolSpec
from chorus.talk.spec import HttpTool, HttpToolField
from chorus.talk.tools.template import fields_in

_UNSAFE_IN_NAMES = re.compile(r"[^a-zA-Z0-9_-]+")
_LONGEST_NAME = 64


class ArgumentsWrong(Exception):
    """The text is a sentence for the model."""


def specs_of(tools: Sequence[HttpTool], reserved: Iterable[str] = ()) -> dict[str, ToolSpec]:
    """What the model is told, for each tool in order, by a name that every vendor takes: made of
    `[a-zA-Z0-9_-]`, at most 64 long, unique, none of `reserved`."""
    taken = set(reserved)
    specs: dict[str, ToolSpec] = {}
    for tool in tools:
        plain = _UNSAFE_IN_NAMES.sub("_", tool.name).strip("_")[:_LONGEST_NAME] or "tool"
        name = plain
        number = 2
        while name in taken:
            end = f"_{number}"
            name = plain[: _LONGEST_NAME - len(end)] + end
            number += 1
        taken.add(name)
        specs[name] = ToolSpec(name, tool.description, schema_of(tool))
    return specs


def schema_of(tool: HttpTool) -> dict[str, Any]:
    """The tool's parameters as a JSON Schema object."""
    fields = fields_of(tool)
    schema: dict[str, Any] = {
        "type": "object",
        "properties": {field.name: _property(field) for field in fields},
        "additionalProperties": False,
    }
    required = [field.name for field in fields if field.required]
    if required:
        schema["required"] = required
    return schema


def fields_of(tool: HttpTool) -> tuple[HttpToolField, ...]:
    """The tool's fields. One that the URL needs is required whatever was said, since without it
    there is no URL; one that only the URL names is a text."""
    in_url = placeholders(tool.url)
    fields = [
        HttpToolField(f.name, f.type, f.description, f.required or f.name in in_url)
        for f in tool.fields
    ]
    known = {field.name for field in fields}
    return (*fields, *(HttpToolField(n, "string", required=True) for n in in_url if n not in known))


def placeholders(url: str) -> tuple[str, ...]:
    """The `{name}`s in a tool's URL; `{{name}}` is a variable of the call and none of them."""
    return fields_in(url)


def read_arguments(tool: HttpTool, written: str) -> dict[str, Any]:
    """The values by field, in the fields' order, of the fields' types. Raises `ArgumentsWrong`.
    null counts as absent; a field that the tool does not have is left out."""
    try:
        found = json.loads(written.strip() or "{}", parse_constant=no_number)
    except (ValueError, RecursionError):
        raise ArgumentsWrong("The arguments are not valid JSON. Write one JSON object.") from None
    if not isinstance(found, dict):
        raise ArgumentsWrong("The arguments must be one JSON object.")
    given = cast(Mapping[str, Any], found)
    values: dict[str, Any] = {}
    wrong: list[str] = []
    for field in fields_of(tool):
        value = given.get(field.name)
        if value is None:
            if field.required:
                wrong.append(f"The field '{field.name}' ({field.type}) is missing.")
            continue
        try:
            values[field.name] = read(field.type, value)
        except (ValueError, RecursionError):
            shown = json.dumps(value, ensure_ascii=False)[:80]
            wrong.append(
                f"The field '{field.name}' must be {_ARTICLE[field.type]} {field.type}, "
                f"not {shown}."
            )
    if wrong:
        raise ArgumentsWrong(" ".join(wrong))
    return values


_ARTICLE = {"integer": "an", "array": "an", "object": "an"} | dict.fromkeys(
    ("string", "number", "boolean"), "a"
)


def _property(field: HttpToolField) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": field.type}
    if field.description:
        schema["description"] = field.description
    if field.type == "array":
        schema["items"] = {}  # vendors refuse an array that says nothing of its items
    if field.type == "object":
        schema["additionalProperties"] = True
    return schema
