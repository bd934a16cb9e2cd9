"""What every answer of the API gets last: whether it may be kept, its ETag, and gzip.

An answer is never to be kept by a cache: it may hold what somebody said. Catalogues may be, if they
are asked for anew each time. A GET's answer has an ETag, which is 304 without a body for whoever
has it already (`If-None-Match`), and by which a change can be held to what was read (`If-Match`).
"""

from __future__ import annotations

import asyncio
import gzip
import hashlib

from starlette.requests import Request
from starlette.responses import Response

_LEAST = 1024
_MUCH = 65_536
"""Bytes that take milliseconds to compress, in which no call may wait."""


def etag(body: bytes) -> str:
    return f'"{hashlib.sha256(body).hexdigest()[:32]}"'


def matches(wanted: str, tag: str) -> bool:
    """Whether a list of tags, as in If-Match, names `tag`. That an answer was compressed makes no
    difference."""
    given = {each.strip().removeprefix("W/").replace("-gzip", "") for each in wanted.split(",")}
    return "*" in given or tag in given


async def finished(request: Request, response: Response, *, lasting: bool) -> Response:
    """`lasting`: may be kept by whoever asked, if asked for anew."""
    headers = response.headers
    headers.setdefault("cache-control", "private, no-cache" if lasting else "no-store")
    body = getattr(response, "body", None)
    if not isinstance(body, bytes) or headers.get("content-type") != "application/json":
        return response
    # What a PUT answers is what GET will show, of which the next change needs the tag.
    tagged = request.method in ("GET", "PUT") and response.status_code == 200
    tag = etag(body) if tagged else None
    if tag is not None:
        wanted = request.headers.get("if-none-match") if request.method == "GET" else None
        if wanted is not None and matches(wanted, tag):
            kept = {"etag": tag, "cache-control": headers["cache-control"]}
            return Response(status_code=304, headers=kept)
        headers["etag"] = tag
    if len(body) < _LEAST:
        return response
    headers["vary"] = "Accept-Encoding"
    if not _takes_gzip(request.headers.get("accept-encoding", "")):
        return response
    if len(body) > _MUCH:
        response.body = await asyncio.to_thread(_compressed, body)
    else:
        response.body = _compressed(body)
    headers["content-encoding"] = "gzip"
    headers["content-length"] = str(len(response.body))
    if tag is not None:
        headers["etag"] = tag[:-1] + '-gzip"'
    return response


def _takes_gzip(accepted: str) -> bool:
    for each in accepted.lower().split(","):
        name, _, weight = each.strip().partition(";")
        if name.strip() in ("gzip", "*"):
            return weight.replace(" ", "") not in ("q=0", "q=0.0")
    return False


def _compressed(body: bytes) -> bytes:
    return gzip.compress(body, compresslevel=1, mtime=0)
