"""How a route of the API runs: key, body, idempotency, one session, one commit.

`router()` makes a router whose routes do, in order: refuse a request without a valid key (401)
or with one that may not do this (403); read the body strictly (`json_body`); claim the
Idempotency-Key of a POST; open one session and hand it to the route; store the answer for the
key and commit, both at once, before the response leaves. Whatever raises rolls back.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response
from fastapi.routing import APIRoute
from fastapi.security import HTTPBearer
from sqlalchemy.ext.asyncio import AsyncSession

from chorus import errors, json_body
from chorus.accounts import idempotency
from chorus.accounts.idempotency import Answer, Claim
from chorus.accounts.keys import Principal
from chorus.process import Process
from chorus.wire import Failure

_BODY = ("POST", "PUT", "PATCH")
_NOTHING = object()


class _Read(Request):
    """A request whose body has been read and parsed already."""

    parsed: Any = _NOTHING

    async def json(self) -> Any:
        return await super().json() if self.parsed is _NOTHING else self.parsed


class Route(APIRoute):
    """A route behind an API key."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        run = super().get_route_handler()
        takes_body = self.body_field is not None

        async def handle(request: Request) -> Response:
            process: Process = request.app.state.process
            principal = _permitted(request)
            request = _Read(request.scope, request.receive)
            body = await request.body() if request.method in _BODY else b""
            if takes_body:
                request.parsed = _parse(request, body)
            key = request.headers.get("idempotency-key")
            if request.method != "POST" or key is None:
                return await _transact(process, request, run, None)
            path = request.url.path
            claim = await idempotency.claim(
                process.database, principal.organization_id, path, key, body
            )
            if isinstance(claim, Answer):
                headers = {"content-type": "application/json", "idempotency-replayed": "true"}
                return Response(claim.body, claim.status, headers)
            async with AsyncExitStack() as undo:
                undo.push_async_callback(claim.drop, process.database)
                return await _transact(process, request, run, claim)

        return handle


async def _transact(
    process: Process,
    request: Request,
    run: Callable[[Request], Coroutine[Any, Any, Response]],
    claim: Claim | None,
) -> Response:
    writes = request.method not in ("GET", "HEAD")
    async with process.database.session(writes=writes) as session:
        request.state.session = session
        response = await run(request)
        if claim is not None and response.status_code < 300:
            await claim.keep(session, Answer(response.status_code, bytes(response.body)))
        return response


def _permitted(request: Request) -> Principal:
    principal: Principal | None = request.state.principal
    if principal is None:
        raise errors.unauthorized()
    scope = "read" if request.method in ("GET", "HEAD") else "write"
    if not principal.may(scope):
        raise errors.Error(403, "forbidden", f"This API key may not {scope}")
    return principal


def _parse(request: Request, body: bytes) -> Any:
    if not body.strip():
        raise errors.invalid_field("body", "The request body must be a JSON object")
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise errors.Error(
            400,
            "unsupported_content_type",
            "The Content-Type must be application/json",
        )
    return json_body.parse(body)


def _process(request: Request) -> Process:
    return request.app.state.process


def _session(request: Request) -> AsyncSession:
    return request.state.session


def _organization(request: Request) -> uuid.UUID:
    principal: Principal = request.state.principal
    return principal.organization_id


# What routes ask for.
InProcess = Annotated[Process, Depends(_process)]
InSession = Annotated[AsyncSession, Depends(_session)]
InOrganization = Annotated[uuid.UUID, Depends(_organization)]

bearer = HTTPBearer(auto_error=False, description="An API key: `Authorization: Bearer sk_live_…`")

_SENTENCES = {
    400: "The request is not valid",
    401: "The API key is missing, wrong, expired or revoked",
    402: "The balance does not suffice",
    403: "The API key may not do this",
    404: "There is no such thing in this organization",
    409: "The request contradicts what is there",
    429: "Too many requests, or too many calls at once",
    500: "Something failed inside",
    503: "The server cannot do this now",
}


def failures(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The errors that a route may answer with, for the OpenAPI document."""
    return {status: {"model": Failure, "description": _SENTENCES[status]} for status in statuses}


def router(tag: str) -> APIRouter:
    # "default" also keeps FastAPI from telling of its own 422, which is never sent.
    others = {"default": {"model": Failure, "description": "Any other failure"}}
    return APIRouter(
        tags=[tag],
        route_class=Route,
        dependencies=[Depends(bearer)],
        responses={**failures(400, 401, 429, 500), **others},
    )
