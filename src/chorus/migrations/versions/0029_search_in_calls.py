"""An index of parts of numbers, and of the words of calls

Revision ID: 0029
Revises: 0028

On SQLite a table of FTS5 without texts of its own, kept by triggers; `call_places` gives each call
the number by which it knows it. On Postgres two indexes on functions. Neither needs an extension.
A part of a number is found by pieces of three characters.
"""

# ruff: noqa: S608  our own words

from __future__ import annotations

from collections.abc import Sequence

from alembic import op

revision: str = "0029"
down_revision: str | None = "0028"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_LONGEST_NUMBER = 64


def _columns(row: str) -> str:
    """What the index knows of a call: whose it is, pieces of the number as hex, and words."""
    pieces = " || ' ' || ".join(
        f"hex(substr(upper({row}.customer_number), {at}, 3))"
        for at in range(1, _LONGEST_NUMBER - 1)
    )
    said = (
        "coalesce((SELECT group_concat(json_extract(value, '$.content'), ' ') "
        f"FROM json_each({row}.transcript)), '')"
    )
    told = (
        "coalesce((SELECT group_concat(atom, ' ') "
        f"FROM json_tree({row}.metadata) WHERE atom IS NOT NULL), '')"
    )
    return f"{row}.organization_id, {pieces}, {said} || ' ' || {told}"


def _place(row: str) -> str:
    return f"(SELECT place FROM call_places WHERE call_id = {row}.id)"


_CHANGED = " OR ".join(
    f"OLD.{name} IS NOT NEW.{name}" for name in ("transcript", "metadata", "customer_number")
)
_ADD = (
    "INSERT INTO call_words (rowid, owner, pieces, words) "
    f"SELECT {_place('NEW')}, {_columns('NEW')};"
)
_TAKE = (
    "INSERT INTO call_words (call_words, rowid, owner, pieces, words) "
    f"SELECT 'delete', {_place('OLD')}, {_columns('OLD')};"
)
SQLITE = (
    "CREATE TABLE call_places (place INTEGER PRIMARY KEY, call_id CHAR(32) NOT NULL UNIQUE)",
    "CREATE VIRTUAL TABLE call_words USING fts5 (owner, pieces, words, content='')",
    "INSERT INTO call_places (call_id) SELECT id FROM calls ORDER BY created_at, id",
    "INSERT INTO call_words (rowid, owner, pieces, words) "
    f"SELECT place, {_columns('calls')} FROM call_places JOIN calls ON calls.id = call_id",
    "CREATE TRIGGER calls_come AFTER INSERT ON calls BEGIN "
    f"INSERT INTO call_places (call_id) VALUES (NEW.id); {_ADD} END",
    "CREATE TRIGGER calls_change AFTER UPDATE OF transcript, metadata, customer_number ON calls "
    f"WHEN {_CHANGED} BEGIN {_TAKE} {_ADD} END",
    "CREATE TRIGGER calls_go AFTER DELETE ON calls BEGIN "
    f"{_TAKE} DELETE FROM call_places WHERE call_id = OLD.id; END",
)
POSTGRES = (
    # Dear, so that the planner computes it for as few rows as it can. What is behind the first
    # 200,000 characters is not found: an index has a limit, and a call may not fail by it.
    "CREATE FUNCTION call_words(transcript jsonb, metadata jsonb) RETURNS tsvector "
    # Whatever is no letter and no digit parts words, as on SQLite: Postgres by itself takes the
    # hyphen of A-4711 for a sign.
    "LANGUAGE sql IMMUTABLE PARALLEL SAFE COST 10000 AS $$ SELECT to_tsvector('simple'::regconfig, "
    "regexp_replace(left(coalesce((SELECT string_agg(said #>> '{}', ' ') "
    "FROM jsonb_path_query(transcript, '$[*].content') said), '') || ' ' || "
    "coalesce((SELECT string_agg(told #>> '{}', ' ') FROM jsonb_path_query(metadata, '$.**') told "
    "WHERE jsonb_typeof(told) IN ('string', 'number')), ''), 200000), "
    "'[^[:alnum:]]+', ' ', 'g')) $$",
    "CREATE FUNCTION call_pieces(number text) RETURNS text[] "
    "LANGUAGE sql IMMUTABLE PARALLEL SAFE COST 1000 AS $$ SELECT "
    "array_agg(substr(upper(number), piece, 3)) "
    "FROM generate_series(1, greatest(length(number) - 2, 1)) piece $$",
    "CREATE INDEX ix_calls_words ON calls USING gin (call_words(transcript, metadata))",
    "CREATE INDEX ix_calls_pieces ON calls USING gin (call_pieces(customer_number))",
)

# What fills SQLite's index anew, for whoever has put calls past it.
REBUILT = (
    "DELETE FROM call_places",
    "INSERT INTO call_words (call_words) VALUES ('delete-all')",
    *SQLITE[2:4],
)


def upgrade() -> None:
    statements = SQLITE if op.get_bind().dialect.name == "sqlite" else POSTGRES
    for statement in statements:
        op.get_bind().exec_driver_sql(statement)


def downgrade() -> None:
    raise NotImplementedError("a schema goes only forward; restore a backup instead")
