"""Sending something again because a user wants it: the same bytes under the same id.

What is over, however it ended, goes through the whole schedule once more. What waits for its
next try is tried now. What is under way stays under way.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from sqlalchemy.ext.asyncio import AsyncSession

from chorus import errors
from chorus.accounts.secrets import SecretsUnreadable
from chorus.webhooks import due, queries, target
from chorus.webhooks.tables import WebhookDelivery

if TYPE_CHECKING:
    from chorus.calls.switchboard import Switchboard

_NOBODY = {
    "endpoint_deleted": "The webhook endpoint was deleted",
    "endpoint_inactive": "The webhook endpoint is not active",
    "webhook_removed": "The agent has no webhook any more",
    "webhook_gone": "The agent's webhook answered 410 and is disabled",
}


async def redeliver(
    session: AsyncSession, switchboard: Switchboard, organization_id: uuid.UUID, id: uuid.UUID
) -> WebhookDelivery:
    """Raises `Error` 404, and 409 where there is nobody to send it to."""
    delivery = await queries.delivery(session, organization_id, id, lock="change")
    if not delivery.body:
        raise errors.conflict("body_deleted", "What was sent was deleted with the call's texts")
    now = await due.database_now(session)
    try:
        await target.find(session, delivery, switchboard.secrets, now)
    except target.NoTarget as nobody:
        raise errors.conflict(nobody.reason, _NOBODY[nobody.reason]) from None
    except SecretsUnreadable:
        pass  # the try will say so in the log
    if delivery.attempt_id is not None:
        return delivery
    if delivery.status != "pending":
        delivery.status, delivery.reason, delivery.tries = "pending", None, 0
    delivery.due_at = now
    await session.flush()
    await switchboard.news.tell(session, "webhooks")
    return delivery
