"""Exports of calls: CSV or JSON lines, made while they are sent.

Rows are read some hundred at a time and turned into text in a thread, so an export needs as much
memory for a million calls as for a thousand, and no call waits for it. One that is cut off has not
the end that HTTP promises: clients notice.
"""

from __future__ import annotations

import asyncio
import csv
import io
import re
import uuid
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any

import orjson

from chorus.calls import queries
from chorus.calls.queries import as_exported
from chorus.calls.schemas import ExportedCall, ExportedCallWithTexts, ExportQuery
from chorus.db import Database

MOST = 1_000_000
"""Calls of one export."""

# What a spreadsheet would take for a formula; a telephone number is none.
_FORMULA = re.compile(r"[=+\-@\t\r]")
_NUMBER = re.compile(r"[+-]?[0-9.]+")


async def lines(
    database: Database, organization_id: uuid.UUID, wanted: ExportQuery
) -> AsyncGenerator[bytes, None]:
    """The export in pieces, each of whole lines. A CSV begins with the names of its columns, which
    are those of the API."""
    kind = ExportedCallWithTexts if wanted.texts else ExportedCall
    names = [field.alias or name for name, field in kind.model_fields.items() if not field.exclude]
    if wanted.format == "csv":
        yield _csv([names])
    async for rows in queries.exported(database, organization_id, wanted):
        yield await asyncio.to_thread(_text, rows, kind, names, wanted.format)


def _text(
    rows: Sequence[Mapping[Any, Any]],
    kind: type[ExportedCall],
    names: Sequence[str],
    format: str,
) -> bytes:
    calls = [
        kind.model_validate(as_exported(row)).model_dump(mode="json", by_alias=True) for row in rows
    ]
    if format == "jsonl":
        return b"".join(orjson.dumps(call) + b"\n" for call in calls)
    return _csv([[_cell(call[name]) for name in names] for call in calls])


def _csv(rows: Sequence[Sequence[str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows(rows)  # as RFC 4180 has it
    return text.getvalue().encode()


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
