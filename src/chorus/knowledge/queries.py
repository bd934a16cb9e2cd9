"""Reading knowledge bases and their documents."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from chorus import lists
from chorus.db import named_like, scoped
from chorus.errors import not_found
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
    session: AsyncSession, organization_id: uuid.UUID, id: uuid.UUID, *, lock: bool = False
) -> KnowledgeBase:
    """Raises `Error` 404. `lock` holds off other writers until the transaction ends."""
    query = scoped(KnowledgeBase, organization_id).where(KnowledgeBase.id == id)
    base = await session.scalar(query.with_for_update() if lock else query)
    if base is None:
        raise not_found("Knowledge base")
    return base


async def missing(
    session: AsyncSession, organization_id: uuid.UUID, ids: Iterable[uuid.UUID]
) -> set[uuid.UUID]:
    """Those of `ids` that the organization has no base for."""
    wanted = set(ids)
    if not wanted:
        return wanted
    mine = scoped(KnowledgeBase, organization_id).where(KnowledgeBase.id.in_(wanted))
    return wanted - set((await session.scalars(mine.with_only_columns(KnowledgeBase.id))).all())


async def documents(
    session: AsyncSession, base: KnowledgeBase, wanted: SearchQuery
) -> tuple[list[Document], Found]:
    query = scoped(Document, base.organization_id).where(Document.knowledge_base_id == base.id)
    if search := wanted.wanted:
        query = query.where(named_like(Document.name, search))
    return await lists.of(session, query, Document, wanted)


async def document(
    session: AsyncSession, base: KnowledgeBase, id: uuid.UUID, *, lock: bool = False
) -> Document:
    """Raises `Error` 404. `lock` holds off other writers until the transaction ends."""
    query = scoped(Document, base.organization_id).where(
        Document.knowledge_base_id == base.id, Document.id == id
    )
    found = await session.scalar(query.with_for_update() if lock else query)
    if found is None:
        raise not_found("Document")
    return found


async def chunks(
    session: AsyncSession, document: Document, *, limit: int, offset: int
) -> Sequence[Chunk]:
    query = sa.select(Chunk).where(Chunk.document_id == document.id).order_by(Chunk.position)
    return (await session.scalars(query.limit(limit).offset(offset))).all()
