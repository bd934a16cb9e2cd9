"""What a process needs to keep documents and to look into them; the switchboard owns it.

`Library` hands the parts to each other: who reads, who makes vectors, who searches. `OpenBases` is
what one conversation gets: the bases of its agent, opened when the call begins.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from chorus.db import Database, scoped
from chorus.durable.durable import Durable
from chorus.knowledge.charging import Charging, Unpriced
from chorus.knowledge.embedding.choice import Embedders, Keys
from chorus.knowledge.embedding.embedder import Told
from chorus.knowledge.embedding.minilm import MiniLM
from chorus.knowledge.fetch import Pages
from chorus.knowledge.search import PASSAGE, Search, passage_of
from chorus.knowledge.shelf import Shelf
from chorus.knowledge.tables import Chunk, Document, KnowledgeBase
from chorus.outbound import Outbound
from chorus.settings import Settings
from chorus.speech.engines import EngineFailed
from chorus.speech.threads import ModelThreads
from chorus.talk.knowledge import Found, Passage

log = logging.getLogger(__name__)

WHOLE_CHARACTERS = 12_000
"""An agent's bases of no more text than this, about 4,000 tokens, are shown to its model whole."""
PASSAGES = 5


class Library:
    """One a process. `threads`: those that models run on. `keys`: of vendors, in force for an
    organization. `charging`: who pays for vectors of documents."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        outbound: Outbound,
        durable: Durable,
        threads: Callable[[], ModelThreads],
        keys: Keys | None = None,
        charging: Charging | None = None,
    ) -> None:
        self.settings = settings
        self.database = database
        self.outbound = outbound
        self.durable = durable
        self.charging: Charging = charging or Unpriced()
        self.pages = Pages(outbound)
        self._shelf = Shelf(database)
        self._search = Search(database, self._shelf)
        self.embedders = Embedders(settings.models_dir, threads, outbound, keys)

    @property
    def embedder(self) -> MiniLM | None:
        """Of bases that name none. None as long as its files are not there."""
        return self.embedders.local()

    async def find(
        self,
        organization_id: uuid.UUID,
        base_ids: Sequence[uuid.UUID],
        question: str,
        *,
        count: int = PASSAGES,
        within_s: float,
        by_meaning: bool = True,
        told: Told | None = None,
    ) -> Found:
        """See `Search.find`."""
        return await self._search.find(
            organization_id,
            base_ids,
            question,
            embedders=self.embedders.of if by_meaning else None,
            count=count,
            within_s=within_s,
            told=told,
        )

    async def open(
        self,
        session: AsyncSession,
        organization_id: uuid.UUID,
        base_ids: Sequence[str],
        instructions: str | None,
    ) -> OpenBases | None:
        """For a conversation that begins; None where there is nothing to look into."""
        if not base_ids:
            return None
        rows = await session.execute(
            scoped(KnowledgeBase, organization_id)
            .where(KnowledgeBase.id.in_([uuid.UUID(id) for id in base_ids]))
            .with_only_columns(
                KnowledgeBase.id, KnowledgeBase.characters, KnowledgeBase.chunk_count
            )
        )
        bases = rows.all()
        ids = tuple(id for id, _, count in bases if count)
        if not ids:
            return None
        whole: tuple[Passage, ...] = ()
        if sum(characters for _, characters, _ in bases) <= WHOLE_CHARACTERS:
            whole = await everything(session, ids)
        return OpenBases(self, organization_id, ids, instructions, whole)

    async def warm(self) -> None:
        """Load the model before the first call needs it, where anybody has documents."""
        try:
            async with self.database.reading() as session:
                some = sa.select(KnowledgeBase.id).where(KnowledgeBase.chunk_count > 0).limit(1)
                wanted = await session.scalar(some) is not None
            if wanted and (embedder := self.embedder) is not None:
                await embedder.warm()
        except (SQLAlchemyError, OSError, EngineFailed) as failure:
            log.warning("what finds documents by their meaning was not loaded: %s", failure)

    async def aclose(self) -> None:
        await self._search.aclose()
        await self._shelf.aclose()


async def everything(session: AsyncSession, base_ids: Sequence[uuid.UUID]) -> tuple[Passage, ...]:
    """All chunks of some bases, document by document."""
    rows = await session.execute(
        sa.select(*PASSAGE)
        .join(Document, Document.id == Chunk.document_id)
        .where(Chunk.knowledge_base_id.in_(base_ids))
        .order_by(Document.created_at, Document.id, Chunk.position)
    )
    return tuple(map(passage_of, rows))


@dataclass(frozen=True, slots=True)
class OpenBases:
    """Implements `talk.knowledge.Knowledge`."""

    library: Library
    organization_id: uuid.UUID
    base_ids: tuple[uuid.UUID, ...]
    instructions: str | None
    whole: tuple[Passage, ...] = ()

    async def find(self, question: str, *, within_s: float, told: Told | None = None) -> Found:
        return await self.library.find(
            self.organization_id, self.base_ids, question, within_s=within_s, told=told
        )

    async def warm(self) -> None:
        """Have loaded what the first question would wait for."""
        if not self.whole:
            await self.find("opening", within_s=60.0)
