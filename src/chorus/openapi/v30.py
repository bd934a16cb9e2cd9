"""From JSON Schema 2020-12, as OpenAPI 3.1 uses it, to the schemas of OpenAPI 3.0.3.

`lower` rewrites a whole document. What 3.0 says otherwise than 3.1:

1. a union with null is `nullable`, and null stands in the `enum` as well; `nullable` has a meaning
   only beside a `type`, so what is referred to is written out there (3.0.3, Schema Object)
2. `const` is an `enum` of one, and a schema has one `example`, not `examples`
3. exclusive bounds are flags beside `minimum` and `maximum`
4. a tuple (`prefixItems`) is an array of any of its members' types, of its length
5. bytes (`contentMediaType`, `contentEncoding`) are strings of format `binary` or `byte`
6. nothing may stand beside a `$ref`: it moves into an `allOf`
7. keywords that 3.0 does not know are left out; they only restrict further
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

Schema = dict[str, Any]

_UNKNOWN = (
    "$comment",
    "$defs",
    "$id",
    "$schema",
    "contains",
    "dependentRequired",
    "dependentSchemas",
    "else",
    "if",
    "maxContains",
    "minContains",
    "patternProperties",
    "propertyNames",
    "then",
    "unevaluatedItems",
    "unevaluatedProperties",
)
_INT32 = 2**31 - 1


def lower(document: Mapping[str, Any]) -> Schema:
    """The same document as 3.0.3; `document` stays as it is."""
    lowered = cast("Schema", _walk({**document, "openapi": "3.0.3"}))
    lowered.pop("webhooks", None)
    lowered.pop("jsonSchemaDialect", None)
    schemas = lowered.get("components", {}).get("schemas", {})
    return _written_out(lowered, schemas, ())


def _walk(node: Any) -> Any:
    """`node` with every schema in it lowered; the rest is copied."""
    if isinstance(node, list):
        return [_walk(member) for member in cast("list[Any]", node)]
    if not isinstance(node, Mapping):
        return node
    found: Schema = {}
    for name, value in cast("Mapping[str, Any]", node).items():
        if name == "schema":
            found[name] = schema(value)
        elif name == "schemas":
            found[name] = _each(value, schema)
        elif name in ("example", "examples", "default"):
            found[name] = value
        else:
            found[name] = _walk(value)
    return found


def _written_out(node: Any, schemas: Schema, inside: tuple[str, ...]) -> Any:
    """`node` with what is nullable and refers to something else in the place of the reference.
    `inside` are the names that have been written out around it: one that holds itself stays."""
    if isinstance(node, list):
        return [_written_out(member, schemas, inside) for member in cast("list[Any]", node)]
    if not isinstance(node, dict):
        return node
    found = cast("Schema", node)
    match found:
        case {"nullable": True, "allOf": [{"$ref": str(reference)}]}:
            name = reference.rpartition("/")[2]
            if name in schemas and name not in inside:
                own = {key: value for key, value in found.items() if key != "allOf"}
                found, inside = _nullable({**schemas[name], **own}), (*inside, name)
        case _:
            pass
    return {key: _written_out(value, schemas, inside) for key, value in found.items()}


def _each(members: Mapping[str, Any], change: Callable[[Any], Any]) -> Schema:
    return {name: change(member) for name, member in members.items()}


def schema(given: Any) -> Any:
    """One schema, with those inside it."""
    if not isinstance(given, Mapping):
        return given  # additionalProperties: true
    found = {k: v for k, v in cast("Mapping[str, Any]", given).items() if k not in _UNKNOWN}
    for name in ("properties",):
        if name in found:
            found[name] = _each(found[name], schema)
    for name in ("items", "additionalProperties", "not"):
        if name in found:
            found[name] = schema(found[name])
    for name in ("anyOf", "oneOf", "allOf", "prefixItems"):
        if name in found:
            found[name] = [schema(member) for member in found[name]]
    for step in (_values, _null, _bounds, _tuple, _bytes, _reference):
        found = step(found)
    return found


def _values(found: Schema) -> Schema:
    if "const" in found:
        found["enum"] = [found.pop("const")]
    if "examples" in found:
        examples = found.pop("examples")
        if examples:
            found.setdefault("example", examples[0])
    # A default of null says no more than that the field may be left out.
    if "default" in found and found["default"] is None:
        del found["default"]
    return found


def _null(found: Schema) -> Schema:
    kind = found.get("type")
    if kind == "null":
        del found["type"]
        return found | {"nullable": True, "enum": [None]}
    if isinstance(kind, list):
        kinds = [k for k in cast("list[str]", kind) if k != "null"]
        nullable = len(kinds) < len(cast("list[str]", kind))
        if len(kinds) == 1:
            found["type"] = kinds[0]
        else:
            del found["type"]
            found["anyOf"] = [{"type": k} for k in kinds]
        return _nullable(found) if nullable else found
    for name in ("anyOf", "oneOf"):
        members = found.get(name, [])
        others = [member for member in members if not _is_null(member)]
        if len(others) == len(members):
            continue
        del found[name]
        match others:
            case []:
                found["enum"] = [None]
            case [only] if "$ref" in only:
                found["allOf"] = [only]
            case [only]:
                found = only | found
            case _:
                found[name] = others
        found = _nullable(found)
    return found


def _is_null(member: Schema) -> bool:
    return member.get("enum") == [None]


def _nullable(found: Schema) -> Schema:
    if "enum" in found and None not in found["enum"]:
        found["enum"] = [*found["enum"], None]
    return found | {"nullable": True}


def _bounds(found: Schema) -> Schema:
    for bound, flag in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
        exclusive = found.get(flag)
        if exclusive is None or isinstance(exclusive, bool):
            continue
        del found[flag]
        inclusive = found.get(bound)
        tighter = max if bound == "minimum" else min
        if inclusive is None or tighter(inclusive, exclusive) == exclusive:
            found |= {bound: exclusive, flag: True}
    if found.get("type") == "integer":
        for bound in ("minimum", "maximum"):
            if bound in found:
                found[bound] = int(found[bound])
        if found.get("maximum", 0) > _INT32:
            found.setdefault("format", "int64")
    return found


def _tuple(found: Schema) -> Schema:
    if "prefixItems" not in found:
        return found
    members: list[Schema] = []
    for member in found.pop("prefixItems"):
        if member not in members:
            members.append(member)
    if found.get("items"):
        members.append(found["items"])
    found["items"] = members[0] if len(members) == 1 else {"anyOf": members}
    return found


def _bytes(found: Schema) -> Schema:
    media_type = found.pop("contentMediaType", None)
    encoding = found.pop("contentEncoding", None)
    if encoding == "base64":
        found["format"] = "byte"
    elif media_type is not None:
        found["format"] = "binary"
    return found


def _reference(found: Schema) -> Schema:
    if "$ref" not in found or len(found) == 1:
        return found
    reference = {"$ref": found.pop("$ref")}
    return {"allOf": [reference, *found.pop("allOf", ())], **found}
