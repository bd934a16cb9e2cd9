"""What every request passes before any route: id, size, key or session, rate limit, log.

In order: the request gets its id; a body larger than the limit is refused (413); on the API's
paths the key, or without one the session's cookie, is looked up and a request counted against its
limit (429); the routes run, and find the id, the address and the principal in `request.state`.
Every response leaves with `X-Request-Id`, on the API's paths with the rate limit's headers, and
with a line in the log. An exception that nobody expected becomes a 500 here.
"""

from __future__ import annotations

import asyncio
import logging
import re
import uuid
from time import perf_counter
from typing import Any, cast

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chorus import errors, logs
from chorus.accounts import sessions
from chorus.accounts.limits import Quota
from chorus.accounts.principal import Principal
from chorus.process import Process

log = logging.getLogger("chorus.http")

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
API_PATHS = ("/v1", "/api")
_UPLOAD = re.compile(r"/v1/knowledge-bases/[^/]+/documents/upload")


def is_api(path: str) -> bool:
    return any(path == start or path.startswith(start + "/") for start in API_PATHS)


class Gate:
    """ASGI middleware; plain, because it stands before every request."""

    def __init__(self, app: ASGIApp, process: Process) -> None:
        self._app = app
        self._process = process

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = perf_counter()
        headers = Headers(scope=scope)
        given = headers.get("x-request-id", "")
        request_id = given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
        state: dict[str, Any] = scope.setdefault("state", {})
        state["request_id"] = request_id
        state["address"] = address_of(scope)
        state["principal"] = None
        status = 0
        quota: Quota | None = None

        async def reply(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                sent = [*message.get("headers", ()), (b"x-request-id", request_id.encode())]
                if quota is not None:
                    sent += quota.headers()
                message = {**message, "headers": sent}
            await send(message)

        asked, answer = scope["method"], cast("Send", reply)
        if is_api(scope["path"]):
            scope, receive, answer = _as_expected(scope, receive, reply)
        with logs.named(request_id):
            try:
                if is_api(scope["path"]):
                    principal = await self._principal(headers, state["address"])
                    state["principal"] = principal
                    quota = await self._process.limits.take(principal, state["address"])
                    if not quota.allowed:
                        raise errors.rate_limited(quota.retry_after_s)
                body = self._limited(scope["path"], headers, receive)
                await self._app(scope, body, answer)
            except asyncio.CancelledError:
                # The server stops, and does not wait any longer.
                if not status:
                    ours = errors.unavailable("The server is being stopped")
                    await _send(answer, ours, request_id)
                raise
            except Exception as error:
                ours = errors.translate(error)
                if ours.status >= 500:
                    log.exception("a request failed")
                if status:
                    # Half a response is out: the server must cut the connection.
                    raise
                if quota is None and is_api(scope["path"]):
                    # Whoever asked could not be looked up.
                    quota = self._process.limits.look(state["address"])
                await _send(answer, ours, request_id)
            finally:
                self._note({**scope, "method": asked}, status, started)

    async def _principal(self, headers: Headers, address: str) -> Principal | None:
        """Raises `Error` 429 for an address that guesses."""
        limits = self._process.limits
        quota = limits.may_guess(address)
        principal, given = await self._found(headers, looks_up=quota.allowed)
        if principal is None and given:
            if not quota.allowed:
                raise errors.rate_limited(quota.retry_after_s)
            limits.guessed(address)
        return principal

    async def _found(self, headers: Headers, *, looks_up: bool) -> tuple[Principal | None, bool]:
        """Who asks, and whether something was given to know them by. A request that names a key is
        a key's, also if the key is wrong and there is a cookie."""
        process = self._process
        if "authorization" in headers:
            scheme, _, key = headers["authorization"].partition(" ")
            if scheme.lower() != "bearer":
                return None, False
            return await process.keys.principal(key.strip(), looks_up=looks_up), True
        token = sessions.token_of(headers, process.settings) if "cookie" in headers else None
        if not token:
            return None, False
        return await process.sessions.principal(token, looks_up=looks_up), True

    def _limited(self, path: str, headers: Headers, receive: Receive) -> Receive:
        """`receive`, which raises `Error` 413 as soon as the body is known to be too large."""
        settings = self._process.settings
        most = settings.max_request_bytes
        if _UPLOAD.fullmatch(path):
            most = max(most, settings.max_upload_bytes)
        length = headers.get("content-length", "")
        if length.isascii() and length.isdigit() and int(length[:20]) > most:
            raise errors.too_large(most)
        size = 0

        async def limited() -> Message:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            if size > most:
                raise errors.too_large(most)
            return message

        return limited

    def _note(self, scope: Scope, status: int, started: float) -> None:
        if not log.isEnabledFor(logging.INFO):
            return
        # The path alone: a query may hold a signature.
        fields = {
            "method": scope["method"],
            "path": scope["path"],
            "status": status,
            "ms": round((perf_counter() - started) * 1000, 1),
        }
        log.info("request", extra={"fields": fields})


def _as_expected(scope: Scope, receive: Receive, send: Send) -> tuple[Scope, Receive, Send]:
    """A slash at the end of the path means nothing, and HEAD is GET without the body: a stream
    that would be sent for ever is told that nobody reads it."""
    path: str = scope["path"]
    if path.endswith("/"):
        scope["path"] = path.rstrip("/")
        scope["raw_path"] = scope.get("raw_path", path.encode()).rstrip(b"/")
    if scope["method"] != "HEAD":
        return scope, receive, send
    scope["method"] = "GET"
    answered = False

    async def head(message: Message) -> None:
        nonlocal answered
        if message["type"] == "http.response.body":
            if not answered:
                answered = True
                await send({"type": "http.response.body", "body": b""})
            return
        await send(message)

    async def nobody() -> Message:
        return {"type": "http.disconnect"} if answered else await receive()

    return scope, nobody, head


def address_of(scope: Scope) -> str:
    client = scope.get("client")
    return client[0] if client else "unknown"


async def _send(reply: Send, error: errors.Error, request_id: str) -> None:
    sent = errors.envelope(error, request_id)
    headers = [(name.lower().encode(), value.encode()) for name, value in sent.headers.items()]
    headers.append((b"content-length", str(len(sent.body)).encode()))
    await reply({"type": "http.response.start", "status": sent.status, "headers": headers})
    await reply({"type": "http.response.body", "body": sent.body})
