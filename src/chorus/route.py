"""How a route of the API runs: key, body, idempotency, one session, one commit.

`router()` makes a router whose routes do, in order: refuse a request without a valid key or
session (401), one that may not do this (403, `accounts/permissions.py`), and a change by cookie
that another site may have sent (403); read the body strictly (`json_body`); claim the
Idempotency-Key of a POST; open one session and hand it to the route; write the change down in the
audit log, store the answer for the key and commit, all at once, before the response leaves.
Whatever raises rolls back; for the key, a refusal is then stored by itself.

The routes of `public_router` are those by which members come in. They open their sessions
themselves, because what they count must stay counted when they refuse.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Annotated, Any, cast

import orjson
from fastapi import APIRouter, Depends, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from fastapi.routing import APIRoute, iter_route_contexts
from fastapi.security import APIKeyCookie, HTTPBearer
from sqlalchemy.ext.asyncio import AsyncSession

from chorus import compact, errors, json_body
from chorus.accounts import audit, idempotency, permissions, reads, same_origin
from chorus.accounts.idempotency import Answer, Claim
from chorus.accounts.passwords import LONGEST, SHORTEST
from chorus.accounts.permissions import Rule
from chorus.accounts.principal import Principal
from chorus.process import Process
from chorus.wire import Failure

Run = Callable[[Request], Coroutine[Any, Any, Response]]

_BODY = ("POST", "PUT", "PATCH")
_NOTHING = object()
_MUCH = 32_768
"""Bytes that take milliseconds to parse, in which no call may wait."""


class _Read(Request):
    """A request whose body has been read and parsed already."""

    parsed: Any = _NOTHING

    async def json(self) -> Any:
        return await super().json() if self.parsed is _NOTHING else self.parsed


class _Refused(Exception):
    """A route's refusal that is kept for its Idempotency-Key."""

    def __init__(self, error: errors.Error) -> None:
        super().__init__(error.message)
        self.error = error


