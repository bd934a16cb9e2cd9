"""Checking an agent before it takes calls: POST /v1/agents/{id}/check."""

# ruff: noqa: RUF012  pydantic copies the defaults of a model

from __future__ import annotations

import asyncio
from typing import Annotated, Literal
from uuid import UUID

from fastapi import Request
from pydantic import Field

from chorus import errors
from chorus.agents import check, queries
from chorus.agents.schemas import AgentPatch
from chorus.agents.snapshot import draft
from chorus.calls.switchboard import Switchboard
from chorus.route import InOrganization, InProcess, failures, reading_router
from chorus.wire import Data, In, Out, Variables

check_routes = reading_router("Agents")


class CheckRequest(In):
    """What is to be checked with the agent."""

    context_variables: Annotated[
        Variables, Field(description="What calls will give: a variable that is here has a value.")
    ] = {}
    agent: Annotated[
        AgentPatch | None,
        Field(description="Changes to the agent that are checked with it and not saved."),
    ] = None


class CheckFinding(Out):
    """One thing that was found."""

    severity: Literal["error", "warning"]
    field: str
    message: str


class AgentCheck(Out):
    """`ok` without an error; warnings are findings too."""

    ok: bool
    findings: list[CheckFinding]


@check_routes.post(
    "/agents/{id}/check",
    operation_id="checkAgent",
    summary="Check an agent",
    responses=failures(404),
)
async def check_agent(
    request: Request,
    process: InProcess,
    organization_id: InOrganization,
    id: UUID,
    wish: CheckRequest,
) -> Data[AgentCheck]:
    """Mistakes in its texts, variables without a value, engines that this server does not have,
    and tools whose server cannot be reached. No tool is called and no model is asked."""
    switchboard: Switchboard = request.app.state.switchboard
    given = wish.context_variables
    tools = ()
    async with process.database.reading() as session:
        agent = await queries.one(session, organization_id, id)
        catalogue = await process.catalogues.of(session, organization_id)
        try:
            taken = await draft(session, process, agent, wish.agent.changes() if wish.agent else {})
        except errors.Error as error:
            findings = [check.Finding("error", p.field, p.message) for p in error.details]
            findings = findings or [check.Finding("error", "agent", error.message)]
        else:
            tools = taken.spec.tools
            findings = [
                *check.of_texts(catalogue, agent),
                *check.of_engines(catalogue, agent),
                *check.of_variables(agent, taken.spec, given),
            ]
        heard = check.heard_here(catalogue, agent)
    findings += await asyncio.to_thread(check.of_hearing, process.settings.models_dir, heard)
    findings += await check.of_tools(tools, given, switchboard.outbound)
    shown = [CheckFinding.model_validate(finding) for finding in findings]
    return Data(data=AgentCheck(ok=check.is_fine(findings), findings=shown))
