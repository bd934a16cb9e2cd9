"""Knowledge bases for tests: made by the API, and read here, because nothing durable runs."""

from __future__ import annotations

import uuid
from typing import Any

import sqlalchemy as sa
from tests.fakes.api import Api

from chorus.knowledge.ingest import ingest
from chorus.knowledge.library import Library
from chorus.knowledge.tables import Document

BASES = "/v1/knowledge-bases"


def library(api: Api) -> Library:
    return api.app.state.switchboard.library


async def base(api: Api, name: str = "Handbook") -> str:
    return (await api.made(BASES, {"name": name}))["id"]


async def add(
    api: Api, base_id: str, text: str, name: str = "Paper", **more: Any
) -> dict[str, Any]:
    """A text that was read."""
    made = await api.made(f"{BASES}/{base_id}/documents", {"name": name, "text": text, **more})
    return await read(api, base_id, made["id"])


async def read(api: Api, base_id: str, id: str) -> dict[str, Any]:
    """Do what waits for a document; the document."""
    async with api.process.database.reading() as session:
        attempt = await session.scalar(
            sa.select(Document.attempt).where(Document.id == uuid.UUID(id))
        )
    await ingest(api.app.state.switchboard, id, attempt or 0)
    return await shown(api, base_id, id)


async def shown(api: Api, base_id: str, id: str) -> dict[str, Any]:
    answer = await api.get(f"{BASES}/{base_id}/documents/{id}")
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]


async def search(api: Api, base_id: str, query: str, **more: Any) -> dict[str, Any]:
    answer = await api.post(f"{BASES}/{base_id}/search", json={"query": query, **more})
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]


async def texts(api: Api, base_id: str, query: str, **more: Any) -> list[str]:
    return [one["text"] for one in (await search(api, base_id, query, **more))["passages"]]
