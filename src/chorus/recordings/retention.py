"""How long an organization keeps what was said: its rules, and keeping to them.

Each organization may have a number of days for recordings and one for texts (`/v1/organization`),
counted from the end of a call; without one they are kept. `RETENTION` runs once an hour, in one
process of all. It deletes a few calls in each transaction, so whatever interrupts it has lost
nothing: the next run goes on with what is left.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from chorus.accounts.secrets import Secrets
from chorus.accounts.tables import Organization
from chorus.calls import kept
from chorus.calls.kept import By
from chorus.calls.tables import CallRow
from chorus.db import Database, utcnow
from chorus.durable.work import Periodic

if TYPE_CHECKING:
    from chorus.calls.switchboard import Switchboard

log = logging.getLogger(__name__)

_BATCH = 20

_Find = Callable[[AsyncSession, uuid.UUID, datetime, int], Awaitable[Sequence[CallRow]]]
_Delete = Callable[[AsyncSession, CallRow, By], Awaitable[bool]]


async def retain(switchboard: Switchboard) -> None:
    """Delete all that is older than its organization's rules."""
    await keep_to_rules(switchboard.database, switchboard.secrets)


async def keep_to_rules(database: Database, secrets: Secrets) -> tuple[int, int]:
    """Returns how many recordings and how many calls' texts were deleted."""

    async def texts_of(session: AsyncSession, call: CallRow, by: By) -> bool:
        return await kept.delete_texts(session, secrets, call, by)

    now = utcnow()
    async with database.reading() as session:
        found = await session.execute(
            sa.select(
                Organization.id,
                Organization.recording_retention_days,
                Organization.transcript_retention_days,
            ).where(
                sa.or_(
                    Organization.recording_retention_days.is_not(None),
                    Organization.transcript_retention_days.is_not(None),
                )
            )
        )
        organizations = found.all()
    recordings = texts = 0
    for id, recording_days, transcript_days in organizations:
        sound = words = 0
        if recording_days is not None:
            before = now - timedelta(days=recording_days)
            sound = await _all(
                database, id, before, kept.with_old_recordings, kept.delete_recording
            )
        if transcript_days is not None:
            before = now - timedelta(days=transcript_days)
            words = await _all(database, id, before, kept.with_old_texts, texts_of)
        if sound or words:
            log.info(
                "organization %s: %d recordings and the texts of %d calls had their time",
                id,
                sound,
                words,
            )
        recordings, texts = recordings + sound, texts + words
    return recordings, texts


async def _all(
    database: Database, organization_id: uuid.UUID, before: datetime, find: _Find, delete: _Delete
) -> int:
    deleted = 0
    while True:
        async with database.writing() as session:
            old = await find(session, organization_id, before, _BATCH)
            for call in old:
                deleted += await delete(session, call, "retention")
        if len(old) < _BATCH:
            return deleted


RETENTION = Periodic("retention", "17 * * * *", retain)
