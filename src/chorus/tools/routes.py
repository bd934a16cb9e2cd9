"""/v1/tools."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import Query, Request

from chorus import errors
from chorus.accounts.secrets import SecretsUnreadable
from chorus.route import InOrganization, InProcess, InSession, failures, reading_router, router
from chorus.tools import edit, queries, trial
from chorus.tools.schemas import (
    ToolArguments,
    ToolCreate,
    ToolOut,
    ToolPatch,
    ToolTestHeader,
    ToolTestOut,
    ToolTestRequest,
)
from chorus.tools.spec import http_tool
from chorus.wire import Data, Deleted, Page, SearchQuery, page

routes = router("Tools")
test_routes = reading_router("Tools")


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


@test_routes.post(
    "/tools/{id}/test",
    operation_id="testTool",
    summary="Run a tool once",
    responses=failures(404, 409),
)
async def test_tool(
    request: Request,
    process: InProcess,
    organization_id: InOrganization,
    id: UUID,
    wish: ToolArguments,
) -> Data[ToolTestOut]:
    """Makes the tool's request as a call would, with all its effects, and shows both sides."""
    async with process.database.reading() as session:
        row = await queries.one(session, organization_id, id)
    try:
        tool = http_tool(row, process.secrets)
        hidden = queries.hidden_headers(row, process.secrets)
    except SecretsUnreadable as failure:
        raise errors.conflict("secrets_unreadable", str(failure)) from None
    outbound = request.app.state.switchboard.outbound
    ran = await trial.run(outbound, tool, hidden, wish.arguments, wish.variables)
    sent = ran.request
    return Data(
        data=ToolTestOut(
            ok=ran.result.ok,
            status=ran.result.status,
            elapsed_ms=ran.result.elapsed_ms,
            request=sent
            and ToolTestRequest(
                method=tool.method,
                url=sent.url,
                headers=[ToolTestHeader(key=key, value=value) for key, value in sent.headers],
                body=None if sent.content is None else sent.content.decode("utf-8", "replace"),
            ),
            result=ran.result.content,
        )
    )
