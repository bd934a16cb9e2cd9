"""The vectors of bases that are being asked, in this process's memory.

A base is loaded when it is first needed, and again, document by document, when its row says that
its chunks have changed; until that is done the state of before is used, of which what is gone
falls out when the passages are read. The bases that were not asked for longest make room.
"""

from __future__ import annotations

import asyncio
import logging
import uuid

import sqlalchemy as sa

from chorus.db import Database
from chorus.knowledge.tables import DocumentVectors, KnowledgeBase
from chorus.knowledge.vectors import BaseVectors, Block

log = logging.getLogger(__name__)

MAX_BYTES = 512 * 1024 * 1024
_Key = tuple[uuid.UUID, str]
"""A base and the model of its vectors."""
_AT_ONCE = 100
"""Documents in one statement: some milliseconds of the loop's time."""


class Shelf:
    """One a process."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._bases: dict[_Key, BaseVectors] = {}
        self._loading: dict[_Key, asyncio.Task[BaseVectors]] = {}

    async def base(self, id: uuid.UUID, revision: int, model: str) -> BaseVectors:
        """The base at `revision` or, while that is loaded, as it was before."""
        key = id, model
        known = self._bases.pop(key, None)
        if known is not None:
            self._bases[key] = known  # the one that was asked for last is the last
            if known.revision == revision:
                return known
        loading = self._loading.get(key)
        if loading is None:
            loading = asyncio.create_task(self._load(id, model), name="load vectors")
            self._loading[key] = loading
            loading.add_done_callback(lambda done: self._loaded(key, done))
        return known if known is not None else await asyncio.shield(loading)

    async def aclose(self) -> None:
        for task in tuple(self._loading.values()):
            task.cancel()
        await asyncio.gather(*self._loading.values(), return_exceptions=True)

    def _loaded(self, key: _Key, done: asyncio.Task[BaseVectors]) -> None:
        self._loading.pop(key, None)
        if done.cancelled():
            return
        if (failure := done.exception()) is not None:
            log.warning("the vectors of knowledge base %s by %s: %r", *key, failure)
            return
        self._bases[key] = done.result()
        while sum(base.size_bytes for base in self._bases.values()) > MAX_BYTES:
            if len(self._bases) == 1:
                break
            self._bases.pop(next(iter(self._bases)))

    async def _load(self, id: uuid.UUID, model: str) -> BaseVectors:
        before = self._bases.get((id, model))
        blocks = dict(before.blocks) if before is not None else {}
        async with self._database.reading() as session:
            revision = await session.scalar(
                sa.select(KnowledgeBase.revision).where(KnowledgeBase.id == id)
            )
            rows = await session.execute(
                sa.select(DocumentVectors.document_id, DocumentVectors.revision).where(
                    DocumentVectors.knowledge_base_id == id, DocumentVectors.model == model
                )
            )
            there = {row.document_id: row.revision for row in rows}
        blocks = {
            document: block
            for document, block in blocks.items()
            if there.get(document) == block.revision
        }
        missing = [document for document in there if document not in blocks]
        for start in range(0, len(missing), _AT_ONCE):
            async with self._database.reading() as session:
                found = await session.execute(
                    sa.select(
                        DocumentVectors.document_id,
                        DocumentVectors.revision,
                        DocumentVectors.chunk_ids,
                        DocumentVectors.vectors,
                    ).where(DocumentVectors.document_id.in_(missing[start : start + _AT_ONCE]))
                )
                for document, came, ids, vectors in found:
                    blocks[document] = Block.of(came, ids, vectors)
        return await asyncio.to_thread(BaseVectors.of, revision or 0, blocks)