class Route(APIRoute):
    """A route behind an API key or a session."""

    in_transaction = True
    keeps_answers = True
    """For an Idempotency-Key."""
    run: Run
    most_bytes = 0
    """Of a body; 0 is the server's own limit."""

    async def before(self, process: Process, request: Request) -> None:
        """What takes long and must not hold up those who wait for the session's turn to write."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        run = self.run = _without_strange_ids(super().get_route_handler(), self.path)
        takes_body = self.body_field is not None
        needs_body = self.body_field is not None and self.body_field.field_info.is_required()
        rules = {method: permissions.find(method, self.path) for method in self.methods or ()}

        async def handle(request: Request) -> Response:
            process: Process = request.app.state.process
            rule = rules.get(request.method)
            principal = _permitted(request, rule)
            _check_query(request)
            request = _Read(request.scope, request.receive)
            body = await request.body() if request.method in _BODY else b""
            if needs_body or (takes_body and body):
                request.parsed = await _parse(request, body, self.most_bytes)
            if principal is None or not self.in_transaction:
                return await _finished(request, await run(request))
            change = _Change(self, request, principal, rule)
            key = request.headers.get("idempotency-key")
            if key is not None and not self.keeps_answers:
                raise errors.invalid_field(
                    "Idempotency-Key", "An answer that is streamed is not kept for a key"
                )
            if request.method != "POST" or key is None:
                return await _finished(
                    request, await _transact(process, request, run, change, None)
                )
            path = request.url.path
            organization_id = principal.organization_id
            if request.parsed is not _NOTHING:
                # The same JSON is the same request, however it is spaced and ordered.
                body = orjson.dumps(request.parsed, option=orjson.OPT_SORT_KEYS)
            claim = await idempotency.claim(
                process.database, process.secrets, organization_id, path, key, body
            )
            if isinstance(claim, Answer):
                headers = {"content-type": "application/json", "idempotency-replayed": "true"}
                return await _finished(request, Response(claim.body, claim.status, headers))
            return await _finished(request, await _answer(process, request, run, change, claim))

        return reads.watched(handle, self.operation_id, resource_of(self.path))  # pyright: ignore[reportReturnType]  a coroutine


class _Hashing(Route):
    """A route that may be given a password: `request.state.password_hash`, null without one."""

    async def before(self, process: Process, request: Request) -> None:
        assert isinstance(request, _Read)
        body = cast("dict[str, Any]", request.parsed)
        password = body.get("password") if isinstance(request.parsed, dict) else None
        request.state.password_hash = None
        if isinstance(password, str) and SHORTEST <= len(password) <= LONGEST:
            request.state.password_hash = await process.passwords.hash(password)


class Choosing(Route):
    """A route that may be given what a vendor offers: of vendors that were never asked what that
    is, the lists are fetched first."""

    async def before(self, process: Process, request: Request) -> None:
        assert isinstance(request, _Read)
        if self.chooses(request.parsed):
            principal: Principal = request.state.principal
            net = request.app.state.switchboard.outbound
            await process.catalogues.fresh(principal.organization_id, net, unknown_only=True)

    def chooses(self, body: Any) -> bool:
        """Whether a request with this body, any JSON or none, may name what a vendor offers."""
        if not isinstance(body, dict):
            return False
        given = cast("dict[str, Any]", body)
        return any(given.get(name) for name in _CHOICES)


_CHOICES = (
    *("slmModelId", "voiceId", "transcriberId"),
    *("slmModelFallbackIds", "voiceFallbackIds", "transcriberFallbackIds"),
)


class _Reading(Route):
    """A route that changes nothing and takes long: it opens its sessions itself, and holds none
    while it waits. An Idempotency-Key means nothing to it."""

    in_transaction = False


class _Streaming(Route):
    """A route whose answer is streamed, and so is not kept: an Idempotency-Key is refused."""

    keeps_answers = False


class UnauthenticatedRoute(Route):
    """A route by which members come in, which opens its sessions itself. Anybody may knock, so
    what is read of them is little."""

    in_transaction = False
    most_bytes = 16_384


@dataclass(frozen=True, slots=True)
class _Change:
    """What the audit log is told of a request that changes something."""

    route: Route
    request: _Read
    principal: Principal
    rule: Rule | None

    def write_down(self, session: AsyncSession, response: Response) -> None:
        if self.rule is None or not self.rule.audited:
            return
        given = self.request.path_params.get("id")
        if given is None:
            made = orjson.loads(bytes(response.body)).get("data")
            given = made.get("id") if isinstance(made, dict) else None  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]  any JSON
        sent = self.request.parsed
        audit.record(
            session,
            self.principal,
            self.route.operation_id or self.route.name,
            resource_of(self.route.path),
            uuid.UUID(str(given)) if given else None,  # pyright: ignore[reportUnknownArgumentType]  any JSON
            fields=list(sent) if isinstance(sent, dict) else (),  # pyright: ignore[reportUnknownArgumentType]  names
            request_id=self.request.state.request_id,
            address=self.request.state.address,
        )


def resource_of(path: str) -> str:
    """Such as agents, of a route's own path."""
    return path.strip("/").partition("/")[0]


async def _answer(
    process: Process,
    request: _Read,
    run: Callable[[Request], Coroutine[Any, Any, Response]],
    change: _Change,
    claim: Claim,
) -> Response:
    """Run the request under its claim, which then has the answer or is gone."""
    try:
        response = await _transact(process, request, run, change, claim)
        if not idempotency.is_kept(response.status_code):
            await claim.drop(process.database)
        return response
    except _Refused as refused:
        sent = errors.envelope(refused.error, request.state.request_id)
        async with process.database.writing() as session:
            await claim.keep(session, Answer(sent.status, sent.body))
        raise refused.error from None
    except BaseException:
        await claim.drop(process.database)
        raise


async def _transact(
    process: Process,
    request: _Read,
    run: Callable[[Request], Coroutine[Any, Any, Response]],
    change: _Change,
    claim: Claim | None,
) -> Response:
    await change.route.before(process, request)
    writes = request.method not in ("GET", "HEAD")
    async with process.database.session(writes=writes, by=change.route.endpoint) as session:
        request.state.session = session
        if request.method in ("PATCH", "PUT", "DELETE"):
            await _compare(change.route, request)
        try:
            response = await run(request)
        except errors.Error as error:
            if claim is not None and idempotency.is_kept(error.status):
                raise _Refused(error) from error
            raise
        if writes and response.status_code < 300:
            change.write_down(session, response)
        if claim is not None and idempotency.is_kept(response.status_code):
            await claim.keep(session, Answer(response.status_code, bytes(response.body)))
        return response


