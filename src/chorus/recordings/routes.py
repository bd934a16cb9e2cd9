"""The links' other end, and deleting: `/recordings/…`, `/transcripts/…`, and below `/v1/calls`.

A link needs no API key; its signature is one, for one thing and for a time. A recording in a
folder is sent from there, in parts if a Range header asks for that; one in a bucket is a redirect
to a link of the bucket's own, which knows ranges too.
"""

from __future__ import annotations

import asyncio
import uuid
from pathlib import Path
from typing import Annotated, Literal
from uuid import UUID

import orjson
from fastapi import APIRouter, Query, Request
from fastapi.responses import FileResponse, PlainTextResponse, RedirectResponse, Response
from pydantic import Field
from starlette.types import Receive, Scope, Send

from chorus import errors
from chorus.audio.mp3 import NotAWav
from chorus.audio.peaks import NoSound
from chorus.calls import kept, queries
from chorus.calls.kept import Kept
from chorus.errors import Error, not_found
from chorus.process import Process
from chorus.recordings.archive import Archive, mp3_key, wav_key
from chorus.recordings.links import Links
from chorus.recordings.store import StoreFailed, media_type
from chorus.recordings.transcript import as_json, as_text
from chorus.route import InOrganization, InProcess, InSession, failures, router
from chorus.wire import Data, Deleted, Out

Form = Literal["wav", "mp3"]
Base64 = Annotated[str, Field(json_schema_extra={"format": "byte"})]

ENCODING_S = 25.0
"""How long a request waits for an MP3 to be made, before it is told to come back."""

routes = router("Calls")
links = APIRouter(include_in_schema=False)


# --- behind an API key ----------------------------------------------------------------------


@routes.get(
    "/calls/{id}/recording",
    operation_id="getCallRecording",
    summary="Hear a call's recording",
    response_class=RedirectResponse,
    status_code=307,
    responses=failures(404),
)
async def get_recording(
    request: Request,
    session: InSession,
    organization_id: InOrganization,
    id: UUID,
    form: Annotated[Form, Query(alias="format")] = "wav",
) -> RedirectResponse:
    """Redirects to the audio, as `recordingUrl` of the call does."""
    call = await queries.one(session, organization_id, id)
    if call.recording_path is None:
        raise not_found("Recording")
    return RedirectResponse(_links(request).url("recording", id, form), 307)


class PeaksOut(Out):
    """How loud each side of a recording is, to be drawn. Each side is base64 of one byte for each
    1/`perSecond` s: 0 is silence, 255 the loudest there is, in decibels between."""

    duration_ms: int
    per_second: int
    caller: Base64
    agent: Base64


@routes.get(
    "/calls/{id}/peaks",
    operation_id="getCallPeaks",
    summary="Get the shape of a call's recording",
    responses=failures(404, 503),
)
async def get_peaks(
    request: Request, session: InSession, organization_id: InOrganization, id: UUID
) -> Data[PeaksOut]:
    """404 until the recording is stored, which is some seconds after the call's end."""
    call = await queries.one(session, organization_id, id)
    if call.recording_path is None:
        raise not_found("Recording")
    archive: Archive = request.app.state.archive
    found = await kept.find(session, id)
    if found is None or not found.settled:
        raise not_found("Recording")
    try:
        return Data(data=PeaksOut.model_validate(orjson.loads(await archive.peaks(found))))
    except (FileNotFoundError, NoSound):
        raise not_found("Recording") from None
    except StoreFailed:
        raise errors.unavailable("The recordings cannot be reached at the moment") from None


@routes.delete(
    "/calls/{id}/recording",
    operation_id="deleteCallRecording",
    summary="Delete a call's recording",
    responses=failures(404, 409),
)
async def delete_recording(
    session: InSession, organization_id: InOrganization, id: UUID
) -> Data[Deleted]:
    """It can be heard no more from now on, and is erased within seconds. The call stays."""
    call = await queries.one(session, organization_id, id)
    _require_over(call.ended_at is not None)
    if not await kept.delete_recording(session, call, "request"):
        raise not_found("Recording")
    return Data(data=Deleted(id=id))


