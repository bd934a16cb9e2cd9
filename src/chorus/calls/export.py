"""The lines of an export of calls (`chorus.exports`)."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any

from chorus import exports
from chorus.calls import queries
from chorus.calls.queries import as_exported
from chorus.calls.schemas import ExportedCall, ExportedCallWithTexts, ExportQuery
from chorus.db import Database

MOST = 1_000_000
"""Calls of one export."""


async def lines(
    database: Database, organization_id: uuid.UUID, wanted: ExportQuery
) -> AsyncGenerator[bytes, None]:
    """The export in pieces, each of whole lines. A CSV begins with the names of its columns, which
    are those of the API."""
    kind = ExportedCallWithTexts if wanted.texts else ExportedCall
    names = exports.columns(kind)
    if wanted.format == "csv":
        yield exports.heading(names)
    async for rows in queries.exported(database, organization_id, wanted):
        yield await asyncio.to_thread(_text, rows, kind, names, wanted.format)


def _text(
    rows: Sequence[Mapping[Any, Any]],
    kind: type[ExportedCall],
    names: Sequence[str],
    format: exports.Format,
) -> bytes:
    calls = [kind.model_validate(as_exported(row)) for row in rows]
    return exports.written(calls, names, format)
