"""Making, changing and deleting endpoints, and what is done with agents' webhooks."""

from __future__ import annotations

import uuid
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from chorus import errors
from chorus.accounts.secrets import Secrets
from chorus.agents import queries as agents
from chorus.db import scoped
from chorus.settings import Settings
from chorus.webhooks import queries, record
from chorus.webhooks.schemas import AgentWebhookOut, WebhookEndpointCreate
from chorus.webhooks.sign import new_secret
from chorus.webhooks.tables import GoneAgentWebhook, WebhookEndpoint
from chorus.wire import is_plain_http

MOST_ENDPOINTS = 20


async def create(
    session: AsyncSession,
    settings: Settings,
    secrets: Secrets,
    organization_id: uuid.UUID,
    wish: WebhookEndpointCreate,
) -> tuple[WebhookEndpoint, str]:
    """The endpoint and its secret, which cannot be read again. Raises `Error` 400, 409."""
    _check(settings, wish.url)
    mine = scoped(WebhookEndpoint, organization_id)
    count = await session.scalar(sa.select(sa.func.count()).select_from(mine.subquery())) or 0
    if count >= MOST_ENDPOINTS:
        raise errors.conflict(
            "too_many_webhook_endpoints",
            f"An organization has at most {MOST_ENDPOINTS} webhook endpoints",
        )
    secret = new_secret()
    endpoint = WebhookEndpoint(
        organization_id=organization_id,
        url=wish.url,
        description=wish.description,
        events=list(wish.events),
        is_active=wish.is_active,
        secret=secrets.encrypt(secret),
    )
    session.add(endpoint)
    await session.flush()
    return endpoint, secret


async def change(
    session: AsyncSession,
    settings: Settings,
    organization_id: uuid.UUID,
    id: uuid.UUID,
    changes: dict[str, Any],
) -> WebhookEndpoint:
    endpoint = await queries.endpoint(session, organization_id, id, lock="change")
    if "url" in changes:
        _check(settings, changes["url"])
    for name, value in changes.items():
        setattr(endpoint, name, value)
    if changes.get("is_active"):
        endpoint.disabled_at = None
    await session.flush()
    return endpoint


async def delete(session: AsyncSession, organization_id: uuid.UUID, id: uuid.UUID) -> None:
    """What waits for it is cancelled; its log stays."""
    endpoint = await queries.endpoint(session, organization_id, id, lock="delete")
    await session.delete(endpoint)
    await session.flush()
    await record.cancel(session, id, "endpoint_deleted")


async def agent_webhook(
    session: AsyncSession, organization_id: uuid.UUID, agent_id: uuid.UUID
) -> AgentWebhookOut:
    """Raises `Error` 404."""
    agent = await agents.one(session, organization_id, agent_id)
    gone = await session.get(GoneAgentWebhook, agent_id)
    url = agent.post_call_webhook_url
    disabled_at = gone.disabled_at if gone is not None and gone.url == url else None
    return AgentWebhookOut(
        agent_id=agent_id,
        url=url,
        is_active=bool(url) and disabled_at is None,
        disabled_at=disabled_at,
        signed_with="agent" if agent.post_call_webhook_secret else "organization",
    )


async def enable_agent_webhook(
    session: AsyncSession, organization_id: uuid.UUID, agent_id: uuid.UUID
) -> AgentWebhookOut:
    """Send there again although its receiver once said that it is gone."""
    await agents.one(session, organization_id, agent_id, lock="change")
    await session.execute(sa.delete(GoneAgentWebhook).where(GoneAgentWebhook.agent_id == agent_id))
    return await agent_webhook(session, organization_id, agent_id)


def _check(settings: Settings, url: str) -> None:
    if is_plain_http(url) and not settings.allow_private_addresses:
        raise errors.invalid_field("url", "URL must begin with https://")
