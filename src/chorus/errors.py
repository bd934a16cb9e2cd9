"""Errors: one family, one envelope, one place where they become a response.

Verbs raise `Error` (or the shorthands below); `install` makes every exception that leaves a
route into `{"error", "code", "requestId", "details"?}`. Validation problems are 400, never 422.
An exception that nobody planned for is a 500 that says nothing of its inside; the log has it
under the same request id.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import orjson
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import iter_route_contexts
from sqlalchemy.exc import InterfaceError, OperationalError, TimeoutError
from starlette.exceptions import HTTPException
from starlette.responses import Response

log = logging.getLogger(__name__)

_MOST_PROBLEMS = 100
_LONGEST_NAME = 100  # of a name that whoever asks has made up
RETRY_AFTER_S = "5"
"""Of a 429 or 503, where nothing says how long it lasts."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One field that is wrong: a dotted path into the JSON, and a sentence."""

    field: str
    message: str


class Error(Exception):
    """A refusal that the caller of the API is told of. `message` is a sentence for people, `code`
    is stable and for programs; `extra` are further top-level members of the envelope."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        details: Sequence[Problem] = (),
        headers: Mapping[str, str] | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.details = tuple(details)
        self.headers = dict(headers or {})
        self.extra = dict(extra or {})


def invalid(*problems: Problem) -> Error:
    return Error(400, "validation_failed", "Validation failed", details=problems)


def invalid_field(field: str, message: str) -> Error:
    return invalid(Problem(field, message))


def not_found(thing: str) -> Error:
    """`thing` is a noun as people write it: "Agent", "Phone number"."""
    return Error(404, f"{_snake(thing)}_not_found", f"{thing} not found")


def conflict(code: str, message: str, *details: Problem) -> Error:
    return Error(409, code, message, details=details)


def unauthorized() -> Error:
    return Error(401, "invalid_api_key", "Invalid API key", headers={"WWW-Authenticate": "Bearer"})


def insufficient_funds() -> Error:
    return Error(402, "insufficient_funds", "Insufficient funds. Please top up your balance.")


def too_many_calls() -> Error:
    return Error(
        429, "too_many_concurrent_calls", "Too many concurrent calls. Please try again later."
    )


def too_large(most_bytes: int) -> Error:
    return Error(413, "request_too_large", f"The request body must be at most {most_bytes} bytes")


def rate_limited(retry_after_s: int) -> Error:
    return Error(
        429,
        "rate_limited",
        "Rate limit exceeded",
        headers={"Retry-After": str(retry_after_s)},
        extra={"retryAfter": retry_after_s},
    )


def unavailable(message: str) -> Error:
    return Error(503, "unavailable", message)


@dataclass(frozen=True, slots=True)
class Envelope:
    """A response's parts, for those that send without Starlette."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict[str, str])


def envelope(error: Error, request_id: str) -> Envelope:
    body: dict[str, Any] = {"error": error.message, "code": error.code, "requestId": request_id}
    if error.details:
        body["details"] = [{"field": p.field, "message": p.message} for p in error.details]
    body |= error.extra
    headers = {"content-type": "application/json", "cache-control": "no-store", **error.headers}
    if error.status in (429, 503):
        # Whoever may ask again is always told when.
        headers.setdefault("Retry-After", RETRY_AFTER_S)
        if error.status == 429:
            body.setdefault("retryAfter", int(headers["Retry-After"]))
    return Envelope(error.status, orjson.dumps(body), headers)


# --- what pydantic found, in sentences ------------------------------------------------------


