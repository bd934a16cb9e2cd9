"""Requests from pages of other sites, where the operator allows them (CHORUS_CORS_ORIGINS).

A browser asks first, with an OPTIONS request that has no key. That is answered here and reaches
nothing behind; it still leaves with an id and with what is left of its address's limit, of which
it takes nothing.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chorus.gate import address_of, is_api
from chorus.process import Process

_ALLOWED = (
    "Authorization",
    "Content-Type",
    "Idempotency-Key",
    "If-Match",
    "If-None-Match",
    "Last-Event-ID",
    "X-Chorus-Request",
    "X-Request-Id",
)
_EXPOSED = (
    "ETag",
    "X-Request-Id",
    "X-RateLimit-Limit",
    "X-RateLimit-Remaining",
    "X-RateLimit-Reset",
    "Retry-After",
    "Idempotency-Replayed",
)


class Cors(CORSMiddleware):
    def __init__(self, app: ASGIApp, process: Process, origins: Sequence[str]) -> None:
        super().__init__(
            app,
            allow_origins=origins,
            allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
            allow_headers=_ALLOWED,
            expose_headers=_EXPOSED,
            max_age=600,
        )
        self._process = process

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "OPTIONS":
            await super().__call__(scope, receive, send)
            return
        headers = Headers(scope=scope)
        if "origin" not in headers or "access-control-request-method" not in headers:
            await super().__call__(scope, receive, send)
            return

        async def told(message: Message) -> None:
            if message["type"] == "http.response.start":
                sent = [*message["headers"], (b"x-request-id", uuid.uuid4().hex.encode())]
                if is_api(scope["path"]):
                    sent += self._process.limits.look(address_of(scope)).headers()
                message = {**message, "headers": sent}
            await send(message)

        await super().__call__(scope, receive, told)
