"""Accounts at the HTTP edge."""

# ruff: noqa: RUF012  pydantic copies the defaults of a model

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from chorus.accounts.members import (
    EMAIL,
    KNOWN_EMAIL,
    email_address,
    good_password,
    known_email,
)
from chorus.accounts.passwords import LONGEST, SHORTEST
from chorus.accounts.permissions import SCOPES_OF_RESOURCES
from chorus.accounts.principal import SCOPES, Role
from chorus.wire import (
    Flag,
    In,
    ListQuery,
    Name,
    Out,
    SearchQuery,
    Text,
    Time,
    TimeIn,
    Whole,
    patch_of,
    told,
)

Email = Annotated[
    Text,
    Field(max_length=254, json_schema_extra={"format": "email", "pattern": f"^{EMAIL.pattern}$"}),
    AfterValidator(email_address),
]
KnownEmail = Annotated[Text, Field(max_length=254), told(KNOWN_EMAIL), AfterValidator(known_email)]
NewPassword = Annotated[
    Text,
    # Told, not enforced, by the schema: the sentence of a refusal does not repeat the value.
    Field(
        json_schema_extra={"minLength": SHORTEST, "maxLength": LONGEST, "format": "password"},
        description="Never returned.",
    ),
    AfterValidator(good_password),
]
Password = Annotated[Text, Field(max_length=LONGEST, json_schema_extra={"format": "password"})]
Limit = Annotated[Whole, Field(ge=1, le=1_000_000)]


def _scopes(values: list[str]) -> list[str]:
    return [scope for scope in (*SCOPES, *SCOPES_OF_RESOURCES) if scope in values]


def _scope(value: str) -> str:
    if value not in SCOPES and value not in SCOPES_OF_RESOURCES:
        raise ValueError("must be read, write, or a resource with one of them, such as calls:write")
    return value


Scope = Annotated[
    Text,
    Field(json_schema_extra={"enum": [*SCOPES, *SCOPES_OF_RESOURCES]}),
    AfterValidator(_scope),
]


class ApiKeyCreate(In):
    name: Name
    scopes: Annotated[
        list[Scope],
        Field(
            min_length=1,
            max_length=50,
            description="What the key may do. `write` does not include keys and members.",
        ),
        AfterValidator(_scopes),
    ] = list(SCOPES)
    rate_limit_per_minute: Annotated[
        Limit | None, Field(description="Requests a minute; null is the server's own limit.")
    ] = None
    expires_at: Annotated[
        TimeIn | None, Field(description="When the key ends by itself; null is never.")
    ] = None


class _ApiKeyChange(In):
    name: Name
    rate_limit_per_minute: Limit | None


if TYPE_CHECKING:
    ApiKeyPatch = _ApiKeyChange
else:
    ApiKeyPatch = patch_of(_ApiKeyChange, "ApiKeyPatch")


class ApiKeyOut(Out):
    id: UUID
    name: str
    prefix: Annotated[str, Field(description="The first characters of the key, to know it by.")]
    scopes: list[str]
    rate_limit_per_minute: int | None
    expires_at: Time | None
    last_used_at: Annotated[Time | None, Field(description="To about half a minute.")]
    created_by: Annotated[
        UUID | None, Field(description="The key or the member that made it; a key ends with it.")
    ]
    created_at: Time
    updated_at: Time


class NewApiKeyOut(ApiKeyOut):
    key: Annotated[str, Field(description="The key itself, shown this once.")]


class ApiKeyQuery(SearchQuery):
    prefix: Annotated[
        str | None, Field(max_length=256, description="Only keys that begin like this.")
    ] = None


RetentionDays = Annotated[Whole, Field(ge=1, le=36_500)]


class _OrganizationChange(In):
    name: Name
    rate_limit_per_minute: Annotated[
        Limit | None,
        Field(
            description="Requests a minute of all keys and members together; null is no limit but "
            "the operator's."
        ),
    ]
    max_concurrent_calls: Annotated[
        Limit | None,
        Field(description="Calls at once, inbound and outbound together; null is the operator's."),
    ]
    max_queued_calls: Annotated[
        Whole,
        Field(
            ge=0,
            le=1_000_000,
            description="Outbound calls beyond that which wait in line instead of being refused.",
        ),
    ]
    recording_retention_days: Annotated[
        RetentionDays | None,
        Field(description="Days after the end of a call; null keeps recordings."),
    ]
    transcript_retention_days: Annotated[
        RetentionDays | None,
        Field(
            description="Days after the end of a call; null keeps transcripts, analyses and what "
            "was said in events."
        ),
    ]
    audit_retention_days: Annotated[
        Annotated[Whole, Field(ge=30, le=36_500)] | None,
        Field(description="Days that entries of the audit log are kept; null keeps them."),
    ]
    supervision_tone: Annotated[
        Flag, Field(description="Callers hear two short notes when somebody begins to listen.")
    ]
    supervision_announcement: Annotated[
        Annotated[Text, Field(max_length=300)] | None,
        Field(description="Said to callers when somebody begins to listen."),
    ]


if TYPE_CHECKING:
    OrganizationPatch = _OrganizationChange
else:
    OrganizationPatch = patch_of(_OrganizationChange, "OrganizationPatch")


class OrganizationOut(Out):
    id: UUID
    name: str
    rate_limit_per_minute: int | None
    rate_limit_ceiling: Annotated[int | None, Field(description="Set by the operator.")]
    max_concurrent_calls: Annotated[int, Field(description="The limit that holds.")]
    max_concurrent_calls_ceiling: Annotated[int, Field(description="Set by the operator.")]
    max_queued_calls: int
    recording_retention_days: int | None
    transcript_retention_days: int | None
    audit_retention_days: int | None
    supervision_tone: bool
    supervision_announcement: str | None
    created_at: Time
    updated_at: Time


