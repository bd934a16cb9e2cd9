"""Small requests to a vendor's HTTP API: a list of voices, whether a key is taken, a connection
that is open before it is needed."""

from __future__ import annotations

import json
from typing import Any

from chorus.outbound import Headers, OutboundFailed, OutboundRefused
from chorus.speech.vendor.failures import Failures
from chorus.speech.vendor.net import Net

_TIMEOUT_MS = 8000
_MAX_BYTES = 8_000_000
_WARM_MS = 3000
_REFUSALS = (401, 402, 403, 429)


async def get_json(net: Net, url: str, headers: Headers, failures: Failures) -> Any:
    """Raises `EngineFailed`."""
    try:
        answer = await net.send(
            "GET", url, headers=headers, timeout_ms=_TIMEOUT_MS, max_bytes=_MAX_BYTES
        )
    except (OutboundFailed, OutboundRefused) as error:
        raise failures.unreached("request", error) from None
    if answer.status != 200:
        raise failures.status(
            "request", answer.status, answer.body[:2000].decode("utf-8", "replace")
        )
    return failures.reading("request", lambda: json.loads(answer.body))


async def warm(
    net: Net, url: str, headers: Headers, failures: Failures, *, method: str = "GET"
) -> None:
    """Open a connection to a host, which stays in the pool, by something that costs nothing; and
    learn of a key that is refused before it is needed. What is asked for need not be there: a
    server of one's own may have no such path. A `HEAD` is for the connection alone, whatever its
    answer. Raises `EngineFailed`."""
    try:
        answer = await net.send(
            method, url, headers=headers, timeout_ms=_WARM_MS, max_bytes=_MAX_BYTES
        )
    except (OutboundFailed, OutboundRefused) as error:
        raise failures.unreached("open", error) from None
    if method == "GET" and answer.status in _REFUSALS:
        words = answer.body[:2000].decode("utf-8", "replace")
        raise failures.status("open", answer.status, words)
