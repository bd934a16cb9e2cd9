"""/v1/knowledge-bases and their documents, on both databases."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import pytest
import sqlalchemy as sa
from tests.fakes.api import Api
from tests.knowledge.papers import docx, pdf
from tests.knowledge.shelves import BASES, add, base, library, read, search, shown, texts

from chorus.knowledge import edit, queries
from chorus.knowledge.ingest import ingest, read_document
from chorus.knowledge.tables import (
    Chunk,
    Document,
    DocumentContent,
    DocumentVectors,
    KnowledgeBase,
)

pytestmark = pytest.mark.usefixtures("read_here")

HOURS = (
    "# Visiting\n\nWe are open from nine to five, and closed on Sundays.\n\n## Parking\n\nBehind."
)


async def count(api: Api, table: Any) -> int:
    async with api.process.database.reading() as session:
        return await session.scalar(sa.select(sa.func.count()).select_from(table)) or 0


async def test_the_five_verbs_of_bases(api: Api):
    made = await api.made(BASES, {"name": "Handbook", "description": "For the front desk"})
    assert (made["documentCount"], made["chunkCount"], made["characters"]) == (0, 0, 0)
    path = f"{BASES}/{made['id']}"
    assert (await api.get(path)).json()["data"] == made
    assert (await api.get(BASES, params={"search": "hand"})).json()["data"] == [made]
    changed = (await api.patch(path, json={"name": "Manual"})).json()["data"]
    assert (changed["name"], changed["description"]) == ("Manual", "For the front desk")
    assert (await api.delete(path)).json()["data"] == {"id": made["id"], "deleted": True}
    assert (await api.get(path)).json()["code"] == "knowledge_base_not_found"


async def test_a_text_is_read_and_found_and_goes_without_a_trace(api: Api):
    id = await base(api)
    made = await api.made(f"{BASES}/{id}/documents", {"name": "Hours", "text": HOURS})
    assert (made["status"], made["format"], made["source"]) == ("waiting", "md", "text")
    assert await texts(api, id, "open") == []
    document = await read(api, id, made["id"])
    assert (document["status"], document["problem"], document["chunkCount"]) == ("ready", None, 2)
    found = await search(api, id, "When are you open on Sundays?")
    [passage, *_] = found["passages"]
    assert passage["heading"] == "Visiting"
    assert (passage["document"], passage["documentId"]) == ("Hours", made["id"])
    assert found["ways"] == ["words"]  # there is no model in this folder
    chunks = (await api.get(f"{BASES}/{id}/documents/{made['id']}/chunks")).json()
    assert [chunk["heading"] for chunk in chunks["data"]] == ["Visiting", "Visiting › Parking"]
    told = (await api.get(f"{BASES}/{id}")).json()["data"]
    assert (told["documentCount"], told["chunkCount"]) == (1, 2)
    await api.delete(f"{BASES}/{id}/documents/{made['id']}")
    assert await texts(api, id, "open") == []
    for table in (Document, DocumentContent, Chunk, DocumentVectors, sa.table("knowledge_words")):
        assert await count(api, table) == 0, table
    told = (await api.get(f"{BASES}/{id}")).json()["data"]
    assert (told["documentCount"], told["chunkCount"], told["characters"]) == (0, 0, 0)


async def test_a_base_goes_with_everything_in_it_unless_an_agent_uses_it(api: Api):
    id = await base(api)
    await add(api, id, HOURS)
    agent = await api.made("/v1/agents", {"name": "Desk", "knowledgeBaseIds": [id]})
    assert agent["knowledgeBaseIds"] == [id]
    refused = await api.delete(f"{BASES}/{id}")
    assert refused.json()["code"] == "in_use"
    assert refused.json()["details"][0]["message"] == f"Used by the agent 'Desk' ({agent['id']})"
    await api.patch(f"/v1/agents/{agent['id']}", json={"knowledgeBaseIds": []})
    assert (await api.delete(f"{BASES}/{id}")).status_code == 200
    for table in (KnowledgeBase, Document, DocumentContent, Chunk, sa.table("knowledge_words")):
        assert await count(api, table) == 0, table


async def test_a_new_text_takes_the_place_of_the_old(api: Api):
    id = await base(api)
    document = await add(api, id, HOURS)
    path = f"{BASES}/{id}/documents/{document['id']}"
    changed = (await api.patch(path, json={"text": "We moved to Oak Street."})).json()["data"]
    assert changed["status"] == "waiting"
    assert len(await texts(api, id, "open")) == 1  # until it was read
    await read(api, id, document["id"])
    assert await texts(api, id, "open") == []
    assert await texts(api, id, "moved") == ["We moved to Oak Street."]
    named = (await api.patch(path, json={"name": "Address"})).json()["data"]
    assert (named["name"], named["status"]) == ("Address", "ready")
    answer = await api.patch(path, json={"refreshHours": 4})
    assert answer.json()["details"][0]["field"] == "refreshHours"


async def test_work_that_was_overtaken_gives_way(api: Api):
    id = await base(api)
    document = await add(api, id, HOURS)
    again = await api.post(f"{BASES}/{id}/documents/{document['id']}/ingest")
    assert again.json()["data"]["status"] == "waiting"
    await ingest(api.app.state.switchboard, document["id"], 1)  # the earlier attempt
    assert (await shown(api, id, document["id"]))["status"] == "waiting"
    assert (await read(api, id, document["id"]))["status"] == "ready"
    await ingest(api.app.state.switchboard, str(uuid.uuid4()), 1)  # one that was deleted


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
async def test_a_document_is_deleted_while_it_is_stored_without_either_waiting_for_ever(api: Api):
    id = await base(api)
    document = await add(api, id, HOURS)
    again = await api.post(f"{BASES}/{id}/documents/{document['id']}/ingest")
    assert again.json()["data"]["status"] == "waiting"
    organization_id = await api.organization_id()
    waiting = sa.text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
    async with api.process.database.writing() as session:
        await queries.one(session, organization_id, uuid.UUID(id), lock=True)
        stored = asyncio.create_task(
            read_document(library(api), uuid.UUID(document["id"]), 2), name="store"
        )
        async with asyncio.timeout(10), api.process.database.reading() as other:
            while not await other.scalar(waiting):
                assert not stored.done()
                await other.rollback()  # what it sees is of one transaction
        await edit.delete_document(
            session, organization_id, uuid.UUID(id), uuid.UUID(document["id"])
        )
    await stored
    assert await count(api, Chunk) == await count(api, Document) == 0


@pytest.mark.parametrize(
    ("name", "content", "format"),
    [
        ("hours.txt", b"We are open from nine to five.", "txt"),
        ("Hours of the\nday.PDF", pdf([["We are open from nine to five."]]), "pdf"),
        ("C:\\papers\\hours.docx", docx(("Normal", "We are open from nine to five.")), "docx"),
    ],
)
async def test_a_file_is_uploaded_and_read(sqlite_api: Api, name: str, content: bytes, format: str):
    api = sqlite_api
    id = await base(api)
    answer = await api.post(f"{BASES}/{id}/documents/upload", files={"file": (name, content)})
    assert answer.status_code == 201, answer.text
    made = answer.json()["data"]
    assert (made["format"], made["source"], made["sizeBytes"]) == (format, "file", len(content))
    assert "\n" not in made["name"]
    assert "papers" not in made["name"]
    document = await read(api, id, made["id"])
    assert (document["status"], document["pageCount"]) == ("ready", 1 if format == "pdf" else None)
    found = await search(api, id, "open")
    assert found["passages"][0]["text"] == "We are open from nine to five."
    assert found["passages"][0]["page"] == (1 if format == "pdf" else None)


async def test_uploads_that_are_wrong_say_what_is(sqlite_api: Api):
    api = sqlite_api
    path = f"{BASES}/{await base(api)}/documents/upload"

    async def problem(**request: Any) -> tuple[int, str]:
        answer = await api.post(path, **request)
        return answer.status_code, answer.json()["details"][0]["field"]

    assert await problem(json={"text": "a"}) == (400, "Content-Type")
    assert await problem(files={"file": ("a.xls", b"x")}) == (400, "file")
    assert await problem(files={"file": ("a.txt", b"")}) == (400, "file")
    assert await problem(files={"other": ("a.txt", b"x")}) == (400, "other")
    assert await problem(files={"name": ("a.txt", b"x")}) == (400, "file")
    two = [("file", ("a.txt", b"x")), ("file", ("b.txt", b"x"))]
    assert (await problem(files=two))[0] == 400
    broken = {"content-type": "multipart/form-data; boundary=x"}
    assert (await problem(content=b"--x\r\nnothing", headers=broken))[0] == 400
    most = api.process.settings.max_upload_bytes
    answer = await api.post(path, files={"file": ("a.txt", b"x" * (most + 1))})
    assert answer.status_code == 413
    answer = await api.post(path, files={"file": ("a.txt", b"x" * 2_000_000)})
    assert answer.status_code == 201  # more than other requests may have


async def test_what_cannot_be_read_says_why_and_keeps_what_was_read_before(sqlite_api: Api):
    api = sqlite_api
    id = await base(api)
    files = {"file": ("scan.pdf", pdf([[]]))}
    made = (await api.post(f"{BASES}/{id}/documents/upload", files=files)).json()["data"]
    document = await read(api, id, made["id"])
    assert document["status"] == "failed"
    assert "recognize its text first" in document["problem"]
    told = await add(api, id, HOURS)
    path = f"{BASES}/{id}/documents/{told['id']}"
    await api.patch(path, json={"text": "---"})
    failed = await read(api, id, told["id"])
    assert (failed["status"], failed["problem"]) == ("failed", "There is no text in the document")
    assert len(await texts(api, id, "open")) == 1


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"name": "a"}, "body"),
        ({"name": "a", "text": "x", "url": "https://a.example"}, "body"),
        ({"name": "a", "text": "x", "refreshHours": 4}, "body"),
        ({"name": "a", "text": ""}, "body"),
        ({"name": "a", "url": "ftp://a"}, "url"),
        ({"name": "a", "url": "http://a.example"}, "url"),
        ({"name": "a", "url": "https://a.example", "refreshHours": 0}, "refreshHours"),
        ({"text": "x"}, "name"),
    ],
)
async def test_documents_that_are_wrong_say_what_is(
    sqlite_api: Api, body: dict[str, Any], field: str
):
    id = await base(sqlite_api)
    answer = await sqlite_api.post(f"{BASES}/{id}/documents", json=body)
    assert answer.status_code == 400
    assert answer.json()["details"][0]["field"] == field, answer.text


async def test_a_base_has_a_limit(sqlite_api: Api, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(edit, "MAX_DOCUMENTS", 1)
    id = await base(sqlite_api)
    await add(sqlite_api, id, HOURS)
    answer = await sqlite_api.post(f"{BASES}/{id}/documents", json={"name": "b", "text": "b"})
    assert answer.json()["code"] == "knowledge_base_full"


async def test_nobody_finds_what_is_anothers(api: Api):
    id = await base(api)
    document = await add(api, id, HOURS)
    other = await api.another_organization()
    for method, path in (
        ("POST", f"{BASES}/{id}/search"),
        ("GET", f"{BASES}/{id}/documents/{document['id']}"),
        ("GET", f"{BASES}/{id}/documents/{document['id']}/chunks"),
    ):
        answer = await other.request(method, path, json={"query": "open"})
        assert answer.status_code == 404
    own = (await other.post(BASES, json={"name": "Own"})).json()["data"]["id"]
    # Nor by a base of one's own, nor by naming the other's beside it.
    assert (await other.get(f"{BASES}/{own}/documents/{document['id']}")).status_code == 404
    organization = (await other.get("/v1/organization")).json()["data"]["id"]
    found = await library(api).find(
        uuid.UUID(organization), [uuid.UUID(id), uuid.UUID(own)], "open", within_s=5
    )
    assert (found.passages, found.ways) == ((), ("words",))
    refused = await other.post("/v1/agents", json={"name": "a", "knowledgeBaseIds": [id]})
    assert refused.json()["details"][0]["field"] == "knowledgeBaseIds.0"
