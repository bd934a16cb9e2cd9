"""How long it takes to find passages in a large base: `python -m bench.knowledge`.

A base of made-up documents is written straight into the tables: words as frequent as words are
(Zipf), vectors around a few hundred centres. Each question has eight words, frequent and rare ones,
and is embedded by the real model if its files are there; else its vector is a random one. What is
measured is `Library.find` from call to passages, one question after another, everything loaded.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import tempfile
import time
import uuid
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from bench import postgres
from bench.knowledge.place import Place, opened
from chorus.db import utcnow
from chorus.knowledge import words
from chorus.knowledge.embedding.minilm_graph import WIDTH
from chorus.knowledge.tables import Chunk, Document, DocumentVectors, KnowledgeBase
from chorus.knowledge.vectors import packed
from chorus.speech.weights.manifest import EMBEDDER

VOCABULARY = 30_000
WORDS = 90
_COMMON = (
    *("the", "of", "and", "to", "a", "in", "is", "you", "that", "it", "for", "on", "are", "with"),
    *("as", "at", "be", "this", "have", "from", "or", "by"),
)
_AT_ONCE = 100


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--documents", type=int, default=10_000)
    parser.add_argument("--chunks", type=int, default=20, help="of each document")
    parser.add_argument("--questions", type=int, default=300)
    parser.add_argument("--database", choices=("sqlite", "postgres"), default="sqlite")
    parser.add_argument("--models", type=Path, default=Path("~/.cache/chorus-tests/models"))
    options = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="chorus-bench-")))
        url = None
        if options.database == "postgres":
            url = stack.enter_context(postgres.running(migrated=False)).url
        asyncio.run(measure(options, folder, url))


async def measure(options: argparse.Namespace, folder: Path, url: str | None) -> None:
    async with opened(folder, url, options.models.expanduser()) as place:
        maker = Maker(random.Random(1), np.random.default_rng(1))
        began = time.perf_counter()
        await fill(place, maker, options.documents, options.chunks)
        filled_s = time.perf_counter() - began
        embedder = place.library.embedder
        if embedder is not None:
            await embedder.warm()
        began = time.perf_counter()
        await place.find("warm")
        loaded_s = time.perf_counter() - began
        result: dict[str, Any] = {
            "database": options.database,
            "documents": options.documents,
            "chunks": options.documents * options.chunks,
            "model": embedder.name if embedder is not None else None,
            "filledS": round(filled_s, 1),
            "vectorsLoadedS": round(loaded_s, 2),
        }
        for name, by_meaning in (("words", False), ("both", True)):
            times: list[float] = []
            found = 0
            used_s = time.process_time()
            for _ in range(options.questions):
                one = await place.find(maker.question(), by_meaning=by_meaning)
                times.append(one.elapsed_ms)
                found += bool(one.passages)
            times.sort()
            used_s = time.process_time() - used_s
            result[name] = {
                # Of this process alone, whatever else the machine does.
                "cpuMs": round(1000 * used_s / options.questions, 1),
                "p50Ms": round(times[len(times) // 2], 1),
                "p95Ms": round(times[int(len(times) * 0.95)], 1),
                "p99Ms": round(times[int(len(times) * 0.99)], 1),
                "within60Ms": round(sum(ms <= 60 for ms in times) / len(times), 3),
                "withPassages": round(found / len(times), 3),
            }
        print(json.dumps(result))


class Maker:
    """Made-up text and vectors; the same from the same seeds."""

    def __init__(self, chance: random.Random, numbers: np.random.Generator) -> None:
        self._chance = chance
        self._numbers = numbers
        syllables = [a + b for a in "bdfgklmnprstvz" for b in ("a", "e", "i", "o", "u", "ar", "en")]
        made = {"".join(chance.choices(syllables, k=chance.randint(2, 4))) for _ in range(60_000)}
        self._words = [*_COMMON, *sorted(made)[:VOCABULARY]]
        chance.shuffle(self._words[len(_COMMON) :])
        weights = 1 / np.arange(1, len(self._words) + 1)
        self._weights = weights / weights.sum()
        self._centres = numbers.standard_normal((300, WIDTH))

    def texts(self, count: int) -> list[str]:
        drawn = self._numbers.choice(len(self._words), (count, WORDS), p=self._weights)
        return [" ".join(self._words[int(place)] for place in row) for row in drawn.tolist()]

    def vectors(self, count: int) -> NDArray[np.float32]:
        centres = self._centres[self._numbers.integers(0, len(self._centres), count)]
        rows = centres + self._numbers.standard_normal((count, WIDTH)) * 0.8
        return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)

    def question(self) -> str:
        """Four words as they come, and four that are rarer."""
        some = self._numbers.choice(len(self._words), 4, p=self._weights)
        rarer = self._numbers.integers(200, len(self._words), 4)
        return " ".join(self._words[int(place)] for place in [*some.tolist(), *rarer.tolist()])


async def fill(place: Place, maker: Maker, documents: int, chunks: int) -> None:
    for start in range(0, documents, _AT_ONCE):
        ids = [uuid.uuid4() for _ in range(min(_AT_ONCE, documents - start))]
        await _add(place, maker, ids, start, chunks)
    async with place.database.writing() as session:
        if not place.database.settings.is_sqlite:
            for (id,) in (await session.execute(sa.select(Document.id))).all():
                await words.add(session, id)
            await session.execute(sa.text("ANALYZE"))
        await session.execute(
            sa.update(KnowledgeBase).values(
                revision=documents + 1,
                document_count=documents,
                chunk_count=documents * chunks,
                characters=documents * chunks * WORDS * 6,
            )
        )


async def _add(place: Place, maker: Maker, ids: list[uuid.UUID], start: int, chunks: int) -> None:
    base, now = place.base_id, utcnow()
    texts = maker.texts(len(ids) * chunks)
    async with place.database.writing() as session:
        rows: list[dict[str, Any]] = [
            {
                "id": id,
                "organization_id": place.organization_id,
                "knowledge_base_id": base,
                "name": f"Document {start + number}",
                "source": "text",
                "status": "ready",
                "chunk_count": chunks,
                "created_at": now,
                "updated_at": now,
            }
            for number, id in enumerate(ids)
        ]
        await session.execute(sa.insert(Document), rows)
        pieces: list[dict[str, Any]] = [
            {
                "knowledge_base_id": base,
                "document_id": ids[number // chunks],
                "position": number % chunks,
                "heading": "",
                "text": text,
            }
            for number, text in enumerate(texts)
        ]
        await session.execute(sa.insert(Chunk), pieces)
        found = await session.execute(
            sa.select(Chunk.document_id, Chunk.id).where(Chunk.document_id.in_(ids))
        )
        of: dict[uuid.UUID, list[int]] = {}
        for document, chunk in found:
            of.setdefault(document, []).append(chunk)
        vectors: list[dict[str, Any]] = []
        for number, (document, chunk_ids) in enumerate(of.items()):
            packed_ids, packed_rows = packed(chunk_ids, maker.vectors(len(chunk_ids)))
            vectors.append(
                {
                    "document_id": document,
                    "knowledge_base_id": base,
                    "model": EMBEDDER,
                    "revision": start + number + 1,
                    "chunk_ids": packed_ids,
                    "vectors": packed_rows,
                }
            )
        await session.execute(sa.insert(DocumentVectors), vectors)


if __name__ == "__main__":
    main()
