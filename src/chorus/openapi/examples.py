"""An example for every request and every success, made from the schemas.

For each place in a schema, the first of these that there is: what `samples.py` has for the schema
by name; the schema's own `example`; what `samples.py` has for the field by name, if the schema
allows it; the default; null where that is allowed; the first of an enum; a plain value of the
type within its bounds. So a new route has examples without a line here, and better ones with one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast

from chorus.openapi import samples

Node = dict[str, Any]

_METHODS = ("get", "put", "post", "delete", "patch")
_START = "#/components/schemas/"
_OF_FORMAT = {
    "uuid": samples.OTHER,
    "date-time": "2026-01-31T09:00:00.000Z",
    "date": "2026-01-31",
    "uri": "https://example.com/hooks",
    "email": "ada@example.com",
    "binary": "…",
    "byte": "4pmr",
}


def fill(document: Node) -> None:
    """Put an example wherever a request or a success has none."""
    schemas: Node = document["components"]["schemas"]
    make = _Maker(schemas)
    for name, schema in schemas.items():
        if name in samples.SCHEMAS and name.endswith(("Create", "Patch")):
            schema.setdefault("example", samples.SCHEMAS[name])
    for path, operation in _operations(document):
        for parameter in operation.get("parameters", ()):
            if parameter.get("in") == "path" and "example" not in parameter:
                parameter["example"] = _path_id(path, parameter, make)
        bodies = [operation.get("requestBody", {})]
        bodies += [
            response
            for status, response in operation["responses"].items()
            if status.startswith("2")
        ]
        for body in bodies:
            for media_type, media in body.get("content", {}).items():
                if media_type == "application/json" and not media.keys() & {"example", "examples"}:
                    media["example"] = make.value(media.get("schema", {}), "")


def _operations(document: Node) -> Iterator[tuple[str, Node]]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            if method in _METHODS:
                yield path, operation


def _path_id(path: str, parameter: Node, make: _Maker) -> Any:
    """The id that the thing before it in the path has in its own examples."""
    before = path.partition("{" + parameter["name"] + "}")[0].rstrip("/").rpartition("/")[2]
    noun = "".join(word.capitalize() for word in before.removesuffix("s").split("-"))
    return samples.IDS.get(noun) or make.value(parameter["schema"], parameter["name"])


class _Maker:
    def __init__(self, schemas: Node) -> None:
        self._schemas = schemas

    def value(self, schema: Node, field: str, inside: tuple[str, ...] = ()) -> Any:
        """A value of `schema`, which is that of the field named so. `inside` are the names of
        the schemas around it: one that holds itself ends there."""
        if "$ref" in schema:
            return self._named(schema["$ref"].removeprefix(_START), field, inside)
        if "example" in schema:
            return schema["example"]
        known = samples.FIELDS.get(field)
        if known is not None and self._allows(schema, known):
            return known
        if "default" in schema:
            return schema["default"]
        if schema.get("nullable"):
            return None
        if "enum" in schema:
            return schema["enum"][0]
        for several in ("allOf", "oneOf", "anyOf"):
            if schema.get(several):
                return self.value(schema[several][0], field, inside)
        return self._of_type(schema, field, inside)

    def _named(self, name: str, field: str, inside: tuple[str, ...]) -> Any:
        schema: Node = self._schemas[name]
        sample = samples.SCHEMAS.get(name)
        if name.endswith(("Create", "Patch")) and sample is not None:
            return sample
        if name in inside or "properties" not in schema:
            return self.value({k: v for k, v in schema.items() if k != "$ref"}, field, inside)
        # What was asked for is what is shown, and what was not asked for is as by default.
        asked: Node = self._schemas.get(f"{name}Create", {}).get("properties", {})
        known: Node = {field: told["default"] for field, told in asked.items() if "default" in told}
        known |= {**samples.SCHEMAS.get(f"{name}Create", {}), **(sample or {})}
        if name in samples.IDS:
            known["id"] = samples.IDS[name]
        return {
            member: known[member] if member in known else self.value(told, member, (*inside, name))
            for member, told in cast("Mapping[str, Node]", schema["properties"]).items()
        }

    def _of_type(self, schema: Node, field: str, inside: tuple[str, ...]) -> Any:
        match schema.get("type"):
            case "string":
                text = _OF_FORMAT.get(schema.get("format", ""), field or "text")
                text = text.ljust(schema.get("minLength", 0), "x")
                return text[: schema.get("maxLength")]
            case "integer" | "number":
                least = schema.get("minimum", min(1, schema.get("maximum", 1)))
                return least + 1 if schema.get("exclusiveMinimum") else least
            case "boolean":
                return True
            case "array":
                return [self.value(schema.get("items", {}), field.removesuffix("s"), inside)]
            case "object":
                members = cast("Mapping[str, Node]", schema.get("properties", {}))
                return {name: self.value(told, name, inside) for name, told in members.items()}
            case _:
                return {}

    def _allows(self, schema: Node, value: Any) -> bool:
        """Whether the type is right; the rest is a test's to tell."""
        if "enum" in schema:
            return value in schema["enum"]
        for several in ("anyOf", "oneOf", "allOf"):
            if several in schema:
                return any(self._allows(member, value) for member in schema[several])
        match schema.get("type"):
            case "string":
                form = schema.get("format")
                known = form in (None, "uri") or type(value) is not str
                return isinstance(value, str) and (known or _looks_like(value, form))
            case "integer":
                return type(value) is int
            case "number":
                return type(value) in (int, float)
            case "boolean":
                return type(value) is bool
            case "array":
                return isinstance(value, list)
            case "object":
                return isinstance(value, dict)
            case _:
                return False


def _looks_like(value: str, form: str | None) -> bool:
    match form:
        case "uuid":
            return len(value) == 36
        case "date-time":
            return value.endswith("Z")
        case "email":
            return "@" in value
        case _:
            return False
