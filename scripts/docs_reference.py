"""The API reference of the documentation: pages made of the OpenAPI document while MkDocs builds.

A hook of `mkdocs.yml`. In order: the document is made from the application's own routes (nothing
is opened or connected to), the pages are added to the navigation below "API reference", and each
tag becomes one page: its operations with parameters, body, answer, errors and examples, then the
objects that they speak of. What the document does not explain of a field is taken from
`docs/reference/fields.toml`. Nothing of this is written into the repository.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, cast

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from chorus.app import create_app
from chorus.openapi import codes, served
from chorus.openapi.document import build, operations
from chorus.settings import Settings

Node = dict[str, Any]

NAV = "API reference"
URL = "https://chorus.example.com"
_FIELDS = Path(__file__).parent.parent / "docs" / "reference" / "fields.toml"
_START = "#/components/schemas/"
# Beyond what JavaScript counts to, a bound says nothing to a reader.
_NO_BOUND = 2**53 - 1


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    for entry in cast("list[Node]", config["nav"]):
        if NAV in entry:
            pages = [{tag["name"]: f"reference/{_slug(tag['name'])}.md"} for tag in _tags()]
            entry[NAV] = [*entry[NAV], *pages, {"Errors": "reference/errors.md"}]
    return config


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    pages = {f"reference/{_slug(tag['name'])}.md": _tag_page(tag) for tag in _tags()}
    pages["reference/errors.md"] = _errors_page()
    for path, text in pages.items():
        files.append(File.generated(config, path, content=text))
    files.append(
        File.generated(config, "openapi.json", content=json.dumps(document(), ensure_ascii=False))
    )
    return files


@cache
def document() -> Node:
    return build(create_app(Settings.read({})), URL)


@cache
def _meanings() -> Node:
    return tomllib.loads(_FIELDS.read_text("utf-8"))


def meaning(schema: str, field: str, told: Node) -> str:
    """What a field means: as the document says it, else as `fields.toml` does; "" if neither."""
    if told.get("description"):
        return told["description"]
    names = (schema, schema.removesuffix("Patch"), schema.removesuffix("Create"))
    alike = _meanings().get("alike", {})
    for name in (*names, *(alike[name] for name in names if name in alike), "any"):
        if field in _meanings().get(name, {}):
            return _meanings()[name][field]
    return ""


def _tags() -> list[Node]:
    return document()["tags"]


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def _tag_page(tag: Node) -> str:
    mine = [found for found in operations(document()) if tag["name"] in found[2].get("tags", ())]
    lines = [f"# {tag['name']}", "", tag.get("description", ""), "", "| | |", "|---|---|"]
    for path, method, operation in mine:
        lines.append(
            f"| `{method.upper()} {path}` | [{operation['summary']}]"
            f"(#{_slug(operation['operationId'])}) |"
        )
    for path, method, operation in mine:
        lines += ["", *_operation(path, method, operation)]
    objects = _reachable(operation for _, _, operation in mine)
    if objects:
        lines += ["", "## Objects"]
    for name in objects:
        schema = _schema(name)
        lines += ["", f"### {name} {{#{_slug(name)}}}", "", schema.get("description", ""), ""]
        lines += _fields(name, schema)
    return "\n".join(lines) + "\n"


def _operation(path: str, method: str, operation: Node) -> Iterator[str]:
    yield f"## {operation['summary']} {{#{_slug(operation['operationId'])}}}"
    yield ""
    yield f"`{method.upper()} {path}` · `{operation['operationId']}`"
    yield ""
    yield operation.get("description", "")
    yield ""
    yield f"**Who may ask:** {_who(operation.get('security', []))}."
    parameters = [_resolved(parameter) for parameter in operation.get("parameters", ())]
    if parameters:
        yield from ("", "| parameter | where | type | default | meaning |", "|---|---|---|---|---|")
    for parameter in parameters:
        told: Node = parameter.get("schema", {})
        text = parameter.get("description") or meaning("query", parameter["name"], told)
        need = " **(required)**" if parameter.get("required") else ""
        cells = (f"`{parameter['name']}`{need}", parameter["in"], _type(told), _default(told), text)
        yield _row(cells)
    body = operation.get("requestBody", {}).get("content", {})
    for media_type, media in body.items():
        yield from ("", f"**Body** (`{media_type}`): {_body(media.get('schema', {}))}", "")
        yield from _example(media)
    for status, told in operation["responses"].items():
        if status.startswith(("2", "3")):
            yield from ("", f"**{status}**: {_resolved(told).get('description', '')}")
            yield from _answer(_resolved(told))
    failures = [status for status in operation["responses"] if status[0] in "45"]
    links = ", ".join(f"[{status}](errors.md#{status})" for status in failures)
    yield from ("", f"**Errors:** {links}")


def _answer(told: Node) -> Iterator[str]:
    headers = [name for name in told.get("headers", {}) if not name.startswith("X-")]
    if headers:
        yield from ("", "Headers: " + ", ".join(f"`{name}`" for name in headers))
    for media_type, media in told.get("content", {}).items():
        kind = "" if media_type == "application/json" else f" (`{media_type}`)"
        yield from ("", f"`{_data(media.get('schema', {}))}`{kind}", "")
        yield from _example(media)


def _data(schema: Node) -> str:
    """The shape of an answer in one line: `{"data": Agent}`."""
    inside = _schema(schema["$ref"]) if "$ref" in schema else schema
    data = inside.get("properties", {}).get("data")
    if data is None:
        return _plain(schema)
    more = ', "pagination": Pagination' if "pagination" in inside["properties"] else ""
    return f'{{"data": {_plain(data)}{more}}}'


def _plain(schema: Node) -> str:
    return re.sub(r"\[([^\]]+)\]\([^)]*\)|`", r"\1", _type(schema)).replace("\\", "")


def _body(schema: Node) -> str:
    name = schema.get("$ref", "").removeprefix(_START)
    whole = name.removesuffix("Patch") + "Create"
    if name.endswith("Patch") and _same_fields(name, whole):
        return (
            f"any of the fields of [{whole}](#{_slug(whole)}). What is left out stays as it is; "
            "a default never applies."
        )
    return _type(schema)


def _same_fields(name: str, whole: str) -> bool:
    fields: Node = _schema(name)["properties"]
    others: Node = document()["components"]["schemas"].get(whole, {}).get("properties", {})
    return bool(others) and all(
        {**told, "default": 0} == {**others.get(field, {}), "default": 0}
        for field, told in fields.items()
    )


def _fields(name: str, schema: Node) -> Iterator[str]:
    fields: Node = schema.get("properties", {})
    if not fields:
        yield f"{_type(schema)}."
        return
    # In answers every field is there: "required" and defaults are for what is sent.
    sent = name in _sent()
    columns = ("field", "type", "default", "meaning") if sent else ("field", "type", "meaning")
    yield _row(columns)
    yield "|" + "---|" * len(columns)
    for field, told in fields.items():
        required = sent and field in schema.get("required", ())
        default = ("**required**" if required else _default(told),) if sent else ()
        yield _row((f"`{field}`", _type(told), *default, meaning(name, field, told)))


def _row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(" ".join(str(c).split()).replace("|", "\\|") for c in cells) + " |"


def _default(schema: Node) -> str:
    default = schema.get("default")
    return "" if default is None else f"`{json.dumps(default, ensure_ascii=False)}`"


def _type(schema: Node) -> str:
    """The type with its range, in words."""
    if "$ref" in schema:
        name = schema["$ref"].removeprefix(_START)
        return f"[{name}](#{_slug(name)})"
    several = [*schema.get("anyOf", ()), *schema.get("oneOf", ()), *schema.get("allOf", ())]
    null = " or null" if schema.get("nullable") else ""
    if schema.get("type") == "object" and "properties" in schema:
        inside = (f"`{name}`: {_type(told)}" for name, told in schema["properties"].items())
        return f"object of {'; '.join(inside)}{null}"
    if several:
        return " or ".join(_type(member) for member in several) + null
    if "enum" in schema:
        values = [f"`{value}`" for value in schema["enum"] if value is not None]
        return ", ".join(values) + null
    if schema.get("type") == "array":
        range_ = _range(schema, "minItems", "maxItems", " items")
        return f"list of {_type(schema.get('items', {}))}{range_}{null}"
    if schema.get("type") == "string":
        form = f" ({schema['format']})" if "format" in schema else ""
        return f"string{form}{_range(schema, 'minLength', 'maxLength', ' characters')}{null}"
    return f"{schema.get('type', 'anything')}{_range(schema, 'minimum', 'maximum', '')}{null}"


def _range(schema: Node, least: str, most: str, unit: str) -> str:
    low, high = schema.get(least), schema.get(most)
    if high is not None and high >= _NO_BOUND:
        high = None
    low = None if low == 0 and unit else low
    if low is None and high is None:
        return ""
    if low is None:
        return f", at most {high:g}{unit}"
    if high is None:
        return f", {'more than' if schema.get('exclusiveMinimum') else 'at least'} {low:g}{unit}"
    return f", {low:.15g} to {high:.15g}{unit}"


def _who(security: list[Node]) -> str:
    names = {"apiKey": "an API key", "session": "a logged-in member"}
    asked = [" and ".join(names[name] for name in way) for way in security if way]
    return " or ".join(asked) or "anybody"


def _example(media: Node) -> Iterator[str]:
    examples = [media["example"]] if "example" in media else []
    examples += [told["value"] for told in media.get("examples", {}).values()]
    for example in examples:
        if isinstance(example, str):
            continue
        yield from ("```json", json.dumps(example, indent=2, ensure_ascii=False), "```", "")


def _errors_page() -> str:
    lines = [
        "# Errors",
        "",
        "Every error is a JSON object: `error` is a sentence for people, `code` is for programs"
        " and does not change, `requestId` is also in the header `X-Request-Id` and in the server's"
        " log. Which errors an operation has is listed with it.",
        "",
        *_fields("Failure", _schema("Failure")),
        "",
        "## Details {#failuredetail}",
        "",
        *_fields("FailureDetail", _schema("FailureDetail")),
    ]
    lines += ["", "## Codes {#codes}", "", f"Every server has the same at `{served.ERRORS}`.", ""]
    for each in codes.errors().values():
        lines += _explained(each, each.name)
    lines += ["", "## Why a call ended {#reasons}", ""]
    lines += ["What `endedReason` of a call can be.", ""]
    for each in codes.reasons().values():
        lines += _explained(each, codes.REASON + each.name)
    seen: dict[str, dict[str, Node]] = {}
    for _, _, operation in operations(document()):
        for status, told in operation["responses"].items():
            if status[0] in "45":
                told = _resolved(told)
                seen.setdefault(status, {}).setdefault(told["description"], told)
    for status in sorted(seen):
        lines += ["", f"## {status} {{#{status}}}"]
        for description, told in seen[status].items():
            lines += ["", description, ""]
            lines += _example(told.get("content", {}).get("application/json", {}))
    return "\n".join(lines) + "\n"


def _explained(each: codes.Explained, anchor: str) -> Iterator[str]:
    yield from (f"### `{each.name}` {{#{anchor}}}", "")
    if each.statuses:
        yield from (f"HTTP {', '.join(map(str, each.statuses))}", "")
    yield from (each.means, "")
    if each.mend:
        yield from (f"**What to do:** {each.mend}", "")


def _resolved(node: Node) -> Node:
    if "$ref" not in node:
        return node
    _, kind, name = node["$ref"].removeprefix("#/").split("/")
    return document()["components"][kind][name]


def _schema(name: str) -> Node:
    return document()["components"]["schemas"][name.removeprefix(_START)]


@cache
def _sent() -> frozenset[str]:
    """The schemas that appear in requests."""
    bodies = [operation.get("requestBody", {}) for _, _, operation in operations(document())]
    return frozenset(_refs(bodies))


def _reachable(mine: Iterable[Node]) -> list[str]:
    """The schemas that these operations speak of, without the envelopes and without errors."""
    found: dict[str, None] = {}
    for operation in mine:
        for status, told in operation["responses"].items():
            if status[0] not in "45":
                found |= dict.fromkeys(_refs(told))
        found |= dict.fromkeys(_refs(operation.get("requestBody", {})))
    return [name for name in found if not _left_out(name)]


def _left_out(name: str) -> bool:
    if name.endswith("Patch"):
        return _same_fields(name, name.removesuffix("Patch") + "Create")
    return "data" in _schema(name).get("properties", {}) and name.endswith(("Response", "List"))


def _refs(node: Any) -> list[str]:
    """Names of the schemas that a part of the document leads to, in order of appearance."""
    found: dict[str, None] = {}
    waiting: list[Any] = [node]
    while waiting:
        part = waiting.pop(0)
        if isinstance(part, dict):
            part = cast("Node", part)
            reference = part.get("$ref", "")
            if isinstance(reference, str) and reference.startswith(_START):
                name = reference.removeprefix(_START)
                if name not in found:
                    found[name] = None
                    waiting.append(_schema(name))
            waiting += [value for key, value in part.items() if key not in ("example", "examples")]
        elif isinstance(part, list):
            waiting += cast("list[Any]", part)
    return list(found)