class MemberCreate(In):
    email: Email
    role: Role
    name: Name | None = None
    password: Annotated[
        NewPassword | None, Field(description="Without one, the answer has an invitation.")
    ] = None


class _MemberChange(In):
    role: Role
    name: Name | None


if TYPE_CHECKING:
    MemberPatch = _MemberChange
else:
    MemberPatch = patch_of(_MemberChange, "MemberPatch")


class MemberOut(Out):
    id: UUID
    email: str
    name: str | None
    role: Role
    has_password: Annotated[
        bool,
        Field(
            description="False until an invitation is accepted, and of who comes by the "
            "organization's identity provider alone."
        ),
    ]
    has_second_factor: Annotated[bool, Field(description="Whether a code is asked for too.")]
    invitation_expires_at: Time | None
    last_login_at: Time | None
    created_at: Time
    updated_at: Time


class InvitedMemberOut(MemberOut):
    invitation_token: Annotated[
        str | None,
        Field(description="For the member alone, to set a password with; shown this once."),
    ]


class InvitationAccept(In):
    token: Annotated[Text, Field(min_length=20, max_length=128)]
    password: NewPassword
    name: Name | None = None
    existing: Annotated[
        Flag,
        Field(
            description="The password is the one of an account with the same address that is a "
            "member elsewhere already; the organization is added to that account."
        ),
    ] = False


class OwnerCreate(In):
    token: Annotated[
        Text,
        Field(min_length=20, max_length=128, description="From the link that the server prints."),
    ]
    email: Email
    password: NewPassword
    name: Name | None = None


class SessionCreate(In):
    email: KnownEmail
    password: Password
    organization_id: Annotated[
        UUID | None,
        Field(
            description="Needed only by members of several organizations; without it the one is "
            "meant in which the address was used last."
        ),
    ] = None


Code = Annotated[
    Text,
    Field(
        min_length=6,
        max_length=32,
        description="Six figures of the authenticator app, or a recovery code. Each counts once.",
    ),
]


class SessionFinish(In):
    """The second step of a log-in."""

    challenge: Annotated[
        Text,
        Field(max_length=2048, description="From the answer `second_factor_required`; 5 minutes."),
    ]
    code: Code


class SecondFactorCreate(In):
    password: Password


class SecondFactorConfirm(In):
    code: Code


class SecondFactorRemove(In):
    password: Password
    code: Code


class SecondFactorOut(Out):
    """The second factor of the member who asks."""

    enabled: bool
    confirmed_at: Time | None
    recovery_codes_left: int


class NewSecondFactorOut(Out):
    """What an authenticator app needs, and what replaces it; shown this once."""

    secret: Annotated[str, Field(description="In base 32, for apps that take it by hand.")]
    uri: Annotated[str, Field(description="`otpauth://totp/…`, for a QR code or a link.")]
    recovery_codes: Annotated[list[str], Field(description="Each stands for one code.")]


class PasswordChange(In):
    current_password: Password
    new_password: NewPassword


class SessionOut(Out):
    id: UUID
    current: Annotated[bool, Field(description="Whether it is the one that asks.")]
    address: str
    user_agent: str
    by_sso: Annotated[
        bool,
        Field(
            description="Whether the organization's identity provider let in, not a password; it "
            "then reaches nothing of other organizations."
        ),
    ]
    last_seen_at: Time
    expires_at: Annotated[Time, Field(description="When it ends even if it is used.")]
    created_at: Time


class SessionMember(Out):
    id: UUID
    email: str
    name: str | None
    role: Role


class SessionOrganization(Out):
    id: UUID
    name: str


class SessionMembership(Out):
    id: UUID
    name: str
    role: Role


class SessionSwitch(In):
    organization_id: Annotated[UUID, Field(description="One of the session's `organizations`.")]


class CurrentSessionOut(SessionOut):
    member: SessionMember
    organization: SessionOrganization
    organizations: Annotated[
        list[SessionMembership],
        Field(description="All that the account is a member of, by name; at most 100."),
    ]
    server_url: Annotated[
        str,
        Field(
            description="Where this server is reached from outside, such as by carriers: "
            "CHORUS_PUBLIC_URL, or else its own address. Without a slash at the end."
        ),
    ]


class SessionsEnded(Out):
    ended: int


class PasswordChanged(Out):
    changed: bool = True


class AuditFilters(BaseModel):
    """Which entries are meant; all that is given must hold."""

    model_config = ConfigDict(alias_generator=to_camel, extra="forbid")

    actor: Literal["key", "member", "operator"] | None = None
    actor_id: UUID | None = None
    action: Annotated[
        str | None, Field(max_length=64, description="Such as updateAgent: an operationId.")
    ] = None
    resource: Annotated[str | None, Field(max_length=64, description="Such as agents.")] = None
    resource_id: UUID | None = None
    since: TimeIn | None = None
    until: TimeIn | None = None


class AuditQuery(AuditFilters, ListQuery):
    """Which entries to list."""


class AuditExportQuery(AuditFilters):
    sort: Annotated[
        Literal["-createdAt", "createdAt"], Field(description="The newest first, or the oldest.")
    ] = "-createdAt"
    format: Annotated[Literal["csv", "jsonl"], Field(description="Of the lines.")] = "csv"


class AuditEntryOut(Out):
    id: UUID
    actor: Literal["key", "member", "operator"]
    actor_id: UUID | None
    actor_name: Annotated[str, Field(description="What the key or the member was called then.")]
    action: str
    resource: str
    resource_id: UUID | None
    fields: Annotated[list[str], Field(description="Names of the fields that were sent.")]
    detail: dict[str, Any] | None
    request_id: str | None
    address: str | None
    created_at: Time
