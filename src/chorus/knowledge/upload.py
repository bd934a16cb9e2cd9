"""A file in the body of a request: multipart/form-data with `file` and, if wanted, `name`.

The body is bounded before it is read (`gate.py`); what it says of itself is not believed: the
format goes by the file's name, and whether it is that is found out where it is read.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from uuid import UUID

from fastapi import Request
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException

from chorus import errors
from chorus.accounts.principal import Principal
from chorus.knowledge import queries
from chorus.knowledge.fetch import format_of
from chorus.knowledge.reader.blocks import MAX_BYTES
from chorus.process import Process
from chorus.route import Route

_PART_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Upload:
    name: str
    format: str
    content: bytes = field(repr=False)


class UploadRoute(Route):
    """A route that takes a file. It is read before the transaction begins, once it is known that
    there is a base for it."""

    async def before(self, process: Process, request: Request) -> None:
        principal: Principal = request.state.principal
        try:
            id = UUID(request.path_params["id"])
        except ValueError:
            raise errors.not_found("Knowledge base") from None
        async with process.database.reading() as session:
            await queries.one(session, principal.organization_id, id)
        request.state.upload = await read_upload(request)


def upload_of(request: Request) -> Upload:
    """What `UploadRoute` has read."""
    upload: Upload = request.state.upload
    return upload


async def read_upload(request: Request) -> Upload:
    """Raises `Error` 400 and 413."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "multipart/form-data":
        detail = errors.Problem("Content-Type", "The Content-Type must be multipart/form-data")
        raise errors.Error(400, "unsupported_content_type", "Validation failed", details=[detail])
    try:
        form = await request.form(max_files=1, max_fields=5, max_part_size=_PART_BYTES)
    except (HTTPException, MultiPartException):
        raise errors.invalid_field(
            "body", "The request body must be one file as multipart/form-data"
        ) from None
    try:
        unknown = sorted(set(form) - {"file", "name"})
        if unknown:
            raise errors.invalid_field(unknown[0][:100], f"{unknown[0][:100]} is not a known field")
        file, name = form.get("file"), form.get("name")
        if not isinstance(file, UploadFile):
            raise errors.invalid_field("file", "File is required")
        if isinstance(name, UploadFile):
            raise errors.invalid_field("name", "Name must be a string")
        given = _plain(file.filename or "")
        format = format_of(given)
        if format is None:
            raise errors.invalid_field(
                "file", "File must be txt, md, html, pdf, docx or csv, by the ending of its name"
            )
        content = await file.read()
    finally:
        await form.close()
    if not content:
        raise errors.invalid_field("file", "File must not be empty")
    if len(content) > MAX_BYTES:
        raise errors.too_large(MAX_BYTES)
    return Upload(_plain(name or "") or given, format, content)


def _plain(name: str) -> str:
    """Of one line, without a path, as names of things are."""
    last = name.replace("\\", "/").rpartition("/")[2]
    printable = "".join(char if char.isprintable() else " " for char in last)
    return " ".join(printable.split())[:255]
