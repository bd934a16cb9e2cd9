"""Single sign-on at the HTTP edge."""

from __future__ import annotations

import re
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AfterValidator, Field

from chorus.accounts.schemas import Code, KnownEmail, Password
from chorus.wire import Flag, In, OneLine, Out, Text, Time, told, web_url

_LABEL = r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_DOMAIN = re.compile(rf"{_LABEL}(\.{_LABEL})+")
_ISSUER = r"^https?://[^ ?#@\\]+$"
DefaultRole = Literal["viewer", "developer", "admin"]


def _domain(value: str) -> str:
    if not _DOMAIN.fullmatch(value):
        raise ValueError("must be a domain such as example.com")
    return value.lower()


def _unique(values: list[str]) -> list[str]:
    if len(set(values)) < len(values):
        raise ValueError("must not name the same domain twice")
    return values


def _issuer(value: str) -> str:
    if not re.fullmatch(_ISSUER, web_url(value)):
        raise ValueError("must be a URL without a query and a fragment")
    return value


Domain = Annotated[Text, Field(max_length=253), told(_DOMAIN), AfterValidator(_domain)]
Issuer = Annotated[
    Text,
    Field(
        max_length=512,
        json_schema_extra={"format": "uri", "pattern": _ISSUER},
        description="As the provider writes it, to the last character: its discovery document is "
        "below it, at /.well-known/openid-configuration.",
    ),
    AfterValidator(_issuer),
]
State = Annotated[Text, Field(min_length=20, max_length=128)]


class SsoPut(In):
    issuer: Issuer
    client_id: Annotated[
        OneLine, Field(min_length=1, max_length=255, description="Of Chorus, at the provider.")
    ]
    client_secret: Annotated[
        Annotated[OneLine, Field(min_length=1, max_length=1024)] | None,
        Field(
            description="Never returned. Without one the stored one stays, for the same issuer "
            "and client."
        ),
    ] = None
    domains: Annotated[
        list[Domain],
        Field(
            min_length=1,
            max_length=20,
            json_schema_extra={"uniqueItems": True},
            description="Of the e-mail addresses that are taken from the provider.",
        ),
        AfterValidator(_unique),
    ]
    default_role: Annotated[
        DefaultRole | None,
        Field(description="Of who comes without an invitation; null lets nobody come so."),
    ] = None
    required: Annotated[
        Flag,
        Field(
            description="Members with an address in one of the domains may not log in with a "
            "password. The last owner who has one still may."
        ),
    ] = False


class SsoDomainOut(Out):
    domain: str
    verified_at: Annotated[
        Time | None,
        Field(description="Since when the log-in finds the organization by such an address."),
    ]
    record_name: Annotated[str, Field(description="Of the TXT record that verifies the domain.")]
    record_value: Annotated[str, Field(description="What that record has to say.")]


class SsoConnectionOut(Out):
    issuer: str
    client_id: str
    domains: list[SsoDomainOut]
    default_role: DefaultRole | None
    required: bool
    created_at: Time
    updated_at: Time


class SsoOut(Out):
    redirect_uri: Annotated[
        str, Field(description="Where the provider is to send browsers back to: enter it there.")
    ]
    sign_in_url: Annotated[
        str, Field(description="The log-in page with this organization chosen, to hand on.")
    ]
    connection: Annotated[
        SsoConnectionOut | None, Field(description="Null while no provider is set.")
    ]


class SsoDeleted(Out):
    deleted: bool = True


class SsoTestWish(In):
    issuer: Issuer


class SsoTestOut(Out):
    """What came of reading a provider's discovery document and its keys."""

    ok: bool
    message: Annotated[str, Field(description="What was found, or what is wrong, as a sentence.")]
    elapsed_ms: int


class SsoDomainWish(In):
    domain: Domain


class SsoFindWish(In):
    email: KnownEmail


class SsoFoundOut(Out):
    """An organization whose provider somebody can sign in by."""

    id: UUID
    name: str


class SsoOrganizationsOut(Out):
    organizations: Annotated[
        list[SsoFoundOut], Field(description="None where the domain is nobody's; mostly one.")
    ]


class SsoBeginWish(In):
    organization_id: UUID


class SsoBegunOut(Out):
    url: Annotated[str, Field(description="Of the provider: go there with the browser.")]


class SsoReturnWish(In):
    """What the provider sent back with the browser, as it stands in the address."""

    organization_id: Annotated[
        UUID, Field(description="From the path of the redirect URI that the browser came to.")
    ]
    state: State
    code: Annotated[OneLine, Field(max_length=4096)] | None = None
    error: Annotated[
        Annotated[OneLine, Field(max_length=128)] | None,
        Field(description="Where the provider sent one instead of a code."),
    ] = None
    iss: Annotated[OneLine, Field(max_length=512)] | None = None


class SsoLinkWish(In):
    """The password that makes sure, once."""

    organization_id: UUID
    challenge: Annotated[State, Field(description="From the answer `link_required`; 10 minutes.")]
    password: Password
    code: Annotated[Code | None, Field(description="Of the second factor, where there is one.")] = (
        None
    )
