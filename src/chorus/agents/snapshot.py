"""An agent, frozen into what a conversation needs.

Taken when a call is answered: what is changed afterwards counts from the next call on. Null in
a turn-taking field means the platform's default. An id that the catalogue has lost (a vendor's
key was taken away) falls back to the default, so that a number goes on being answered.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from chorus.accounts.secrets import Secrets
from chorus.agents import edit, queries
from chorus.agents.tables import Agent, AgentTool
from chorus.catalogue.catalogue import (
    LOCAL_EARS,
    SIMULATED_EARS,
    Catalogue,
    VoiceEntry,
    spoken_id,
)
from chorus.catalogue.choice import Choice
from chorus.db import scoped
from chorus.process import Process
from chorus.speech.racing import Hedging
from chorus.talk.spec import AgentSpec, Answering, HttpTool, KeyInput, TransferTarget
from chorus.talk.turns.turns import TurnSettings
from chorus.tools.spec import http_tool
from chorus.tools.tables import Tool

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """`choice` without a model or a voice: there is none at all. `version` is the number of the
    agent's; of an agent with changes, of what was changed."""

    spec: AgentSpec
    choice: Choice
    is_active: bool
    version: int


async def snapshot(
    session: AsyncSession,
    organization_id: uuid.UUID,
    agent_id: uuid.UUID,
    secrets: Secrets,
    catalogue: Catalogue,
) -> Snapshot | None:
    """None if the organization has no such agent. Raises `SecretsUnreadable`."""
    agent = await session.scalar(scoped(Agent, organization_id).where(Agent.id == agent_id))
    if agent is None:
        return None
    found = await session.scalars(
        scoped(Tool, organization_id)
        .join(AgentTool, AgentTool.tool_id == Tool.id)
        .where(AgentTool.agent_id == agent_id)
        .order_by(AgentTool.position)
    )
    return snapshot_of(agent, found.all(), secrets, catalogue)


async def draft(
    session: AsyncSession, process: Process, agent: Agent, changes: dict[str, Any]
) -> Snapshot:
    """`agent` as it would be with `changes`, which are checked as if they were saved and are not.
    The agent is taken out of the session. Raises `Error` 400 and `SecretsUnreadable`."""
    changes = {"tool_ids": await _tool_ids(session, agent), **changes}
    changes = await edit.checked(session, process, agent, changes)
    catalogue = await process.catalogues.of(session, agent.organization_id)
    return await _changed(session, agent, changes, process.secrets, catalogue)


async def with_changes(
    session: AsyncSession,
    organization_id: uuid.UUID,
    agent_id: uuid.UUID,
    changes: dict[str, Any],
    secrets: Secrets,
    catalogue: Catalogue,
) -> Snapshot | None:
    """An agent with changes that `draft` has let pass before. None if there is no such agent.
    Raises `SecretsUnreadable`."""
    agent = await session.scalar(scoped(Agent, organization_id).where(Agent.id == agent_id))
    if agent is None:
        return None
    changes, _ = edit.identified(catalogue, changes)
    changes = {"tool_ids": await _tool_ids(session, agent), **changes}
    return await _changed(session, agent, changes, secrets, catalogue)


async def _tool_ids(session: AsyncSession, agent: Agent) -> list[uuid.UUID]:
    return (await queries.tool_ids(session, [agent.id])).get(agent.id, [])


async def _changed(
    session: AsyncSession,
    agent: Agent,
    changes: dict[str, Any],
    secrets: Secrets,
    catalogue: Catalogue,
) -> Snapshot:
    tool_ids: list[uuid.UUID] = changes.pop("tool_ids") or []
    rows = await session.scalars(scoped(Tool, agent.organization_id).where(Tool.id.in_(tool_ids)))
    tools = {tool.id: tool for tool in rows}
    session.expunge(agent)
    for name, value in changes.items():
        setattr(agent, name, edit.stored(secrets, name, value))
    wanted = [tools[id] for id in tool_ids if id in tools]
    return snapshot_of(agent, wanted, secrets, catalogue)


def snapshot_of(
    agent: Agent, tools: Sequence[Tool], secrets: Secrets, catalogue: Catalogue
) -> Snapshot:
    choice = choice_of(agent, catalogue)
    return Snapshot(
        spec=_spec(agent, [http_tool(tool, secrets) for tool in tools], choice.voice),
        choice=choice,
        is_active=agent.is_active,
        version=agent.version,
    )


def choice_of(agent: Agent, catalogue: Catalogue) -> Choice:
    """What the agent names, as far as the catalogue has it; the defaults for the rest. What stands
    in and is not there is left out."""
    model = catalogue.model(agent.slm_model_id) if agent.slm_model_id else None
    model = model or catalogue.default_model
    voice = catalogue.voice(agent.voice_id) if agent.voice_id else None
    ears = catalogue.transcriber(agent.transcriber_id) if agent.transcriber_id else None
    if ears is None:
        # Simulated callers are understood by nobody else.
        simulated = model is not None and model.engine == "simulated"
        ears = SIMULATED_EARS if simulated else catalogue.transcriber_for(agent.language_hint)
    return Choice(
        model=model,
        voice=voice or catalogue.voice_for(agent.language_hint),
        transcriber=ears or LOCAL_EARS,
        other_models=_found(catalogue.model, agent.slm_model_fallback_ids),
        other_voices=_found(catalogue.voice, agent.voice_fallback_ids),
        other_transcribers=_found(catalogue.transcriber, agent.transcriber_fallback_ids),
        language=agent.language_hint,
        keyterms=tuple(agent.keyterms),
        model_options=agent.model_options or {},
    )


