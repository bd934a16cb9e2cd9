"""Reading knowledge bases and their documents."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from chorus import lists
from chorus.db import named_like, scoped
from chorus.knowledge.tables import Chunk, Document, KnowledgeBase
from chorus.wire import Found, SearchQuery


async def page(
    session: AsyncSession, organization_id: uuid.UUID, wanted: SearchQuery
) -> tuple[list[KnowledgeBase], Found]:
    query = scoped(KnowledgeBase, organization_id)
    if search := wanted.wanted:
        query = query.where(named_like(KnowledgeBase.name, search))
    return await lists.of(session, query, KnowledgeBase, wanted)


async def one(
    session: AsyncSession,
    organization_id: uuid.UUID,
    id: uuid.UUID,
    *,
    lock: lists.Lock | None = None,
) -> KnowledgeBase:
    """Raises `Error` 404. `lock` holds off other writers until the transaction ends."""
    query = scoped(KnowledgeBase, organization_id).where(KnowledgeBase.id == id)
    return await lists.one(session, query, "Knowledge base", lock=lock)


async def documents(
    session: AsyncSession, base: KnowledgeBase, wanted: SearchQuery
) -> tuple[list[Document], Found]:
    query = scoped(Document, base.organization_id).where(Document.knowledge_base_id == base.id)
    if search := wanted.wanted:
        query = query.where(named_like(Document.name, search))
    return await lists.of(session, query, Document, wanted)


async def document(
    session: AsyncSession, base: KnowledgeBase, id: uuid.UUID, *, lock: lists.Lock | None = None
) -> Document:
    """Raises `Error` 404. `lock` holds off other writers until the transaction ends."""
    query = scoped(Document, base.organization_id).where(
        Document.knowledge_base_id == base.id, Document.id == id
    )
    return await lists.one(session, query, "Document", lock=lock)


async def chunks(
    session: AsyncSession, document: Document, *, limit: int, offset: int
) -> Sequence[Chunk]:
    query = sa.select(Chunk).where(Chunk.document_id == document.id).order_by(Chunk.position)
    return (await session.scalars(query.limit(limit).offset(offset))).all()
