"""Taking what was said in a call out of the log of webhooks, when it is deleted from the call.

A delivery that is over loses its body and what its receivers answered, which may repeat it; the
SHA-256 of the body stays, so that it can still be proved what was sent. One that is still to be
sent is sent without the texts: its receiver is to learn that the call is over.
"""

from __future__ import annotations

import hashlib
import uuid
from typing import Any

import orjson
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from chorus.webhooks.tables import WebhookAttempt, WebhookDelivery

_WITHOUT: dict[str, Any] = {
    "transcript": None,
    "transcriptUrl": None,
    "summary": None,
    "extractedData": None,
    "contextVariables": {},
}


async def forget_texts(session: AsyncSession, call_id: uuid.UUID) -> int:
    """Returns how many deliveries were changed."""
    row = WebhookDelivery
    found = await session.execute(
        sa.select(row.id, row.status, row.body)
        .where(row.call_id == call_id, row.body != "")
        .with_for_update()
    )
    deliveries = found.all()
    changed = 0
    for id, status, body in deliveries:
        if status == "pending":
            told = orjson.loads(body)
            left = told | {name: value for name, value in _WITHOUT.items() if name in told}
            if left == told:
                continue
            values = {"body": orjson.dumps(left).decode()}
        else:
            values = {"body": "", "body_sha256": hashlib.sha256(body.encode()).hexdigest()}
        await session.execute(
            sa.update(row)
            .where(row.id == id)
            .values(**values, updated_at=row.updated_at)
            .execution_options(synchronize_session=False)
        )
        changed += 1
    if changed:
        await session.execute(
            sa.update(WebhookAttempt)
            .where(WebhookAttempt.delivery_id.in_([id for id, _, _ in deliveries]))
            .values(response_body=None)
            .execution_options(synchronize_session=False)
        )
    return changed
