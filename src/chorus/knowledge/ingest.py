"""Reading a document into its base: one durable piece of work, top to bottom.

The bytes are taken (a URL's are fetched), read in a process of their own, made into chunks and
vectors, and put in the place of what was there before, all in one transaction. Until then the old
chunks are found. What goes wrong is no exception but the document's state, with a sentence that
says what to do; what a crash interrupts begins again. Work for an `attempt` that is not the
document's any more gives way to the newer.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Protocol

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from chorus.db import utcnow
from chorus.durable.work import Periodic, Queue, Retries, Workflow, step
from chorus.knowledge import history, reading, words
from chorus.knowledge.charging import Spent, account
from chorus.knowledge.embedding.embedder import Embedder, Vectors
from chorus.knowledge.embedding.hosted import estimated_tokens
from chorus.knowledge.fetch import Page
from chorus.knowledge.library import Library
from chorus.knowledge.reading import ReadDocument, Unreadable
from chorus.knowledge.tables import (
    Chunk,
    Document,
    DocumentContent,
    DocumentVectors,
    KnowledgeBase,
)
from chorus.knowledge.vectors import packed
from chorus.speech.engines import EngineFailed

log = logging.getLogger(__name__)

_REFRESHED_AT_ONCE = 200
"""In one transaction; so many of them in one turn."""
_REFRESHED_IN_TURN = 10
_ROWS_AT_ONCE = 500


class Shared(Protocol):
    """What the process shares with its workflows, as far as it is asked for here."""

    library: Library


async def ingest(shared: Shared, document_id: str, attempt: int) -> None:
    library, id = shared.library, uuid.UUID(document_id)
    try:
        await step(read_document, library, id, attempt, retries=Retries(attempts=3))
    except Exception:
        log.exception("document %s could not be read", document_id)
        await step(failed, library, id, attempt, "Reading it failed inside: try again", {})


INGEST = Workflow("ingest_document", ingest, Queue("ingest-documents", at_once=2))


async def refresh(shared: Shared) -> None:
    """Have read again what is due, and what was read by another model than is wanted now."""
    library = shared.library
    local = library.embedder
    for _ in range(_REFRESHED_IN_TURN):
        async with library.database.writing() as session:
            due = sa.and_(Document.next_refresh_at <= utcnow(), Document.status != "waiting")
            wanted = sa.func.coalesce(KnowledgeBase.embedding_model, local.name if local else None)
            other = sa.and_(
                Document.status == "ready",
                wanted.is_not(None),
                Document.embedding_model.is_distinct_from(wanted),
            )
            query = (
                sa.select(Document)
                .join(KnowledgeBase, KnowledgeBase.id == Document.knowledge_base_id)
                .where(sa.or_(due, other))
                .order_by(Document.next_refresh_at)
                .limit(_REFRESHED_AT_ONCE)
                # What somebody else is changing or deleting comes next time.
                .with_for_update(skip_locked=True, of=Document)
            )
            found = (await session.scalars(query)).all()
            for document in found:
                await enqueue(session, library, document)
        if len(found) < _REFRESHED_AT_ONCE:
            break


REFRESH = Periodic("refresh-documents", "*/10 * * * *", refresh)


async def enqueue(session: AsyncSession, library: Library, document: Document) -> None:
    """Have a document read, once the session has committed."""
    document.status, document.problem = "waiting", None
    await session.flush()
    await history.begin(session, document)
    await library.durable.enqueue(session, INGEST, str(document.id), document.attempt)


@dataclass(frozen=True, slots=True)
class _Wanted:
    organization_id: uuid.UUID
    knowledge_base_id: uuid.UUID
    url: str | None
    format: str | None
    refresh_hours: int | None
    etag: str | None
    last_modified: str | None
    content: bytes | None
    charset: str | None
    embedder: Embedder | None
    read: bool
    """As it is, by the model that is wanted."""


async def read_document(library: Library, document_id: uuid.UUID, attempt: int) -> None:
    try:
        wanted = await _wanted(library, document_id, attempt)
    except EngineFailed as failure:
        await failed(library, document_id, attempt, f"The model failed: {failure}", {})
        return
    if wanted is None:
        return
    changes: dict[str, Any] = {}
    try:
        content, format, charset = wanted.content, wanted.format, wanted.charset
        if wanted.url is not None:
            page = await library.pages.fetch(wanted.url, wanted.etag, wanted.last_modified)
            changes = _fetched(wanted, page)
            if wanted.read and page.content in (None, content):
                await _unchanged(library, document_id, attempt, changes)
                return
            if page.content is not None:
                content, format, charset = page.content, page.format, page.charset
        if content is None or format is None:
            raise Unreadable("There is nothing to read: send the document again")
        found = await reading.read(content, format, charset)
        vectors = await _vectors(library, document_id, wanted, found)
    except Unreadable as why:
        await failed(library, document_id, attempt, str(why), changes)
        return
    except EngineFailed as failure:
        await failed(library, document_id, attempt, f"The model failed: {failure}", changes)
        return
    await _store(library, document_id, attempt, content, found, vectors, changes)


async def _wanted(library: Library, document_id: uuid.UUID, attempt: int) -> _Wanted | None:
    async with library.database.reading() as session:
        document = await session.get(Document, document_id)
        if document is None or document.attempt != attempt:
            return None
        content = await session.get(DocumentContent, document_id)
        read_before = content is not None and document.chunk_count > 0
        base = await session.get_one(KnowledgeBase, document.knowledge_base_id)
        embedder = await library.embedders.of(
            document.organization_id, base.embedding_model, session
        )
        return _Wanted(
            document.organization_id,
            base.id,
            document.url,
            document.format,
            document.refresh_hours,
            document.etag if read_before else None,
            document.last_modified if read_before else None,
            content.content if content is not None else None,
            document.charset,
            embedder,
            read_before and document.embedding_model == (embedder.name if embedder else None),
        )


def _fetched(wanted: _Wanted, page: Page) -> dict[str, Any]:
    now = utcnow()
    changes: dict[str, Any] = {"fetched_at": now, "next_refresh_at": None}
    if wanted.refresh_hours is not None:
        changes["next_refresh_at"] = now + timedelta(hours=wanted.refresh_hours)
    if page.content is not None:
        changes |= {
            "etag": page.etag,
            "last_modified": page.last_modified,
            "format": page.format,
            "charset": page.charset,
        }
    return changes


async def _vectors(
    library: Library, document_id: uuid.UUID, wanted: _Wanted, found: ReadDocument
) -> tuple[str, Vectors] | None:
    """By the name of the model. Raises `EngineFailed`, and `Unreadable` where there is no money
    for it."""
    embedder = wanted.embedder
    if embedder is None:
        return None
    texts = [f"{chunk.heading}\n{chunk.text}" for chunk in found.chunks]
    spent = Spent(
        wanted.organization_id,
        wanted.knowledge_base_id,
        document_id,
        embedder.name,
        by_operator=embedder.paid_by_operator,
    )
    if embedder.paid_by_operator:
        expected = replace(spent, tokens=estimated_tokens(texts))
        async with library.database.reading() as session:
            if not await library.charging.suffices(session, expected):
                raise Unreadable(
                    "The balance does not suffice for its vectors: top it up and read the document "
                    "again, or bring a key of your own"
                )
    try:
        return embedder.name, await embedder.texts(texts, spent.add)
    finally:
        await account(library.database, library.charging, spent)


async def _unchanged(
    library: Library, document_id: uuid.UUID, attempt: int, changes: dict[str, Any]
) -> None:
    async with library.database.writing() as session:
        document = await _mine(session, document_id, attempt)
        if document is not None:
            for name, value in changes.items():
                setattr(document, name, value)
            document.status, document.problem = "ready", None
            await history.forget(session, document)


async def failed(
    library: Library,
    document_id: uuid.UUID,
    attempt: int,
    problem: str,
    changes: dict[str, Any],
) -> None:
    async with library.database.writing() as session:
        document = await _mine(session, document_id, attempt)
        if document is None:
            return
        for name, value in changes.items():
            setattr(document, name, value)
        if document.url is not None and document.refresh_hours is not None:
            later = utcnow() + timedelta(hours=document.refresh_hours)
            document.next_refresh_at = later
        document.status, document.problem = "failed", problem
        await history.end(session, document)


async def _mine(session: AsyncSession, document_id: uuid.UUID, attempt: int) -> Document | None:
    return await session.scalar(
        sa.select(Document)
        .where(Document.id == document_id, Document.attempt == attempt)
        .with_for_update()
    )


async def _store(
    library: Library,
    document_id: uuid.UUID,
    attempt: int,
    content: bytes,
    found: ReadDocument,
    vectors: tuple[str, Vectors] | None,
    changes: dict[str, Any],
) -> None:
    async with library.database.writing() as session:
        # The base first, as whoever deletes does: two locks in two orders wait for each other.
        base = await session.scalar(
            sa.select(KnowledgeBase)
            .where(KnowledgeBase.id == _base_of(document_id))
            .with_for_update(key_share=True)
        )
        document = await _mine(session, document_id, attempt)
        if base is None or document is None:
            return
        await clear(session, document_id)
        ids = await _add_chunks(session, document, found)
        await words.add(session, document_id)
        if vectors is not None:
            numbers, rows = packed(ids, vectors[1])
            session.add(
                DocumentVectors(
                    document_id=document_id,
                    knowledge_base_id=base.id,
                    model=vectors[0],
                    revision=base.revision + 1,  # as `recount` makes it
                    chunk_ids=numbers,
                    vectors=rows,
                )
            )
        if document.url is not None:
            await session.merge(DocumentContent(document_id=document_id, content=content))
        for name, value in changes.items():
            setattr(document, name, value)
        document.status, document.problem = "ready", None
        document.embedding_model, document.embedding_dimensions = None, None
        if vectors is not None:
            document.embedding_model = vectors[0]
            document.embedding_dimensions = vectors[1].shape[1]
        document.size_bytes = len(content)
        document.page_count = found.pages
        document.chunk_count = len(found.chunks)
        document.characters = sum(len(chunk.text) for chunk in found.chunks)
        document.read_at = utcnow()
        await history.end(session, document)
        await recount(session, base)


def _base_of(document_id: uuid.UUID) -> sa.ScalarSelect[uuid.UUID]:
    query = sa.select(Document.knowledge_base_id).where(Document.id == document_id)
    return query.scalar_subquery()


async def clear(session: AsyncSession, document_id: uuid.UUID) -> None:
    """Take out what is found of a document; its words go with its chunks."""
    await session.execute(
        sa.delete(DocumentVectors).where(DocumentVectors.document_id == document_id)
    )
    await session.execute(sa.delete(Chunk).where(Chunk.document_id == document_id))


async def _add_chunks(
    session: AsyncSession, document: Document, found: ReadDocument
) -> Sequence[int]:
    rows = [
        {
            "knowledge_base_id": document.knowledge_base_id,
            "document_id": document.id,
            "position": position,
            "page": chunk.page,
            "heading": chunk.heading,
            "text": chunk.text,
        }
        for position, chunk in enumerate(found.chunks)
    ]
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        await session.execute(sa.insert(Chunk), rows[start : start + _ROWS_AT_ONCE])
    ids = await session.scalars(
        sa.select(Chunk.id).where(Chunk.document_id == document.id).order_by(Chunk.position)
    )
    return ids.all()


async def recount(session: AsyncSession, base: KnowledgeBase) -> None:
    """Bring a base's sums up to date, and its revision on: its chunks have changed."""
    row = await session.execute(
        sa.select(
            sa.func.count(),
            sa.func.coalesce(sa.func.sum(Document.chunk_count), 0),
            sa.func.coalesce(sa.func.sum(Document.characters), 0),
        ).where(Document.knowledge_base_id == base.id)
    )
    base.document_count, base.chunk_count, base.characters = row.one()
    base.revision += 1
    await session.flush()
