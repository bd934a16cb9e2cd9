"""Chunks by their words, on SQLite (`words_sqlite.py`) and Postgres (`words_postgres.py`) alike.

A question's words are looked up one by one first: how many chunks have each. Words that many chunks
have say little and cost most, so only the rarer ones are searched for, as far as all of them
together are in `BUDGET` chunks. That needs no list of stop words for any language. Where all words
are frequent, the chunks that have all of them are taken. Which words are in `BUDGET` chunks or more
is remembered for a while (`Frequent`), because questions share those and counting them takes
longest.

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

from sqlalchemy.ext.asyncio import AsyncSession

from chorus.knowledge import words_postgres, words_sqlite
from chorus.knowledge.word_index import Having, WordIndex

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
    await _index(session).add(session, document_id)


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
    known |= dict.fromkeys(skipped, Having(BUDGET))
    some = sorted((its.count, word) for word, its in known.items() if its.count)
    most = min(BUDGET - 1, max(_FEW, round(SHARE * chunk_count)))
    rare: list[tuple[str, float, Having]] = []
    total = 0
    for number, word in some:
        total += number
        if number > most or total > BUDGET:
            break
        weight = math.log(1 + (chunk_count - number + 0.5) / (number + 0.5))
        rare.append((word, weight, known[word]))
    index = _index(session)
    if rare:
        return await index.best(session, base_ids, rare, _NEAR, count)
    frequents = [word for _, word in some]
    if not frequents:
        return []
    return await index.shortest_with_all(session, base_ids, frequents, _NEAR, count)


async def _look_up(
    session: AsyncSession, base_ids: Sequence[uuid.UUID], words: Sequence[str]
) -> dict[str, Having]:
    return await _index(session).having(session, base_ids, words, BUDGET)


def _index(session: AsyncSession) -> WordIndex:
    return words_sqlite if session.get_bind().dialect.name == "sqlite" else words_postgres
