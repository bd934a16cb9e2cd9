"""On Postgres, words and parts of numbers are searched for day by day, the newest first

Revision ID: 0034
Revises: 0033

An index of words alone says which calls have a word, not which of them are new: of one that is in
most calls Postgres fetched them all. Now each entry is of one organization and one day, as a hash
of the three: `call_search` looks at the last day, then at the four before, the sixteen before
those, until it has enough. Hashes that are the same by chance are as rare as a call found too many
(1 in 2^64), and shorter than words. SQLite's index has an order already.
"""

# ruff: noqa: S608  our own words

from __future__ import annotations

from collections.abc import Sequence

from alembic import op

revision: str = "0034"
down_revision: str | None = "0033"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_DAY = "floor(extract(epoch FROM {}) / 86400)::bigint"
_TERMS = "call_terms(organization_id, created_at, customer_number, transcript, metadata)"
INDEX = f"CREATE INDEX ix_calls_terms ON calls USING gin ({_TERMS})"
POSTGRES = (
    "DROP INDEX ix_calls_words",
    "DROP INDEX ix_calls_pieces",
    # `kind` is 0 for words and 1 for pieces of numbers. A day is the same in every time zone here.
    "CREATE FUNCTION call_key(owner uuid, day bigint, kind int, term text) RETURNS bigint "
    "LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ "
    "SELECT hashtextextended(term, hashtextextended(owner::text, day * 2 + kind)) $$",
    # Whatever builds an index sees no schema but Postgres's own, hence the path.
    "CREATE FUNCTION call_terms(owner uuid, at timestamptz, number text, transcript jsonb, "
    "metadata jsonb) RETURNS bigint[] LANGUAGE sql IMMUTABLE PARALLEL SAFE COST 10000 "
    "SET search_path FROM CURRENT AS $$ "
    f"SELECT array_agg(call_key(owner, {_DAY.format('at')}, kind, term)) FROM ("
    "SELECT 0 AS kind, unnest(tsvector_to_array(call_words(transcript, metadata))) AS term "
    "UNION ALL SELECT 1, unnest(call_pieces(number))) found $$",
    INDEX,
    "CREATE FUNCTION call_search(owner uuid, kind int, terms text[], most int) RETURNS SETOF uuid "
    "LANGUAGE plpgsql STABLE SET enable_seqscan = off AS $$ DECLARE "
    "first bigint; since bigint; until bigint; days bigint := 1; found int; filter text; BEGIN "
    f"SELECT {_DAY.format('min(created_at)')}, {_DAY.format('max(created_at)')} INTO first, until "
    "FROM calls WHERE organization_id = owner; "
    "WHILE until >= first AND most > 0 AND cardinality(terms) > 0 LOOP "
    "since := greatest(first, until - days + 1); "
    f"SELECT string_agg(format('{_TERMS} && %L::bigint[]', (SELECT array_agg("
    "call_key(owner, day, kind, term)) FROM generate_series(since, until) day)), ' AND ') "
    "INTO filter FROM unnest(terms) term; "
    # Nothing but the terms, or it walks by time and computes the words of each call. Postgres
    # thinks that it must compute them of each that the index has, too, and would rather walk.
    "RETURN QUERY EXECUTE format('WITH found AS MATERIALIZED (SELECT id, created_at, "
    "organization_id FROM calls WHERE %s) SELECT id FROM found WHERE organization_id = $1 "
    "ORDER BY created_at DESC, id DESC LIMIT $2', filter) USING owner, most; "
    "GET DIAGNOSTICS found = ROW_COUNT; "
    "most := most - found; until := since - 1; days := days * 4; "
    "END LOOP; END $$",
)


def upgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        return
    for statement in POSTGRES:
        # A percent sign is the driver's own.
        op.get_bind().exec_driver_sql(statement.replace("%", "%%"))


def downgrade() -> None:
    raise NotImplementedError("a schema goes only forward; restore a backup instead")
