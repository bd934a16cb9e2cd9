"""Tools at the HTTP edge."""

# ruff: noqa: RUF012  pydantic copies the defaults of a model

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, Literal
from urllib.parse import urlsplit
from uuid import UUID

from pydantic import AfterValidator, Field

from chorus.outbound import OWN_HEADERS
from chorus.talk.spec import FieldType, ToolMethod
from chorus.talk.tools.template import fields_in, no_names_of
from chorus.wire import (
    Flag,
    In,
    Name,
    Out,
    Text,
    Time,
    Variables,
    Whole,
    at_most,
    patch_of,
    told,
    web_url,
)

_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # a token, RFC 9110 §5.6.2
# What all vendors of language models allow as the name of a parameter.
_PARAMETER = re.compile(r"[A-Za-z0-9_-]{1,64}")
_URL = re.compile(r"https?://[^ ]+")
_HEADER_VALUE = re.compile(r"[ -~]*")


def _parameter_name(value: str) -> str:
    if not _PARAMETER.fullmatch(value):
        raise ValueError("must be 1 to 64 letters, digits, underscores or hyphens")
    return value


def _header_name(value: str) -> str:
    if not _HEADER.fullmatch(value):
        raise ValueError("is not the name of an HTTP header")
    if value.lower() in OWN_HEADERS:
        raise ValueError("is a header that Chorus sets itself")
    return value


def _header_value(value: str) -> str:
    if not _HEADER_VALUE.fullmatch(value):
        raise ValueError("must be printable ASCII")
    return _names(value)


def _template_url(value: str) -> str:
    """A URL in which `{name}` stands for a parameter, but not in the host: what a caller says
    must not choose where the request goes."""
    web_url(value.replace("{", "").replace("}", ""))
    if "{" in urlsplit(value).netloc:
        raise ValueError("must not have a parameter in its host")
    for name in fields_in(value):
        if not _PARAMETER.fullmatch(name):
            raise ValueError(
                f"{{{name}}} is no parameter: a name is 1 to 64 letters a to z, digits"
            )
    return _names(value)


def _names(value: str) -> str:
    wrong = no_names_of(value)
    if wrong:
        names = ", ".join(f"{{{{{name}}}}}" for name in wrong)
        raise ValueError(f"{names} is no variable: a name is letters, digits and underscores")
    return value


class ToolHeader(In):
    """A header. In responses its value is `********` unless `secret` is false; sent back like that
    in a PATCH, it keeps the value that is stored, as long as the URL's server stays the same."""

    key: Annotated[Text, Field(max_length=255), told(_HEADER), AfterValidator(_header_name)]
    value: Annotated[
        Text, Field(max_length=8192), told(_HEADER_VALUE), AfterValidator(_header_value)
    ]
    secret: Annotated[Flag, Field(description="False shows the value to whoever may look.")] = True


class ToolParameter(In):
    """One parameter of the function that the language model calls."""

    name: Annotated[Text, told(_PARAMETER), AfterValidator(_parameter_name)]
    type: FieldType
    description: Annotated[Text, Field(max_length=2000)] = ""
    required: Flag = False


def _unique_names(parameters: list[ToolParameter]) -> list[ToolParameter]:
    names = [parameter.name for parameter in parameters]
    if len(set(names)) < len(names):
        raise ValueError("must not hold the same name twice")
    return parameters


class HttpConfig(In):
    """The request that the tool makes. `{name}` in the URL is filled from the body's fields. In
    responses, values in the URL's query are `********` too."""

    url: Annotated[Text, Field(max_length=2048), told(_URL), AfterValidator(_template_url)]
    method: ToolMethod = "POST"
    timeout: Annotated[Whole, Field(ge=100, le=60_000, description="Milliseconds.")] = 5000
    headers: Annotated[list[ToolHeader], Field(max_length=50)] = []
    body: Annotated[list[ToolParameter], Field(max_length=100), AfterValidator(_unique_names)] = []


class ToolCreate(In):
    name: Name
    description: Annotated[
        Text, Field(min_length=1, max_length=4000, description="When and why to call it.")
    ]
    type: Literal["http"] = "http"
    config: HttpConfig


if TYPE_CHECKING:
    ToolPatch = ToolCreate
else:
    HttpConfigPatch = patch_of(HttpConfig, "HttpConfigPatch")

    class _ToolChange(ToolCreate):
        config: Annotated[
            HttpConfigPatch,
            Field(description="Of this too only what is sent changes; a list is replaced whole."),
        ]

    ToolPatch = patch_of(_ToolChange, "ToolPatch")


class ToolOut(Out):
    id: UUID
    name: str
    description: str
    type: str
    config: HttpConfig
    created_at: Time
    updated_at: Time


class ToolArguments(In):
    """A run outside of any call."""

    arguments: Annotated[
        dict[str, Any],
        Field(max_length=100, description="As the model would write them, by parameter."),
        at_most(65_536),
    ] = {}
    variables: Annotated[
        Variables, Field(description="Fill `{{name}}` in the URL and the headers.")
    ] = {}


class ToolTestHeader(Out):
    key: str
    value: str


class ToolTestRequest(Out):
    """What was sent. Secrets are `********`."""

    method: ToolMethod
    url: str
    headers: list[ToolTestHeader]
    body: str | None


class ToolTestOut(Out):
    """`ok`: the server answered with 2xx. `result` is what the model would be shown: JSON, an
    object with `error` after a failure."""

    ok: bool
    status: Annotated[int | None, Field(description="HTTP's; null where no answer came.")]
    elapsed_ms: int
    request: Annotated[
        ToolTestRequest | None,
        Field(description="Null: the arguments or the tool make none, and nothing was sent."),
    ]
    result: str