@routes.delete(
    "/calls/{id}/transcript",
    operation_id="deleteCallTranscript",
    summary="Delete what was said in a call",
    responses=failures(404, 409),
)
async def delete_transcript(
    process: InProcess, session: InSession, organization_id: InOrganization, id: UUID
) -> Data[Deleted]:
    """The transcript, the analysis, and what was said in the call's events. The call stays."""
    call = await queries.one(session, organization_id, id, lock="change")
    _require_over(call.ended_at is not None)
    if not await kept.delete_texts(session, process.secrets, call, "request"):
        raise not_found("Transcript")
    return Data(data=Deleted(id=id))


def _require_over(over: bool) -> None:
    if not over:
        raise errors.conflict("call_not_over", "The call is not over yet")


# --- behind a signature ---------------------------------------------------------------------


@links.api_route("/recordings/{name}.{form}", methods=["GET", "HEAD"])
async def linked_recording(
    request: Request, name: str, form: str, expires: str = "", signature: str = ""
) -> Response:
    call_id = _call_id(name)
    if form not in ("wav", "mp3"):
        raise not_found("Recording")
    left_s = _links(request).check("recording", call_id, expires, signature)
    archive: Archive = request.app.state.archive
    call = await _kept(request, call_id)
    try:
        if not call.settled:
            return await _unsettled(archive, call, form, left_s)
        if form == "mp3":
            async with asyncio.timeout(ENCODING_S):
                await archive.mp3(call)
        key = wav_key(call_id) if form == "wav" else mp3_key(call_id)
        path = archive.store.path(key)
        if path is not None:
            return _Sound(path, media_type(key), left_s)
        method = "HEAD" if request.method == "HEAD" else "GET"
        url = await archive.store.link(key, method, left_s)
        return RedirectResponse(url, 307, _private(0))
    except FileNotFoundError:
        raise not_found("Recording") from None
    except NotAWav:
        raise not_found("MP3") from None
    except TimeoutError:
        raise errors.unavailable("The MP3 is being made; ask again in a moment") from None
    except StoreFailed:
        raise errors.unavailable("The recordings cannot be reached at the moment") from None


@links.api_route("/transcripts/{name}.{form}", methods=["GET", "HEAD"])
async def linked_transcript(
    request: Request, name: str, form: str, expires: str = "", signature: str = ""
) -> Response:
    call_id = _call_id(name)
    if form not in ("json", "txt"):
        raise not_found("Transcript")
    left_s = _links(request).check("transcript", call_id, expires, signature)
    async with _process(request).database.reading() as session:
        found = await kept.transcript(session, call_id)
    if found is None:
        raise not_found("Transcript")
    if form == "txt":
        return PlainTextResponse(as_text(found), headers=_private(left_s))
    body = orjson.dumps(as_json(found), option=orjson.OPT_INDENT_2)
    return Response(body, media_type="application/json", headers=_private(left_s))


async def _unsettled(archive: Archive, call: Kept, form: str, left_s: int) -> Response:
    """Just after the call it is on the disk of the machine that held it."""
    path = archive.local(call.id)
    if form == "wav" and await asyncio.to_thread(path.is_file):
        return _Sound(path, media_type(path.name), left_s)
    raise errors.unavailable("The recording is being stored; ask again in a moment")


class _Sound(FileResponse):
    """A file in parts; what it refuses, it refuses as everything here does."""

    def __init__(self, path: Path, kind: str, left_s: int) -> None:
        super().__init__(
            path,
            media_type=kind,
            filename=path.name,
            content_disposition_type="inline",
            headers=_private(left_s),
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # Looked at here, where it still can be refused: it may have been deleted meanwhile.
        if not await asyncio.to_thread(Path(self.path).is_file):
            raise not_found("Recording")
        await super().__call__(scope, receive, send)


def _private(left_s: int) -> dict[str, str]:
    return {
        "cache-control": f"private, no-transform, max-age={left_s}" if left_s else "no-store",
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
    }


async def _kept(request: Request, call_id: uuid.UUID) -> Kept:
    async with _process(request).database.reading() as session:
        call = await kept.find(session, call_id)
    if call is None or call.deleted or call.ended_at is None:
        raise not_found("Recording")
    if call.key is None and call.settled:
        raise not_found("Recording")
    return call


def _call_id(name: str) -> uuid.UUID:
    try:
        return uuid.UUID(name)
    except ValueError:
        raise Error(403, "link_invalid", "This link is not valid") from None


def _process(request: Request) -> Process:
    return request.app.state.process


def _links(request: Request) -> Links:
    return _process(request).links
