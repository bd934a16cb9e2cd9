"""Which indexes the database takes to let somebody in, and for the audit log: among many people,
nobody else is gone through, on SQLite without and with statistics, and on Postgres."""

from __future__ import annotations

import re
import uuid
from datetime import timedelta
from typing import Any, cast

import pytest
import sqlalchemy as sa
from tests.accounts.people import PASSWORD, QUICK, browser, log_in, member, prepared, stranger
from tests.fakes.api import Api
from tests.plans.heard import Asked, heard
from tests.plans.judged import plans

from chorus.accounts import audit_export
from chorus.accounts.secrets import digest
from chorus.accounts.tables import AuditEntry, Identity, LoginAttempts, Member, MemberSession
from chorus.db import Database, utcnow

PEOPLE = 400
EMAIL = "ada@example.com"
TABLES = "identities|members|sessions|login_attempts|audit_log"
_WALKS = re.compile(
    rf"SCAN ({TABLES})\b|SEARCH ({TABLES}) USING .*\(organization_id=\?\)|Seq Scan on ({TABLES})\b"
)


async def fill(api: Api, organization_id: uuid.UUID) -> None:
    """So many people who are logged in, each with an entry of the audit log."""
    now, hashed = utcnow(), QUICK.hash(PASSWORD)
    rows: dict[Any, list[dict[str, Any]]] = {
        table: [] for table in (Identity, Member, MemberSession, LoginAttempts, AuditEntry)
    }
    for n in range(PEOPLE):
        who, here = uuid.uuid4(), uuid.uuid4()
        own = {"id": here, "organization_id": organization_id, "created_at": now, "updated_at": now}
        email = f"p{n}@example.com"
        person = {"id": who, "email": email, "password_hash": hashed}
        rows[Identity].append({**person, "created_at": now, "updated_at": now})
        rows[Member].append({**own, "email": email, "role": "viewer", "identity_id": who})
        session = {"member_id": here, "token_hash": digest(email), "last_seen_at": now}
        end = {"expires_at": now + timedelta(days=9), "address": "::1", "user_agent": "a test"}
        rows[MemberSession].append({**own, "id": uuid.uuid4(), **session, **end})
        tried = {"failures": 1, "last_at": now, "blocked_until": now}
        rows[LoginAttempts].append({"name": digest(f"x{n}"), **tried})
        entry: dict[str, Any] = {"actor": "member", "actor_id": here, "actor_name": email}
        what = {"action": "a", "resource": "calls", "created_at": now - timedelta(days=n)}
        rows[AuditEntry].append({"organization_id": organization_id, "fields": [], **entry, **what})
    async with api.process.database.writing() as session:
        for table, values in rows.items():
            await session.execute(sa.insert(table), values)


async def walks(database: Database, asked: list[Asked]) -> list[str]:
    return [
        f"{statement}\n   -> {plan}"
        for statement, plan in await plans(database, asked)
        if any(_WALKS.search(step) for step in plan)
    ]


@pytest.mark.parametrize("statistics", [False, True])
async def test_nobody_else_is_gone_through(api: Api, statistics: bool):
    clock, database = prepared(api), api.process.database
    ours = await api.organization_id()
    await fill(api, ours)
    key = await api.another_organization()
    theirs: str = (await key.get("/v1/organization")).json()["data"]["id"]
    owner = await member(api.process, uuid.UUID(theirs), "owner", email="b@example.com")
    boss = await browser(api, owner)
    ada = await member(api.process, ours, "owner", email=EMAIL)
    if statistics:
        if database.settings.is_sqlite:
            await database.optimize()
        else:
            async with database.writing() as session:
                await session.execute(sa.text("ANALYZE"))
    with heard(database) as asked:
        # By a wrong password, and by one of three that is right.
        client = stranger(api)
        for password, status in (("wrong wrong", 401), (PASSWORD, 201)):
            assert (await log_in(client, EMAIL, password)).status_code == status
        assert (await log_in(client, EMAIL, organizationId=str(ours))).status_code == 201
        # Into a second organization, over, and back; the own sessions; a new password.
        made = await boss.post("/v1/members", json={"email": EMAIL, "role": "viewer"})
        invited = cast("dict[str, Any]", made.json()["data"])
        body = {"token": invited["invitationToken"], "password": PASSWORD, "existing": True}
        assert (await stranger(api).post("/v1/invitations", json=body)).status_code == 201
        for organization in (theirs, str(ours)):
            over = {"organizationId": organization}
            assert (await client.post("/v1/sessions/switch", json=over)).status_code == 201
        for path in ("sessions", "sessions/current", "second-factor", f"members/{ada.id}"):
            assert (await client.get(f"/v1/{path}")).status_code == 200, path
        new = {"currentPassword": PASSWORD, "newPassword": "another correct horse"}
        assert (await client.post("/v1/password", json=new)).status_code == 200
        assert (await boss.post(f"/v1/members/{invited['id']}/invitation")).status_code == 201
        assert (await boss.delete(f"/v1/members/{invited['id']}")).status_code == 200
        assert (await client.delete("/v1/sessions")).status_code == 200
        assert (await client.delete("/v1/sessions/current")).status_code == 200
        # What is written down of reads, exported, and deleted in time.
        assert (await api.get("/v1/webhook-secret")).status_code == 200
        await api.process.reads.flush()
        await api.process.sessions.flush()
        assert (await api.get("/v1/audit-log/export?format=csv&action=a")).status_code == 200
        kept = {"auditRetentionDays": 380}
        assert (await api.patch("/v1/organization", json=kept)).status_code == 200
        assert await audit_export.purge(database, clock.utcnow()) > 10
    assert len({each.statement for each in asked}) > 40
    assert await walks(database, asked) == []
