"""How documents were read: what is kept of each time, and who changed a base and its documents.

A reading is begun where it is asked for and ended where its document's state is, in the same
transactions. What it took of a vendor is what the document's sums have grown by meanwhile. A page
that is fetched again and has not changed leaves nothing: `fetchedAt` says when that was.
"""

from __future__ import annotations

import uuid

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from chorus.db import utcnow
from chorus.knowledge.tables import Document, KnowledgeBase, Reading

KEPT = 20
"""Readings of a document; those of a deleted document go with it."""


async def begin(session: AsyncSession, document: Document) -> None:
    """A reading that was under way gives way to this one."""
    await session.execute(
        sa.update(Reading)
        .where(Reading.document_id == document.id, Reading.status == "waiting")
        .values(status="replaced", ended_at=utcnow())
    )
    session.add(
        Reading(
            organization_id=document.organization_id,
            knowledge_base_id=document.knowledge_base_id,
            document_id=document.id,
            status="waiting",
            tokens_before=document.embedding_tokens or 0,
            cost_micros_before=document.embedding_cost_micros or 0,
        )
    )
    latest = (
        sa.select(Reading.id)
        .where(Reading.document_id == document.id)
        .order_by(Reading.created_at.desc(), Reading.id.desc())
        .limit(KEPT)
    )
    await session.execute(
        sa.delete(Reading).where(
            Reading.document_id == document.id, Reading.id.not_in(latest.subquery().select())
        )
    )


async def end(session: AsyncSession, document: Document) -> None:
    """As the document's row says that it went."""
    await session.flush()
    reading = await _under_way(session, document)
    if reading is None:  # begun before there was a history
        return
    reading.status, reading.problem = document.status, document.problem
    reading.ended_at = utcnow()
    reading.embedding_tokens = document.embedding_tokens - reading.tokens_before
    reading.embedding_cost_micros = document.embedding_cost_micros - reading.cost_micros_before
    if document.status == "ready":
        reading.chunk_count, reading.characters = document.chunk_count, document.characters
        reading.embedding_model = document.embedding_model


async def forget(session: AsyncSession, document: Document) -> None:
    """There was nothing new to read."""
    reading = await _under_way(session, document)
    if reading is not None:
        await session.delete(reading)


async def _under_way(session: AsyncSession, document: Document) -> Reading | None:
    return await session.scalar(
        sa.select(Reading).where(Reading.document_id == document.id, Reading.status == "waiting")
    )


async def readings(
    session: AsyncSession, base: KnowledgeBase, document_id: uuid.UUID | None, limit: int
) -> list[tuple[Reading, str]]:
    """The newest first, each with its document's name as it is now."""
    query = (
        sa.select(Reading, Document.name)
        .join(Document, Document.id == Reading.document_id)
        .where(
            Reading.organization_id == base.organization_id, Reading.knowledge_base_id == base.id
        )
        .order_by(Reading.created_at.desc(), Reading.id.desc())
        .limit(limit)
    )
    if document_id is not None:
        query = query.where(Reading.document_id == document_id)
    return [(reading, name) for reading, name in await session.execute(query)]
