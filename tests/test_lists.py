"""Lists of the database: pages by offset and by cursor show every row once, and totals hold."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from tests.fakes.api import Api

from chorus import lists
from chorus.calls.tables import CallRow
from chorus.db import utcnow
from chorus.wire import Cursor


async def calls(api: Api, count: int, **values: Any) -> list[str]:
    """Ids, the newest first. Three at a time are of the same moment."""
    organization_id, now = await api.organization_id(), utcnow()
    rows: list[dict[str, Any]] = [
        {
            "id": uuid.uuid4(),
            "organization_id": organization_id,
            "agent_id": uuid.uuid4(),
            "provider": "twilio",
            "direction": "outbound" if place % 2 else "inbound",
            "status": "completed",
            "customer_number": f"+1415555{place:04}",
            "context_variables": {},
            "meta": {},
            "created_at": now - timedelta(seconds=place // 3),
            "ended_at": now,
            **values,
        }
        for place in range(count)
    ]
    async with api.process.database.writing() as session:
        await session.execute(sa.insert(CallRow), rows)
    rows.sort(key=lambda row: (row["created_at"], row["id"].bytes), reverse=True)
    return [str(row["id"]) for row in rows]


async def walked(api: Api, path: str, by: str) -> list[str]:
    """The ids of all pages, one after the other."""
    found: list[str] = []
    more = ""
    while True:
        body = (await api.get(f"{path}{more}")).json()
        found += [row["id"] for row in body["data"]]
        pagination = body["pagination"]
        if by == "cursor":
            if pagination["nextCursor"] is None:
                return found
            more = f"&after={pagination['nextCursor']}"
        else:
            if len(found) >= pagination["total"]:
                return found
            more = f"&offset={len(found)}"


@pytest.mark.parametrize("by", ["cursor", "offset"])
async def test_pages_show_every_row_once(api: Api, by: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(lists, "COUNTED", 5)
    monkeypatch.setattr(lists, "_DEEP", 6)
    ids = await calls(api, 20)
    assert await walked(api, "/v1/calls?limit=3", by) == ids
    assert await walked(api, "/v1/calls?limit=3&sort=createdAt", by) == ids[::-1]
    inbound = await walked(api, "/v1/calls?limit=3&direction=inbound", by)
    assert [id for id in ids if id in inbound] == inbound
    assert len(inbound) == 10


async def test_a_page_by_cursor_is_the_same_whatever_came_meanwhile(api: Api):
    ids = await calls(api, 6)
    first = (await api.get("/v1/calls?limit=2")).json()
    await calls(api, 3, created_at=utcnow() + timedelta(seconds=5))
    second = (await api.get(f"/v1/calls?limit=2&after={first['pagination']['nextCursor']}")).json()
    assert [call["id"] for call in second["data"]] == ids[2:4]


async def test_what_is_counted(api: Api, monkeypatch: pytest.MonkeyPatch):
    await calls(api, 12)

    async def pagination(query: str) -> dict[str, Any]:
        return (await api.get(f"/v1/calls?{query}")).json()["pagination"]

    exact = await pagination("limit=5&offset=3")
    assert (exact["total"], exact["totalIsExact"]) == (12, True)
    assert (await pagination("direction=inbound"))["total"] == 6
    monkeypatch.setattr(lists, "COUNTED", 4)
    for query, total in (
        ("limit=2", 4),
        ("limit=5&offset=3", 9),
        ("limit=5&offset=7", 12),
        ("limit=5&offset=8", 12),
        ("limit=5&offset=40", 4),
    ):
        found = await pagination(query)
        assert (found["total"], found["totalIsExact"]) == (total, False), query


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("after=x", "After must be the nextCursor of a page"),
        ("after=" + "=" * 32, "After must be the nextCursor of a page"),
        ("after=" + "a" * 32 + "&offset=1", "Offset must not be given with after"),
        ("sort=cost", "Sort must be one of"),
    ],
)
async def test_what_is_refused(sqlite_api: Api, query: str, says: str):
    answer = await sqlite_api.get(f"/v1/calls?{query}")
    assert answer.status_code == 400
    assert says in answer.text


async def test_every_text_of_the_right_form_is_a_place(api: Api):
    ids = await calls(api, 2)
    for text, shown in (("_" * 32, []), ("A" * 32, []), ("f" + "_" * 31, ids)):
        answer = await api.get(f"/v1/calls?after={text}")
        assert answer.status_code == 200, answer.text
        assert [call["id"] for call in answer.json()["data"]] == shown
        assert Cursor.of(text).id == Cursor.of(Cursor.of(text).text()).id


async def test_a_cursor_of_another_organization_leads_to_nothing_of_it(api: Api):
    await calls(api, 4)
    cursor = (await api.get("/v1/calls?limit=2")).json()["pagination"]["nextCursor"]
    async with await api.another_organization() as other:
        assert (await other.get(f"/v1/calls?after={cursor}")).json()["data"] == []


async def test_the_other_lists_have_cursors_too(api: Api):
    for place in range(5):
        await api.made("/v1/agents", {"name": f"a{place}"})
    for path in ("/v1/agents", "/v1/audit-log"):
        whole = [row["id"] for row in (await api.get(path)).json()["data"]]
        assert await walked(api, f"{path}?limit=2", "cursor") == whole
