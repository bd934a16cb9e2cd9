"""Reading agents."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from chorus import lists
from chorus.agents.schemas import AgentOut
from chorus.agents.tables import Agent, AgentTool
from chorus.db import named_like, scoped
from chorus.wire import Found, SearchQuery

_table = cast("sa.Table", Agent.__table__)


async def page(
    session: AsyncSession,
    organization_id: uuid.UUID,
    wanted: SearchQuery,
) -> tuple[list[AgentOut], Found]:
    """Agents as the API shows them."""
    # As rows of the table, not as objects: a list that is asked for all day.
    query = sa.select(*_table.c).where(_table.c.organization_id == organization_id)
    if search := wanted.wanted:
        query = query.where(named_like(_table.c.name, search))
    rows, found = await lists.page(session, query, (_table.c.created_at, _table.c.id), wanted)
    return await _shown(session, rows), found


async def find(
    session: AsyncSession, organization_id: uuid.UUID, id: uuid.UUID, *, lock: bool = False
) -> Agent | None:
    query = scoped(Agent, organization_id).where(Agent.id == id)
    return await session.scalar(query.with_for_update() if lock else query)


async def one(
    session: AsyncSession,
    organization_id: uuid.UUID,
    id: uuid.UUID,
    *,
    lock: lists.Lock | None = None,
) -> Agent:
    """Raises `Error` 404. `lock` holds off other writers until the transaction ends."""
    query = scoped(Agent, organization_id).where(Agent.id == id)
    return await lists.one(session, query, "Agent", lock=lock)


async def version(session: AsyncSession, id: uuid.UUID) -> int | None:
    """The number of the version that the agent is at; None if there is no such agent."""
    return await session.scalar(sa.select(Agent.version).where(Agent.id == id))


def ids_named(organization_id: uuid.UUID, search: str) -> sa.Select[uuid.UUID]:
    """A query for the ids of agents whose name contains `search`, for use in other queries."""
    query = scoped(Agent, organization_id).where(named_like(Agent.name, search))
    return query.with_only_columns(Agent.id)


async def using_knowledge_base(
    session: AsyncSession, organization_id: uuid.UUID, id: uuid.UUID, *, most: int = 20
) -> list[tuple[uuid.UUID, str]]:
    """Agents that may look into a knowledge base, by id and name."""
    listed_ids = sa.cast(Agent.knowledge_base_ids, sa.Text)  # JSON; an id is in nothing else
    query = (
        scoped(Agent, organization_id)
        .where(listed_ids.contains(str(id)))
        .order_by(Agent.name, Agent.id)
        .with_only_columns(Agent.id, Agent.name)
    )
    return [(row.id, row.name) for row in await session.execute(query.limit(most))]


async def tool_ids(
    session: AsyncSession, agents: Sequence[uuid.UUID]
) -> dict[uuid.UUID, list[uuid.UUID]]:
    """The tools of each agent, in the order in which they were given."""
    found: defaultdict[uuid.UUID, list[uuid.UUID]] = defaultdict(list)
    if agents:
        rows = await session.execute(
            sa.select(AgentTool.agent_id, AgentTool.tool_id)
            .where(AgentTool.agent_id.in_(agents))
            .order_by(AgentTool.agent_id, AgentTool.position)
        )
        for agent_id, tool_id in rows:
            found[agent_id].append(tool_id)
    return found


_AS_THEY_ARE = AgentOut.model_fields.keys() - {"tool_ids", "has_post_call_webhook_secret"}


async def present(session: AsyncSession, agents: Sequence[Agent]) -> list[AgentOut]:
    """Agents as the API shows them."""
    # Not attribute by attribute: each of 37 would be asked for through SQLAlchemy.
    return await _shown(session, [agent.__dict__ for agent in agents])


async def _shown(session: AsyncSession, rows: Sequence[Mapping[Any, Any]]) -> list[AgentOut]:
    tools = await tool_ids(session, [row["id"] for row in rows])
    return [shown(row, tools.get(row["id"], [])) for row in rows]


def shown(row: Mapping[Any, Any], tools: Sequence[uuid.UUID]) -> AgentOut:
    """An agent's columns by their names, and its tools in their order, as the API shows them."""
    return AgentOut.model_validate(
        {
            **{name: row[name] for name in _AS_THEY_ARE},
            "tool_ids": tools,
            "has_post_call_webhook_secret": row["post_call_webhook_secret"] is not None,
        }
    )
