"""/v1/agents."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import Query

from chorus.agents import edit, queries
from chorus.agents.schemas import AgentCreate, AgentOut, AgentPatch
from chorus.route import (
    InOrganization,
    InPrincipal,
    InProcess,
    InSession,
    choosing_router,
    failures,
)
from chorus.wire import Data, Deleted, Page, SearchQuery, page

routes = choosing_router("Agents")


@routes.get(
    "/agents",
    operation_id="listAgents",
    summary="List agents",
)
async def list_agents(
    process: InProcess,
    session: InSession,
    organization_id: InOrganization,
    query: Annotated[SearchQuery, Query()],
) -> Page[AgentOut]:
    agents, found = await queries.page(session, organization_id, query)
    return page(AgentOut, agents, found, query)


@routes.post(
    "/agents",
    operation_id="createAgent",
    summary="Create an agent",
    status_code=201,
)
async def create_agent(
    process: InProcess,
    session: InSession,
    organization_id: InOrganization,
    principal: InPrincipal,
    wish: AgentCreate,
) -> Data[AgentOut]:
    return Data(data=await edit.create(session, process, organization_id, wish, principal))


@routes.get(
    "/agents/{id}",
    operation_id="getAgent",
    summary="Get an agent",
    responses=failures(404),
)
async def get_agent(
    process: InProcess, session: InSession, organization_id: InOrganization, id: UUID
) -> Data[AgentOut]:
    agent = await queries.one(session, organization_id, id)
    [shown] = await queries.present(session, [agent])
    return Data(data=shown)


@routes.patch(
    "/agents/{id}",
    operation_id="updateAgent",
    summary="Change an agent",
    responses=failures(404),
)
async def update_agent(
    process: InProcess,
    session: InSession,
    organization_id: InOrganization,
    principal: InPrincipal,
    id: UUID,
    wish: AgentPatch,
) -> Data[AgentOut]:
    """The next call has it. If it makes the agent another, that is a new version of it."""
    agent = await edit.change(session, process, organization_id, id, wish.changes(), principal)
    [shown] = await queries.present(session, [agent])
    return Data(data=shown)


@routes.delete(
    "/agents/{id}",
    operation_id="deleteAgent",
    summary="Delete an agent",
    responses=failures(404, 409),
)
async def delete_agent(
    session: InSession, organization_id: InOrganization, id: UUID
) -> Data[Deleted]:
    await edit.delete(session, organization_id, id)
    return Data(data=Deleted(id=id))
