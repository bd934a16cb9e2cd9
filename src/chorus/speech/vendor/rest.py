"""Small requests to a vendor's HTTP API: a list of voices, whether a key is taken."""

from __future__ import annotations

import json
from typing import Any

from chorus.outbound import Headers, OutboundFailed, OutboundRefused
from chorus.speech.vendor.failures import Failures
from chorus.speech.vendor.net import Net

_TIMEOUT_MS = 8000
_MAX_BYTES = 8_000_000


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
