"""Chunks by their words: FTS5 on SQLite, `tsvector` on Postgres, asked in the same way.

A question's words are looked up one by one first: how many chunks have each. Words that many chunks
have say little and cost most, so only the rarer ones are searched for, as far as all of them
together are in `BUDGET` chunks. That needs no list of stop words for any language. Where all words
are frequent, the chunks that have all of them are taken. Which words are in `BUDGET` chunks or more
is remembered for a while (`Frequent`), because questions share those and counting them takes
longest.

On Postgres each chunk that is counted costs a page of the table, whose rows are large, so the ids
come with the count and no page is read twice; FTS5 counts in its index alone.

Both rank in the same way: by BM25, in which each word of the question counts once for a chunk that
has it, by how rare it is, and less in a longer chunk. How often a chunk has a word says little in
so short a text, and neither database tells it cheaply: FTS5's own `bm25` walks through all chunks
of the base, once for each question, which took more time than all the rest.

Words are reduced to their stems as in English (Porter, on both), which does other languages little
harm; without spaces between words (Chinese, Thai) a text is found by its vectors alone.
"""

from __future__ import annotations

import math
import re
import time
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

BUDGET = 1000
SHARE = 0.2
"""Of the chunks: a word that more of them have is a frequent one."""
_FEW = 3
_NEAR = 200
"""Of those found, how many are measured against their length."""
MOST_WORDS = 24
_REMEMBERED_S = 600.0
_REMEMBERED_WORDS = 5000
_REMEMBERED_BASES = 500
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


