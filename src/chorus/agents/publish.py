"""Publishing an agent's changes as a version, restoring one, and the draft before it."""

from __future__ import annotations

import uuid

import sqlalchemy as sa
from pydantic import ValidationError
from sqlalchemy.ext.asyncio import AsyncSession

from chorus import errors
from chorus.accounts.principal import Principal
from chorus.agents import edit, queries, versions
from chorus.agents.schemas import AgentCreate
from chorus.agents.tables import Agent, AgentDraft, AgentVersion
from chorus.agents.version_schemas import (
    FIELDS,
    AgentDraftOut,
    AgentDraftPut,
    AgentVersionCreate,
    AgentVersionRestore,
    ListedAgentVersion,
)
from chorus.db import scoped
from chorus.process import Process


async def publish(
    session: AsyncSession,
    process: Process,
    organization_id: uuid.UUID,
    id: uuid.UUID,
    wish: AgentVersionCreate,
    by: Principal,
) -> tuple[Agent, AgentVersion]:
    """Change the agent, if changes are given, and name the version that it then is. The draft is
    gone with it. Raises `Error` 404, 400 for changes that cannot be, 409 if the agent is not at
    `base`."""
    agent = await queries.one(session, organization_id, id, lock="change")
    if wish.base is not None and wish.base != agent.version:
        raise errors.conflict(
            "agent_changed",
            f"The agent was changed meanwhile: it is at version {agent.version}",
            errors.Problem("base", f"Base is {wish.base}, and the agent at {agent.version}"),
        )
    changes = wish.agent.changes() if wish.agent is not None else {}
    version = await edit.change_to(session, process, agent, changes, by)
    for field in ("name", "note"):
        if getattr(wish, field) is not None:
            setattr(version, field, getattr(wish, field))
    await drop_draft(session, agent)
    await session.flush()
    return agent, version


async def restore(
    session: AsyncSession,
    process: Process,
    organization_id: uuid.UUID,
    id: uuid.UUID,
    number: int,
    wish: AgentVersionRestore,
    by: Principal,
) -> tuple[Agent, AgentVersion]:
    """Make the agent what it was at version `number`, as a new version; whether it takes calls and
    its webhook's secret stay. A draft stays too. Raises `Error` 404, 400 if it names what is
    not there any more, 409 if it does not make an agent any more."""
    agent = await queries.one(session, organization_id, id, lock="change")
    old = await versions.one(session, agent, number)
    try:
        settings = AgentCreate.model_validate(known(old.settings))
    except ValidationError as failure:
        first = failure.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise errors.conflict(
            "version_outdated", f"This version cannot be restored: {place}: {first['msg']}"
        ) from None
    changes = {name: getattr(settings, name) for name in versions.KEPT}
    version = await edit.change_to(session, process, agent, changes, by, restored_from=number)
    version.name = wish.name or version.name
    version.note = wish.note or version.note
    await session.flush()
    return agent, version


def known(settings: dict[str, object]) -> dict[str, object]:
    """Without fields that agents had once and have no more."""
    return {name: value for name, value in settings.items() if name in FIELDS}


def listed(agent: Agent, version: AgentVersion) -> ListedAgentVersion:
    return ListedAgentVersion(
        id=version.id,
        number=version.number,
        name=version.name,
        note=version.note,
        author=version.author,
        author_kind=version.author_kind,  # type: ignore[arg-type]  # the column takes no other
        restored_from=version.restored_from,
        is_current=version.number == agent.version,
        created_at=version.created_at,
    )


# --- the draft ------------------------------------------------------------------------------------


async def draft_of(session: AsyncSession, agent: Agent, *, lock: bool = False) -> AgentDraft | None:
    query = scoped(AgentDraft, agent.organization_id).where(AgentDraft.agent_id == agent.id)
    return await session.scalar(query.with_for_update() if lock else query)


async def keep_draft(
    session: AsyncSession, agent: Agent, wish: AgentDraftPut, by: Principal
) -> AgentDraft:
    """The agent's row must be locked: of two who begin one at the same time one waits."""
    row = await draft_of(session, agent, lock=True)
    if row is None:
        row = AgentDraft(organization_id=agent.organization_id, agent_id=agent.id)
        session.add(row)
    row.changes, row.base = wish.agent, wish.base
    row.author_kind, row.author = by.kind, by.name
    await session.flush()
    # As the database gives it back, of which its ETag is made: Postgres orders an object's members.
    await session.refresh(row)
    return row


async def drop_draft(session: AsyncSession, agent: Agent) -> None:
    await session.execute(sa.delete(AgentDraft).where(AgentDraft.agent_id == agent.id))


def shown(draft: AgentDraft | None) -> AgentDraftOut:
    if draft is None:
        return AgentDraftOut(agent={}, base=None, author=None, author_kind=None, updated_at=None)
    return AgentDraftOut(
        agent=draft.changes,
        base=draft.base,
        author=draft.author,
        author_kind=draft.author_kind,  # type: ignore[arg-type]  # the column takes no other
        updated_at=draft.updated_at,
    )
