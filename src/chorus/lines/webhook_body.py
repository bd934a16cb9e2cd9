"""Reading what a carrier posts, within limits, before anything of it is believed."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import orjson
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

MAX_BODY_BYTES = 64 * 1024
BODY_TIMEOUT_S = 10.0


async def read_body(request: Request, kind: str) -> bytes:
    """The body, which must be of the media type `kind`. Raises `HTTPException` 400, 408, 413 or
    415."""
    said = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if said != kind:
        raise HTTPException(415, f"a webhook is {kind}")
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            async for chunk in request.stream():
                body += chunk
                if len(body) > MAX_BODY_BYTES:
                    raise HTTPException(413, f"a webhook holds at most {MAX_BODY_BYTES} bytes")
    except TimeoutError:
        raise HTTPException(408, "the webhook's body did not arrive in time") from None
    except ClientDisconnect:
        raise HTTPException(400, "the webhook's body is incomplete") from None
    return bytes(body)


def json_object(body: bytes) -> dict[str, Any]:
    """Raises `HTTPException` 400 for what is no JSON object."""
    try:
        value = orjson.loads(body)
    except ValueError:
        raise HTTPException(400, "the webhook's body is not JSON") from None
    if not isinstance(value, dict):
        raise HTTPException(400, "the webhook's body is no JSON object")
    return cast("dict[str, Any]", value)


def text_field(body: dict[str, Any], name: str) -> str:
    """A field that must be a short text. Raises `HTTPException` 400."""
    text = body.get(name)
    if not isinstance(text, str) or not text or len(text) > 256:
        raise HTTPException(400, f"the webhook's field {name} is missing, no text or too long")
    return text


def whole_number(value: object) -> int | None:
    """A small whole number; None if it is none."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**9:
        return value
    return None
