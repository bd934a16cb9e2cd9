"""Chunks by their words on SQLite: FTS5, which counts in its index and reads no row for it."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from chorus.knowledge.word_index import Having


async def add(session: AsyncSession, document_id: uuid.UUID) -> None:
    """A trigger has done it."""


async def having(
    session: AsyncSession, base_ids: Sequence[uuid.UUID], words: Sequence[str], most: int
) -> dict[str, Having]:
    values: dict[str, object] = {"most": most}
    for place, word in enumerate(words):
        values[f"w{place}"] = _match(base_ids, [word], " OR ")
    counts = " UNION ALL ".join(_COUNT.format(place=place) for place in range(len(words)))
    rows = await session.execute(sa.text(counts), values)
    return {words[int(place)]: Having(int(count)) for place, count in rows}


async def best(
    session: AsyncSession,
    base_ids: Sequence[uuid.UUID],
    words: Sequence[tuple[str, float, Having]],
    near: int,
    count: int,
) -> list[int]:
    values: dict[str, object] = {"near": near, "count": count}
    for place, (word, weight, _) in enumerate(words):
        values[f"w{place}"] = _match(base_ids, [word], " OR ")
        values[f"i{place}"] = weight
    parts = " UNION ALL ".join(_WITH.format(place=place) for place in range(len(words)))
    rows = await session.execute(sa.text(_BEST.format(parts=parts)), values)
    return [id for (id,) in rows]


async def shortest_with_all(
    session: AsyncSession,
    base_ids: Sequence[uuid.UUID],
    words: Sequence[str],
    most: int,
    count: int,
) -> list[int]:
    all_of = _match(base_ids, words, " AND ")
    rows = await session.execute(_SHORTEST, {"most": most, "count": count, "all": all_of})
    return [id for (id,) in rows]


def _match(base_ids: Sequence[uuid.UUID], words: Sequence[str], joint: str) -> str:
    """A query of FTS5: words are only letters and digits, so none of it is a stranger's syntax."""
    bases = " OR ".join(f'"{id.hex}"' for id in base_ids)
    wanted = joint.join(f'"{word}"' for word in words)
    return f"knowledge_base_id : ({bases}) AND {{heading text}} : ({wanted})"


_COUNT = (
    "SELECT {place}, (SELECT count(*) FROM (SELECT 1 FROM knowledge_words "
    "WHERE knowledge_words MATCH :w{place} LIMIT :most))"
)
_WITH = (
    "SELECT rowid AS id, :i{place} AS score FROM knowledge_words "
    "WHERE knowledge_words MATCH :w{place}"
)
# As `words_postgres.best` does it.
_BEST = (
    "WITH near AS (SELECT id, sum(score) AS score FROM ({parts}) AS one GROUP BY id "
    "ORDER BY score DESC, id LIMIT :near), "
    "long AS (SELECT near.id AS id, near.score AS score, length(chunk.text) AS length "
    "FROM near JOIN knowledge_chunks AS chunk ON chunk.id = near.id) "
    "SELECT id FROM long ORDER BY "
    "score / (1 + 1.2 * (0.25 + 0.75 * length / (SELECT avg(length) FROM long))) DESC, id "
    "LIMIT :count"
)
_SHORTEST = sa.text(
    "SELECT chunk.id FROM (SELECT rowid AS id FROM knowledge_words "
    "WHERE knowledge_words MATCH :all LIMIT :most) AS found JOIN knowledge_chunks AS chunk "
    "ON chunk.id = found.id ORDER BY length(chunk.text), chunk.id LIMIT :count"
)
