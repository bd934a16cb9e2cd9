"""Reading what a carrier posts, within limits, and finding out whose it is before anything of it
is believed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, cast

import orjson
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

from chorus.lines.desk import Admitted, Connection, Desk, InboundCall, Refused
from chorus.lines.strangers import Strangers, TurnedAway

log = logging.getLogger(__name__)

T = TypeVar("T")

MAX_BODY_BYTES = 64 * 1024
BODY_TIMEOUT_S = 10.0


async def genuine(
    strangers: Strangers,
    request: Request,
    read: Callable[[Request], Awaitable[T]],
    sender: Callable[[T], Awaitable[Connection | None]],
) -> tuple[T, Connection]:
    """What was sent, as `read` has it, and whose it is: `sender` finds the connection with whose
    secret it was signed, None if there is none. Whoever sends too much else is turned away
    (`lines/strangers.py`). Raises `HTTPException` 403, 429, 503, or what those two raise."""
    address = request.client.host if request.client else "unknown"
    try:
        strangers.knock(address)
        sent = await read(request)
        with strangers.look(address):
            connection = await sender(sent)
    except TurnedAway as away:
        status, wait = 503 if away.busy else 429, {"Retry-After": str(away.wait_s)}
        raise HTTPException(status, str(away), wait) from None
    except HTTPException as broken:
        strangers.refused(address, broken.detail)
        raise
    if connection is None:
        strangers.refused(address, f"{request.url.path} is not signed by the number's account")
        raise HTTPException(403, "the webhook is not signed by the number's account")
    return sent, connection


async def decided(desk: Desk, inbound: InboundCall, within_s: float) -> Admitted | Refused:
    """What becomes of a call that comes in. Raises `HTTPException` 503 if that is not known in
    time: an error status, so that the carrier tries the number's fallback, where it has one."""
    try:
        async with asyncio.timeout(within_s):
            decision = await desk.answer(inbound)
    except TimeoutError:
        log.error("call %s: no decision within %g s", inbound.leg_id, within_s)
        raise HTTPException(503, "no decision in time") from None
    if isinstance(decision, Refused):
        log.info("call %s to %s refused: %s", inbound.leg_id, inbound.to, decision.reason)
    return decision


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
