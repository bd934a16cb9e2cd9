"""Making, changing and deleting knowledge bases and their documents."""

from __future__ import annotations

import uuid
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from chorus import errors
from chorus.accounts import audit
from chorus.agents import queries as agents
from chorus.db import utcnow
from chorus.errors import Problem
from chorus.knowledge import queries
from chorus.knowledge.ingest import enqueue, recount
from chorus.knowledge.library import Library
from chorus.knowledge.schemas import DocumentCreate, KnowledgeBaseCreate
from chorus.knowledge.tables import Document, DocumentContent, KnowledgeBase
from chorus.knowledge.upload import Upload
from chorus.speech.engines import EngineFailed
from chorus.wire import is_plain_http

MAX_DOCUMENTS = 20_000


_AT_ONCE = 500
"""Documents that are read again with the request that asks for it."""


async def create(
    session: AsyncSession,
    library: Library,
    organization_id: uuid.UUID,
    wish: KnowledgeBaseCreate,
) -> KnowledgeBase:
    """Raises `Error` 400 for an embedding model that is not to be had."""
    await _check_model(session, library, organization_id, wish.embedding_model)
    base = KnowledgeBase(
        organization_id=organization_id,
        name=wish.name,
        description=wish.description,
        embedding_model=wish.embedding_model,
    )
    session.add(base)
    await session.flush()
    return base


async def change(
    session: AsyncSession,
    library: Library,
    organization_id: uuid.UUID,
    id: uuid.UUID,
    changes: dict[str, Any],
) -> KnowledgeBase:
    """With another embedding model all documents are read again. Raises `Error` 404, and 400 for a
    model that is not to be had."""
    model = changes.get("embedding_model")
    await _check_model(session, library, organization_id, model)
    base = await queries.one(session, organization_id, id, lock="change")
    anew = "embedding_model" in changes and base.embedding_model != model
    for name, value in changes.items():
        setattr(base, name, value)
    if anew:
        base.revision += 1
        # Those that failed first, because `refresh` leaves them alone; it takes the rest.
        query = (
            sa.select(Document)
            .where(Document.knowledge_base_id == base.id, Document.status != "waiting")
            .order_by(Document.status != "failed", Document.id)
            .limit(_AT_ONCE)
            .with_for_update()
        )
        for document in (await session.scalars(query)).all():
            await again(session, library, document)
    await session.flush()
    return base


async def _check_model(
    session: AsyncSession, library: Library, organization_id: uuid.UUID, model: str | None
) -> None:
    if model is None:
        return
    try:
        await library.embedders.of(organization_id, model, session)
    except EngineFailed as failure:
        raise errors.invalid_field(
            "embeddingModel", f"Embedding model cannot be used: {failure.detail}"
        ) from None


async def delete(session: AsyncSession, organization_id: uuid.UUID, id: uuid.UUID) -> None:
    """With all its documents. Raises `Error` 409 while an agent uses it."""
    base = await queries.one(session, organization_id, id, lock="delete")
    used_by = await agents.using_knowledge_base(session, organization_id, id)
    if used_by:
        details = [Problem("id", f"Used by the agent {name!r} ({id})") for id, name in used_by]
        raise errors.conflict(
            "in_use", "The knowledge base is in use and cannot be deleted", *details
        )
    await session.execute(sa.delete(KnowledgeBase).where(KnowledgeBase.id == base.id))


async def add_text_or_url(
    session: AsyncSession,
    library: Library,
    organization_id: uuid.UUID,
    base_id: uuid.UUID,
    wish: DocumentCreate,
) -> Document:
    """Raises `Error` 404, 400, and 409 for a base that is full."""
    if (
        wish.url is not None
        and is_plain_http(wish.url)
        and not library.settings.allow_private_addresses
    ):
        raise errors.invalid_field("url", "URL must begin with https://")
    base = await _with_room(session, organization_id, base_id)
    document = _new(base, wish.name, "text" if wish.text is not None else "url")
    document.url, document.refresh_hours = wish.url, wish.refresh_hours
    content = None
    if wish.text is not None:
        document.format = wish.format or "md"
        content = wish.text.encode()
    return await _added(session, library, base, document, content)


