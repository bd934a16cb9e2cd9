"""Searching calls: by a part of the number, the agent's name, and words.

Each kind of search finds ids by an index of its own, the newest first and `SEARCHED` at most; the
other filters, the order and the page are decided among those. How each database keeps its index is
in the migrations that made them (0029, and 0034 for Postgres). A part of a number of less than
three characters has no index: it is in so many numbers that a page of them is soon found.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any, cast

import orjson
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession

from chorus.agents import queries as agents
from chorus.agents.tables import Agent as AgentRow
from chorus.calls.schemas import CallFilters
from chorus.calls.tables import CallRow
from chorus.db import named_like

SEARCHED = 2000
AGENTS = 20
"""Of those whose name fits, the newest are looked at."""
_PIECE = 3
_OF_WORDS, _OF_PIECES = 0, 1

_table = cast("sa.Table", CallRow.__table__)
_words = sa.table("call_words", sa.column("rowid"), sa.column("call_words"))
_places = sa.table("call_places", sa.column("place"), sa.column("call_id"))
_UPPER = {code: code - 32 for code in range(ord("a"), ord("z") + 1)}
"""Of ASCII alone, as SQLite does it."""


async def conditions(
    session: AsyncSession, organization_id: uuid.UUID, wanted: CallFilters
) -> list[sa.ColumnElement[bool]]:
    """What a call must fulfil: that it is of the organization and, where something is searched for,
    one of those that were found. Their ids are looked up first, because no planner knows how few
    they are, and would walk through all calls to find those among them."""
    found: list[sa.ColumnElement[bool]] = []
    by_ids = False
    sqlite = session.get_bind().dialect.name == "sqlite"
    if text := (wanted.text or "").strip():
        if sqlite:
            ids = _newest_by_fts(organization_id, _fts("words", text.split()))
        else:
            ids = _newest_by_terms(organization_id, _OF_WORDS, _words_of(text))
        found.append(_among(sqlite, (await session.scalars(ids)).all()))
        by_ids = True
    if part := wanted.wanted:
        named, of_ids = await _named(session, organization_id, part, sqlite)
        found += named
        by_ids = by_ids or of_ids
    own = _table.c.organization_id
    if sqlite and by_ids:
        # With a plus SQLite takes none of the indexes that begin with it, which fit the order.
        own = sa.literal_column("+calls.organization_id", sa.Uuid)
    return [own == organization_id, *found]


def _among(sqlite: bool, ids: Sequence[uuid.UUID]) -> sa.ColumnElement[bool]:
    """One of those that were found."""
    if not sqlite:
        return _table.c.id == sa.any_(sa.literal(list(ids), ARRAY(sa.Uuid)))
    given = orjson.dumps([id.hex for id in ids]).decode()
    values = sa.func.json_each(given).table_valued("value")
    return _table.c.id.in_(sa.select(sa.type_coerce(values.c.value, sa.Uuid)))


async def _named(
    session: AsyncSession, organization_id: uuid.UUID, part: str, sqlite: bool
) -> tuple[list[sa.ColumnElement[bool]], bool]:
    """The number contains `part`, or the agent's name does; and whether ids say which calls these
    may be."""
    known = agents.ids_named(organization_id, part)
    ids = (await session.scalars(known.order_by(AgentRow.created_at.desc()).limit(AGENTS))).all()
    number = named_like(_table.c.customer_number, part)
    # The pieces may be in another order in the number.
    fits = sa.or_(number, _table.c.agent_id.in_(ids)) if ids else number
    if len(part) < _PIECE:
        return [fits], False
    pieces = [part[at : at + _PIECE].translate(_UPPER) for at in range(len(part) - _PIECE + 1)]
    if sqlite:
        hexes = _fts("pieces", [piece.encode().hex() for piece in pieces])
        numbers = _newest_by_fts(organization_id, hexes)
    else:
        given = sa.literal(pieces, ARRAY(sa.Text))
        numbers = _newest_by_terms(organization_id, _OF_PIECES, given)
    some = list((await session.scalars(numbers)).all())
    if not some and len(ids) == 1:
        # Of one agent an index has the calls in their order: 50 of them need not be sought out of
        # 2,000.
        return [_table.c.agent_id == ids[0]], False
    for id in ids:
        of_agent = (
            sa.select(_table.c.id)
            .where(_table.c.organization_id == organization_id, _table.c.agent_id == id)
            .order_by(_table.c.created_at.desc(), _table.c.id.desc())
            .limit(SEARCHED // len(ids))
        )
        some += (await session.scalars(of_agent)).all()
    return [_among(sqlite, some), fits], True


def _newest_by_terms(
    organization_id: uuid.UUID, kind: int, terms: sa.ColumnElement[Any]
) -> sa.Select[Any]:
    """The ids of the newest calls that have all of `terms`, on Postgres."""
    owner = sa.literal(organization_id, sa.Uuid)
    ids = sa.func.call_search(owner, kind, terms, SEARCHED, type_=sa.Uuid)
    return sa.select(ids.column_valued("id"))


def _newest_by_fts(organization_id: uuid.UUID, kind: str) -> sa.Select[Any]:
    """The ids of the newest calls of which the expression `kind` holds, on SQLite."""
    expression = f'owner : "{organization_id.hex}" AND {kind}'
    places = (
        sa.select(_words.c.rowid)
        .where(_words.c.call_words.op("MATCH")(expression))
        .order_by(_words.c.rowid.desc())
        .limit(SEARCHED)
    )
    call_id = sa.type_coerce(_places.c.call_id, sa.Uuid).label("id")
    return sa.select(call_id).where(_places.c.place.in_(places))


def _fts(column: str, words: list[str]) -> str:
    """Every one of `words`, each as it is: a quotation mark in it is doubled."""
    quoted = " ".join('"' + word.replace('"', '""') + '"' for word in words)
    return f"{column} : ({quoted})"


def _words_of(text: str) -> sa.ColumnElement[Any]:
    """The words of `text` as Postgres parts them in calls."""
    simple = sa.literal_column("'simple'::regconfig", sa.Text)
    parted = sa.func.regexp_replace(text, "[^[:alnum:]]+", " ", "g")
    return sa.func.tsvector_to_array(sa.func.to_tsvector(simple, parted))