def _found(named: Callable[[uuid.UUID], T | None], ids: Sequence[str]) -> tuple[T, ...]:
    found = (named(uuid.UUID(id)) for id in ids)
    return tuple(entry for entry in found if entry is not None)


async def is_active(session: AsyncSession, agent_id: uuid.UUID) -> bool:
    """Whether the agent exists and takes calls."""
    found = await session.scalar(sa.select(Agent.is_active).where(Agent.id == agent_id))
    return bool(found)


def _spec(agent: Agent, tools: Sequence[HttpTool], voice: VoiceEntry | None) -> AgentSpec:
    speaks_first = agent.first_speaker == "agent"
    return AgentSpec(
        agent_id=str(agent.id),
        name=agent.name,
        system_prompt=agent.system_prompt,
        voice=spoken_id(voice) if voice else "",
        voice_speed=agent.voice_speed,
        voice_stability=agent.voice_stability,
        language=agent.language_hint,
        languages=tuple(agent.languages),
        pronunciations=tuple((each["text"], each["spoken"]) for each in agent.pronunciations),
        turns=_turn_settings(agent),
        allow_end_call=agent.allow_end_call,
        allow_press_keys=agent.allow_press_keys,
        key_inputs=tuple(key_input(each) for each in agent.key_inputs),
        first_speaker="agent" if speaks_first else "user",
        greeting=agent.agent_greeting if agent.agent_greeting_enabled else None,
        first_message_uninterruptible=agent.first_message_uninterruptible,
        first_message_delay_ms=agent.first_message_delay,
        max_call_duration_s=agent.max_call_duration_seconds,
        silence_timeout_s=agent.silence_timeout_seconds,
        silence_reminders=agent.silence_reminders,
        latency_target_ms=agent.latency_target_ms,
        hedging=cast("Hedging | None", agent.hedging),
        filler_after_ms=agent.filler_after_ms,
        fillers=tuple(agent.fillers),
        tools=tuple(tools),
        answering=answering(agent.answering) if agent.answering is not None else None,
        transfer_targets=tuple(transfer_target(each) for each in agent.transfer_targets),
        knowledge_base_ids=tuple(agent.knowledge_base_ids),
        knowledge_instructions=agent.knowledge_search_instructions,
        hold_message=agent.hold_message,
        hold_music_url=agent.hold_music_url,
        background_sound=str(agent.background_sound_id) if agent.background_sound_id else None,
        background_volume=agent.background_sound_volume,
    )


def key_input(stored: Mapping[str, Any]) -> KeyInput:
    """As `schemas.KeyInput` is stored."""
    return KeyInput(
        name=stored["name"],
        description=stored["description"],
        min_length=stored["minLength"],
        max_length=stored["maxLength"],
        terminator=stored["terminator"],
        timeout_s=stored["timeoutSeconds"],
        gap_ms=stored["gapSeconds"] * 1000,
        secret=stored["secret"],
    )


def answering(stored: Mapping[str, Any]) -> Answering:
    """As `answering.Answering` is stored, without what is null."""
    return Answering(
        mailbox=stored["mailbox"],
        message=stored.get("message"),
        beep_wait_s=stored["beepWaitSeconds"],
        unavailable=stored["unavailable"],
        menu=stored["menu"],
        menu_goal=stored["menuGoal"],
        menu_limit_s=stored["menuLimitSeconds"],
        screening=stored["screening"],
        introduction=stored.get("introduction"),
        screening_wait_s=stored["screeningWaitSeconds"],
        silence=stored["silence"],
    )


def transfer_target(stored: Mapping[str, Any]) -> TransferTarget:
    """As `transfer_target.TransferTarget` is stored; one of an earlier version has fewer fields."""
    return TransferTarget(
        name=stored["name"],
        number=stored["number"],
        type=stored.get("type", "cold"),
        description=stored.get("description", ""),
        briefing=stored.get("briefing"),
        ring_timeout_s=stored.get("ringTimeoutSeconds", 30),
        post_dial_digits=stored.get("postDialDigits") or "",
        when_unavailable=stored.get("whenUnavailable"),
        release=stored.get("merge") == "release",
        headers=tuple((each["key"], each["value"]) for each in stored.get("headers", ())),
        shows_caller=stored.get("callerId") == "caller",
        transcribe=stored.get("transcribe", False),
    )


def _turn_settings(agent: Agent) -> TurnSettings:
    given = {
        "frame_activation_threshold": agent.frame_activation_threshold,
        "turn_endpoint_delay_ms": agent.turn_endpoint_delay,
        "min_turn_duration_ms": agent.min_turn_duration,
        "min_interruption_duration_ms": agent.min_interruption_duration,
        "post_speech_cooldown_ms": agent.post_speech_cooldown,
        "eot_threshold": agent.ultravad_eot_threshold,
        "speculative_silence_ms": agent.speculative_silence_ms,
        "fallback_silence_ms": agent.fallback_silence_ms,
    }
    return TurnSettings(**{name: value for name, value in given.items() if value is not None})  # type: ignore[arg-type] # each value has its field's type
