"""Chunks by their words: FTS5 on SQLite, `tsvector` on Postgres, asked in the same way.

A question's words are looked up one by one first: how many chunks have each. Words that many chunks
have say little and cost most, so only the rarer ones are searched for, as far as all of them
together are in `BUDGET` chunks. That needs no list of stop words for any language. Where all words
are frequent, the chunks that have all of them are taken.

SQLite ranks by BM25. Postgres has no such measure: there each word counts by how rare it is, times
`ts_rank` of that word alone, which grows ever more slowly with how often it is in the chunk and
falls with the chunk's length.

Words are reduced to their stems as in English (Porter, on both), which does other languages little
harm; without spaces between words (Chinese, Thai) a text is found by its vectors alone.
"""

from __future__ import annotations

import math
import re
import uuid
from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

BUDGET = 2000
SHARE = 0.2
"""Of the chunks: a word that more of them have is a frequent one."""
_FEW = 3
MOST_WORDS = 24
_WORD = re.compile(r"[^\W_]+")


async def add(session: AsyncSession, document_id: uuid.UUID) -> None:
    """Index the chunks of a document; taking them out again is done by the database."""
    if _is_sqlite(session):
        return  # a trigger has done it
    await session.execute(
        sa.text(
            "INSERT INTO knowledge_words (chunk_id, knowledge_base_id, words) "
            "SELECT id, knowledge_base_id, to_tsvector('english', heading || ' ' || text) "
            "FROM knowledge_chunks WHERE document_id = :document"
        ),
        {"document": document_id},
    )


async def ranked(
    session: AsyncSession,
    base_ids: Sequence[uuid.UUID],
    question: str,
    count: int,
    chunk_count: int,
) -> list[int]:
    """The ids of the chunks that fit best, the best first. `chunk_count`: of all in the bases."""
    words = list(dict.fromkeys(word.lower() for word in _WORD.findall(question)))[:MOST_WORDS]
    if not words or not base_ids:
        return []
    known = await _counts(session, base_ids, words)
    some = sorted((number, word) for word, number in known.items() if number)
    most = min(BUDGET - 1, max(_FEW, round(SHARE * chunk_count)))
    rare: list[tuple[int, str]] = []
    total = 0
    for number, word in some:
        total += number
        if number > most or total > BUDGET:
            break
        rare.append((number, word))
    if rare:
        return await _any_of(session, base_ids, rare, count)
    return await _any_of(session, base_ids, some, count, all_of_them=True) if some else []


async def _counts(
    session: AsyncSession, base_ids: Sequence[uuid.UUID], words: Sequence[str]
) -> dict[str, int]:
    """How many chunks have each word; it is not counted further than `BUDGET`."""
    sqlite = _is_sqlite(session)
    one = _COUNT_SQLITE if sqlite else _COUNT_POSTGRES
    values: dict[str, object] = {"most": BUDGET}
    if not sqlite:
        values["bases"] = list(base_ids)
    parts: list[str] = []
    for place, word in enumerate(words):
        values[f"w{place}"] = _match(base_ids, [word], " OR ") if sqlite else word
        parts.append(one.format(place=place))
    rows = await session.execute(sa.text(" UNION ALL ".join(parts)), values)
    return {words[int(row[0])]: int(row[1]) for row in rows}


async def _any_of(
    session: AsyncSession,
    base_ids: Sequence[uuid.UUID],
    words: Sequence[tuple[int, str]],
    count: int,
    *,
    all_of_them: bool = False,
) -> list[int]:
    values: dict[str, object] = {"most": 2 * BUDGET, "count": count}
    if _is_sqlite(session):
        joint = " AND " if all_of_them else " OR "
        values["match"] = _match(base_ids, [word for _, word in words], joint)
        statement = _FIND_SQLITE
    else:
        values["bases"] = list(base_ids)
        values["any"] = (" & " if all_of_them else " | ").join(word for _, word in words)
        weights: list[str] = []
        for place, (number, word) in enumerate(words):
            values[f"w{place}"] = word
            values[f"i{place}"] = math.log(1 + 100 * BUDGET / number)
            weights.append(_WEIGHT_POSTGRES.format(place=place))
        statement = _FIND_POSTGRES.format(score=" + ".join(weights))
    rows = await session.execute(sa.text(statement), values)
    return [id for (id,) in rows]


def _match(base_ids: Sequence[uuid.UUID], words: Sequence[str], joint: str) -> str:
    """A query of FTS5: words are only letters and digits, so none of it is a stranger's syntax."""
    bases = " OR ".join(f'"{id.hex}"' for id in base_ids)
    wanted = joint.join(f'"{word}"' for word in words)
    return f"knowledge_base_id : ({bases}) AND {{heading text}} : ({wanted})"


def _is_sqlite(session: AsyncSession) -> bool:
    return session.get_bind().dialect.name == "sqlite"


_COUNT_SQLITE = (
    "SELECT {place}, (SELECT count(*) FROM (SELECT 1 FROM knowledge_words "
    "WHERE knowledge_words MATCH :w{place} LIMIT :most))"
)
_COUNT_POSTGRES = (
    "SELECT {place}, (SELECT count(*) FROM (SELECT 1 FROM knowledge_words "
    "WHERE knowledge_base_id = ANY(:bases) "
    "AND words @@ to_tsquery('english', :w{place}) LIMIT :most) AS found)"
)
_FIND_SQLITE = (
    "SELECT id FROM (SELECT rowid AS id, bm25(knowledge_words, 0.0, 1.0, 1.0) AS score "
    "FROM knowledge_words WHERE knowledge_words MATCH :match LIMIT :most) "
    "ORDER BY score LIMIT :count"
)
_WEIGHT_POSTGRES = "CAST(:i{place} AS float8) * ts_rank(words, to_tsquery('english', :w{place}), 1)"
_FIND_POSTGRES = (
    "SELECT chunk_id FROM (SELECT chunk_id, {score} AS score FROM knowledge_words "
    "WHERE knowledge_base_id = ANY(:bases) AND words @@ to_tsquery('english', :any) "
    "LIMIT :most) AS found ORDER BY score DESC, chunk_id LIMIT :count"
)
