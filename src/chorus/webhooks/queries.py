"""Reading endpoints, deliveries and tries, and forgetting old ones."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, cast

import orjson
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from chorus import lists
from chorus.db import Database, named_like, scoped, utcnow
from chorus.webhooks.schemas import AttemptOut, DeliveryOut, DeliveryQuery, ListedDelivery
from chorus.webhooks.tables import WebhookAttempt, WebhookDelivery, WebhookEndpoint
from chorus.wire import Found, SearchQuery

KEPT_FOR = timedelta(days=30)
_SWEPT_AT_ONCE = 500

_table = cast("sa.Table", WebhookDelivery.__table__)
_LISTED = [column for column in _table.columns if column.name not in ("body", "secret")]


async def endpoints(
    session: AsyncSession, organization_id: uuid.UUID, wanted: SearchQuery
) -> tuple[list[WebhookEndpoint], Found]:
    query = scoped(WebhookEndpoint, organization_id)
    if search := wanted.wanted:
        query = query.where(
            sa.or_(
                named_like(WebhookEndpoint.description, search),
                named_like(WebhookEndpoint.url, search),
            )
        )
    return await lists.of(session, query, WebhookEndpoint, wanted)


async def endpoint(
    session: AsyncSession,
    organization_id: uuid.UUID,
    id: uuid.UUID,
    *,
    lock: lists.Lock | None = None,
) -> WebhookEndpoint:
    """Raises `Error` 404."""
    query = scoped(WebhookEndpoint, organization_id).where(WebhookEndpoint.id == id)
    return await lists.one(session, query, "Webhook endpoint", lock=lock)


async def deliveries(
    session: AsyncSession, organization_id: uuid.UUID, wanted: DeliveryQuery
) -> tuple[list[ListedDelivery], Found]:
    """One page, without the bodies."""
    conditions = [_table.c.organization_id == organization_id]
    for column, value in (
        (_table.c.call_id, wanted.call_id),
        (_table.c.event, wanted.event),
        (_table.c.status, wanted.status),
        (_table.c.target_id, wanted.endpoint_id),
        (_table.c.target_id, wanted.agent_id),
    ):
        if value is not None:
            conditions.append(column == value)
    query = sa.select(*_LISTED).where(*conditions)
    rows, found = await lists.page(session, query, (_table.c.created_at, _table.c.id), wanted)
    return [ListedDelivery.model_validate(_shown(row)) for row in rows], found


async def delivery(
    session: AsyncSession,
    organization_id: uuid.UUID,
    id: uuid.UUID,
    *,
    lock: lists.Lock | None = None,
) -> WebhookDelivery:
    """Raises `Error` 404."""
    query = scoped(WebhookDelivery, organization_id).where(WebhookDelivery.id == id)
    return await lists.one(session, query, "Webhook delivery", lock=lock)


async def present(session: AsyncSession, found: WebhookDelivery) -> DeliveryOut:
    """A delivery with its body and its tries in their order."""
    tries = await session.scalars(
        sa.select(WebhookAttempt)
        .where(WebhookAttempt.delivery_id == found.id)
        .order_by(WebhookAttempt.number)
    )
    row = {column.key: getattr(found, column.key) for column in sa.inspect(type(found)).columns}
    return DeliveryOut.model_validate(
        {
            **_shown(row),
            "request_body": orjson.loads(found.body) if found.body else None,
            "attempts": [AttemptOut.model_validate(each) for each in tries],
        }
    )


async def sweep(database: Database) -> None:
    """Forget deliveries that ended long ago, a few at a time: others want to write too."""
    old = (
        sa.select(WebhookDelivery.id)
        .where(WebhookDelivery.created_at < utcnow() - KEPT_FOR, WebhookDelivery.due_at.is_(None))
        .limit(_SWEPT_AT_ONCE)
    )
    while True:
        async with database.writing() as session:
            ids: Sequence[uuid.UUID] = (await session.scalars(old)).all()
            await session.execute(sa.delete(WebhookDelivery).where(WebhookDelivery.id.in_(ids)))
        if len(ids) < _SWEPT_AT_ONCE:
            return


def _shown(row: Mapping[Any, Any]) -> dict[str, Any]:
    kind, target_id = row["target_kind"], row["target_id"]
    return {
        **row,
        "endpoint_id": target_id if kind == "endpoint" else None,
        "agent_id": target_id if kind == "agent" else None,
        "attempt_count": row["attempts"],
        "next_attempt_at": None if row["attempt_id"] is not None else row["due_at"],
    }
