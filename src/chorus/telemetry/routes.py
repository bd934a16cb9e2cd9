"""`GET /metrics`, for Prometheus.

With `CHORUS_METRICS_TOKEN` whoever shows it as a bearer may read; without it only programs on this
machine. What a proxy passes on is not from this machine, whatever its address is.
"""

from __future__ import annotations

import hmac

from fastapi import FastAPI
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.requests import Request
from starlette.responses import Response

from chorus import errors
from chorus.addresses import is_loopback
from chorus.gate import address_of
from chorus.settings import Settings
from chorus.telemetry.telemetry import Telemetry

_PROXIED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip")


def add_routes(app: FastAPI, settings: Settings, telemetry: Telemetry) -> None:
    @app.api_route("/metrics", methods=["GET", "HEAD"], include_in_schema=False)
    async def metrics(request: Request) -> Response:  # pyright: ignore[reportUnusedFunction]  a route
        _check(request, settings.metrics_token)
        page = await telemetry.page()
        headers = {"cache-control": "no-store"}
        return Response(page, media_type=CONTENT_TYPE_LATEST, headers=headers)


def _check(request: Request, token: str | None) -> None:
    """Raises `Error` 401 or 403."""
    if token is None:
        proxied = any(name in request.headers for name in _PROXIED)
        if proxied or not is_loopback(address_of(request.scope)):
            raise errors.Error(
                403,
                "metrics_not_here",
                "Metrics are for this machine alone: set CHORUS_METRICS_TOKEN to read them "
                "from elsewhere",
            )
        return
    scheme, _, shown = request.headers.get("authorization", "").partition(" ")
    known = hmac.compare_digest(shown.strip().encode(), token.encode())
    if scheme.lower() != "bearer" or not known:
        raise errors.unauthorized()
