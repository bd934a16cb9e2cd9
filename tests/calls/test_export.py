"""Exports of calls: CSV and JSON lines, in pieces, known to the audit log, and not too many."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from typing import Any

import pytest
from tests.fakes.api import Api
from tests.test_lists import calls

from chorus import lists
from chorus.calls import export_routes


async def exported(api: Api, query: str = "") -> list[dict[str, Any]]:
    answer = await api.get(f"/v1/calls/export?format=jsonl&{query}")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/x-ndjson"
    return [json.loads(line) for line in answer.text.splitlines()]


async def test_every_call_is_in_it_once_in_its_order(api: Api, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(lists, "BATCH", 4)
    ids = await calls(api, 12)
    assert [call["id"] for call in await exported(api)] == ids
    assert [call["id"] for call in await exported(api, "sort=createdAt")] == ids[::-1]
    inbound = await exported(api, "direction=inbound")
    assert len(inbound) == 6
    assert {call["direction"] for call in inbound} == {"inbound"}
    listed = (await api.get("/v1/calls?limit=1")).json()["data"][0]
    [first, *_] = await exported(api)
    assert first == {name: value for name, value in listed.items() if name in first}
    assert set(listed) - set(first) == {"recordingUrl", "transferCalls"}


async def test_csv_has_a_head_and_nothing_that_a_spreadsheet_would_run(api: Api):
    said = [{"role": "user", "content": 'He said "no",\nand left'}]
    values: dict[str, Any] = {
        "customer_number": "=HYPERLINK(1)",
        "meta": {"a": [1]},
        "transcript": said,
        "cost_micros": 1_230_000,
    }
    await calls(api, 1, **values)
    await calls(api, 1)
    answer = await api.get("/v1/calls/export?texts=true&sort=createdAt")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["content-disposition"] == 'attachment; filename="calls.csv"'
    [first, second] = list(csv.DictReader(io.StringIO(answer.text)))
    assert first["customerNumber"] == "'=HYPERLINK(1)"
    assert second["customerNumber"] == "+14155550000"
    assert json.loads(first["metadata"]) == {"a": [1]}
    assert json.loads(first["transcript"]) == said
    assert (first["cost"], second["cost"], first["isFinal"]) == ("1.23", "", "true")


async def test_who_exported_is_in_the_audit_log(api: Api):
    await calls(api, 2)
    await exported(api, "status=completed")
    [entry] = (await api.get("/v1/audit-log?action=exportCalls")).json()["data"]
    assert entry["resource"] == "calls"
    assert entry["fields"] == ["format", "status"]
    assert entry["detail"] == {"calls": 2, "format": "jsonl", "texts": False}


async def test_an_export_shows_nothing_of_others(api: Api):
    await calls(api, 2)
    async with await api.another_organization() as other:
        assert (await other.get("/v1/calls/export?format=jsonl")).text == ""


async def test_too_many_calls_and_too_many_exports_are_refused(
    sqlite_api: Api, monkeypatch: pytest.MonkeyPatch
):
    await calls(sqlite_api, 3)
    monkeypatch.setattr(export_routes, "MOST", 2)
    answer = await sqlite_api.get("/v1/calls/export")
    assert answer.status_code == 400
    assert "At most 2 calls" in answer.text
    running: Counter[Any] = sqlite_api.app.state.exports
    assert running.total() == 0
    monkeypatch.undo()
    running[await sqlite_api.organization_id()] = 2
    answer = await sqlite_api.get("/v1/calls/export")
    assert (answer.status_code, answer.json()["code"]) == (429, "too_many_exports")
    assert "retry-after" in answer.headers
    running.clear()
    assert len(await exported(sqlite_api)) == 3
    assert running.total() == 0


@pytest.mark.parametrize("query", ["format=xml", "limit=5", "after=x", "texts=perhaps"])
async def test_what_is_no_export(sqlite_api: Api, query: str):
    assert (await sqlite_api.get(f"/v1/calls/export?{query}")).status_code == 400
