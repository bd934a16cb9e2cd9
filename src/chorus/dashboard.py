"""The dashboard: the files that `make setup` built, served at /dashboard from this origin.

Each file is read once and kept in memory with its compressed forms, which the build made
(`.gz`, `.br`). What has a hash in its name may be kept for ever by browsers. Every other path
below /dashboard is a page that the browser draws: it gets `index.html`, with the headers that
forbid anything from elsewhere. Without a build the address says how to make one. What is below
/embed is for pages of other sites (`clients/browser/`), which may load it.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import mimetypes
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from fastapi import FastAPI
from sqlalchemy.exc import SQLAlchemyError
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from chorus.errors import RETRY_AFTER_S, Error
from chorus.settings import Settings

log = logging.getLogger(__name__)

MediaUrls = Callable[[], Awaitable[Collection[str]]]
MEDIA_TIMEOUT_S = 2.0

FOLDER = Path(__file__).parent / "web" / "static"
START = "/dashboard"
_INDEX = "index.html"
_CODINGS = {"br": ".br", "gzip": ".gz"}
_FOREVER = "public, max-age=31536000, immutable"
_MISSING = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Chorus</title>
<h1>The dashboard is not built</h1>
<p>In a checkout, <code>make setup</code> builds it; it says what is missing if it cannot.
The API is at <a href="/docs">/docs</a>.</p></html>"""


@dataclass(frozen=True)
class _File:
    media_type: str
    etag: str
    forms: dict[str, bytes]
    """By content coding; "" is the file itself."""


def add_routes(app: FastAPI, settings: Settings, media: MediaUrls) -> None:
    """`media` says where the audio of calls arrives, of all processes."""
    files = _read(FOLDER)

    async def page(request: Request) -> Response:
        path = request.path_params.get("path", "")
        found = files.get(path)
        if found is not None and path != _INDEX:
            cache = _FOREVER if path.startswith("assets/") else "no-cache"
            return _answer(request, found, {"cache-control": cache, **_NOSNIFF})
        if path.startswith("assets/"):
            raise Error(404, "not_found", "Not found")
        headers = page_headers(settings, await _known(media))
        if _INDEX not in files:
            return HTMLResponse(_MISSING, 503, {**headers, "retry-after": RETRY_AFTER_S})
        return _answer(request, files[_INDEX], {"cache-control": "no-cache", **headers})

    async def embedded(request: Request) -> Response:
        found = files.get(f"embed/{request.path_params['name']}")
        if found is None:
            raise Error(404, "not_found", "Not found")
        return _answer(request, found, _EMBEDDED)

    async def front(_: Request) -> Response:
        return RedirectResponse(START if _INDEX in files else "/docs")

    for path in (START, START + "/{path:path}"):
        app.add_route(path, page, methods=["GET", "HEAD"], include_in_schema=False)
    app.add_route("/embed/{name}", embedded, methods=["GET", "HEAD"], include_in_schema=False)
    app.add_route("/", front, methods=["GET", "HEAD"], include_in_schema=False)


_NOSNIFF = {"x-content-type-options": "nosniff"}
# Modules and worklets of another origin are loaded with CORS. Their names stay: five minutes.
_EMBEDDED = {
    "access-control-allow-origin": "*",
    "cross-origin-resource-policy": "cross-origin",
    "cache-control": "public, max-age=300",
    **_NOSNIFF,
}


async def _known(media: MediaUrls) -> Collection[str]:
    try:
        async with asyncio.timeout(MEDIA_TIMEOUT_S):
            return await media()
    except (SQLAlchemyError, OSError) as failure:  # a timeout is an OSError
        # The page itself can be had without a database, and says what is wrong.
        why = str(failure) or "no answer"
        log.warning("where calls of other processes arrive is not known: %s", why)
        return ()


def page_headers(settings: Settings, media: Collection[str] = ()) -> dict[str, str]:
    """Of the page: what it may load, and from where. A bucket's links lead to the bucket, so
    recordings may be played from there and from nowhere else. `media` are further addresses (ws
    or wss) of calls' audio: the process that holds a call may have one of its own."""
    talks = sorted({_origin(url) for url in (settings.media_base, *media)})
    sounds = " ".join(["'self'", "blob:", *_bucket(settings)])
    policy = {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self' data:",
        "font-src": "'self'",
        "connect-src": " ".join(["'self'", *talks]),
        "media-src": sounds,
        "worker-src": "'self'",
        "manifest-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'self'",
        "frame-ancestors": "'none'",
    }
    return {
        "content-security-policy": "; ".join(f"{name} {value}" for name, value in policy.items()),
        "permissions-policy": "microphone=(self), camera=(), geolocation=()",
        "referrer-policy": "no-referrer",
        "cross-origin-opener-policy": "same-origin",
        **_NOSNIFF,
    }


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _bucket(settings: Settings) -> list[str]:
    if not (settings.storage_url or "").startswith("s3://"):
        return []
    if settings.s3_endpoint_url:
        return [_origin(settings.s3_endpoint_url)]
    return ["https://*.amazonaws.com"]


def _answer(request: Request, file: _File, headers: dict[str, str]) -> Response:
    accepted = request.headers.get("accept-encoding", "").lower()
    coding = next((c for c in _CODINGS if c in file.forms and c in accepted), "")
    etag = f'"{file.etag}{"-" + coding if coding else ""}"'
    headers = {**headers, "etag": etag, "vary": "Accept-Encoding"}
    if request.headers.get("if-none-match") == etag:
        return Response(status_code=304, headers=headers)
    if coding:
        headers["content-encoding"] = coding
    return Response(file.forms[coding], media_type=file.media_type, headers=headers)


def _read(folder: Path) -> dict[str, _File]:
    """All files of a build by their path below it; nothing where there is none."""
    found: dict[str, _File] = {}
    for path in sorted(folder.rglob("*")) if folder.is_dir() else ():
        if not path.is_file() or path.name.startswith(".") or path.suffix in (".gz", ".br"):
            continue
        body = path.read_bytes()
        forms = {"": body}
        for coding, suffix in _CODINGS.items():
            packed = path.with_name(path.name + suffix)
            if packed.is_file():
                forms[coding] = packed.read_bytes()
        media_type = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        etag = hashlib.sha256(body).hexdigest()[:32]
        found[path.relative_to(folder).as_posix()] = _File(media_type, etag, forms)
    return found