def label(name: str) -> str:
    """`systemPrompt` as people say it: "System prompt"."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name).replace("_", " ").lower()
    words = re.sub(r"\b(id|url|sip|ip|slm|api)\b", lambda m: m[0].upper(), words)
    return words[:1].upper() + words[1:]


def _number(value: Any) -> str:
    return f"{value:.0f}" if isinstance(value, float) and value.is_integer() else str(value)


def _plural(count: Any, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _sentence(kind: str, what: str, context: Mapping[str, Any], message: str) -> str:
    match kind:
        case "missing":
            return f"{what} is required"
        case "extra_forbidden":
            return f"{what} is not a known field"
        case "string_too_short" if context.get("min_length") == 1:
            return f"{what} must not be empty"
        case "string_too_short":
            return f"{what} must have at least {_plural(context['min_length'], 'character')}"
        case "string_too_long":
            return f"{what} must have at most {_plural(context['max_length'], 'character')}"
        case "too_short":
            return f"{what} must have at least {_plural(context['min_length'], 'entry')}"
        case "too_long":
            return f"{what} must have at most {context['max_length']} entries"
        case "greater_than_equal":
            return f"{what} must be at least {_number(context['ge'])}"
        case "less_than_equal":
            return f"{what} must be at most {_number(context['le'])}"
        case "greater_than":
            return f"{what} must be greater than {_number(context['gt'])}"
        case "less_than":
            return f"{what} must be less than {_number(context['lt'])}"
        case "string_type" | "string_sub_type":
            return f"{what} must be a string"
        case "int_type" | "int_from_float" | "int_parsing" | "int_parsing_size":
            return f"{what} must be a whole number"
        case "float_type" | "float_parsing" | "finite_number":
            return f"{what} must be a number"
        case "bool_type" | "bool_parsing":
            return f"{what} must be true or false"
        case "list_type":
            return f"{what} must be an array"
        case "dict_type" | "model_type" | "model_attributes_type" | "mapping_type":
            return f"{what} must be an object"
        case "uuid_type" | "uuid_parsing":
            return f"{what} must be a UUID"
        case "enum" | "literal_error":
            return f"{what} must be one of {context['expected']}".replace("'", "").replace(
                " or ", ", "
            )
        case "datetime_type" | "datetime_parsing" | "datetime_from_date_parsing":
            return f"{what} must be a time such as 2025-01-31T12:00:00Z"
        case "timezone_aware":
            return f"{what} must have a time zone, such as 2025-01-31T12:00:00Z"
        case "string_pattern_mismatch":
            return f"{what} has characters or a form that are not allowed"
        case "value_error":
            return f"{what} {context['error']}"
        case _:
            return f"{what}: {message[:1].lower()}{message[1:]}"


def problems_of(errors: Sequence[Any]) -> list[Problem]:
    """Pydantic's list of errors as our details: dotted paths and human sentences. Of very many,
    the first hundred."""
    problems: list[Problem] = []
    for error in cast("Sequence[dict[str, Any]]", errors)[:_MOST_PROBLEMS]:
        loc = [
            part[:_LONGEST_NAME] if isinstance(part, str) else part
            for part in error["loc"][1:]
            if part not in ("[key]", "[array]", "[object]")
        ]
        path = ".".join(str(part) for part in loc)
        named = next((str(part) for part in reversed(loc) if isinstance(part, str)), "")
        what = label(named) if named else "The request body"
        if loc and isinstance(loc[-1], int):
            what = f"{what} entry {loc[-1] + 1}"
        if error["type"] == "extra_forbidden":
            what = path
        text = _sentence(error["type"], what, error.get("ctx") or {}, str(error["msg"]))
        problem = Problem(path or "body", text)
        if problem not in problems:
            problems.append(problem)
    return problems


def _snake(words: str) -> str:
    return words.lower().replace(" ", "_")


_HTTP_CODES = {429: "rate_limited", 503: "unavailable"}


def translate(error: Exception) -> Error:
    """Whatever left a route, as one of ours."""
    match error:
        case Error():
            return error
        case RequestValidationError():
            return invalid(*problems_of(error.errors()))
        case HTTPException(status_code=404):
            return Error(404, "not_found", "Not found")
        case HTTPException(status_code=405):
            return Error(
                405,
                "method_not_allowed",
                "Method not allowed",
                headers=dict(error.headers or {}),
            )
        case HTTPException():
            code = _HTTP_CODES.get(error.status_code, "bad_request")
            return Error(error.status_code, code, str(error.detail), headers=error.headers)
        case OperationalError() | InterfaceError() | TimeoutError():
            # Gone, restarting, or too busy: whoever asks again may be lucky.
            return unavailable("The database does not answer")
        case _:
            return Error(500, "internal_error", "Internal server error")


def install(app: FastAPI) -> None:
    """Have every exception of `app` answered with the envelope."""

    async def answer(request: Request, error: Exception) -> Response:
        ours = translate(error)
        if ours.status == 405:
            ours.headers["Allow"] = ", ".join(_methods(app, request.scope["path"]))
        request_id = str(request.scope.get("state", {}).get("request_id", ""))
        sent = envelope(ours, request_id)
        return Response(sent.body, sent.status, sent.headers)

    for kind in (Error, RequestValidationError, HTTPException):
        app.add_exception_handler(kind, answer)


def _methods(app: FastAPI, path: str) -> list[str]:
    """All that `path` can be asked with. Starlette names those of one route only, but each of
    ours has one method."""
    found: set[str] = set()
    for route in iter_route_contexts(app.routes):
        expression: re.Pattern[str] | None = getattr(route, "path_regex", None)
        if expression is not None and expression.match(path):
            found |= route.methods or set()
    return sorted(found)