async def add_file(
    session: AsyncSession,
    library: Library,
    organization_id: uuid.UUID,
    base_id: uuid.UUID,
    upload: Upload,
) -> Document:
    """Raises `Error` 404, and 409 for a base that is full."""
    base = await _with_room(session, organization_id, base_id)
    document = _new(base, upload.name, "file")
    document.format = upload.format
    return await _added(session, library, base, document, upload.content)


async def change_document(
    session: AsyncSession,
    library: Library,
    organization_id: uuid.UUID,
    base_id: uuid.UUID,
    id: uuid.UUID,
    changes: dict[str, Any],
) -> Document:
    base = await queries.one(session, organization_id, base_id)
    document = await queries.document(session, base, id, lock="change")
    wrong: list[Problem] = []
    if "text" in changes and document.source != "text":
        wrong.append(Problem("text", "Text is not used with a document that was not sent as text"))
    if changes.get("refresh_hours") is not None and document.source != "url":
        wrong.append(Problem("refreshHours", "Refresh hours is not used without a URL"))
    if wrong:
        raise errors.invalid(*wrong)
    text: str | None = changes.pop("text", None)
    for name, value in changes.items():
        setattr(document, name, value)
    if "refresh_hours" in changes:
        document.next_refresh_at = utcnow() if document.refresh_hours is not None else None
    if text is not None:
        content = text.encode()
        document.size_bytes = len(content)
        await session.merge(DocumentContent(document_id=document.id, content=content))
        await again(session, library, document)
    await session.flush()
    _note(session, document)
    return document


async def read_again(
    session: AsyncSession,
    library: Library,
    organization_id: uuid.UUID,
    base_id: uuid.UUID,
    id: uuid.UUID,
) -> Document:
    base = await queries.one(session, organization_id, base_id)
    document = await queries.document(session, base, id, lock="change")
    await again(session, library, document)
    _note(session, document)
    return document


async def again(session: AsyncSession, library: Library, document: Document) -> None:
    document.attempt += 1
    await enqueue(session, library, document)


async def delete_document(
    session: AsyncSession, organization_id: uuid.UUID, base_id: uuid.UUID, id: uuid.UUID
) -> None:
    base = await queries.one(session, organization_id, base_id, lock="change")
    document = await queries.document(session, base, id, lock="delete")
    _note(session, document)
    await session.execute(sa.delete(Document).where(Document.id == document.id))
    await recount(session, base)


def _new(base: KnowledgeBase, name: str, source: str) -> Document:
    return Document(
        id=uuid.uuid4(),
        organization_id=base.organization_id,
        knowledge_base_id=base.id,
        name=name,
        source=source,
        status="waiting",
    )


async def _added(
    session: AsyncSession,
    library: Library,
    base: KnowledgeBase,
    document: Document,
    content: bytes | None,
) -> Document:
    session.add(document)
    await session.flush()
    if content is not None:
        document.size_bytes = len(content)
        session.add(DocumentContent(document_id=document.id, content=content))
    base.document_count += 1
    await enqueue(session, library, document)
    _note(session, document)
    return document


def _note(session: AsyncSession, document: Document) -> None:
    """The audit log knows the base by itself."""
    audit.note(session, documentId=str(document.id), document=document.name)


async def _with_room(
    session: AsyncSession, organization_id: uuid.UUID, base_id: uuid.UUID
) -> KnowledgeBase:
    base = await queries.one(session, organization_id, base_id, lock="change")
    if base.document_count >= MAX_DOCUMENTS:
        raise errors.conflict(
            "knowledge_base_full", f"A knowledge base has at most {MAX_DOCUMENTS} documents"
        )
    return base
