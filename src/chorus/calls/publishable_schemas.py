"""Publishable tokens at the HTTP edge."""

# ruff: noqa: RUF012  pydantic copies the defaults of a model

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlsplit
from uuid import UUID

from pydantic import AfterValidator, Field, StrictStr

from chorus.wire import In, Name, Out, Time, Variables, Whole, patch_of, web_url

_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_PORT = r"(:[1-9][0-9]{0,4})?"
_ORIGIN = re.compile(
    rf"https://([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]){_PORT}/?"
    rf"|http://(localhost|127\.0\.0\.1|\[::1\]){_PORT}/?"
)
_DEFAULT_PORTS = {"https": 443, "http": 80}


def _origin(value: str) -> str:
    """As browsers write it: lower case, without the port that is the scheme's own."""
    parts = urlsplit(web_url(value))
    host = (parts.hostname or "").lower()
    if parts.scheme == "http" and host not in _LOOPBACK:
        raise ValueError("must begin with https://: browsers give other pages no microphone")
    if not _ORIGIN.fullmatch(value):
        raise ValueError("must be an origin such as https://www.example.com, without a path")
    written = f"[{host}]" if ":" in host else host
    if parts.port in (None, _DEFAULT_PORTS[parts.scheme]):
        return f"{parts.scheme}://{written}"
    return f"{parts.scheme}://{written}:{parts.port}"


def _unique(values: list[str]) -> list[str]:
    if len(set(values)) < len(values):
        raise ValueError("must not name the same origin twice")
    return values


Origin = Annotated[
    StrictStr,
    Field(max_length=255, json_schema_extra={"pattern": f"^({_ORIGIN.pattern})$"}),
    AfterValidator(_origin),
]


class PublishableTokenCreate(In):
    """Lets pages of the origins call the agent, without a server of their own."""

    agent_id: Annotated[UUID, Field(description="Who talks. It has to be active.")]
    name: Name
    origins: Annotated[
        list[Origin],
        Field(
            min_length=1,
            max_length=20,
            description="Whose pages may use it, exactly: https, or http on this machine.",
            json_schema_extra={"uniqueItems": True},
        ),
        AfterValidator(_unique),
    ]
    context_variables: Variables = {}
    max_calls: Annotated[Whole, Field(ge=1, le=1000, description="At the same time.")] = 5
    max_calls_per_hour: Annotated[Whole, Field(ge=1, le=100_000)] = 60
    max_calls_per_address: Annotated[
        Whole, Field(ge=1, le=10_000, description="Within an hour, of one IP address (IPv6: /64).")
    ] = 10
    max_call_seconds: Annotated[
        Whole,
        Field(ge=30, le=3600, description="Then the call ends, where the agent's own is not less."),
    ] = 300


if TYPE_CHECKING:
    PublishableTokenPatch = PublishableTokenCreate
else:
    PublishableTokenPatch = patch_of(PublishableTokenCreate, "PublishableTokenPatch")


class PublishableTokenOut(Out):
    id: UUID
    agent_id: UUID
    name: str
    token: Annotated[str, Field(description="For the page: everybody may read it.")]
    origins: list[str]
    context_variables: dict[str, Any]
    max_calls: int
    max_calls_per_hour: int
    max_calls_per_address: int
    max_call_seconds: int
    last_used_at: Time | None
    created_at: Time
    updated_at: Time


class PublishableTokenRevoked(Out):
    id: UUID
    revoked: bool = True
    ended_calls: Annotated[
        int, Field(description="That were talked on and told to end; they do so within moments.")
    ]