async def _compare(route: Route, request: _Read) -> None:
    """Hold a change to what GET shows. What was read may be sent back: fields that cannot be
    changed are left out if they are unchanged. Raises `Error` 400 if one is not, 412 if the thing
    is not what `If-Match` says."""
    parsed = request.parsed
    sent = cast("dict[str, Any]", parsed if isinstance(parsed, dict) else {})
    fixed = sent.keys() & _fixed(route) if request.method == "PATCH" else set[str]()
    wanted = request.headers.get("if-match")
    shown = _sibling(request, route) if fixed or wanted is not None else None
    if shown is None:
        return
    scope = {**request.scope, "method": "GET", "query_string": b""}
    body = bytes((await shown.run(_Read(scope, request.receive))).body)
    if wanted is not None and not compact.matches(wanted, compact.etag(body)):
        raise errors.Error(
            412, "precondition_failed", "It was changed meanwhile: it is not what If-Match says"
        )
    data: dict[str, Any] = orjson.loads(body)["data"]
    wrong = [
        errors.Problem(name, f"{errors.label(name)} cannot be changed")
        for name in sorted(fixed)
        if sent[name] != data.get(name)
    ]
    if wrong:
        raise errors.invalid(*wrong)
    if fixed:
        request.parsed = {name: value for name, value in sent.items() if name not in fixed}


def _fixed(route: Route) -> set[str]:
    """What GET shows and PATCH does not take, by the names in JSON."""
    if route.body_field is None or route.response_model is None:
        return set()
    shown = route.response_model.model_fields["data"].annotation
    taken = route.body_field.field_info.annotation
    return _aliases(shown) - _aliases(taken)


def _aliases(model: Any) -> set[str]:
    return {field.alias or name for name, field in model.model_fields.items()}


def _sibling(request: Request, route: Route) -> Route | None:
    """The route that shows what `route` changes."""
    for context in iter_route_contexts(request.app.routes):
        found = context.original_route
        if isinstance(found, Route) and found.path == route.path and "GET" in (found.methods or ()):
            return found
    return None


_NOUNS = {
    "agents": "Agent",
    "api-keys": "API key",
    "background-sounds": "Background sound",
    "calls": "Call",
    "knowledge-bases": "Knowledge base",
    "members": "Member",
    "phone-numbers": "Phone number",
    "provider-keys": "Provider key",
    "publishable-tokens": "Publishable token",
    "sessions": "Session",
    "slm-models": "SLM model",
    "tools": "Tool",
    "transcribers": "Transcriber",
    "voices": "Voice",
    "webhook-deliveries": "Webhook delivery",
    "webhook-endpoints": "Webhook endpoint",
}


_INNER_NOUNS = {"documentId": "Document", "number": "Agent version"}
"""Things under an id, by the name of theirs in the path."""


def _without_strange_ids(run: Run, path: str) -> Run:
    """An id that is no UUID is one that nobody has, and so is a number that is none: 404, whatever
    it looks like."""
    noun = _NOUNS.get(path.strip("/").partition("/")[0])

    async def checked(request: Request) -> Response:
        try:
            return await run(request)
        except RequestValidationError as error:
            strange = {each["loc"][1] for each in error.errors() if each["loc"][0] == "path"}
            if noun and "id" in strange:
                raise errors.not_found(noun) from None
            for name in strange & _INNER_NOUNS.keys():
                raise errors.not_found(_INNER_NOUNS[name]) from None
            raise

    return checked


async def _finished(request: Request, response: Response) -> Response:
    """With what caches and slow networks want: see `compact.py`."""
    resource = getattr(request.scope.get("route"), "path", "").strip("/").partition("/")[0]
    return await compact.finished(
        request, response, lasting=request.method == "GET" and resource in _CATALOGUES
    )


_CATALOGUES = ("voices", "slm-models", "transcribers", "background-sounds")


def _permitted(request: Request, rule: Rule | None) -> Principal | None:
    """Who asks, if they may; None where nobody has to be known."""
    process: Process = request.app.state.process
    if rule is not None and rule.open:
        if not rule.any_page:
            same_origin.require_if_from_a_page(request.headers, process.settings)
        return None
    principal = permissions.permit(request.state.principal, request.method, rule)
    if principal.kind == "member" and request.method not in ("GET", "HEAD"):
        same_origin.require(request.headers, process.settings)
    return principal


