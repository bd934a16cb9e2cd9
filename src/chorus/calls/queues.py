"""How much waits to be done, for metrics."""

from __future__ import annotations

from chorus.calls import room
from chorus.db import Database
from chorus.telemetry.telemetry import Queues
from chorus.webhooks import due


async def queues(database: Database) -> Queues:
    """Of the whole installation, whatever process asks."""
    async with database.reading() as session:
        now = await due.database_now(session)
        webhooks, oldest = await due.how_many(session, now)
        age_s = 0.0 if oldest is None else max(0.0, (now - oldest).total_seconds())
        return Queues(await room.waiting(session), webhooks, age_s)
