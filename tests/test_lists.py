"""Lists of the database: pages by offset and by cursor show every row once, and totals hold."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from tests.fakes.api import Api

from chorus import lists
from chorus.calls import far
from chorus.calls.schemas import CallQuery
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


FAR = (
    "",
    "&sort=createdAt",
    "&status=completed",
    "&endedReason=no_answer&sort=createdAt",
    "&agentId={agent}",
    "&agentId={agent}&status=failed&sort=createdAt",
    "&to={hour}",
    "&from={hour}&sort=createdAt",
    "&from={hour}",
    "&direction=inbound",
    "&to={minute}",
)


async def test_a_page_far_behind_begins_where_walking_would_have_led(
    api: Api, monkeypatch: pytest.MonkeyPatch
):
    """By the sums of hours, of calls that are over and of those that are not."""
    agent, now = uuid.uuid4(), utcnow()
    organization_id = await api.organization_id()
    rows: list[dict[str, Any]] = []
    for place in range(96):
        status = ("completed", "failed", "no_answer", "in_progress")[place % 4]
        rows.append(
            {
                "id": uuid.uuid4(),
                "organization_id": organization_id,
                "agent_id": agent if place % 3 else uuid.uuid4(),
                "provider": "twilio",
                "direction": "outbound" if place % 5 else "inbound",
                "status": status,
                "customer_number": f"+1415555{place:04}",
                "context_variables": {},
                "meta": {},
                "created_at": now - timedelta(minutes=17 * place),
                "ended_at": None if status == "in_progress" else now,
                "ended_reason": None if status == "in_progress" else status,
            }
        )
    async with api.process.database.writing() as session:
        await session.execute(sa.insert(CallRow), rows)
    hour = (now - timedelta(hours=3)).replace(minute=0, second=0, microsecond=0)
    names = {
        "agent": agent,
        "hour": hour.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "minute": (hour + timedelta(minutes=31)).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    for each in FAR:
        path = f"/v1/calls?{each.format(**names)}"
        whole = [row["id"] for row in await page(api, f"{path}&limit=100")]
        assert whole, each
        with monkeypatch.context() as here:
            here.setattr(lists, "_DEEP", 1)
            here.setattr(far, "FAR", 1)
            for offset in (1, len(whole) // 2, len(whole) - 1, len(whole) + 30):
                shown = [row["id"] for row in await page(api, f"{path}&limit=5&offset={offset}")]
                assert shown == whole[offset : offset + 5], (each, offset)


async def page(api: Api, path: str) -> list[dict[str, Any]]:
    answer = await api.get(path)
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]


async def test_a_page_far_behind_reads_one_hour(sqlite_api: Api, monkeypatch: pytest.MonkeyPatch):
    await calls(sqlite_api, 30, created_at=utcnow() - timedelta(hours=5))
    monkeypatch.setattr(far, "FAR", 1)
    async with sqlite_api.process.database.reading() as session:
        own = await sqlite_api.organization_id()
        skipped = await far.skipped(session, own, CallQuery(offset=31))
        assert skipped is not None
        assert skipped.count == 30
        assert await far.skipped(session, own, CallQuery(offset=30)) is None
        # What the sums do not know is walked through.
        for unknown in (
            CallQuery(offset=31, direction="inbound"),
            CallQuery(offset=31, search="555"),
            CallQuery(offset=31, text="hello"),
        ):
            assert await far.skipped(session, own, unknown) is None


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
