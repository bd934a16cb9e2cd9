"""A request to a carrier's REST API that takes and answers JSON, and a key as bearer token."""

from __future__ import annotations

from typing import Any

import orjson

from chorus.outbound import Outbound, OutboundFailed, OutboundRefused
from chorus.outbound_body import json_object

MAX_ANSWER_BYTES = 256 * 1024


class ApiFailed(Exception):
    """A request came to nothing. `status` is the HTTP status; None: nobody knows whether it was
    done. `code` is the carrier's own, where it has one. The text holds no secrets."""

    def __init__(self, detail: str, status: int | None = None, code: str = "") -> None:
        super().__init__(detail)
        self.detail = detail
        self.status = status if status is not None and status < 500 else None
        self.code = code


async def ask(
    outbound: Outbound,
    method: str,
    url: str,
    api_key: str,
    body: dict[str, Any] | None,
    timeout_s: float,
) -> tuple[int, dict[str, Any]]:
    """The status and the object of the answer, whatever the status is. Raises `ApiFailed` if there
    is none."""
    try:
        answer = await outbound.send(
            method,
            url,
            headers=(
                ("authorization", f"Bearer {api_key}"),
                ("accept", "application/json"),
                *((("content-type", "application/json"),) if body is not None else ()),
            ),
            content=None if body is None else orjson.dumps(body),
            timeout_ms=int(timeout_s * 1000),
            max_bytes=MAX_ANSWER_BYTES,
            max_redirects=0,
        )
    except OutboundRefused as refused:
        raise ApiFailed(str(refused), 400) from refused
    except OutboundFailed as failed:
        raise ApiFailed(str(failed)) from failed
    return answer.status, json_object(answer.body)
