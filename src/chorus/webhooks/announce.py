"""An event of a call becomes deliveries: one for each receiver, whose body is fixed here.

`call_over` is a step of what happens after a call, when the analysis is there or has failed;
`call_answered` joins the transaction that answers it. Both write rows and send nothing: what is
written is delivered, whatever happens to this process (`deliver.py`). Announcing an event twice
announces it once, so a step that is repeated does no harm.

`call.completed` tells of the end of every call, with its status, and goes to the agent's webhook
and to the endpoints that ask for it. A call that failed or was not answered is also a
`call.failed`, and one that is answered a `call.started`: both only for endpoints that ask. A leg
of a transfer is a part of its call and is not announced.
"""

from __future__ import annotations

import logging
import uuid
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession

from chorus.agents import queries as agents
from chorus.calls.tables import CallRow, Transfer
from chorus.db import scoped
from chorus.recordings.links import Links
from chorus.webhooks import due, payload, secret
from chorus.webhooks.payload import CallEvent, Event, LatencyPayload, TransferEvent
from chorus.webhooks.tables import TEST, GoneAgentWebhook, WebhookDelivery, WebhookEndpoint

if TYPE_CHECKING:
    from chorus.calls.switchboard import Switchboard

log = logging.getLogger(__name__)


async def announce(switchboard: Switchboard, call_id: uuid.UUID | str, event: CallEvent) -> None:
    """In a transaction of its own. A call that was deleted meanwhile has no news."""
    async with switchboard.database.writing() as session:
        call = await session.get(CallRow, uuid.UUID(str(call_id)))
        if call is None:
            log.warning("%s of call %s is not announced: the call was deleted", event, call_id)
            return
        await write(session, switchboard, call, event)


async def call_over(switchboard: Switchboard, call_id: uuid.UUID) -> None:
    await announce(switchboard, call_id, "call.completed")


async def call_answered(session: AsyncSession, switchboard: Switchboard, call: CallRow) -> None:
    """In the transaction that answers it."""
    await write(session, switchboard, call, "call.started")


async def write(
    session: AsyncSession, switchboard: Switchboard, call: CallRow, event: CallEvent
) -> None:
    """In the transaction of the fact."""
    if call.parent_call_id is not None:
        return
    endpoints = await _endpoints(session, call.organization_id)
    if event == "call.started" and not any(event in endpoint.events for endpoint in endpoints):
        return  # most often: somebody waits for the call to be answered
    await session.refresh(call)  # statuses are changed by UPDATEs that the object does not see
    events: list[CallEvent] = [event]
    if event == "call.completed" and call.status in ("failed", "no_answer"):
        events.append("call.failed")
    links = Links(switchboard.settings, switchboard.secrets)
    rows: list[dict[str, object]] = []
    for each in events:
        body = payload.of_call(call, each, links)
        wanted = [endpoint for endpoint in endpoints if each in endpoint.events]
        rows += [
            _row(call.organization_id, call.id, each, body, "endpoint", found.id, found.url)
            for found in wanted
        ]
        if each == "call.completed":
            rows += await _for_agent(session, switchboard, call, body)
    await _insert(session, rows)
    await switchboard.news.tell(session, "webhooks")


async def transfer(
    session: AsyncSession, switchboard: Switchboard, row: Transfer, event: TransferEvent
) -> None:
    """In the transaction of the fact. Its deliveries name the second call: a call may have several
    transfers, and an event is told once of each call."""
    endpoints = await _endpoints(session, row.organization_id)
    wanted = [endpoint for endpoint in endpoints if event in endpoint.events]
    if not wanted:
        return
    body = payload.of_transfer(row, event)
    await _insert(
        session,
        [
            _row(row.organization_id, row.leg_id, event, body, "endpoint", found.id, found.url)
            for found in wanted
        ],
    )
    await switchboard.news.tell(session, "webhooks")


async def latency_breached(
    session: AsyncSession, switchboard: Switchboard, payload: LatencyPayload
) -> None:
    """In the transaction that judges the window, so it is told once."""
    endpoints = await _endpoints(session, payload.organization_id)
    wanted = [endpoint for endpoint in endpoints if payload.event in endpoint.events]
    if not wanted:
        return
    owner, event, body = payload.organization_id, payload.event, payload.model_dump_json()
    await _insert(
        session,
        [_row(owner, None, event, body, "endpoint", found.id, found.url) for found in wanted],
    )
    await switchboard.news.tell(session, "webhooks")


async def write_test(
    session: AsyncSession,
    switchboard: Switchboard,
    organization_id: uuid.UUID,
    kind: str,
    target_id: uuid.UUID,
    url: str,
) -> WebhookDelivery:
    """A test, which is tried once."""
    await secret.ensure(session, organization_id, switchboard.secrets)
    now = await due.database_now(session)
    body = payload.of_test(organization_id, kind, target_id, now)
    delivery = WebhookDelivery(
        organization_id=organization_id,
        event=TEST,
        target_kind=kind,
        target_id=target_id,
        url=url,
        host=_host(url),
        body=body,
        due_at=now,
    )
    session.add(delivery)
    await session.flush()
    await switchboard.news.tell(session, "webhooks")
    return delivery


async def _endpoints(session: AsyncSession, organization_id: uuid.UUID) -> list[WebhookEndpoint]:
    found = await session.scalars(
        scoped(WebhookEndpoint, organization_id).where(WebhookEndpoint.is_active)
    )
    return list(found)


async def _for_agent(
    session: AsyncSession, switchboard: Switchboard, call: CallRow, body: str
) -> list[dict[str, object]]:
    agent = await agents.find(session, call.organization_id, call.agent_id)
    if agent is None or not agent.post_call_webhook_url:
        return []
    url = agent.post_call_webhook_url
    gone = await session.get(GoneAgentWebhook, agent.id)
    if gone is not None and gone.url == url:
        return []
    await secret.ensure(session, call.organization_id, switchboard.secrets)
    row = _row(call.organization_id, call.id, "call.completed", body, "agent", agent.id, url)
    return [row | {"secret": agent.post_call_webhook_secret}]


def _row(
    organization_id: uuid.UUID,
    call_id: uuid.UUID | None,
    event: Event,
    body: str,
    kind: str,
    target_id: uuid.UUID,
    url: str,
) -> dict[str, object]:
    return {
        "organization_id": organization_id,
        "call_id": call_id,
        "event": event,
        "target_kind": kind,
        "target_id": target_id,
        "url": url,
        "host": _host(url),
        "secret": None,
        "body": body,
    }


async def _insert(session: AsyncSession, rows: list[dict[str, object]]) -> None:
    if not rows:
        return
    now = await due.database_now(session)
    values = [row | {"due_at": now, "created_at": now, "updated_at": now} for row in rows]
    dialect = sqlite if session.get_bind().dialect.name == "sqlite" else postgresql
    statement = dialect.insert(WebhookDelivery).on_conflict_do_nothing(
        index_elements=["call_id", "event", "target_id"]
    )
    await session.execute(statement, values)


def _host(url: str) -> str:
    return (urlsplit(url).hostname or "")[:255]
