"""GET /v1/knowledge-bases/{id}/history, on both databases."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa
from tests.fakes.api import Api
from tests.knowledge.shelves import BASES, add, base, read

from chorus.knowledge.history import KEPT
from chorus.knowledge.tables import Reading

pytestmark = pytest.mark.usefixtures("read_here")


async def told(api: Api, base_id: str, **query: str) -> dict[str, Any]:
    answer = await api.get(f"{BASES}/{base_id}/history", params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]


async def test_who_changed_what_and_how_each_reading_went(api: Api):
    id = await base(api)
    hours = await add(api, id, "# Hours\n\nFrom nine to five.", "Hours")
    other = await add(api, id, "Behind the house.", "Parking")
    path = f"{BASES}/{id}/documents/{hours['id']}"
    await api.patch(path, json={"text": "   "})
    assert (await read(api, id, hours["id"]))["status"] == "failed"
    await api.patch(path, json={"name": "Opening hours"})
    await api.post(f"{path}/ingest")
    await api.post(f"{path}/ingest")
    await api.delete(f"{BASES}/{id}/documents/{other['id']}")
    await api.patch(f"{BASES}/{id}", json={"description": "Ours"})

    history = await told(api, id)
    did = [(each["action"], each["document"], each["fields"]) for each in history["changes"]]
    assert did == [
        ("updateKnowledgeBase", None, ["description"]),
        ("deleteDocument", "Parking", []),
        ("ingestDocument", "Opening hours", []),
        ("ingestDocument", "Opening hours", []),
        ("updateDocument", "Opening hours", ["name"]),
        ("updateDocument", "Hours", ["text"]),
        ("createDocument", "Parking", ["name", "text"]),
        ("createDocument", "Hours", ["name", "text"]),
        ("createKnowledgeBase", None, ["name"]),
    ]
    assert {each["actor"] for each in history["changes"]} == {"key"}
    assert all(each["actorName"].startswith("First key") for each in history["changes"])
    # Those of the deleted document went with it.
    assert {each["documentId"] for each in history["readings"]} == {hours["id"]}
    went = [(each["status"], each["document"]) for each in history["readings"]]
    assert went == [
        (status, "Opening hours") for status in ("waiting", "replaced", "failed", "ready")
    ]
    waiting, _, failed, ready = history["readings"]
    assert waiting["endedAt"] is None
    assert failed["problem"]
    assert (failed["chunkCount"], ready["chunkCount"], ready["problem"]) == (0, 1, None)
    assert ready["endedAt"] >= ready["askedAt"]

    mine = await told(api, id, documentId=hours["id"])
    assert mine["readings"] == history["readings"]
    assert {each["documentId"] for each in mine["changes"]} == {hours["id"]}
    assert len(mine["changes"]) == 5
    # An id that is missing is not every document's.
    empty = await api.get(f"{BASES}/{id}/history?documentId=")
    assert (empty.status_code, empty.json()["details"][0]["field"]) == (400, "documentId")


async def test_of_each_document_the_latest_readings_are_kept(api: Api):
    id = await base(api)
    document = await add(api, id, "From nine to five.")
    for _ in range(KEPT + 2):
        await api.post(f"{BASES}/{id}/documents/{document['id']}/ingest")
    readings = (await told(api, id))["readings"]
    assert len(readings) == KEPT
    assert [each["status"] for each in readings] == ["waiting"] + ["replaced"] * (KEPT - 1)
    async with api.process.database.reading() as session:
        count = await session.scalar(sa.select(sa.func.count()).select_from(Reading))
    assert count == KEPT
