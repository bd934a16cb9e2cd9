"""What is served of it, all without a key: the document, two pages that show it, and one that
explains its errors.

`/v1/openapi.json` and `.yaml`, `/docs` (Swagger UI), `/redoc`, `/docs/errors`, and
`/docs/assets/…`, which the pages are made of; whoever opens `/` is sent to `/docs`. The document is
made once, at the first request, in a thread, because it takes longer than a call can wait. What is
sent has an ETag and is compressed once. The pages load nothing from elsewhere: their
Content-Security-Policy forbids it, and it is not needed.
"""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from chorus import errors
from chorus.openapi import codes
from chorus.openapi.document import build

FOLDER = Path(__file__).parent.parent / "web" / "reference"

ERRORS = "/docs/errors"

_SCRIPT = "text/javascript; charset=utf-8"
_STYLE = "text/css; charset=utf-8"
ASSETS = {
    "errors.css": _STYLE,
    "redoc.css": _STYLE,
    "redoc.js": _SCRIPT,
    "redoc.standalone.js": _SCRIPT,
    "swagger-ui-bundle.js": _SCRIPT,
    "swagger-ui.css": _STYLE,
    "swagger.js": _SCRIPT,
}
# Both pages make styles while they run. ReDoc searches in a worker that it makes of a blob.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; font-src 'self' data:; connect-src 'self'; worker-src blob:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_PAGE_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_REVALIDATE = {"Cache-Control": "no-cache"}
_FOREVER = {"Cache-Control": "public, max-age=31536000, immutable"}
# Anybody may read the document, so a page of another origin may as well.
_ANY_ORIGIN = {"Access-Control-Allow-Origin": "*"}


@dataclass(frozen=True)
class Served:
    """Bytes as they are sent."""

    body: bytes
    compressed: bytes
    etag: str
    headers: dict[str, str]

    @classmethod
    def of(cls, body: bytes, media_type: str, *headers: dict[str, str]) -> Served:
        etag = hashlib.sha256(body).hexdigest()[:32]
        sent = {"Content-Type": media_type, "Vary": "Accept-Encoding"}
        for more in headers:
            sent |= more
        return cls(body, gzip.compress(body, 9, mtime=0), etag, sent)

    def answer(self, request: Request) -> Response:
        zipped = _takes_gzip(request)
        # The two forms differ in their bytes, so they differ in their tag.
        etag = f'"{self.etag}-gzip"' if zipped else f'"{self.etag}"'
        headers = {**self.headers, "ETag": etag}
        known = request.headers.get("if-none-match", "")
        tags = [tag.strip().removeprefix("W/") for tag in known.split(",")]
        if etag in tags or known.strip() == "*":
            return Response(status_code=304, headers=headers)
        if zipped:
            headers["Content-Encoding"] = "gzip"
        return Response(self.compressed if zipped else self.body, headers=headers)


def add_routes(app: FastAPI, url: str) -> None:
    """Serve the document of `app`, which others reach at `url`, and its pages."""
    shelf = _Shelf(app, url)
    made = {
        "/v1/openapi.json": shelf.document_json,
        "/v1/openapi.yaml": shelf.document_yaml,
        "/docs": shelf.swagger,
        "/redoc": shelf.redoc,
        ERRORS: shelf.errors,
    }

    def route(name: str, make: Callable[[], Served]) -> None:
        async def give(request: Request) -> Response:
            return (await shelf.take(name, make)).answer(request)

        app.add_route(name, give, methods=["GET", "HEAD"], include_in_schema=False)

    for path, make in made.items():
        route(path, make)

    async def asset(request: Request) -> Response:
        name = request.path_params["name"]
        if name not in ASSETS or request.path_params["version"] != shelf.version:
            raise errors.Error(404, "not_found", "Not found")
        return (await shelf.take(name, lambda: shelf.asset(name))).answer(request)

    app.add_route("/docs/assets/{version}/{name}", asset, ["GET", "HEAD"], include_in_schema=False)


class _Shelf:
    """What has been made so far, each once."""

    def __init__(self, app: FastAPI, url: str) -> None:
        self._app = app
        self._url = url
        self._made: dict[str, Awaitable[Served]] = {}

    async def take(self, name: str, make: Callable[[], Served]) -> Served:
        if name not in self._made:
            self._made[name] = asyncio.ensure_future(asyncio.to_thread(make))
        try:
            # Others wait for the same: one who goes away does not take it from them.
            return await asyncio.shield(self._made[name])
        except Exception:
            self._made.pop(name, None)
            raise

    @cached_property
    def _document(self) -> bytes:
        return json.dumps(build(self._app, self._url), ensure_ascii=False).encode()

    def document_json(self) -> Served:
        return Served.of(self._document, "application/json", _REVALIDATE, _ANY_ORIGIN)

    def document_yaml(self) -> Served:
        return Served.of(to_yaml(self._document), "application/yaml", _REVALIDATE, _ANY_ORIGIN)

    def swagger(self) -> Served:
        return self._page("swagger.html")

    def redoc(self) -> Served:
        return self._page("redoc.html")

    def errors(self) -> Served:
        return _html(codes.page(self.version))

    def _page(self, name: str) -> Served:
        return _html((FOLDER / name).read_text("utf-8").replace("VERSION", self.version))

    def asset(self, name: str) -> Served:
        nosniff = {"X-Content-Type-Options": "nosniff"}
        return Served.of((FOLDER / name).read_bytes(), ASSETS[name], _FOREVER, nosniff)

    @cached_property
    def version(self) -> str:
        """Changes with any of the files, so that a browser may keep them for ever."""
        digest = hashlib.sha256()
        for name in sorted(ASSETS):
            digest.update((FOLDER / name).read_bytes())
        return digest.hexdigest()[:12]


def _html(text: str) -> Served:
    return Served.of(text.encode(), "text/html; charset=utf-8", _REVALIDATE, _PAGE_HEADERS)


def to_yaml(document: bytes) -> bytes:
    """The JSON document as YAML, in the same order."""
    import yaml

    # libyaml's is ten times as fast, and not in every build of PyYAML.
    dumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    text = yaml.dump(
        json.loads(document), Dumper=dumper, sort_keys=False, allow_unicode=True, width=100
    )
    return text.encode()


def _takes_gzip(request: Request) -> bool:
    for part in request.headers.get("accept-encoding", "").lower().split(","):
        coding, _, parameters = part.strip().partition(";")
        if coding.strip() in ("gzip", "*"):
            return parameters.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False
