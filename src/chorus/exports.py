"""Exports as CSV or as JSON lines, made while they are sent.

Rows are turned into text in a thread, a hundred at a time, so an export needs as much memory for
a million of them as for a thousand, and no call waits for it. One that is cut off has not the end
that HTTP promises: clients notice.
"""

from __future__ import annotations

import asyncio
import csv
import io
import re
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Literal, cast
from uuid import UUID

import orjson
from fastapi import Request
from fastapi.responses import StreamingResponse
from pydantic import BaseModel
from starlette.types import Receive, Scope, Send

from chorus import errors

Format = Literal["csv", "jsonl"]
Rows = Sequence[Mapping[Any, Any]]

AT_ONCE = 2
"""Exports of one organization, in one process: each keeps the database busy."""

_TYPES = {"csv": "text/csv; charset=utf-8", "jsonl": "application/x-ndjson"}

# What a spreadsheet would take for a formula; a telephone number is none.
_FORMULA = re.compile(r"[=+\-@\t\r]")
_NUMBER = re.compile(r"[+-]?[0-9.]+")


def answer(description: str) -> dict[str, Any]:
    """A 200 for the OpenAPI document."""
    text = {"schema": {"type": "string"}}
    return {
        "description": description,
        "content": {"text/csv": text, "application/x-ndjson": text},
    }


@dataclass(frozen=True, slots=True)
class Place:
    """One of the exports that an organization may have running."""

    running: Counter[UUID]
    organization_id: UUID

    @classmethod
    def take(cls, request: Request, organization_id: UUID) -> Place:
        """Raises `Error` 429."""
        state = request.app.state
        if not hasattr(state, "exports"):
            state.exports = Counter[UUID]()
        running = cast("Counter[UUID]", state.exports)
        if running[organization_id] >= AT_ONCE:
            raise errors.Error(
                429,
                "too_many_exports",
                f"At most {AT_ONCE} exports of an organization may run at once",
            )
        running[organization_id] += 1
        return cls(running, organization_id)

    def free(self) -> None:
        self.running[self.organization_id] -= 1


class Export(StreamingResponse):
    """Gives its place back however it ends, also where nobody was there to read."""

    def __init__(
        self, lines: AsyncGenerator[bytes, None], format: Format, name: str, place: Place
    ) -> None:
        headers = {"content-disposition": f'attachment; filename="{name}.{format}"'}
        super().__init__(lines, media_type=_TYPES[format], headers=headers)
        self._lines = lines
        self._place = place

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._place.free()
            await self._lines.aclose()


def asked(query: BaseModel) -> set[str]:
    """The names of what a query was given, as the API calls them."""
    fields = type(query).model_fields
    return {fields[name].alias or name for name in query.model_fields_set}


def columns(kind: type[BaseModel]) -> list[str]:
    """Of a CSV: the names of the API."""
    return [field.alias or name for name, field in kind.model_fields.items() if not field.exclude]


async def lines(
    batches: AsyncGenerator[Rows, None],
    kind: type[BaseModel],
    format: Format,
    read: Callable[[Mapping[Any, Any]], Mapping[str, Any]] = dict,
) -> AsyncGenerator[bytes, None]:
    """The export in pieces, each of whole lines: of each row what `read` makes of it, as the API
    shows a `kind`. A CSV begins with the names of its columns."""
    names = columns(kind)
    if format == "csv":
        yield _csv([names])
    async with aclosing(batches):
        async for rows in batches:
            yield await asyncio.to_thread(_text, rows, kind, names, format, read)


def _text(
    rows: Rows,
    kind: type[BaseModel],
    names: Sequence[str],
    format: Format,
    read: Callable[[Mapping[Any, Any]], Mapping[str, Any]],
) -> bytes:
    shown: list[Mapping[str, Any]] = [
        kind.model_validate(read(row)).model_dump(mode="json", by_alias=True) for row in rows
    ]
    if format == "jsonl":
        return b"".join(orjson.dumps(each) + b"\n" for each in shown)
    return _csv([[_cell(each[name]) for name in names] for each in shown])


def _csv(rows: Sequence[Sequence[str]]) -> bytes:
    made = io.StringIO()
    csv.writer(made).writerows(rows)  # as RFC 4180 has it
    return made.getvalue().encode()


def _cell(value: Any) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case str():
            formula = _FORMULA.match(value) and not _NUMBER.fullmatch(value)
            return "'" + value if formula else value
        case dict() | list():
            return orjson.dumps(value).decode()
        case _:
            return str(value)
