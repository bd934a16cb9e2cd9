"""Finding passages: by their words and by their meaning, and the two together.

Both ways are asked at the same time and give up to `_RANKED` chunks each. A chunk's place in each
list counts 1 / (60 + place), words half as much, and the sums decide (reciprocal rank fusion,
Cormack and others 2009): no measure of the one has to be compared with the other's. What the
vectors find is left out below the model's floor: nothing found is better than something wrong.
Whichever way has no answer when the time is up is left out.
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from chorus.db import Database, scoped
from chorus.knowledge import words
from chorus.knowledge.embedding.embedder import Embedder, Told
from chorus.knowledge.shelf import Shelf
from chorus.knowledge.tables import Chunk, Document, KnowledgeBase
from chorus.knowledge.vectors import Vector
from chorus.speech.engines import EngineFailed
from chorus.talk.knowledge import Embedded, Found, Passage, Way

log = logging.getLogger(__name__)

MOST_CHARACTERS = 3500
_RANKED = 40
_REMEMBERED = 10_000
_RANK_BASE = 60
_WEIGHTS: dict[Way, float] = {"words": 0.5, "meaning": 1.0}
"""By bench/knowledge: callers ask in words of their own, of which some are in any text."""
_READING_S = 0.010
"""Of the time, what is kept for reading the passages themselves."""

PASSAGE = (
    *(Chunk.id, Chunk.text, Chunk.heading, Chunk.page),
    *(Document.id, Document.name, Document.url),
)
"""What `passage_of` takes."""

Scored = dict[int, float]
Known = dict[uuid.UUID, sa.Row[uuid.UUID, int, int, str | None]]
"""Bases: id, revision, chunk_count, embedding_model."""


EmbeddersOf = Callable[[uuid.UUID, str | None], Awaitable[Embedder | None]]
"""See `embedding.choice.Embedders.of`."""


@dataclass(frozen=True, slots=True)
class _Vector:
    """A question's, by one model."""

    model: str
    floor: float
    vector: Vector


@dataclass(frozen=True, slots=True)
class _Ask:
    organization_id: uuid.UUID
    question: str
    embedders: EmbeddersOf
    told: Told | None

    async def vector(self, model: str | None) -> _Vector | None:
        """None where a base that names no model has none. Raises `EngineFailed`."""
        embedder = await self.embedders(self.organization_id, model)
        if embedder is None:
            return None
        vector = await embedder.question(self.question, self.told)
        return _Vector(embedder.name, embedder.floor, vector)

    async def needed(
        self, model: str | None, ahead: asyncio.Task[_Vector | None] | None
    ) -> _Vector | None:
        """As `vector`, for a base: a failure is told of. `ahead`: of the model of bases that name
        none, where it was begun already."""
        try:
            return await (ahead if ahead and model is None else self.vector(model))
        except EngineFailed as failure:
            if self.told is not None:
                self.told(Embedded(failure.vendor, failure=failure.detail))
            raise


