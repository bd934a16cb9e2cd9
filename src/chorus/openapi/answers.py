"""The responses of each operation: which statuses it can have, their headers and envelopes.

FastAPI knows what a route returns. What stands before every route, the gate and `route.py`, can
answer as well, and adds headers to all: `complete` writes that down.
"""

from __future__ import annotations

from typing import Any

Node = dict[str, Any]

FAILURE = "#/components/schemas/Failure"

# status: name among the components, what it means, and the (code, sentence) of some of them
_FAILURES: dict[str, tuple[str, str, list[tuple[str, str]]]] = {
    "400": (
        "BadRequest",
        "The request is not valid; `details` says where.",
        [("validation_failed", "Validation failed"), ("invalid_json", "Invalid JSON")],
    ),
    "401": (
        "Unauthorized",
        "The API key is missing, wrong, expired or revoked.",
        [("invalid_api_key", "Invalid API key")],
    ),
    "402": (
        "PaymentRequired",
        "The balance does not suffice.",
        [("insufficient_funds", "Insufficient funds. Please top up your balance.")],
    ),
    "403": (
        "Forbidden",
        "The key is valid, but may not do this.",
        [("forbidden", "This API key may not change agents: its scopes are read")],
    ),
    "404": (
        "NotFound",
        "There is no such thing in this organization.",
        [("agent_not_found", "Agent not found")],
    ),
    "409": (
        "Conflict",
        "The request contradicts what is there, or another request under the same Idempotency-Key.",
        [
            (
                "idempotency_conflict",
                "This Idempotency-Key was used with a different request body",
            ),
            (
                "idempotency_in_progress",
                "A request with this Idempotency-Key is still under way",
            ),
        ],
    ),
    "413": (
        "TooLarge",
        "The request's body is larger than this server takes.",
        [("request_too_large", "The request body must be at most 1048576 bytes")],
    ),
    "429": (
        "TooMany",
        "Too many requests in this minute, or too many calls at once.",
        [
            ("rate_limited", "Rate limit exceeded"),
            (
                "too_many_concurrent_calls",
                "Too many concurrent calls. Please try again later.",
            ),
        ],
    ),
    "500": (
        "InternalError",
        "Something failed inside. The log has it under the `requestId`.",
        [("internal_error", "Internal server error")],
    ),
    "503": (
        "Unavailable",
        "The server cannot do this now; `Retry-After` says when to ask again.",
        [("unavailable", "The database does not answer")],
    ),
}

_HEADERS: dict[str, tuple[str, Node]] = {
    "X-Request-Id": (
        "Names this request in the server's log; the request's own X-Request-Id if it had one.",
        {"type": "string", "example": "0f8c2f0f5a0b4f6f9a53c7e9b1f0d7aa"},
    ),
    "X-RateLimit-Limit": (
        "How many requests a minute this key may make.",
        {"type": "integer", "example": 100},
    ),
    "X-RateLimit-Remaining": (
        "How many of them are left.",
        {"type": "integer", "example": 99},
    ),
    "X-RateLimit-Reset": (
        "When all of them are there again, in seconds since 1970.",
        {"type": "integer", "example": 1767225600},
    ),
    "Retry-After": (
        "How many seconds to wait.",
        {"type": "integer", "example": 12},
    ),
    "Location": (
        "Where it is.",
        {"type": "string", "format": "uri", "example": "https://chorus.example.com/recordings/…"},
    ),
    "WWW-Authenticate": ("How to authenticate.", {"type": "string", "example": "Bearer"}),
    "Idempotency-Replayed": (
        "Only when this is the stored answer to an earlier request with the same Idempotency-Key.",
        {"type": "string", "enum": ["true"]},
    ),
}
_ALWAYS = ("X-Request-Id", "X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset")
# Logging in with a password knows no scheme.
_SOMETIMES = ("WWW-Authenticate", "Idempotency-Replayed")
_OF_STATUS = {"401": "WWW-Authenticate", "429": "Retry-After", "503": "Retry-After"}

_IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "Any text that names this request; sent again within 24 hours, the request has "
    "its effect once and the first answer is given again.",
    "schema": {
        "type": "string",
        "minLength": 1,
        "maxLength": 255,
        "pattern": "^[!-~]([ -~]*[!-~])?$",
    },
    "example": "call-4711",
}


def components() -> Node:
    """What `complete` refers to."""
    return {
        "headers": {
            name: {
                "description": description,
                "required": name not in _SOMETIMES,
                "schema": schema,
            }
            for name, (description, schema) in _HEADERS.items()
        },
        "responses": {name: failure(status) for status, (name, _, _) in _FAILURES.items()},
        "parameters": {"IdempotencyKey": _IDEMPOTENCY_KEY},
    }


def failure(status: str) -> Node:
    """The response of `status`, with the envelope and an example of each code."""
    _, description, codes = _FAILURES[status]
    examples = {code: {"value": _envelope(code, sentence)} for code, sentence in codes}
    media: Node = {"schema": {"$ref": FAILURE}, "examples": examples}
    content = {"application/json": media}
    return {"description": description, "headers": _headers(status, False), "content": content}


def complete(method: str, operation: Node, *, repeatable: bool) -> None:
    """Write into an operation all that it can answer; `repeatable` if it heeds an
    Idempotency-Key."""
    possible = {"400", "429", "500", "503"}
    possible |= {"401", "403"} if operation["security"] else set()
    possible |= {"413"} if method in ("post", "put", "patch") else set()
    possible |= {"409"} if repeatable else set()
    responses: Node = operation["responses"]
    responses.pop("default", None)
    responses.pop("422", None)
    possible |= responses.keys() & _FAILURES.keys()
    for status in possible:
        responses[status] = {"$ref": f"#/components/responses/{_FAILURES[status][0]}"}
    for status, response in responses.items():
        if "$ref" not in response:
            told = response.get("headers", {})
            response["headers"] = {**_headers(status, repeatable), **told}
            if response.get("description") == "Successful Response":
                response["description"] = "Created." if status == "201" else "Done."
    operation["responses"] = dict(sorted(responses.items()))
    if repeatable:
        reference = {"$ref": "#/components/parameters/IdempotencyKey"}
        operation.setdefault("parameters", []).append(reference)


def _headers(status: str, repeats: bool) -> Node:
    names = [*_ALWAYS]
    if status in _OF_STATUS:
        names.append(_OF_STATUS[status])
    if status.startswith("3"):
        names.append("Location")
    if repeats and status.startswith("2"):
        names.append("Idempotency-Replayed")
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _envelope(code: str, sentence: str) -> Node:
    body: Node = {"error": sentence, "code": code, "requestId": "0f8c2f0f5a0b4f6f9a53c7e9b1f0d7aa"}
    match code:
        case "validation_failed":
            body["details"] = [{"field": "name", "message": "Name is required"}]
        case "invalid_json":
            problem = "The body is not valid JSON: Expecting value (line 1, column 10)"
            body["details"] = [{"field": "body", "message": problem}]
        case "rate_limited":
            body["retryAfter"] = 12
        case _:
            pass
    return body