def _check_query(request: Request) -> None:
    """No text with a NUL: no database can look for one. Raises `Error` 400."""
    if b"%00" not in request.scope["query_string"]:
        return
    wrong = [name for name, value in request.query_params.multi_items() if "\0" in value]
    raise errors.invalid_field(
        wrong[0] if wrong else "query", "The text holds a NUL character, which cannot be stored"
    )


async def _parse(request: Request, body: bytes, most_bytes: int) -> Any:
    if most_bytes and len(body) > most_bytes:
        raise errors.too_large(most_bytes)
    if not body.strip():
        raise errors.invalid_field("body", "The request body must be a JSON object")
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        details = [errors.Problem("Content-Type", "The Content-Type must be application/json")]
        sentence = "Validation failed"
        raise errors.Error(400, "unsupported_content_type", sentence, details=details)
    if len(body) > _MUCH:
        return await asyncio.to_thread(json_body.parse, body)
    return json_body.parse(body)


# Not plain functions: FastAPI would call each in a thread of its pool.
async def _process(request: Request) -> Process:
    return request.app.state.process


async def _session(request: Request) -> AsyncSession:
    return request.state.session


async def _principal(request: Request) -> Principal:
    return request.state.principal


async def _organization(request: Request) -> uuid.UUID:
    principal: Principal = request.state.principal
    return principal.organization_id


# What routes ask for.
InProcess = Annotated[Process, Depends(_process)]
InSession = Annotated[AsyncSession, Depends(_session)]
InOrganization = Annotated[uuid.UUID, Depends(_organization)]
InPrincipal = Annotated[Principal, Depends(_principal)]

bearer = HTTPBearer(auto_error=False, description="An API key: `Authorization: Bearer sk_live_…`")

cookie = APIKeyCookie(
    name="chorus_session",
    auto_error=False,
    description="The dashboard's session, set by POST /v1/sessions (`__Host-chorus_session` with "
    f"https). Changes also need the header `{same_origin.HEADER}` and this server's Origin.",
)

_SENTENCES = {
    400: "The request is not valid",
    401: "The API key or the session is missing, wrong, expired or revoked",
    402: "The balance does not suffice",
    403: "The API key or the member may not do this",
    404: "There is no such thing in this organization",
    409: "The request contradicts what is there",
    429: "Too many requests, or too many calls at once",
    500: "Something failed inside",
    503: "The server cannot do this now",
}


def failures(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The errors that a route may answer with, for the OpenAPI document."""
    return {status: {"model": Failure, "description": _SENTENCES[status]} for status in statuses}


def router(tag: str, kind: type[Route] = Route) -> APIRouter:
    """For API keys and members. `kind`: a class of a resource's own."""
    return _router(tag, kind, bearer)


def hashing_router(tag: str) -> APIRouter:
    """As `router`, for what sets a password: it is hashed before the transaction begins."""
    return _router(tag, _Hashing, bearer)


def choosing_router(tag: str) -> APIRouter:
    """As `router`, for what chooses from the catalogue."""
    return _router(tag, Choosing, bearer)


def reading_router(tag: str) -> APIRouter:
    """As `router`, for what changes nothing and waits for others."""
    return _router(tag, _Reading, bearer)


def streaming_router(tag: str) -> APIRouter:
    """As `router`, for a POST whose answer is streamed."""
    return _router(tag, _Streaming, bearer)


def member_router(tag: str, *, reading: bool = False) -> APIRouter:
    """For members, who are known by their session; `reading` as in `reading_router`."""
    return _router(tag, _Reading if reading else Route, cookie)


def public_router(tag: str, *, known: bool) -> APIRouter:
    """For logging in and the like; `known` if a session must be there already."""
    return _router(tag, UnauthenticatedRoute, cookie if known else None)


def _router(tag: str, kind: type[Route], security: HTTPBearer | APIKeyCookie | None) -> APIRouter:
    # "default" also keeps FastAPI from telling of its own 422, which is never sent.
    others = {"default": {"model": Failure, "description": "Any other failure"}}
    return APIRouter(
        tags=[tag],
        route_class=kind,
        dependencies=[Depends(security)] if security else [],
        responses={**failures(400, 401, 429, 500), **others},
    )
