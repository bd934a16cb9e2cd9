"""A database with one knowledge base in it, and what searches it, without a server."""

from __future__ import annotations

import uuid
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from chorus.accounts.tables import Organization
from chorus.db import Database
from chorus.durable.durable import Durable
from chorus.knowledge.ingest import read_document
from chorus.knowledge.library import Library
from chorus.knowledge.tables import Document, DocumentContent, KnowledgeBase
from chorus.migrations import run as migrations
from chorus.outbound import Outbound
from chorus.settings import Settings
from chorus.speech.threads import ModelThreads
from chorus.talk.knowledge import Found


@dataclass(frozen=True)
class Place:
    database: Database
    library: Library
    organization_id: uuid.UUID
    base_id: uuid.UUID

    async def find(
        self, question: str, count: int = 5, *, by_meaning: bool = True, within_s: float = 60.0
    ) -> Found:
        return await self.library.find(
            self.organization_id,
            [self.base_id],
            question,
            count=count,
            within_s=within_s,
            by_meaning=by_meaning,
        )

    async def add(self, name: str, text: str) -> None:
        """Have a text read, as a document of the base."""
        id = uuid.uuid4()
        async with self.database.writing() as session:
            session.add(
                Document(
                    id=id,
                    organization_id=self.organization_id,
                    knowledge_base_id=self.base_id,
                    name=name,
                    source="text",
                    format="md",
                    status="waiting",
                )
            )
            await session.flush()
            session.add(DocumentContent(document_id=id, content=text.encode()))
        await read_document(self.library, id, 1)


@asynccontextmanager
async def opened(
    folder: Path, database_url: str | None, models: Path
) -> AsyncGenerator[Place, None]:
    """`database_url` None: SQLite in `folder`."""
    environment = {"CHORUS_DATA_DIR": str(folder), "CHORUS_MODELS_DIR": str(models)}
    if database_url is not None:
        environment["CHORUS_DATABASE_URL"] = database_url
    settings = replace(Settings.read(environment), max_concurrent_calls=1)
    database = Database(settings)
    threads = ModelThreads(1)
    library = Library(
        settings, database, Outbound(), cast("Durable", cast("Any", None)), lambda: threads
    )
    try:
        await migrations.upgrade(database)
        organization, base = uuid.uuid4(), uuid.uuid4()
        async with database.writing() as session:
            session.add(Organization(id=organization, name="bench"))
            await session.flush()
            session.add(KnowledgeBase(id=base, organization_id=organization, name="bench"))
        yield Place(database, library, organization, base)
    finally:
        await library.aclose()
        await threads.aclose()
        await database.close()
