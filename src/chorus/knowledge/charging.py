"""What vendors are paid for the vectors of documents: who pays, and what is shown of it.

A reading asks a vendor once or often: each piece of the document, and pieces again that failed.
All of it is added up, and accounted for when the reading has its vectors or has given up, whatever
becomes of the document: it may have been deleted meanwhile. With the operator's key it is a line of
the ledger; with a key of the organization's the vendor is paid by the organization itself.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import Protocol

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from chorus.db import Database
from chorus.knowledge.tables import Document, KnowledgeBase
from chorus.talk.knowledge import Embedded


@dataclass(slots=True)
class Spent:
    """By one reading, in tokens. `id`: of the reading, which is charged once."""

    organization_id: uuid.UUID
    knowledge_base_id: uuid.UUID
    document_id: uuid.UUID
    model: str
    by_operator: bool
    tokens: int = 0
    id: uuid.UUID = field(default_factory=uuid.uuid4)

    def add(self, one: Embedded) -> None:
        self.tokens += one.tokens


class Charging(Protocol):
    async def suffices(self, session: AsyncSession, spent: Spent) -> bool:
        """Whether the organization's balance is enough for what is to be spent."""
        ...

    async def charge(self, session: AsyncSession, spent: Spent) -> int | None:
        """Micro-dollars by the prices of now, charged to whoever pays; None where this reading was
        charged before."""
        ...


async def account(database: Database, charging: Charging, spent: Spent) -> None:
    """Charge a reading, and add it to what its document and its base have cost."""
    if not spent.tokens:
        return
    async with database.writing() as session:
        micros = await charging.charge(session, spent)
        if micros is None:
            return
        await session.execute(
            sa.update(KnowledgeBase)
            .where(KnowledgeBase.id == spent.knowledge_base_id)
            .values(embedding_cost_micros=KnowledgeBase.embedding_cost_micros + micros)
        )
        await session.execute(
            sa.update(Document)
            .where(Document.id == spent.document_id)
            .values(
                embedding_tokens=Document.embedding_tokens + spent.tokens,
                embedding_cost_micros=Document.embedding_cost_micros + micros,
            )
        )


class Unpriced:
    """Implements `Charging` where nothing is read, or nothing costs."""

    async def suffices(self, session: AsyncSession, spent: Spent) -> bool:
        return True

    async def charge(self, session: AsyncSession, spent: Spent) -> int | None:
        return 0
