"""Where a delivery goes and what signs it, at the moment of a try.

That is asked anew for every try: a URL that is corrected or a secret that is replaced counts for
what already waits. Only the webhook of an agent that was deleted goes where it was announced to,
because a call's news are news without its agent too.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from chorus.accounts.secrets import Secrets
from chorus.agents import queries as agents
from chorus.db import scoped
from chorus.webhooks import secret
from chorus.webhooks.tables import GoneAgentWebhook, WebhookDelivery, WebhookEndpoint


class NoTarget(Exception):
    """Nobody wants this any more. `reason` is a word for programs."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Target:
    """`secrets`: the newest first."""

    url: str
    secrets: tuple[str, ...]


async def find(
    session: AsyncSession, delivery: WebhookDelivery, secrets: Secrets, now: datetime
) -> Target:
    """Raises `NoTarget`, `SecretsUnreadable`."""
    if delivery.target_kind == "endpoint":
        endpoint = await session.scalar(
            scoped(WebhookEndpoint, delivery.organization_id).where(
                WebhookEndpoint.id == delivery.target_id
            )
        )
        if endpoint is None:
            raise NoTarget("endpoint_deleted")
        if not endpoint.is_active:
            raise NoTarget("endpoint_inactive")
        return Target(endpoint.url, tuple(secret.current(endpoint, secrets, now)))
    url, stored = await _agents(session, delivery)
    if stored is not None:
        return Target(url, (secrets.decrypt(stored),))
    own = await secret.find(session, delivery.organization_id)
    assert own is not None, "made when the event was announced"
    return Target(url, tuple(secret.current(own, secrets, now)))


async def _agents(session: AsyncSession, delivery: WebhookDelivery) -> tuple[str, str | None]:
    agent = await agents.find(session, delivery.organization_id, delivery.target_id)
    if agent is None:
        return delivery.url, delivery.secret
    if not agent.post_call_webhook_url:
        raise NoTarget("webhook_removed")
    gone = await session.get(GoneAgentWebhook, agent.id)
    if gone is not None and gone.url == agent.post_call_webhook_url:
        raise NoTarget("webhook_gone")
    return agent.post_call_webhook_url, agent.post_call_webhook_secret
