"""Phone numbers at the HTTP edge: what all have, and the settings that the carriers name
(`lines/carriers.py`). Which of those a number needs: `connection.py`."""

# ruff: noqa: RUF012  pydantic copies the defaults of a model

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar
from uuid import UUID

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, create_model
from pydantic.alias_generators import to_snake

from chorus.lines.carrier import Setting
from chorus.lines.carriers import CARRIERS
from chorus.wire import (
    In,
    Metadata,
    Name,
    Out,
    Phone,
    SearchQuery,
    Text,
    Time,
    Url,
    Whole,
    patch_of,
    told,
)

T = TypeVar("T", bound=BaseModel)

# A host name or an address, with or without a port, as a PBX's administrator writes it.
_HOST = re.compile(
    r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?)(?::[0-9]{1,5})?"
)


def _host(value: str) -> str:
    if not _HOST.fullmatch(value):
        raise ValueError("must be a host name or an address, such as pbx.example.com")
    return value


def _ip(value: str) -> str:
    try:
        return (
            str(ipaddress.ip_network(value)) if "/" in value else str(ipaddress.ip_address(value))
        )
    except ValueError:
        raise ValueError("must be an IP address, such as 203.0.113.7") from None


def _plain(value: str) -> str:
    if not value.isprintable() or value != value.strip():
        raise ValueError("must not contain control characters or spaces at its ends")
    return value


def _with_plus(value: object) -> object:
    return "+" + value[1:] if isinstance(value, str) and value.startswith(" ") else value


Host = Annotated[Text, Field(min_length=1, max_length=100), told(_HOST), AfterValidator(_host)]
Short = Annotated[Text, Field(min_length=1, max_length=60), AfterValidator(_plain)]
Credential = Annotated[Text, Field(min_length=1, max_length=255), AfterValidator(_plain)]
Port = Annotated[Whole, Field(ge=1, le=65_535)]
Network = Annotated[Text, Field(max_length=64), AfterValidator(_ip)]

# Literal[...] of what is known when this is imported: a checker sees only that it is text.
if TYPE_CHECKING:
    Provider = str
else:
    _OF_NUMBERS = [kind for kind in CARRIERS if kind.has_numbers]
    _REAL = [kind.name for kind in _OF_NUMBERS if not kind.simulated]
    Provider = Annotated[
        Literal[tuple(kind.name for kind in _OF_NUMBERS)], Field(json_schema_extra={"enum": _REAL})
    ]


def _sent(setting: Setting) -> Any:
    """What a setting may be in a request."""
    kinds: dict[str, Any] = {
        "text": Credential,
        "short": Short,
        "host": Host,
        "port": Port,
        "network": Network,
        "url": Url,
    }
    return Literal[setting.choices] if setting.kind == "one_of" else kinds[setting.kind]


def _shown(setting: Setting) -> Any:
    if setting.kind == "one_of":
        return Literal[setting.choices]
    return int if setting.kind == "port" else str


def _with_settings(model: type[T], *, secrets: bool, type_of: Callable[[Setting], Any]) -> type[T]:
    """`model` with the carriers' settings as fields, each optional."""
    fields: dict[str, Any] = {
        to_snake(setting.name): (type_of(setting) | None, None)
        for kind in CARRIERS
        for setting in kind.settings
        if secrets or not setting.secret
    }
    made: Any = create_model(
        model.__name__, __base__=model, __module__=model.__module__, __doc__=model.__doc__, **fields
    )
    return made


class PhoneNumberCreate(In):
    name: Name | None = None
    number: Phone
    provider: Provider = CARRIERS[0].name
    agent_id: Annotated[
        UUID | None, Field(description="Who answers; null refuses inbound calls.")
    ] = None
    metadata: Metadata = {}


class PhoneNumberQuery(SearchQuery):
    """Which phone numbers to list; all that is given must hold."""

    search: Annotated[
        str | None, Field(max_length=255, description="Part of the name or of the number.")
    ] = None
    # A `+` that is not written %2B arrives as a space.
    number: Annotated[
        Phone | None,
        BeforeValidator(_with_plus),
        Field(description="Exactly this one; the + in it is %2B in a URL."),
    ] = None


class RegistrationOut(Out):
    """How a number stands that registers at its carrier."""

    state: Literal["registering", "registered", "failed"]
    since: Time
    last_error: str | None
    expires_at: Time | None


class NumberFinding(Out):
    """One thing that was looked at. `note` is worth knowing; with a `problem` calls fail."""

    state: Literal["ok", "note", "problem"]
    what: Literal["settings", "registration", "address", "agent", "calls"]
    says: str


class NumberCheckOut(Out):
    """Whether a number can carry calls: `ok` is that there is no problem."""

    ok: bool
    findings: list[NumberFinding]
    checked_at: Time


class ScenarioOut(Out):
    """What runs at the carrier on Chorus' behalf."""

    version: int
    script: str


class PhoneNumberOut(Out):
    """A phone number. Secrets are never returned; `hasCredentials` says that there are some."""

    id: UUID
    name: str
    number: str
    provider: Provider
    agent_id: UUID | None
    metadata: dict[str, Any]
    has_credentials: bool
    registration: RegistrationOut | None = None
    created_at: Time
    updated_at: Time


if not TYPE_CHECKING:
    PhoneNumberCreate = _with_settings(PhoneNumberCreate, secrets=True, type_of=_sent)
    PhoneNumberOut = _with_settings(PhoneNumberOut, secrets=False, type_of=_shown)

if TYPE_CHECKING:
    PhoneNumberPatch = PhoneNumberCreate
else:
    PhoneNumberPatch = patch_of(PhoneNumberCreate, "PhoneNumberPatch")
