"""/v1/agents/{id}/versions and /v1/agents/{id}/draft."""

from __future__ import annotations

from typing import Annotated, Any, cast
from uuid import UUID

from fastapi import Path, Query

from chorus.agents import publish, queries, versions
from chorus.agents.version_schemas import (
    AgentDraftOut,
    AgentDraftPut,
    AgentVersionChange,
    AgentVersionCreate,
    AgentVersionDiffOut,
    AgentVersionOut,
    AgentVersionPatch,
    AgentVersionRestore,
    ListedAgentVersion,
)
from chorus.route import (
    Choosing,
    InOrganization,
    InPrincipal,
    InProcess,
    InSession,
    failures,
    router,
)
from chorus.wire import Data, Deleted, ListQuery, Page, page


class _Version(Choosing):
    """What is published may name what a vendor offers, and so may what is restored; a draft may
    too, but is not held to it."""

    def chooses(self, body: Any) -> bool:
        if self.path.endswith("/versions") and isinstance(body, dict):
            return super().chooses(cast("dict[str, Any]", body).get("agent"))
        return self.path.endswith("/restore")


routes = router("Agents", _Version)

Number = Annotated[int, Path(ge=1, le=2**31 - 1, description="Which version.")]


@routes.get(
    "/agents/{id}/versions",
    operation_id="listAgentVersions",
    summary="List versions of an agent",
    responses=failures(404),
)
async def list_versions(
    session: InSession,
    organization_id: InOrganization,
    id: UUID,
    query: Annotated[ListQuery, Query()],
) -> Page[ListedAgentVersion]:
    """The latest first. What was named or noted is kept as long as the agent; of the others, the
    latest 100 versions."""
    agent = await queries.one(session, organization_id, id)
    rows, found = await versions.page(session, agent, query)
    shown = [publish.listed(agent, version) for version in rows]
    return page(ListedAgentVersion, shown, found, query)


@routes.post(
    "/agents/{id}/versions",
    operation_id="publishAgent",
    summary="Publish a version of an agent",
    status_code=201,
    responses=failures(404, 409),
)
async def publish_version(
    process: InProcess,
    session: InSession,
    organization_id: InOrganization,
    principal: InPrincipal,
    id: UUID,
    wish: AgentVersionCreate,
) -> Data[AgentVersionOut]:
    """Changes the agent as `PATCH /v1/agents/{id}` does, and gives the version that comes of it a
    name and a note. Without changes it names the present version. The draft is gone."""
    agent, version = await publish.publish(session, process, organization_id, id, wish, principal)
    return Data(data=_whole(publish.listed(agent, version), version.settings))


@routes.get(
    "/agents/{id}/versions/{number}",
    operation_id="getAgentVersion",
    summary="Get a version of an agent",
    responses=failures(404),
)
async def get_version(
    session: InSession, organization_id: InOrganization, id: UUID, number: Number
) -> Data[AgentVersionOut]:
    agent = await queries.one(session, organization_id, id)
    version = await versions.one(session, agent, number)
    return Data(data=_whole(publish.listed(agent, version), version.settings))


@routes.patch(
    "/agents/{id}/versions/{number}",
    operation_id="updateAgentVersion",
    summary="Name a version of an agent",
    responses=failures(404),
)
async def name_version(
    session: InSession,
    organization_id: InOrganization,
    id: UUID,
    number: Number,
    wish: AgentVersionPatch,
) -> Data[AgentVersionOut]:
    """The name and the note. What the agent was then cannot be changed."""
    agent = await queries.one(session, organization_id, id)
    version = await versions.one(session, agent, number)
    for name, value in wish.changes().items():
        setattr(version, name, value)
    await session.flush()
    return Data(data=_whole(publish.listed(agent, version), version.settings))


@routes.get(
    "/agents/{id}/versions/{number}/diff",
    operation_id="diffAgentVersion",
    summary="Compare versions of an agent",
    responses=failures(404),
)
async def diff_version(
    session: InSession,
    organization_id: InOrganization,
    id: UUID,
    number: Number,
    against: Annotated[
        int | None,
        Query(ge=1, le=2**31 - 1, description="Which other; without it, the one before."),
    ] = None,
) -> Data[AgentVersionDiffOut]:
    """What `number` has other than `against`."""
    agent = await queries.one(session, organization_id, id)
    version = await versions.one(session, agent, number)
    if against is not None:
        other = await versions.one(session, agent, against)
    else:
        other = await versions.before(session, agent, number)
    changed = versions.difference(other.settings, version.settings) if other else {}
    return Data(
        data=AgentVersionDiffOut(
            number=number,
            against=other.number if other else None,
            changes=[
                AgentVersionChange(field=field, before=before, after=after)
                for field, (before, after) in changed.items()
            ],
        )
    )


@routes.post(
    "/agents/{id}/versions/{number}/restore",
    operation_id="restoreAgentVersion",
    summary="Restore a version of an agent",
    status_code=201,
    responses=failures(404, 409),
)
async def restore_version(
    process: InProcess,
    session: InSession,
    organization_id: InOrganization,
    principal: InPrincipal,
    id: UUID,
    number: Number,
    wish: AgentVersionRestore,
) -> Data[AgentVersionOut]:
    """Makes the agent what it was, as a new version. `isActive` and the secret of its webhook stay
    as they are. A tool, voice or model that is not there any more is refused by name."""
    agent, version = await publish.restore(
        session, process, organization_id, id, number, wish, principal
    )
    return Data(data=_whole(publish.listed(agent, version), version.settings))


@routes.get(
    "/agents/{id}/draft",
    operation_id="getAgentDraft",
    summary="Get the draft of an agent",
    responses=failures(404),
)
async def get_draft(
    session: InSession, organization_id: InOrganization, id: UUID
) -> Data[AgentDraftOut]:
    """Its ETag is what `If-Match` is to be when it is changed."""
    agent = await queries.one(session, organization_id, id)
    return Data(data=publish.shown(await publish.draft_of(session, agent)))


@routes.put(
    "/agents/{id}/draft",
    operation_id="putAgentDraft",
    summary="Keep the draft of an agent",
    responses=failures(404),
)
async def put_draft(
    session: InSession,
    organization_id: InOrganization,
    principal: InPrincipal,
    id: UUID,
    wish: AgentDraftPut,
) -> Data[AgentDraftOut]:
    """Work that does not count yet, for all who work on the agent: there is one draft an agent.
    With `If-Match`, 412 if somebody else changed it meanwhile. The answer's ETag is for the next
    change."""
    agent = await queries.one(session, organization_id, id, lock="change")
    return Data(data=publish.shown(await publish.keep_draft(session, agent, wish, principal)))


@routes.delete(
    "/agents/{id}/draft",
    operation_id="deleteAgentDraft",
    summary="Discard the draft of an agent",
    responses=failures(404),
)
async def delete_draft(
    session: InSession, organization_id: InOrganization, id: UUID
) -> Data[Deleted]:
    """Gone afterwards, whether there was one or not."""
    agent = await queries.one(session, organization_id, id)
    await publish.drop_draft(session, agent)
    return Data(data=Deleted(id=agent.id))


def _whole(listed: ListedAgentVersion, settings: dict[str, object]) -> AgentVersionOut:
    return AgentVersionOut(**dict(listed), agent=settings)