class Search:
    """One a process."""

    def __init__(self, database: Database, shelf: Shelf) -> None:
        self._database = database
        self._shelf = shelf
        self._frequent = words.Frequent()
        self._running: set[asyncio.Task[Any]] = set()
        self._models: dict[uuid.UUID, str | None] = {}
        """Of bases that were asked: what they named when they were."""

    async def find(
        self,
        organization_id: uuid.UUID,
        base_ids: Sequence[uuid.UUID],
        question: str,
        *,
        embedders: EmbeddersOf | None,
        count: int,
        within_s: float,
        told: Told | None = None,
    ) -> Found:
        """Passages out of those of `base_ids` that are the organization's; without `embedders`
        they are found by their words alone. `told` hears of each request to a vendor, which may
        end after `within_s`. Never raises."""
        begun_s = time.monotonic()
        until_s = begun_s + within_s
        mine: asyncio.Future[Known] = asyncio.get_running_loop().create_future()
        asked: dict[Way, asyncio.Task[list[int] | None]] = {
            "words": self._begin(self._by_words(organization_id, base_ids, question, mine))
        }
        if embedders is not None:
            ask = _Ask(organization_id, question, embedders, told)
            # What is needed most often need not wait for what the bases are.
            ahead = None
            if any(self._models.get(id) is None for id in base_ids):
                ahead = self._begin(ask.vector(None))
            asked["meaning"] = self._begin(self._by_meaning(ask, mine, ahead))
        await asyncio.wait(asked.values(), timeout=max(0.0, within_s - _READING_S))
        ranks: dict[Way, list[int]] = {}
        problem: str | None = None
        skipped = 0
        for way, task in asked.items():
            if not task.done():
                continue
            failure = task.exception()
            if failure is None:
                found = task.result()
                if found is not None:
                    ranks[way] = found
                else:
                    skipped += 1
            elif isinstance(failure, EngineFailed):
                log.warning("looking up by %s: %s", way, failure)
                skipped += 1
            else:
                log.warning("looking up by %s failed: %s", way, failure)
                problem = "The documents cannot be searched at the moment."
        scores = fused(ranks)
        best = sorted(scores, key=lambda id: (-scores[id], id))[:count]
        passages: tuple[Passage, ...] = ()
        late = len(ranks) + skipped < len(asked)
        if best:
            reading = self._begin(self._passages(organization_id, best))
            await asyncio.wait({reading}, timeout=max(0.0, until_s - time.monotonic()))
            if not reading.done():
                late, ranks = True, {}
            elif reading.exception() is not None:
                problem, ranks = "The documents cannot be searched at the moment.", {}
            else:
                passages = chosen(best, scores, reading.result())
        return Found(
            question,
            passages,
            tuple(ranks),
            elapsed_ms=1000 * (time.monotonic() - begun_s),
            late=late,
            problem=problem if not ranks else None,
        )

    async def aclose(self) -> None:
        if self._running:
            await asyncio.wait(tuple(self._running), timeout=5)

    def _begin(self, work: Any) -> asyncio.Task[Any]:
        """Never cancelled: a statement that is broken off costs its connection. It ends soon."""
        task = asyncio.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled():
            task.exception()  # looked at: who asked may have gone

    async def _by_words(
        self,
        organization_id: uuid.UUID,
        base_ids: Sequence[uuid.UUID],
        question: str,
        mine: asyncio.Future[Known],
    ) -> list[int]:
        """Tells `mine`, too, what the bases are."""
        try:
            async with self._database.reading() as session:
                bases = await known(session, organization_id, base_ids)
                mine.set_result(bases)
                self._remember(bases)
                total = sum(base.chunk_count for base in bases.values())
                return await words.ranked(
                    session, list(bases), question, _RANKED, total, self._frequent
                )
        finally:
            if not mine.done():
                mine.cancel()

    def _remember(self, bases: Known) -> None:
        for id, base in bases.items():
            self._models.pop(id, None)
            self._models[id] = base.embedding_model
        while len(self._models) > _REMEMBERED:
            self._models.pop(next(iter(self._models)))

    async def _by_meaning(
        self,
        ask: _Ask,
        mine: asyncio.Future[Known],
        ahead: asyncio.Task[_Vector | None] | None,
    ) -> list[int] | None:
        """None where no base has a model that is here."""
        try:
            bases = await mine
        except asyncio.CancelledError:
            # Nothing looked up is not nothing found: the other way has said why.
            raise ConnectionError("what the bases are is not known") from None
        by_model: dict[str | None, list[tuple[uuid.UUID, int]]] = {}
        for id, base in bases.items():
            by_model.setdefault(base.embedding_model, []).append((id, base.revision))
        vectors = await asyncio.gather(
            *(ask.needed(model, ahead) for model in by_model), return_exceptions=True
        )
        lists: list[list[int]] = []
        failures: list[BaseException] = []
        for one, of_model in zip(vectors, by_model.values(), strict=True):
            if isinstance(one, BaseException):
                failures.append(one)
            elif one is not None:
                lists.append(await self._nearest(one, of_model))
        if failures and not lists:
            raise failures[0]
        # Cosines of two models mean different things: their lists take turns.
        turns = (id for place in zip_longest(*lists) for id in place if id is not None)
        return list(turns)[:_RANKED] if lists else None

    async def _nearest(self, asked: _Vector, bases: Sequence[tuple[uuid.UUID, int]]) -> list[int]:
        found: list[tuple[int, float]] = []
        for id, revision in bases:
            base = await self._shelf.base(id, revision, asked.model)
            found += await asyncio.to_thread(base.nearest, asked.vector, _RANKED)
        found.sort(key=lambda pair: -pair[1])
        return [id for id, cosine in found[:_RANKED] if cosine >= asked.floor]

    async def _passages(self, organization_id: uuid.UUID, ids: Sequence[int]) -> dict[int, Passage]:
        async with self._database.reading() as session:
            rows = await session.execute(
                sa.select(*PASSAGE)
                .join(Document, Document.id == Chunk.document_id)
                .where(Chunk.id.in_(ids), Document.organization_id == organization_id)
            )
            return {passage.chunk_id: passage for passage in map(passage_of, rows)}


def passage_of(row: Any) -> Passage:
    id, text, heading, page, document, name, url = row
    return Passage(id, str(document), name, text, heading, page, url)


async def known(
    session: AsyncSession, organization_id: uuid.UUID, base_ids: Sequence[uuid.UUID]
) -> Known:
    """Those of `base_ids` that are the organization's."""
    rows = await session.execute(
        scoped(KnowledgeBase, organization_id)
        .where(KnowledgeBase.id.in_(base_ids))
        .with_only_columns(
            KnowledgeBase.id,
            KnowledgeBase.revision,
            KnowledgeBase.chunk_count,
            KnowledgeBase.embedding_model,
        )
    )
    return {row.id: row for row in rows}


def fused(ranks: Mapping[Way, Sequence[int]]) -> Scored:
    """Ids by the sum of weight / (60 + place) over the lists that they are in."""
    scores: Scored = {}
    for way, ids in ranks.items():
        for place, id in enumerate(ids, start=1):
            scores[id] = scores.get(id, 0.0) + _WEIGHTS[way] / (_RANK_BASE + place)
    return scores


def chosen(
    best: Sequence[int], scores: Mapping[int, float], passages: Mapping[int, Passage]
) -> tuple[Passage, ...]:
    """In their order, until they are `MOST_CHARACTERS`; what was deleted meanwhile is missing."""
    found: list[Passage] = []
    characters = 0
    for id in best:
        passage = passages.get(id)
        if passage is None:
            continue
        characters += len(passage.text)
        if found and characters > MOST_CHARACTERS:
            break
        found.append(replace(passage, score=scores[id]))
    return tuple(found)
