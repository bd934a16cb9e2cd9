"""Everything that may be wrong in a request's body, made from the schemas of the application.

`cases` walks a model down to each of its fields, also those inside lists and objects, and makes
bodies that are wrong in that one place; a new field is covered by being there. Each case says
which field the refusal must name.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

from pydantic import BaseModel

Schema = dict[str, Any]

# Longer than anything may be that does not say how long it may be.
_LONG = 40_000
_ONE_LINE = 255
"""What holds no more than this many characters, and is no description, is of one line."""

_WRONG_TEXTS = {
    "NUL": r'"a\u0000b"',
    "control character": r'"a\u0007b"',
    "escape": r'"a\u001bb"',
    "delete": '"a\x7fb"',
    "C1 control": r'"a\u0085b"',
    "first half of a pair": r'"a\ud83d"',
    "second half of a pair": r'"\ude00b"',
}
_NUMBERS = {
    "huge": "1e400",
    "very negative": "-1e400",
    "NaN": "NaN",
    "infinite": "Infinity",
    "beyond 64 bits": "9223372036854775808",
    "a thousand digits": "9" * 1000,
    "many thousand digits": "-" + "9" * 20_000,
}
_OF_TYPE = {
    "string": '"a text"',
    "integer": "7",
    "number": "7.5",
    "boolean": "true",
    "array": "[]",
    "object": "{}",
    "null": "null",
}


@dataclass(frozen=True)
class Case:
    """A body that must be refused, and the field that must be named."""

    what: str
    body: bytes
    field: str

    def __str__(self) -> str:
        return f"{self.field}: {self.what}"


@dataclass(frozen=True)
class _Place:
    """Where in the body a value is put: `%` in `frame` stands for it."""

    path: str
    frame: str

    def member(self, name: str) -> _Place:
        inner = "{" + json.dumps(name) + ": %}"
        return _Place(f"{self.path}.{name}".lstrip("."), self.frame.replace("%", inner))

    def item(self) -> _Place:
        return _Place(f"{self.path}.0", self.frame.replace("%", "[%]"))

    def case(self, what: str, raw: str, below: str = "") -> Case:
        body = self.frame.replace("%", raw).encode("utf-8", "surrogatepass")
        return Case(what, body, self.path + below)


def cases(model: type[BaseModel]) -> Iterator[Case]:
    schema = model.model_json_schema(by_alias=True)
    yield from _object(schema, schema.get("$defs", {}), _Place("", "%"))


def fields(model: type[BaseModel]) -> list[str]:
    """The names of the outermost fields."""
    return list(model.model_json_schema(by_alias=True).get("properties", {}))


def _object(schema: Schema, known: dict[str, Schema], place: _Place) -> Iterator[Case]:
    for name, member in schema.get("properties", {}).items():
        yield from _value(member, known, place.member(name))
        yield place.member(name).case("stands twice", f'1, "{name}": 1')
    for name in schema.get("required", []):
        yield place.case("is missing", "{}", f".{name}" if place.path else name)
    unknown = place.member("noSuchField")
    yield unknown.case("is not known", "1")


def _value(schema: Schema, known: dict[str, Schema], place: _Place) -> Iterator[Case]:
    """Without what means null: an empty text where null is taken, and null for what is then empty,
    a list or an object."""
    choices = list(_choices(schema, known))
    allowed = {kind for choice in choices for kind in _types(choice)}
    if not allowed:
        raise AssertionError(f"{place.path} takes anything")
    meant: set[bytes] = set()
    if "null" in allowed:
        meant.add(place.case("", '""').body)
    if allowed <= {"array", "object"}:
        meant.add(place.case("", "null").body)
    for case in _wrong(choices, allowed, known, place):
        if case.body not in meant:
            yield case


def _wrong(
    choices: list[Schema], allowed: set[str], known: dict[str, Schema], place: _Place
) -> Iterator[Case]:
    for kind, raw in _OF_TYPE.items():
        if kind not in allowed and not (kind == "integer" and "number" in allowed):
            yield place.case(f"is of type {kind}", raw)
    for what, raw in _NUMBERS.items():
        yield place.case(f"is a number: {what}", raw)
    outermost = place.path.partition(".")[0]
    for levels in (100, 20_000):
        for raw in ("[" * levels + "]" * levels, '{"a":' * levels + "1" + "}" * levels):
            deep = place.case(f"is nested {levels} levels deep", raw)
            yield Case(deep.what, deep.body, outermost)
    for what, raw in _WRONG_TEXTS.items():
        yield place.case(f"is a text: {what}", raw)
    before, after = place.frame.split("%")
    not_utf8 = before.encode() + b'"a\xff\xc3("' + after.encode()
    yield Case("is not UTF-8", not_utf8, place.path)
    if allowed & {"integer", "number"} and "string" not in allowed:
        yield place.case("is a number as a string", '"7"')
        yield place.case("is an empty string", '""')
    if "boolean" in allowed and "string" not in allowed:
        yield place.case("is a boolean as a string", '"true"')
    for choice in choices:
        match choice.get("type"):
            case "string":
                yield from _text(choice, place)
            case "integer" | "number":
                yield from _number(choice, place)
            case "array":
                yield from _array(choice, known, place)
            case "object" if "properties" in choice:
                yield from _object(choice, known, place)
            case "object":
                inner = place.member("some")
                for what, raw in {**_NUMBERS, **_WRONG_TEXTS}.items():
                    yield inner.case(f"holds {what}", raw)
                yield place.case("has a NUL in a name", r'{"a\u0000": 1}', ".a\ufffd")
            case _:
                pass


def _choices(schema: Schema, known: dict[str, Schema]) -> Iterator[Schema]:
    """The alternatives of a value, references followed."""
    if "$ref" in schema:
        yield from _choices(known[schema["$ref"].rpartition("/")[2]], known)
    elif "anyOf" in schema or "oneOf" in schema:
        for choice in cast("list[Schema]", schema.get("anyOf") or schema["oneOf"]):
            # A limit beside the alternatives holds for each of them.
            beside = {name: value for name, value in schema.items() if name.startswith("m")}
            yield from _choices({**beside, **choice}, known)
    elif "const" in schema and "type" not in schema:
        yield {**schema, "type": "string"}
    else:
        yield schema


def _types(schema: Schema) -> set[str]:
    kind = schema.get("type")
    return {kind, "integer"} if kind == "number" else {kind} if kind else set()


def _text(schema: Schema, place: _Place) -> Iterator[Case]:
    if "enum" in schema or "const" in schema:
        yield place.case("is none of the choices", '"no such choice"')
        yield place.case("is empty", '""')
        return
    if schema.get("format") in ("uuid", "date-time"):
        for raw in ('"x"', '""', '"1700000000"', '"0"'):
            yield place.case(f"is no {schema['format']}", raw)
        return
    if schema.get("minLength"):
        yield place.case("is too short", json.dumps("x" * (schema["minLength"] - 1)))
    most = schema.get("maxLength", _LONG)
    yield place.case("is too long", json.dumps("x" * (most + 1)))
    yield place.case("is too long, in astral characters", json.dumps("😀" * (most + 1)))
    if most <= _ONE_LINE and not place.path.endswith("description"):
        for name, raw in (("line feed", r'"a\nb"'), ("tab", r'"a\tb"'), ("return", r'"a\rb"')):
            yield place.case(f"is of one line, with a {name}", raw)


def _number(schema: Schema, place: _Place) -> Iterator[Case]:
    step = 1 if schema["type"] == "integer" else 0.001
    for limit, beyond in (
        ("minimum", -step),
        ("maximum", step),
        ("exclusiveMinimum", 0),
        ("exclusiveMaximum", 0),
    ):
        if limit in schema:
            yield place.case(f"is beyond its {limit}", json.dumps(schema[limit] + beyond))
    if schema["type"] == "integer":
        yield place.case("is no whole number", "1.5")
        yield place.case("is a whole number beyond 32 bits", str(2**53))


def _array(schema: Schema, known: dict[str, Schema], place: _Place) -> Iterator[Case]:
    if schema.get("minItems"):
        yield place.case("has too few entries", "[]")
    item = next(_choices(schema["items"], known))
    one = {"string": '"a"', "object": "{}"}.get(item.get("type", ""), "0")
    most = schema.get("maxItems", 10_000)
    many = ", ".join([one] * (most + 1))
    yield place.case("has too many entries", f"[{many}]")
    yield from _value(schema["items"], known, place.item())
