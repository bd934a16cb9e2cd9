"""Tables of knowledge bases, their documents, and the pieces that are found.

A document's row says what it is and how its reading went; the bytes that it was read from are
beside it (`DocumentContent`), so that it can be read again. What is searched are its chunks, their
words (`words.py`) and their vectors (`DocumentVectors`). Deleting a document or a base deletes all
of that with it.
"""

from __future__ import annotations

import uuid
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from chorus.db import Base, Tenant, UtcDateTime, choice

SOURCES = ("text", "file", "url")
STATUSES = ("waiting", "ready", "failed")
READINGS = (*STATUSES, "replaced")

_ZERO = sa.text("0")


class KnowledgeBase(Tenant, Base):
    """`revision` is raised whenever its chunks change. `chunk_count` and `characters` are sums over
    its documents. `embedding_model` null: the one on this machine. `embedding_cost_micros`, in
    micro-dollars: of all readings, also of documents that are gone."""

    __tablename__ = "knowledge_bases"

    name: Mapped[str] = mapped_column(sa.String(255))
    description: Mapped[str | None] = mapped_column(sa.Text)
    embedding_model: Mapped[str | None] = mapped_column(sa.String(100))
    embedding_cost_micros: Mapped[int] = mapped_column(
        sa.BigInteger, default=0, server_default=_ZERO
    )
    revision: Mapped[int] = mapped_column(default=0, server_default=_ZERO)
    document_count: Mapped[int] = mapped_column(default=0, server_default=_ZERO)
    chunk_count: Mapped[int] = mapped_column(default=0, server_default=_ZERO)
    characters: Mapped[int] = mapped_column(default=0, server_default=_ZERO)

    __table_args__ = (sa.Index(None, "organization_id", "created_at", "id"),)

    @property
    def embedding_cost(self) -> float:
        """Dollars."""
        return self.embedding_cost_micros / 1_000_000


class Document(Tenant, Base):
    """`attempt` counts how often it was to be read: work for an earlier one gives way. `problem`
    says why the last reading failed; the chunks of the reading before stay until then.
    `embedding_tokens`: of all readings, as vendors counted them; `embedding_cost_micros`: what
    they cost by the prices of the time, in micro-dollars."""

    __tablename__ = "knowledge_documents"

    knowledge_base_id: Mapped[uuid.UUID] = mapped_column(
        sa.Uuid, sa.ForeignKey("knowledge_bases.id", ondelete="CASCADE")
    )
    name: Mapped[str] = mapped_column(sa.String(255))
    source: Mapped[str] = mapped_column(choice(*SOURCES, name="source"))
    format: Mapped[str | None] = mapped_column(sa.String(10))
    charset: Mapped[str | None] = mapped_column(sa.String(40))
    url: Mapped[str | None] = mapped_column(sa.Text)
    refresh_hours: Mapped[int | None]
    next_refresh_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    fetched_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    etag: Mapped[str | None] = mapped_column(sa.Text)
    last_modified: Mapped[str | None] = mapped_column(sa.Text)
    status: Mapped[str] = mapped_column(choice(*STATUSES, name="status"))
    problem: Mapped[str | None] = mapped_column(sa.Text)
    attempt: Mapped[int] = mapped_column(default=1, server_default=sa.text("1"))
    size_bytes: Mapped[int] = mapped_column(default=0, server_default=_ZERO)
    page_count: Mapped[int | None]
    chunk_count: Mapped[int] = mapped_column(default=0, server_default=_ZERO)
    characters: Mapped[int] = mapped_column(default=0, server_default=_ZERO)
    embedding_model: Mapped[str | None] = mapped_column(sa.String(100))
    embedding_dimensions: Mapped[int | None]
    embedding_tokens: Mapped[int] = mapped_column(sa.BigInteger, default=0, server_default=_ZERO)
    embedding_cost_micros: Mapped[int] = mapped_column(
        sa.BigInteger, default=0, server_default=_ZERO
    )
    read_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    __table_args__ = (
        sa.Index(None, "knowledge_base_id", "created_at", "id"),
        sa.Index(None, "organization_id"),
        sa.Index(
            None,
            "next_refresh_at",
            sqlite_where=sa.text("next_refresh_at IS NOT NULL"),
            postgresql_where=sa.text("next_refresh_at IS NOT NULL"),
        ),
    )

    @property
    def embedding_cost(self) -> float:
        """Dollars."""
        return self.embedding_cost_micros / 1_000_000


