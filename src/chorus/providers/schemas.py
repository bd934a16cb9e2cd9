"""Keys of vendors at the HTTP edge. A key is taken and never shown: `keyHint` is its end."""

# ruff: noqa: RUF012  pydantic copies the defaults of a model

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Literal
from uuid import UUID

from pydantic import AfterValidator, Field

from chorus.providers.vendors import VENDORS, Part
from chorus.wire import In, Name, OneLine, Out, Text, Time, Url, patch_of, told

_CREDENTIAL = re.compile(r"(?:[!-~]{1,512}|\{[\t\n\r -~]{1,8190}\})")
"""A key, or a key file's JSON, of the vendors whose keys are files (`edit.check_key`)."""

if TYPE_CHECKING:
    Provider = str
else:
    Provider = Literal[tuple(vendor.name for vendor in VENDORS)]

Problem = Literal[
    "bad_key",
    "no_permission",
    "no_quota",
    "rate_limited",
    "no_model",
    "wrong_address",
    "refused",
    "timeout",
    "unreachable",
    "vendor_error",
]


def _credential(value: str) -> str:
    value = value.strip()
    if not _CREDENTIAL.fullmatch(value):
        raise ValueError("must hold no spaces and nothing but ASCII, and at most 512 characters")
    return value


def _distinct(names: list[str]) -> list[str]:
    if len(set(names)) < len(names):
        raise ValueError("must not name the same model twice")
    return names


Secret = Annotated[
    Text, Field(min_length=1, max_length=8192), told(_CREDENTIAL), AfterValidator(_credential)
]
ModelNames = Annotated[
    list[Annotated[OneLine, Field(min_length=1, max_length=255)]],
    Field(max_length=100, json_schema_extra={"uniqueItems": True}),
    AfterValidator(_distinct),
]


class ProviderKeyCreate(In):
    """A key of a vendor, with which calls of this organization hear, think or speak."""

    provider: Provider
    api_key: Annotated[
        Secret,
        Field(
            description="Stored encrypted. Never returned. Of `google_speech` the JSON key file "
            "of a service account, whole."
        ),
    ]
    name: Annotated[Name | None, Field(description="The vendor's name if null.")] = None
    base_url: Annotated[
        Url | None,
        Field(
            description="Where the vendor is reached: required for `azure_openai` and `custom`, "
            "where it ends before `/chat/completions`, and for `azure_speech`; else for another "
            "region. The vendor's own address if null."
        ),
    ] = None
    models: Annotated[
        ModelNames,
        Field(
            description="Language models to offer with this key, by the vendor's own names; the "
            "first is preferred. Required for `azure_openai` (deployments). If empty, those that "
            "Chorus knows of the vendor, or that the server names."
        ),
    ] = []


class _Changeable(In):
    name: Name
    models: ModelNames = []


if TYPE_CHECKING:
    ProviderKeyPatch = _Changeable
else:
    ProviderKeyPatch = patch_of(_Changeable, "ProviderKeyPatch")


class ProviderKeyRotate(In):
    """The key that replaces the stored one; `baseUrl` null leaves the address as it is."""

    api_key: Annotated[Secret, Field(description="Stored encrypted. Never returned.")]
    base_url: Url | None = None


class ProviderKeyTestOut(Out):
    """What one small request with the key came to. `problem` is null if `ok`."""

    ok: bool
    problem: Problem | None
    message: Annotated[str, Field(description="A sentence for people.")]
    elapsed_ms: int
    tested_at: Time


class ProviderKeyOut(Out):
    """A vendor's key. The key itself is never returned."""

    id: UUID
    provider: Provider
    name: str
    key_hint: Annotated[str, Field(description="How the key ends.")]
    base_url: str | None
    models: list[str]
    used_for: list[Part]
    last_test: ProviderKeyTestOut | None
    rotated_at: Time | None
    created_at: Time
    updated_at: Time
