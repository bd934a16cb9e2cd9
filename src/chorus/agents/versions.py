"""What an agent was, from each change to the next.

A version is written when an agent is made, and with every change that makes it another. Its
`settings` are the agent's fields as the API has them, but for `NOT_KEPT`. What was named or noted
is kept for as long as the agent; of the others the latest `MOST_UNNAMED`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import defer

from chorus import lists
from chorus.accounts.principal import Principal
from chorus.agents import queries
from chorus.agents.schemas import AgentCreate, AgentOut
from chorus.agents.tables import Agent, AgentVersion
from chorus.db import scoped
from chorus.errors import not_found
from chorus.wire import Found, ListQuery

NOT_KEPT = frozenset({"is_active", "post_call_webhook_secret"})
"""Whether it takes calls is no part of what it is, and a secret is kept once."""

MOST_UNNAMED = 100

KEPT = frozenset(AgentCreate.model_fields) - NOT_KEPT


async def settings_of(session: AsyncSession, agent: Agent) -> dict[str, Any]:
    """The agent's fields as the API has them, those that a version keeps."""
    [shown] = await queries.present(session, [agent])
    return settings_in(shown)


def settings_in(shown: AgentOut) -> dict[str, Any]:
    return shown.model_dump(mode="json", by_alias=True, include=set(KEPT))


async def keep(
    session: AsyncSession,
    agent: Agent,
    settings: dict[str, Any],
    by: Principal | None,
    *,
    restored_from: int | None = None,
) -> AgentVersion:
    """Write the version that `agent` is at. The agent's row must be locked."""
    version = AgentVersion(
        organization_id=agent.organization_id,
        agent_id=agent.id,
        number=agent.version,
        author_kind=by.kind if by else None,
        author=by.name if by else None,
        restored_from=restored_from,
        settings=settings,
    )
    session.add(version)
    await session.flush()
    if agent.version > MOST_UNNAMED:
        await session.execute(
            sa.delete(AgentVersion).where(
                AgentVersion.agent_id == agent.id,
                AgentVersion.number <= agent.version - MOST_UNNAMED,
                AgentVersion.name.is_(None),
                AgentVersion.note.is_(None),
            )
        )
    return version


async def page(
    session: AsyncSession, agent: Agent, wanted: ListQuery
) -> tuple[list[AgentVersion], Found]:
    """The latest first, unless it is wanted otherwise; without their `settings`, which no list
    shows."""
    query = (
        scoped(AgentVersion, agent.organization_id)
        .where(AgentVersion.agent_id == agent.id)
        .options(defer(AgentVersion.settings, raiseload=True))
    )
    return await lists.of(session, query, AgentVersion, wanted)


async def find(session: AsyncSession, agent: Agent, number: int) -> AgentVersion | None:
    return await session.scalar(
        scoped(AgentVersion, agent.organization_id).where(
            AgentVersion.agent_id == agent.id, AgentVersion.number == number
        )
    )


async def one(session: AsyncSession, agent: Agent, number: int) -> AgentVersion:
    """Raises `Error` 404."""
    version = await find(session, agent, number)
    if version is None:
        raise not_found("Agent version")
    return version


async def before(session: AsyncSession, agent: Agent, number: int) -> AgentVersion | None:
    """The latest that is kept of those before."""
    return await session.scalar(
        scoped(AgentVersion, agent.organization_id)
        .where(AgentVersion.agent_id == agent.id, AgentVersion.number < number)
        .order_by(AgentVersion.number.desc())
        .limit(1)
    )


def difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """The fields that differ, each with its value before and after. A field that one of the two
    does not know, because it is younger, differs if the other has something else than null."""
    fields = dict.fromkeys((*new, *old))
    return {
        field: (old.get(field), new.get(field))
        for field in fields
        if _without_nulls(old.get(field)) != _without_nulls(new.get(field))
    }


def _without_nulls(value: Any) -> Any:
    """What an object does not say is null: it may have been kept before it could be said."""
    if isinstance(value, dict):
        members = cast("dict[str, Any]", value).items()
        return {name: _without_nulls(each) for name, each in members if each is not None}
    if isinstance(value, list):
        return [_without_nulls(each) for each in cast("list[Any]", value)]
    return value
