"""Chunks by their words on Postgres: which have a word, and how long they are.

A word is a number: of the base and of the word's stem as `to_tsvector('english', …)` makes it. So
each base has its own words in the index, and what others have makes no question slower. An index of
that kind (GIN) leads to a row for each chunk that is counted, each on another page of the table. So
rows hold numbers and no text, because few pages stay in memory, and the length, because then
nothing else has to be read to rank them.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from chorus.knowledge.word_index import Having


async def add(session: AsyncSession, document_id: uuid.UUID) -> None:
    await session.execute(_ADD, {"document": document_id})


async def having(
    session: AsyncSession, base_ids: Sequence[uuid.UUID], words: Sequence[str], most: int
) -> dict[str, Having]:
    values = {"bases": list(base_ids), "words": list(words), "most": most}
    rows = await session.execute(_HAVING, values)
    return {
        word: Having(len(ids), dict(zip(ids, lengths, strict=True))) for word, ids, lengths in rows
    }


async def best(
    session: AsyncSession,
    base_ids: Sequence[uuid.UUID],
    words: Sequence[tuple[str, float, Having]],
    near: int,
    count: int,
) -> list[int]:
    """All that is needed is here already."""
    scores: dict[int, float] = {}
    lengths: dict[int, int] = {}
    for _, weight, its in words:
        lengths |= its.lengths
        for id in its.lengths:
            scores[id] = scores.get(id, 0.0) + weight
    nearest = sorted(scores, key=lambda id: (-scores[id], id))[:near]
    mean = sum(lengths[id] for id in nearest) / max(1, len(nearest)) or 1
    measured = {id: scores[id] / (1 + 1.2 * (0.25 + 0.75 * lengths[id] / mean)) for id in nearest}
    return sorted(measured, key=lambda id: (-measured[id], id))[:count]


async def shortest_with_all(
    session: AsyncSession,
    base_ids: Sequence[uuid.UUID],
    words: Sequence[str],
    most: int,
    count: int,
) -> list[int]:
    values = {"bases": list(base_ids), "words": list(words), "most": most, "count": count}
    return list((await session.scalars(_WITH_ALL, values)).all())


_KEY = (
    "CAST(CAST('x' || left(encode(sha256(convert_to({base} || ' ' || lexeme, 'UTF8')), 'hex'), 8) "
    "AS bit(32)) AS integer)"
)
"""Not `hashtext`: another release may count otherwise, and nothing would be found any more."""
_LEXEMES = "unnest(tsvector_to_array(to_tsvector('english', {text}))) AS lexeme"


def _keys(base: str, text: str, bases_and_words: str = "") -> str:
    """The numbers of the words of `text`; null where it has none."""
    key, lexemes = _KEY.format(base=base), _LEXEMES.format(text=text)
    return f"(SELECT array_agg(DISTINCT {key}) FROM {bases_and_words}{lexemes})"  # noqa: S608  our own words


_BASES = "unnest(CAST(:bases AS uuid[])) AS base"
_WORDS = "unnest(CAST(:words AS text[])) AS word"
_ADD = sa.text(f"""
    INSERT INTO knowledge_words (chunk_id, knowledge_base_id, length, keys)
    SELECT id, knowledge_base_id, length(text),
        coalesce({_keys("knowledge_base_id", "heading || ' ' || text")}, '{{}}')
    FROM knowledge_chunks WHERE document_id = :document
""")  # noqa: S608  our own words
# The same text for any number of words, so that it is planned once a connection.
_HAVING = sa.text(f"""
    SELECT word, coalesce(ids, '{{}}'), coalesce(lengths, '{{}}') FROM {_WORDS}, LATERAL (
        SELECT array_agg(chunk_id) AS ids, array_agg(length) AS lengths FROM (
            SELECT chunk_id, length FROM knowledge_words
            WHERE knowledge_base_id = ANY(CAST(:bases AS uuid[]))
            AND keys && {_keys("base", "word", f"{_BASES}, ")} LIMIT :most
        ) AS one
    ) AS its
""")  # noqa: S608  our own words
# Where no word has a stem, there is no array, which nothing contains.
_WITH_ALL = sa.text(f"""
    SELECT chunk_id FROM {_BASES}, LATERAL (
        SELECT chunk_id, length FROM knowledge_words
        WHERE knowledge_base_id = base AND keys @> {_keys("base", "word", f"{_WORDS}, ")}
        LIMIT :most
    ) AS one ORDER BY length, chunk_id LIMIT :count
""")  # noqa: S608  our own words
