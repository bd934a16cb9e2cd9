"""Webhooks at the HTTP edge."""

# ruff: noqa: RUF012  pydantic copies the defaults of a model

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, Field

from chorus.webhooks.payload import Event
from chorus.wire import Flag, In, ListQuery, Out, Text, Time, Url, patch_of

Status = Literal["pending", "delivered", "failed", "cancelled"]


def _unique(events: list[Event]) -> list[Event]:
    if len(set(events)) < len(events):
        raise ValueError("must not name the same event twice")
    return events


class WebhookEndpointCreate(In):
    """A URL that is to get the events of all calls of the organization."""

    url: Url
    events: Annotated[
        list[Event],
        Field(min_length=1, max_length=20, json_schema_extra={"uniqueItems": True}),
        AfterValidator(_unique),
    ] = ["call.completed"]
    description: Annotated[Text, Field(max_length=255)] = ""
    is_active: Flag = True


if TYPE_CHECKING:
    WebhookEndpointPatch = WebhookEndpointCreate
else:
    WebhookEndpointPatch = patch_of(WebhookEndpointCreate, "WebhookEndpointPatch")


class WebhookEndpointOut(Out):
    id: UUID
    url: str
    events: list[Event]
    description: str
    is_active: bool
    disabled_at: Annotated[
        Time | None, Field(description="When an answer of 410 made it inactive.")
    ]
    previous_secret_until: Annotated[
        Time | None, Field(description="Until then the secret before the last rotation signs too.")
    ]
    created_at: Time
    updated_at: Time


class WebhookEndpointWithSecret(WebhookEndpointOut):
    secret: Annotated[str, Field(description="Signs what is sent. Shown this once.")]


class WebhookSecretOut(Out):
    """The organization's own secret."""

    secret: str
    previous_secret_until: Time | None
    created_at: Time
    updated_at: Time


class AgentWebhookOut(Out):
    """The webhook of an agent, as it stands."""

    agent_id: UUID
    url: str | None
    is_active: Annotated[bool, Field(description="Whether the next call's end is sent there.")]
    disabled_at: Annotated[Time | None, Field(description="When its receiver answered 410.")]
    signed_with: Annotated[
        Literal["agent", "organization"],
        Field(description="Whose secret signs: postCallWebhookSecret, or the organization's."),
    ]


class ListedDelivery(Out):
    """One event for one receiver, which is an endpoint or an agent's webhook. `id` is also the
    `webhook-id` of every try."""

    id: UUID
    call_id: UUID | None
    event: str
    endpoint_id: UUID | None
    agent_id: UUID | None
    url: Annotated[str, Field(description="Where it was sent last, or is to be sent first.")]
    status: Status
    reason: Annotated[
        str | None,
        Field(description="Why it ended without success, such as gave_up or endpoint_deleted."),
    ]
    attempt_count: int
    next_attempt_at: Annotated[
        Time | None, Field(description="Null while a try is under way, and when it is over.")
    ]
    last_attempt_at: Time | None
    last_status_code: int | None
    last_error: str | None
    delivered_at: Time | None
    created_at: Time


class AttemptOut(Out):
    """One try. Without a status code and an error it is under way."""

    number: int
    url: str | None
    request_headers: dict[str, str] | None
    status_code: int | None
    response_body: Annotated[str | None, Field(description="The first 4096 bytes, as text.")]
    error: str | None
    duration_ms: int | None
    started_at: Time


class DeliveryOut(ListedDelivery):
    request_body: Annotated[
        dict[str, Any] | None,
        Field(description="Null once the texts of its call were deleted."),
    ]
    body_sha256: Annotated[
        str | None, Field(description="Of what was sent, in hex, where `requestBody` is gone.")
    ]
    attempts: list[AttemptOut]


class DeliveryQuery(ListQuery):
    """Which deliveries to list; all that is given must hold."""

    call_id: UUID | None = None
    event: Event | Literal["webhook.test"] | None = None
    status: Status | None = None
    endpoint_id: UUID | None = None
    agent_id: UUID | None = None
