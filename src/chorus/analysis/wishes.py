"""What an agent wants to know after a call: as it was when it held the call.

A call's `agent_version` is the version that it was held with. The agent as it is now stands in
where there is none: a call with unsaved changes, which are not known any more when it is over, and
a version that was dropped meanwhile (`agents/versions.py`).
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from chorus.agents import queries as agents
from chorus.agents import versions
from chorus.analysis.fields import Field, fields_of
from chorus.calls.analysed import Conversation


@dataclass(frozen=True, slots=True)
class Wishes:
    """`model_id` None: the platform's default. `prompt` is the system prompt, its variables not
    filled in: an agent's script, if it follows one."""

    summary: bool
    fields: tuple[Field, ...]
    model_id: uuid.UUID | None
    model_options: Mapping[str, Any]
    prompt: str


async def of(session: AsyncSession, call: Conversation) -> Wishes | None:
    """None if the agent has been deleted."""
    agent = await agents.find(session, call.organization_id, call.agent_id)
    if agent is None:
        return None
    if call.agent_version is not None and call.agent_version != agent.version:
        held = await versions.find(session, agent, call.agent_version)
        if held is not None:
            return _as_kept(held.settings)
    return Wishes(
        summary=agent.post_call_summary_enabled,
        fields=fields_of(agent.post_call_extraction_schema),
        model_id=agent.slm_model_id,
        model_options=agent.model_options or {},
        prompt=agent.system_prompt,
    )


def _as_kept(settings: Mapping[str, Any]) -> Wishes:
    """From an agent's fields as the API has them."""
    model_id: str | None = settings["slmModelId"]
    options: dict[str, Any] = settings["modelOptions"] or {}
    return Wishes(
        summary=settings["postCallSummaryEnabled"],
        fields=fields_of(settings["postCallExtractionSchema"]),
        model_id=None if model_id is None else uuid.UUID(model_id),
        model_options={name: value for name, value in options.items() if value is not None},
        prompt=settings["systemPrompt"],
    )