class Reading(Tenant, Base):
    """One time that a document was to be read (`history.py`); `created_at` is when that was asked
    for. `replaced`: the document was to be read anew before it ended. `tokens_before` and
    `cost_micros_before` are the document's sums as they were then."""

    __tablename__ = "knowledge_readings"

    knowledge_base_id: Mapped[uuid.UUID] = mapped_column(
        sa.Uuid, sa.ForeignKey("knowledge_bases.id", ondelete="CASCADE")
    )
    document_id: Mapped[uuid.UUID] = mapped_column(
        sa.Uuid, sa.ForeignKey("knowledge_documents.id", ondelete="CASCADE")
    )
    status: Mapped[str] = mapped_column(choice(*READINGS, name="status"))
    problem: Mapped[str | None] = mapped_column(sa.Text)
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    chunk_count: Mapped[int] = mapped_column(default=0, server_default=_ZERO)
    characters: Mapped[int] = mapped_column(default=0, server_default=_ZERO)
    embedding_model: Mapped[str | None] = mapped_column(sa.String(100))
    embedding_tokens: Mapped[int] = mapped_column(sa.BigInteger, default=0, server_default=_ZERO)
    embedding_cost_micros: Mapped[int] = mapped_column(
        sa.BigInteger, default=0, server_default=_ZERO
    )
    tokens_before: Mapped[int] = mapped_column(sa.BigInteger)
    cost_micros_before: Mapped[int] = mapped_column(sa.BigInteger)

    __table_args__ = (
        sa.Index(None, "knowledge_base_id", "created_at", "id"),
        sa.Index(None, "document_id", "created_at", "id"),
        sa.Index(None, "organization_id"),
    )


class DocumentContent(Base):
    """The bytes that a document is read from, as they came."""

    __tablename__ = "knowledge_contents"

    document_id: Mapped[uuid.UUID] = mapped_column(
        sa.Uuid, sa.ForeignKey("knowledge_documents.id", ondelete="CASCADE"), primary_key=True
    )
    content: Mapped[bytes] = mapped_column(sa.LargeBinary)


class Chunk(Base):
    """A piece of a document, in its order. `page` counts from 1, where there are pages. Ids are
    never used again: what is kept of them in memory must not come to mean another piece."""

    __tablename__ = "knowledge_chunks"

    id: Mapped[int] = mapped_column(
        sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True
    )
    knowledge_base_id: Mapped[uuid.UUID] = mapped_column(
        sa.Uuid, sa.ForeignKey("knowledge_bases.id", ondelete="CASCADE")
    )
    document_id: Mapped[uuid.UUID] = mapped_column(
        sa.Uuid, sa.ForeignKey("knowledge_documents.id", ondelete="CASCADE")
    )
    position: Mapped[int]
    page: Mapped[int | None]
    heading: Mapped[str] = mapped_column(sa.Text)
    text: Mapped[str] = mapped_column(sa.Text)

    __table_args__ = (
        sa.Index(None, "document_id", "position"),
        sa.Index(None, "knowledge_base_id"),
        {"sqlite_autoincrement": True},
    )


class DocumentVectors(Base):
    """The vectors of a document's chunks in one piece, because a base is loaded whole: `chunk_ids`
    are 64-bit integers and `vectors` rows of 16-bit floats of length 1, both little-endian.
    `revision` is the base's with which they came."""

    __tablename__ = "knowledge_vectors"

    document_id: Mapped[uuid.UUID] = mapped_column(
        sa.Uuid, sa.ForeignKey("knowledge_documents.id", ondelete="CASCADE"), primary_key=True
    )
    knowledge_base_id: Mapped[uuid.UUID] = mapped_column(
        sa.Uuid, sa.ForeignKey("knowledge_bases.id", ondelete="CASCADE"), index=True
    )
    model: Mapped[str] = mapped_column(sa.String(100))
    revision: Mapped[int]
    chunk_ids: Mapped[bytes] = mapped_column(sa.LargeBinary)
    vectors: Mapped[bytes] = mapped_column(sa.LargeBinary)
