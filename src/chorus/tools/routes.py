"""/v1/tools."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import Query

from chorus.route import InOrganization, InProcess, InSession, failures, router
from chorus.tools import edit, queries
from chorus.tools.schemas import ToolCreate, ToolOut, ToolPatch
from chorus.wire import Data, Deleted, Page, SearchQuery, page

routes = router("Tools")


@routes.get(
    "/tools",
    operation_id="listTools",
    summary="List tools",
)
async def list_tools(
    process: InProcess,
    session: InSession,
    organization_id: InOrganization,
    query: Annotated[SearchQuery, Query()],
) -> Page[ToolOut]:
    tools, found = await queries.page(session, organization_id, query)
    return page(ToolOut, [queries.present(tool, process.secrets) for tool in tools], found, query)


@routes.post(
    "/tools",
    operation_id="createTool",
    summary="Create a tool",
    status_code=201,
)
async def create_tool(
    process: InProcess, session: InSession, organization_id: InOrganization, wish: ToolCreate
) -> Data[ToolOut]:
    tool = await edit.create(session, organization_id, wish, process.secrets)
    return Data(data=queries.present(tool, process.secrets))


@routes.get(
    "/tools/{id}",
    operation_id="getTool",
    summary="Get a tool",
    responses=failures(404),
)
async def get_tool(
    process: InProcess, session: InSession, organization_id: InOrganization, id: UUID
) -> Data[ToolOut]:
    tool = await queries.one(session, organization_id, id)
    return Data(data=queries.present(tool, process.secrets))


@routes.patch(
    "/tools/{id}",
    operation_id="updateTool",
    summary="Change a tool",
    responses=failures(404),
)
async def update_tool(
    process: InProcess,
    session: InSession,
    organization_id: InOrganization,
    id: UUID,
    wish: ToolPatch,
) -> Data[ToolOut]:
    tool = await edit.change(session, organization_id, id, wish.changes(), process.secrets)
    return Data(data=queries.present(tool, process.secrets))


@routes.delete(
    "/tools/{id}",
    operation_id="deleteTool",
    summary="Delete a tool",
    responses=failures(404, 409),
)
async def delete_tool(
    session: InSession, organization_id: InOrganization, id: UUID
) -> Data[Deleted]:
    await edit.delete(session, organization_id, id)
    return Data(data=Deleted(id=id))
