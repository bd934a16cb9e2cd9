"""Words of chunks on Postgres as numbers, of each base its own, in rows that are read quickly

Revision ID: 0044
Revises: 0043
"""

from __future__ import annotations

from collections.abc import Sequence

from alembic import op

revision: str = "0044"
down_revision: str | None = "0043"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_POSTGRES = (
    "DROP TABLE knowledge_words",
    """
    CREATE TABLE knowledge_words (
        chunk_id bigint PRIMARY KEY REFERENCES knowledge_chunks (id) ON DELETE CASCADE,
        knowledge_base_id uuid NOT NULL,
        length integer NOT NULL,
        keys integer[] NOT NULL
    )
    """,
    """
    INSERT INTO knowledge_words (chunk_id, knowledge_base_id, length, keys)
    SELECT id, knowledge_base_id, length(text), coalesce((
        SELECT array_agg(DISTINCT ('x' || left(encode(sha256(convert_to(
            knowledge_base_id || ' ' || lexeme, 'UTF8'
        )), 'hex'), 8))::bit(32)::int)
        FROM unnest(tsvector_to_array(to_tsvector('english', heading || ' ' || text))) AS lexeme
    ), '{}')
    FROM knowledge_chunks
    """,
    # Without a list of what is still to be sorted in, which each question would walk through.
    "CREATE INDEX ix_knowledge_words_keys ON knowledge_words USING gin (keys) "
    "WITH (fastupdate = off)",
)


def upgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        for statement in _POSTGRES:
            op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("a schema goes only forward; restore a backup instead")
