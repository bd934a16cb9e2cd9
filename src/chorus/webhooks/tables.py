"""Tables of webhooks: who wants them, what is to be delivered, and every try."""

from __future__ import annotations

import uuid
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from chorus.accounts.encrypted import Encrypted
from chorus.db import Base, Json, Tenant, UtcDateTime, choice, utcnow, when_created

EVENTS = (
    *("call.started", "call.completed", "call.failed"),
    *("transfer.started", "transfer.completed", "transfer.failed"),
    "latency.breached",
)
TEST = "webhook.test"
TARGETS = ("endpoint", "agent")
STATUSES = ("pending", "delivered", "failed", "cancelled")


class TwoSecrets:
    """A signing secret, encrypted, and until `previous_until` the one before it."""

    secret: Mapped[str] = mapped_column(Encrypted)
    previous_secret: Mapped[str | None] = mapped_column(Encrypted)
    previous_until: Mapped[datetime | None] = mapped_column(UtcDateTime)


class WebhookEndpoint(Tenant, TwoSecrets, Base):
    """A URL of an organization that gets the events of all its calls. `disabled_at` is set when
    its answer, and not a user, made it inactive."""

    __tablename__ = "webhook_endpoints"

    url: Mapped[str] = mapped_column(sa.Text)
    description: Mapped[str] = mapped_column(sa.String(255))
    events: Mapped[list[str]] = mapped_column(Json)
    is_active: Mapped[bool]
    disabled_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    __table_args__ = (sa.Index(None, "organization_id", "created_at", "id"),)


class WebhookSecret(TwoSecrets, Base):
    """An organization's own secret: signs the webhooks of agents that have none."""

    __tablename__ = "webhook_secrets"

    organization_id: Mapped[uuid.UUID] = mapped_column(
        sa.Uuid, sa.ForeignKey("organizations.id", ondelete="CASCADE"), primary_key=True
    )
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utcnow)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime, default=when_created, onupdate=utcnow)


class GoneAgentWebhook(Base):
    """The webhook of an agent whose receiver said that it is gone for good. Holds for this URL
    only: an agent that is given another one is not affected."""

    __tablename__ = "webhook_agents_gone"

    agent_id: Mapped[uuid.UUID] = mapped_column(
        sa.Uuid, sa.ForeignKey("agents.id", ondelete="CASCADE"), primary_key=True
    )
    url: Mapped[str] = mapped_column(sa.Text)
    disabled_at: Mapped[datetime] = mapped_column(UtcDateTime)


class WebhookDelivery(Tenant, Base):
    """One event for one receiver. Its id is the `webhook-id` of every try.

    `body` is fixed when the event is announced. When what was said in its call is deleted, it goes
    too (`forget.py`): it is empty then, and the hash of what was sent stays. `call_id` null: a
    test. `target_id` is an endpoint's or an agent's and no foreign key: history outlives what it
    names. `url` is where the last try went, or the first will; `secret` is the agent's own as it
    was announced, for when the agent is deleted meanwhile.

    `due_at` is when somebody must look at it next, null when nobody must: the next try, or while
    `attempt_id` is under way the moment at which that is given up for lost; `owner` is the process
    that has it under way. `tries` counts those
    of this run through the schedule, `attempts` all that there ever were.
    """

    __tablename__ = "webhook_deliveries"

    call_id: Mapped[uuid.UUID | None] = mapped_column(
        sa.Uuid, sa.ForeignKey("calls.id", ondelete="CASCADE")
    )
    event: Mapped[str] = mapped_column(sa.String(64))
    target_kind: Mapped[str] = mapped_column(choice(*TARGETS, name="target_kind"))
    target_id: Mapped[uuid.UUID]
    url: Mapped[str] = mapped_column(sa.Text)
    host: Mapped[str] = mapped_column(sa.String(255))
    secret: Mapped[str | None] = mapped_column(Encrypted)
    body: Mapped[str] = mapped_column(sa.Text)
    body_sha256: Mapped[str | None] = mapped_column(sa.String(64))
    status: Mapped[str] = mapped_column(choice(*STATUSES, name="status"), default="pending")
    reason: Mapped[str | None] = mapped_column(sa.String(64))
    due_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    attempt_id: Mapped[uuid.UUID | None]
    owner: Mapped[str | None] = mapped_column(sa.String(128))
    tries: Mapped[int] = mapped_column(default=0)
    attempts: Mapped[int] = mapped_column(default=0)
    last_attempt_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    last_status_code: Mapped[int | None]
    last_error: Mapped[str | None] = mapped_column(sa.Text)
    delivered_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    __table_args__ = (
        sa.UniqueConstraint("call_id", "event", "target_id"),
        sa.Index(None, "organization_id", "created_at", "id"),
        sa.Index(None, "organization_id", "call_id", "created_at", "id"),
        sa.Index(None, "organization_id", "event", "created_at", "id"),
        sa.Index(None, "organization_id", "status", "created_at", "id"),
        sa.Index(None, "target_id", "created_at", "id", "organization_id"),
        # What can be forgotten; not of use to lists, which would read those of others.
        sa.Index(
            "ix_webhook_deliveries_over",
            "created_at",
            sqlite_where=sa.text("due_at IS NULL"),
            postgresql_where=sa.text("due_at IS NULL"),
        ),
        # What somebody must look at, and nothing else: the log may be as long as it likes.
        sa.Index(
            "ix_webhook_deliveries_due",
            "due_at",
            sqlite_where=sa.text("due_at IS NOT NULL"),
            postgresql_where=sa.text("due_at IS NOT NULL"),
        ),
    )


class WebhookAttempt(Base):
    """One try. Without `status_code` and `error` it is under way. `response_body` is its
    beginning."""

    __tablename__ = "webhook_attempts"

    id: Mapped[uuid.UUID] = mapped_column(sa.Uuid, primary_key=True, default=uuid.uuid4)
    delivery_id: Mapped[uuid.UUID] = mapped_column(
        sa.Uuid, sa.ForeignKey("webhook_deliveries.id", ondelete="CASCADE")
    )
    number: Mapped[int]
    url: Mapped[str | None] = mapped_column(sa.Text)
    request_headers: Mapped[dict[str, str] | None] = mapped_column(Json)
    status_code: Mapped[int | None]
    response_body: Mapped[str | None] = mapped_column(sa.Text)
    error: Mapped[str | None] = mapped_column(sa.Text)
    duration_ms: Mapped[int | None]
    started_at: Mapped[datetime] = mapped_column(UtcDateTime)

    __table_args__ = (sa.UniqueConstraint("delivery_id", "number"),)
