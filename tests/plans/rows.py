"""Rows enough to see by: an organization's calls that are over, with all that hangs on them."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from chorus.accounts.tables import AuditEntry, IdempotentRequest
from chorus.billing.tables import LedgerLine
from chorus.calls.tables import CallEvent, CallRow, LatencyWindow, Transfer
from chorus.db import Base, Database, utcnow
from chorus.webhooks.tables import WebhookAttempt, WebhookDelivery

CALLS = 1000
FILLED = (
    *("calls", "call_events", "transfers", "ledger_lines", "webhook_deliveries"),
    *("webhook_attempts", "audit_log", "idempotent_requests"),
)
"""Tables in which nearly every row is of the one organization."""


async def fill(database: Database, organization_id: uuid.UUID) -> list[uuid.UUID]:
    """Returns the ids of the calls."""
    now = utcnow()
    rows: dict[type[Base], list[dict[str, Any]]] = {
        table: []
        for table in (
            *(CallRow, CallEvent, Transfer, LedgerLine, WebhookDelivery, WebhookAttempt),
            *(AuditEntry, IdempotentRequest, LatencyWindow),
        )
    }
    agent_id = uuid.uuid4()
    for place in range(CALLS):
        # Of three weeks: what is asked of the last days is not asked of all.
        id, at = uuid.uuid4(), now - timedelta(minutes=30 * (CALLS - place))
        for table, row in _of_call(id, agent_id, at):
            row |= {"organization_id": organization_id}
            rows[table].append(row)
        # These are kept for a day.
        rows[IdempotentRequest][-1]["created_at"] = now - timedelta(minutes=CALLS - place)
        sent = rows[WebhookDelivery][-1]["id"]
        rows[WebhookAttempt].append(
            {"id": uuid.uuid4(), "delivery_id": sent, "number": 1, "started_at": at}
        )
    rows[LatencyWindow].append(
        {
            "organization_id": organization_id,
            "agent_id": agent_id,
            "start": now - timedelta(hours=2),
            "target_ms": 1,
            "turns": 100,
            "within": 0,
        }
    )
    async with database.writing() as session:
        for table, of_it in rows.items():
            await session.execute(sa.insert(table.__table__), of_it)  # type: ignore[arg-type] # a Table
    return [call["id"] for call in rows[CallRow]]


def _of_call(id: uuid.UUID, agent_id: uuid.UUID, at: Any) -> list[tuple[type[Base], Any]]:
    call: dict[str, Any] = {
        "id": id,
        "agent_id": agent_id,
        "provider": "twilio",
        "call_sid": f"CA{id.hex}",
        "direction": "outbound",
        "status": "completed",
        "customer_number": "+14155551234",
        "turn_count": 0,
        "context_variables": {},
        "metadata": {},
        "created_at": at,
        "updated_at": at,
        "answered_at": at,
        "ended_at": at,
        "recording_settled_at": at,
        "transcript": [{"role": "user", "content": "hello"}],
    }
    events: list[dict[str, Any]] = [
        {"call_id": id, "seq": seq, "at_ms": 0, "kind": "x", "data": {}, "created_at": at}
        for seq in (1, 2)
    ]
    transfer = {
        "id": uuid.uuid4(),
        "call_id": id,
        "name": "Sales",
        "number": "+14155551235",
        "type": "cold",
        "by": "api",
        "status": "completed",
        "created_at": at,
        "updated_at": at,
        "ended_at": at,
    }
    lines: list[dict[str, Any]] = [
        {
            "id": uuid.uuid4(),
            "kind": "charge",
            "call_id": id,
            "meter": meter,
            "sequence": 0,
            "engine": "e",
            "discarded": False,
            "quantity": 1,
            "amount_micros": 1,
            "charged": False,
            "called_at": at,
            "created_at": at,
        }
        for meter in ("telephony", "transcription")
    ]
    delivery = {
        "id": uuid.uuid4(),
        "call_id": id,
        "event": "call.completed",
        "target_kind": "agent",
        "target_id": agent_id,
        "url": "https://example.com",
        "host": "example.com",
        "body": "{}",
        "status": "delivered",
        "tries": 1,
        "attempts": 1,
        "created_at": at,
        "updated_at": at,
    }
    entry: dict[str, Any] = {
        "id": uuid.uuid4(),
        "actor": "operator",
        "actor_name": "x",
        "action": "createCall",
        "resource": "calls",
        "resource_id": id,
        "fields": [],
        "created_at": at,
    }
    request = {
        "path": f"/v1/calls/{id}/cancel",
        "key": str(id),
        "request_hash": "0",
        "claim": uuid.uuid4(),
        "status": 201,
        "created_at": at,
    }
    return [
        (CallRow, call),
        *((CallEvent, event) for event in events),
        (Transfer, transfer),
        *((LedgerLine, line) for line in lines),
        (WebhookDelivery, delivery),
        (AuditEntry, entry),
        (IdempotentRequest, request),
    ]
