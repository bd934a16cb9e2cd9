"""Making, changing and deleting agents."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any, cast

import sqlalchemy as sa
from pydantic import BaseModel
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from chorus import errors, in_use, lists
from chorus.accounts.principal import Principal
from chorus.accounts.secrets import Secrets
from chorus.agents import queries, texts, versions
from chorus.agents.schemas import AgentCreate, AgentOut
from chorus.agents.tables import Agent, AgentTool, AgentVersion
from chorus.catalogue.catalogue import Catalogue
from chorus.errors import Problem
from chorus.knowledge.tables import KnowledgeBase
from chorus.process import Process
from chorus.tools.tables import Tool
from chorus.wire import is_plain_http


async def create(
    session: AsyncSession,
    process: Process,
    organization_id: uuid.UUID,
    wish: AgentCreate,
    by: Principal,
) -> AgentOut:
    """The new agent, as the API shows it."""
    values = {name: getattr(wish, name) for name in AgentCreate.model_fields}
    agent = Agent(organization_id=organization_id, id=uuid.uuid4(), version=1)
    await _apply(session, process, agent, values, is_new=True)
    # Nothing of it is looked up again: everybody who writes to SQLite waits meanwhile.
    shown = queries.shown(agent.__dict__, wish.tool_ids)
    await versions.keep(session, agent, versions.settings_in(shown), by)
    return shown


async def change(
    session: AsyncSession,
    process: Process,
    organization_id: uuid.UUID,
    id: uuid.UUID,
    changes: dict[str, Any],
    by: Principal,
) -> Agent:
    """Writes the columns that are named in `changes` and no other, so that two who change
    different fields at the same time both succeed."""
    agent = await queries.one(session, organization_id, id, lock="change")
    await change_to(session, process, agent, changes, by)
    return agent


async def change_to(
    session: AsyncSession,
    process: Process,
    agent: Agent,
    changes: dict[str, Any],
    by: Principal,
    *,
    restored_from: int | None = None,
) -> AgentVersion:
    """As `change`, for an agent whose row is locked; returns the version that it is then at, which
    is a new one only if it is another agent than before."""
    before = await versions.settings_of(session, agent)
    present = await versions.find(session, agent, agent.version)
    if present is None:  # made by something else than this API
        present = await versions.keep(session, agent, before, None)
    await _apply(session, process, agent, changes)
    after = await versions.settings_of(session, agent)
    if after == before:
        return present
    agent.version += 1
    await session.flush()
    return await versions.keep(session, agent, after, by, restored_from=restored_from)


async def delete(session: AsyncSession, organization_id: uuid.UUID, id: uuid.UUID) -> None:
    """Raises `Error` 409 while a phone number or a call that is not over uses it. Calls that are
    over keep its id."""
    agent = await queries.one(session, organization_id, id, lock="delete")
    await in_use.refuse(session, agent, "agent")
    await session.delete(agent)
    await session.flush()


async def _apply(
    session: AsyncSession,
    process: Process,
    agent: Agent,
    values: dict[str, Any],
    *,
    is_new: bool = False,
) -> None:
    values = await checked(session, process, agent, values)
    tool_ids: list[uuid.UUID] | None = values.pop("tool_ids", None)
    for name, value in values.items():
        setattr(agent, name, stored(process.secrets, name, value))
    session.add(agent)
    try:
        await session.flush()
        if tool_ids is not None:
            if not is_new:
                await session.execute(sa.delete(AgentTool).where(AgentTool.agent_id == agent.id))
            await _give_tools(session, agent, tool_ids)
    except IntegrityError:
        # A tool that was there a moment ago was deleted meanwhile.
        raise errors.invalid_field("toolIds", "Tool not found") from None


def stored(secrets: Secrets, name: str, value: Any) -> Any:
    """A field as its column takes it."""
    if name == "post_call_webhook_secret" and value is not None:
        return secrets.encrypt(value)
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", by_alias=True, exclude_none=True)
    if isinstance(value, list):
        return [_json(item) for item in cast("list[Any]", value)]
    return value


def _json(item: Any) -> Any:
    return item.model_dump(mode="json", by_alias=True) if isinstance(item, BaseModel) else str(item)


async def _give_tools(session: AsyncSession, agent: Agent, tool_ids: list[uuid.UUID]) -> None:
    session.add_all(
        AgentTool(agent_id=agent.id, tool_id=tool_id, position=position)
        for position, tool_id in enumerate(tool_ids)
    )
    await session.flush()


_EARS = ("Transcriber", "transcribers")


def identified(
    catalogue: Catalogue, given: Mapping[str, Any]
) -> tuple[dict[str, Any], list[Problem]]:
    """What was given, with ids where a model or a voice is named by its slug; without, and with a
    problem for each, what the catalogue does not have."""
    values = dict(given)
    problems: list[Problem] = []
    for name, field, named, noun, path in (
        ("slm_model_id", "slmModelId", catalogue.model_named, "SLM model", "slm-models"),
        ("voice_id", "voiceId", catalogue.voice_named, "Voice", "voices"),
        ("transcriber_id", "transcriberId", catalogue.transcriber_named, *_EARS),
    ):
        others = name.replace("_id", "_fallback_ids")
        wanted: str | None = values.get(name)
        many: list[str] = values.get(others) or []
        places = [(field.replace("Id", f"FallbackIds.{n}"), one) for n, one in enumerate(many)]
        if wanted is not None:
            places.insert(0, (field, wanted))
        found = [(place, named(one)) for place, one in places]
        problems += [
            Problem(place, f"{noun} not found: GET /v1/{path} lists the ids and slugs there are")
            for place, entry in found
            if entry is None
        ]
        ids = [entry.id for _, entry in found if entry is not None]
        if len(ids) < len(found):
            values.pop(name, None)
            values.pop(others, None)
            continue
        if wanted is not None:
            values[name] = ids.pop(0)
        if many:
            values[others] = list(dict.fromkeys(ids))
    return values, problems


async def checked(
    session: AsyncSession, process: Process, agent: Agent, given: dict[str, Any]
) -> dict[str, Any]:
    """What was given, with the ids of what it names by slug. What is named must be there. Only
    what is sent is looked at: an agent whose voice is no longer installed can still be renamed."""
    catalogue = await process.catalogues.of(session, agent.organization_id)
    values, problems = identified(catalogue, given)
    sound_id = values.get("background_sound_id")
    if sound_id is not None and catalogue.sound(sound_id) is None:
        problems.append(Problem("backgroundSoundId", "Background sound not found"))
    tool_ids: list[uuid.UUID] = values.get("tool_ids") or []
    absent = await lists.missing(session, Tool, agent.organization_id, tool_ids)
    problems += [
        Problem(f"toolIds.{place}", "Tool not found")
        for place, id in enumerate(tool_ids)
        if id in absent
    ]
    base_ids: list[uuid.UUID] = values.get("knowledge_base_ids") or []
    absent = await lists.missing(session, KnowledgeBase, agent.organization_id, base_ids)
    problems += [
        Problem(f"knowledgeBaseIds.{place}", "Knowledge base not found")
        for place, id in enumerate(base_ids)
        if id in absent
    ]
    for name, field, noun in (
        ("post_call_webhook_url", "postCallWebhookUrl", "Post call webhook URL"),
        ("hold_music_url", "holdMusicUrl", "Hold music URL"),
    ):
        url: str | None = values.get(name)
        if url and is_plain_http(url) and not process.settings.allow_private_addresses:
            problems.append(Problem(field, f"{noun} must begin with https://"))
    problems += texts.problems(catalogue, agent.slm_model_id, agent.system_prompt, values)
    if problems:
        raise errors.invalid(*problems)
    return values
