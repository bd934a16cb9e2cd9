"""What came of a try, written down: the try itself, and what becomes of its delivery.

A 2xx is final, also from a try that had been given up for lost. Anything else counts only if the
try is still the one under way, so that whoever took over decides. 410 says that the receiver is
gone for good: nothing is sent there any more until somebody says otherwise.
"""

from __future__ import annotations

import logging
import uuid
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from chorus.agents import queries as agents
from chorus.webhooks.due import Taken, tries_of
from chorus.webhooks.schedule import wait_s
from chorus.webhooks.tables import (
    GoneAgentWebhook,
    WebhookAttempt,
    WebhookDelivery,
    WebhookEndpoint,
)

log = logging.getLogger(__name__)

GONE = 410


@dataclass(frozen=True, slots=True)
class Result:
    """Of one try: a status, or an error (a sentence). `cancelled`: nothing was sent, nobody wants
    it. `asked_s`: how long the receiver asked to wait."""

    url: str | None = None
    headers: dict[str, str] = field(default_factory=dict[str, str])
    status: int | None = None
    body: str | None = None
    error: str | None = None
    duration_ms: int = 0
    asked_s: float | None = None
    cancelled: str | None = None

    @property
    def delivered(self) -> bool:
        return self.status is not None and 200 <= self.status < 300


async def record(
    session: AsyncSession, now: datetime, taken: Taken, result: Result
) -> datetime | None:
    """When it was announced, if it is delivered now."""
    await session.execute(
        sa.update(WebhookAttempt)
        .where(WebhookAttempt.id == taken.attempt_id)
        .values(
            url=result.url,
            request_headers=result.headers or None,
            status_code=result.status,
            response_body=result.body,
            error=result.error or result.cancelled,
            duration_ms=result.duration_ms,
        )
    )
    delivery = await session.get(WebhookDelivery, taken.delivery_id, with_for_update=True)
    if delivery is None:
        return None  # deleted with its call
    if not result.delivered and delivery.attempt_id != taken.attempt_id:
        return None
    delivery.attempt_id = None
    delivery.url = result.url or delivery.url
    delivery.last_status_code, delivery.last_error = result.status, result.error
    delivery.reason = None
    if result.delivered:
        delivery.status, delivery.due_at, delivery.delivered_at = "delivered", None, now
    elif result.cancelled is not None:
        _end(delivery, "cancelled", result.cancelled)
    elif result.status == GONE:
        _end(delivery, "failed", "gone")
        await _switch_off(session, now, delivery)
    else:
        wait = wait_s(delivery.tries, result.asked_s, tries_of(delivery.event))
        if wait is None:
            _end(delivery, "failed", "gave_up")
        else:
            delivery.due_at = now + timedelta(seconds=wait)
    return delivery.created_at if result.delivered else None


def _end(delivery: WebhookDelivery, status: str, reason: str) -> None:
    delivery.status, delivery.reason, delivery.due_at = status, reason, None


async def _switch_off(session: AsyncSession, now: datetime, delivery: WebhookDelivery) -> None:
    """The receiver is gone: no more for it, and what waits for it is cancelled."""
    if delivery.target_kind == "endpoint":
        endpoint = await session.get(WebhookEndpoint, delivery.target_id, with_for_update=True)
        if endpoint is not None and endpoint.url != delivery.url:
            return  # it has another URL meanwhile
        if endpoint is not None:
            endpoint.is_active, endpoint.disabled_at = False, now
        reason = "endpoint_inactive"
    else:
        agent = await agents.find(session, delivery.organization_id, delivery.target_id, lock=True)
        if agent is not None and agent.post_call_webhook_url != delivery.url:
            return
        if agent is not None:
            row = GoneAgentWebhook(agent_id=agent.id, url=delivery.url, disabled_at=now)
            await session.merge(row)
        reason = "webhook_gone"
    log.warning("webhooks to %s %s stop: 410", delivery.target_kind, delivery.target_id)
    await cancel(session, delivery.target_id, reason)


async def cancel(session: AsyncSession, target_id: uuid.UUID, reason: str) -> None:
    """Whatever waits for a receiver; what is under way is not called back."""
    values: dict[str, Any] = {"status": "cancelled", "reason": reason, "due_at": None}
    await session.execute(
        sa.update(WebhookDelivery)
        .where(
            WebhookDelivery.target_id == target_id,
            WebhookDelivery.due_at.is_not(None),
            WebhookDelivery.attempt_id.is_(None),
        )
        .values(**values)
        .execution_options(synchronize_session="fetch")
    )
