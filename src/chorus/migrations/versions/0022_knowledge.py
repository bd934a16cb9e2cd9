"""Knowledge bases, their documents, and what is found of them

Revision ID: 0022
Revises: 0021
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

from chorus.db import UtcDateTime, choice

revision: str = "0022"
down_revision: str | None = "0021"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_ZERO = sa.text("0")


def upgrade() -> None:
    op.create_table(
        "knowledge_bases",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("revision", sa.Integer(), server_default=_ZERO, nullable=False),
        sa.Column("document_count", sa.Integer(), server_default=_ZERO, nullable=False),
        sa.Column("chunk_count", sa.Integer(), server_default=_ZERO, nullable=False),
        sa.Column("characters", sa.Integer(), server_default=_ZERO, nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        _of_organization("knowledge_bases"),
        sa.PrimaryKeyConstraint("id", name="pk_knowledge_bases"),
    )
    op.create_index(
        "ix_knowledge_bases_organization_id_created_at_id",
        "knowledge_bases",
        ["organization_id", "created_at", "id"],
    )
    op.create_table(
        "knowledge_documents",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("knowledge_base_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("source", choice("text", "file", "url", name="source"), nullable=False),
        sa.Column("format", sa.String(length=10), nullable=True),
        sa.Column("charset", sa.String(length=40), nullable=True),
        sa.Column("url", sa.Text(), nullable=True),
        sa.Column("refresh_hours", sa.Integer(), nullable=True),
        sa.Column("next_refresh_at", UtcDateTime(), nullable=True),
        sa.Column("fetched_at", UtcDateTime(), nullable=True),
        sa.Column("etag", sa.Text(), nullable=True),
        sa.Column("last_modified", sa.Text(), nullable=True),
        sa.Column("status", choice("waiting", "ready", "failed", name="status"), nullable=False),
        sa.Column("problem", sa.Text(), nullable=True),
        sa.Column("attempt", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("size_bytes", sa.Integer(), server_default=_ZERO, nullable=False),
        sa.Column("page_count", sa.Integer(), nullable=True),
        sa.Column("chunk_count", sa.Integer(), server_default=_ZERO, nullable=False),
        sa.Column("characters", sa.Integer(), server_default=_ZERO, nullable=False),
        sa.Column("embedding_model", sa.String(length=100), nullable=True),
        sa.Column("read_at", UtcDateTime(), nullable=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        _of_organization("knowledge_documents"),
        _of_base("knowledge_documents"),
        sa.PrimaryKeyConstraint("id", name="pk_knowledge_documents"),
    )
    op.create_index(
        "ix_knowledge_documents_knowledge_base_id_created_at_id",
        "knowledge_documents",
        ["knowledge_base_id", "created_at", "id"],
    )
    op.create_index(
        "ix_knowledge_documents_organization_id", "knowledge_documents", ["organization_id"]
    )
    op.create_index(
        "ix_knowledge_documents_next_refresh_at",
        "knowledge_documents",
        ["next_refresh_at"],
        sqlite_where=sa.text("next_refresh_at IS NOT NULL"),
        postgresql_where=sa.text("next_refresh_at IS NOT NULL"),
    )
    op.create_table(
        "knowledge_contents",
        sa.Column("document_id", sa.Uuid(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        _of_document("knowledge_contents"),
        sa.PrimaryKeyConstraint("document_id", name="pk_knowledge_contents"),
    )
    op.create_table(
        "knowledge_chunks",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("knowledge_base_id", sa.Uuid(), nullable=False),
        sa.Column("document_id", sa.Uuid(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("page", sa.Integer(), nullable=True),
        sa.Column("heading", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        _of_base("knowledge_chunks"),
        _of_document("knowledge_chunks"),
        sa.PrimaryKeyConstraint("id", name="pk_knowledge_chunks"),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_knowledge_chunks_document_id_position", "knowledge_chunks", ["document_id", "position"]
    )
    op.create_index(
        "ix_knowledge_chunks_knowledge_base_id", "knowledge_chunks", ["knowledge_base_id"]
    )
    op.create_table(
        "knowledge_vectors",
        sa.Column("document_id", sa.Uuid(), nullable=False),
        sa.Column("knowledge_base_id", sa.Uuid(), nullable=False),
        sa.Column("model", sa.String(length=100), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("chunk_ids", sa.LargeBinary(), nullable=False),
        sa.Column("vectors", sa.LargeBinary(), nullable=False),
        _of_base("knowledge_vectors"),
        _of_document("knowledge_vectors"),
        sa.PrimaryKeyConstraint("document_id", name="pk_knowledge_vectors"),
    )
    op.create_index(
        "ix_knowledge_vectors_knowledge_base_id", "knowledge_vectors", ["knowledge_base_id"]
    )
    # What chunks are found by: each database's own, which SQLAlchemy's models cannot say.
    sqlite = op.get_bind().dialect.name == "sqlite"
    for statement in _SQLITE if sqlite else _POSTGRES:
        op.execute(statement)


def _of_organization(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["organization_id"],
        ["organizations.id"],
        name=f"fk_{table}_organization_id",
        ondelete="CASCADE",
    )


def _of_base(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["knowledge_base_id"],
        ["knowledge_bases.id"],
        name=f"fk_{table}_knowledge_base_id",
        ondelete="CASCADE",
    )


def _of_document(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["document_id"],
        ["knowledge_documents.id"],
        name=f"fk_{table}_document_id",
        ondelete="CASCADE",
    )


_SQLITE = (
    """
    CREATE VIRTUAL TABLE knowledge_words USING fts5(
        knowledge_base_id, heading, text,
        content='knowledge_chunks', content_rowid='id',
        tokenize='porter unicode61 remove_diacritics 2'
    )
    """,
    """
    CREATE TRIGGER knowledge_words_added AFTER INSERT ON knowledge_chunks BEGIN
        INSERT INTO knowledge_words (rowid, knowledge_base_id, heading, text)
        VALUES (new.id, new.knowledge_base_id, new.heading, new.text);
    END
    """,
    """
    CREATE TRIGGER knowledge_words_deleted AFTER DELETE ON knowledge_chunks BEGIN
        INSERT INTO knowledge_words (knowledge_words, rowid, knowledge_base_id, heading, text)
        VALUES ('delete', old.id, old.knowledge_base_id, old.heading, old.text);
    END
    """,
)
_POSTGRES = (
    """
    CREATE TABLE knowledge_words (
        chunk_id bigint PRIMARY KEY REFERENCES knowledge_chunks (id) ON DELETE CASCADE,
        knowledge_base_id uuid NOT NULL,
        words tsvector NOT NULL
    )
    """,
    # Without a list of what is still to be sorted in, which each question would walk through.
    "CREATE INDEX ix_knowledge_words_words ON knowledge_words USING gin (words) "
    "WITH (fastupdate = off)",
    "CREATE INDEX ix_knowledge_words_base ON knowledge_words (knowledge_base_id)",
)


def downgrade() -> None:
    raise NotImplementedError("a schema goes only forward; restore a backup instead")
