"""What the audit log has of reads and of log-ins that fail; its export; how long it is kept."""

from __future__ import annotations

import csv
import io
import logging
import threading
import uuid
from datetime import timedelta
from typing import Any

import orjson
import pytest
import sqlalchemy as sa
from sqlalchemy.exc import OperationalError
from tests.accounts.people import browser, log_in, member, prepared, stranger
from tests.fakes.api import Api

from chorus.accounts import audit_export, reads
from chorus.accounts.schemas import AuditEntryOut
from chorus.accounts.tables import AuditEntry


async def seen(api: Api, action: str) -> list[dict[str, Any]]:
    await api.process.reads.flush()
    return (await api.get(f"/v1/audit-log?action={action}")).json()["data"]


async def test_who_looked_at_a_secret_and_at_what_was_said(api: Api):
    clock = prepared(api)
    row = await member(api.process, await api.organization_id(), "developer")
    client = await browser(api, row)
    for _ in range(3):
        assert (await client.get("/v1/webhook-secret")).status_code == 200
    assert (await client.get(f"/v1/calls/{uuid.uuid4()}")).status_code == 404
    assert (await api.client_with(None).get("/v1/webhook-secret")).status_code == 401
    [entry] = await seen(api, "getWebhookSecret")
    assert (entry["actor"], entry["actorName"]) == ("member", row.email)
    assert (entry["resource"], entry["address"]) == ("webhook-secret", "127.0.0.1")
    assert entry["requestId"]
    assert await seen(api, "getCall") == [], "it was answered with nothing"
    # Another reader is another entry; the same one again is one after a while, with the number.
    assert (await api.get("/v1/webhook-secret")).status_code == 200
    assert len(await seen(api, "getWebhookSecret")) == 2
    clock.forward(seconds=reads.AGAIN_S)
    assert (await client.get("/v1/webhook-secret")).status_code == 200
    assert (await seen(api, "getWebhookSecret"))[0]["detail"] == {"repeated": 2}


async def test_who_searched_what_was_said(sqlite_api: Api):
    api = sqlite_api
    prepared(api)
    for query in ("", "?text=", "?search=415", "?text=a&status=none"):
        await api.get(f"/v1/calls{query}")
    assert await seen(api, "listCalls") == []
    for word in ("diagnosis", "divorce"):
        assert (await api.get(f"/v1/calls?text={word}")).status_code == 200
    [entry] = await seen(api, "listCalls")
    assert (entry["resource"], entry["resourceId"]) == ("calls", None)
    assert entry["detail"] == {"searched": "text"}, "and not for what"


async def test_log_ins_that_fail_are_told_once_to_whom_they_concern(sqlite_api: Api):
    api = sqlite_api
    prepared(api)
    row = await member(api.process, await api.organization_id(), "viewer")
    other = await api.another_organization()
    for _ in range(4):
        assert (await log_in(stranger(api), row.email, "wrong wrong wrong")).status_code == 401
    assert (await log_in(stranger(api), "nobody@example.com")).status_code == 401
    [entry] = await seen(api, "failedLogin")
    assert (entry["resourceId"], entry["detail"]) == (str(row.id), {"reason": "password"})
    assert "wrong wrong" not in str(entry)
    theirs = (await other.get("/v1/audit-log?action=failedLogin")).json()["data"]
    assert theirs == []


async def test_what_cannot_be_written_waits_and_what_is_too_much_is_told(
    sqlite_api: Api, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    api = sqlite_api
    prepared(api)
    monkeypatch.setattr(reads, "_WAITING", 1)
    await api.get("/v1/webhook-secret")
    agent = await api.made("/v1/agents", {"name": "a"})
    await api.get(f"/v1/agents/{agent['id']}/webhook")

    def away(*_: object) -> None:
        raise OperationalError("INSERT", {}, Exception("away"))

    with monkeypatch.context() as patch, caplog.at_level(logging.WARNING):
        patch.setattr(api.process.database, "writing", away)
        with pytest.raises(OperationalError):
            await api.process.reads.flush()
    assert "1 entries of the audit log were lost" in caplog.text
    assert len(await seen(api, "getWebhookSecret")) == 1


async def test_export(api: Api, monkeypatch: pytest.MonkeyPatch):
    """Calls go on meanwhile: nothing is made of the rows where they are."""
    prepared(api)
    main_thread: list[object] = []
    read = AuditEntryOut.model_validate

    def watched(row: object) -> AuditEntryOut:
        if threading.current_thread() is threading.main_thread():
            main_thread.append(row)
        return read(row)

    await api.made("/v1/agents", {"name": "=1+1"})
    tool = {"name": "t", "description": "d", "config": {"url": "https://a.example"}}
    await api.made("/v1/tools", tool)
    lines = await api.get("/v1/audit-log/export?format=jsonl&resource=agents")
    assert lines.headers["content-type"] == "application/x-ndjson"
    [entry] = [orjson.loads(line) for line in lines.text.splitlines()]
    assert entry == (await api.get("/v1/audit-log?resource=agents")).json()["data"][0]
    monkeypatch.setattr(AuditEntryOut, "model_validate", watched)
    answer = await api.get("/v1/audit-log/export?sort=createdAt")
    assert 'filename="audit-log.csv"' in answer.headers["content-disposition"]
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert [row["action"] for row in rows] == [
        *("createAgent", "createTool", "exportAuditLog", "exportAuditLog")
    ]
    assert rows[2]["fields"] == '["format","resource"]'
    assert not main_thread
    for part in ("limit=1", "offset=1", "after=x"):  # of pages, of which there are none
        refused = await api.get(f"/v1/audit-log/export?{part}")
        assert refused.status_code == 400, part
    viewer = await browser(api, await member(api.process, await api.organization_id(), "developer"))
    assert (await viewer.get("/v1/audit-log/export")).status_code == 403
    other = await api.another_organization()
    theirs = await other.get("/v1/audit-log/export?format=jsonl")
    assert "createAgent" not in theirs.text


async def test_entries_end_with_the_organizations_rule(api: Api):
    await api.made("/v1/agents", {"name": "a"})
    short = await api.patch("/v1/organization", json={"auditRetentionDays": 29})
    assert short.json()["details"][0]["field"] == "auditRetentionDays"
    async with api.process.database.writing() as session:
        entry = (await session.scalars(sa.select(AuditEntry))).one()
        entry.created_at -= timedelta(days=31)
    now = api.process.clock.utcnow()
    assert await audit_export.purge(api.process.database, now) == 0, "there is no rule yet"
    kept = await api.patch("/v1/organization", json={"auditRetentionDays": 30})
    assert kept.json()["data"]["auditRetentionDays"] == 30
    assert await audit_export.purge(api.process.database, now) == 1
    left = (await api.get("/v1/audit-log")).json()["data"]
    assert [each["action"] for each in left] == ["updateOrganization"]