class Frequent:
    """One a process: words that `BUDGET` chunks or more have, by the bases that were asked.
    `now` counts seconds."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._known: dict[frozenset[uuid.UUID], dict[str, float]] = {}

    def among(self, base_ids: Sequence[uuid.UUID], words: Iterable[str]) -> set[str]:
        since, known = self._now() - _REMEMBERED_S, self._of(base_ids)
        return {word for word in words if known.get(word, -math.inf) > since}

    def note(self, base_ids: Sequence[uuid.UUID], words: Iterable[str]) -> None:
        known = self._of(base_ids)
        for word in words:
            known.pop(word, None)
            known[word] = self._now()
        while len(known) > _REMEMBERED_WORDS:
            known.pop(next(iter(known)))

    def _of(self, base_ids: Sequence[uuid.UUID]) -> dict[str, float]:
        key = frozenset(base_ids)
        known = self._known[key] = self._known.pop(key, {})
        while len(self._known) > _REMEMBERED_BASES:
            self._known.pop(next(iter(self._known)))
        return known


async def ranked(
    session: AsyncSession,
    base_ids: Sequence[uuid.UUID],
    question: str,
    count: int,
    chunk_count: int,
    frequent: Frequent,
) -> list[int]:
    """The ids of the chunks that fit best, the best first. `chunk_count`: of all in the bases."""
    words = list(dict.fromkeys(word.lower() for word in _WORD.findall(question)))[:MOST_WORDS]
    if not words or not base_ids:
        return []
    skipped = frequent.among(base_ids, words)
    counted = [word for word in words if word not in skipped]
    known = await _look_up(session, base_ids, counted) if counted else {}
    frequent.note(base_ids, (word for word, its in known.items() if its.count >= BUDGET))
    known |= dict.fromkeys(skipped, _Known(BUDGET))
    some = sorted((its.count, word) for word, its in known.items() if its.count)
    most = min(BUDGET - 1, max(_FEW, round(SHARE * chunk_count)))
    rare: list[tuple[str, _Known]] = []
    total = 0
    for number, word in some:
        total += number
        if number > most or total > BUDGET:
            break
        rare.append((word, known[word]))
    if rare:
        return await _any_of(session, base_ids, rare, count, chunk_count)
    return await _all_of(session, base_ids, [word for _, word in some], count) if some else []


@dataclass(frozen=True, slots=True)
class _Known:
    """Of a word: in how many chunks it is, up to `BUDGET`, and on Postgres in which."""

    count: int
    ids: Sequence[int] = field(default=(), repr=False)


async def _look_up(
    session: AsyncSession, base_ids: Sequence[uuid.UUID], words: Sequence[str]
) -> dict[str, _Known]:
    sqlite = _is_sqlite(session)
    one = _COUNT_SQLITE if sqlite else _IDS_POSTGRES
    values: dict[str, object] = {"most": BUDGET}
    if not sqlite:
        values["bases"] = list(base_ids)
    parts: list[str] = []
    for place, word in enumerate(words):
        values[f"w{place}"] = _match(base_ids, [word], " OR ") if sqlite else word
        parts.append(one.format(place=place))
    rows = await session.execute(sa.text(" UNION ALL ".join(parts)), values)
    if sqlite:
        return {words[int(row[0])]: _Known(int(row[1])) for row in rows}
    return {words[int(row[0])]: _Known(len(row[1]), row[1]) for row in rows}


async def _any_of(
    session: AsyncSession,
    base_ids: Sequence[uuid.UUID],
    words: Sequence[tuple[str, _Known]],
    count: int,
    chunk_count: int,
) -> list[int]:
    """The chunks with any of the words, by how rare those are that they have."""
    sqlite = _is_sqlite(session)
    values: dict[str, object] = {"near": _NEAR, "count": count}
    one = _WITH_SQLITE if sqlite else _WITH_POSTGRES
    parts: list[str] = []
    for place, (word, its) in enumerate(words):
        values[f"w{place}"] = _match(base_ids, [word], " OR ") if sqlite else list(its.ids)
        values[f"i{place}"] = math.log(1 + (chunk_count - its.count + 0.5) / (its.count + 0.5))
        parts.append(one.format(place=place))
    rows = await session.execute(sa.text(_BEST.format(parts=" UNION ALL ".join(parts))), values)
    return [id for (id,) in rows]


async def _all_of(
    session: AsyncSession, base_ids: Sequence[uuid.UUID], words: Sequence[str], count: int
) -> list[int]:
    """Some of the chunks with all of the words, the shortest first."""
    sqlite = _is_sqlite(session)
    values: dict[str, object] = {"near": _NEAR, "count": count}
    if sqlite:
        values["all"] = _match(base_ids, words, " AND ")
    else:
        values |= {"bases": list(base_ids), "all": " & ".join(words)}
    part = _ALL_SQLITE if sqlite else _ALL_POSTGRES
    rows = await session.execute(sa.text(_SHORTEST.format(part=part)), values)
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
_IDS_POSTGRES = (
    "SELECT {place}, ARRAY(SELECT chunk_id FROM knowledge_words "
    "WHERE knowledge_base_id = ANY(:bases) "
    "AND words @@ to_tsquery('english', :w{place}) LIMIT :most)"
)
_WITH_SQLITE = (
    "SELECT rowid AS id, :i{place} AS score FROM knowledge_words "
    "WHERE knowledge_words MATCH :w{place}"
)
_WITH_POSTGRES = (
    "SELECT id, CAST(:i{place} AS float8) AS score FROM unnest(CAST(:w{place} AS bigint[])) AS id"
)
_BEST = (
    "WITH near AS (SELECT id, sum(score) AS score FROM ({parts}) AS one GROUP BY id "
    "ORDER BY score DESC, id LIMIT :near), "
    "long AS (SELECT near.id AS id, near.score AS score, length(chunk.text) AS length "
    "FROM near JOIN knowledge_chunks AS chunk ON chunk.id = near.id) "
    "SELECT id FROM long ORDER BY "
    "score / (1 + 1.2 * (0.25 + 0.75 * length / (SELECT avg(length) FROM long))) DESC, id "
    "LIMIT :count"
)
_ALL_SQLITE = "SELECT rowid AS id FROM knowledge_words WHERE knowledge_words MATCH :all LIMIT :near"
_ALL_POSTGRES = (
    "SELECT chunk_id AS id FROM knowledge_words WHERE knowledge_base_id = ANY(:bases) "
    "AND words @@ to_tsquery('english', :all) LIMIT :near"
)
_SHORTEST = (
    "SELECT chunk.id FROM ({part}) AS found JOIN knowledge_chunks AS chunk "
    "ON chunk.id = found.id ORDER BY length(chunk.text), chunk.id LIMIT :count"
)
