"""Versions and drafts of agents at the HTTP edge."""

# ruff: noqa: RUF012  pydantic copies the defaults of a model

from __future__ import annotations

from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, Field

from chorus.agents.schemas import AgentCreate, AgentPatch
from chorus.wire import Anything, In, Name, Out, Text, Time, Whole, at_most

_FIELDS = {field.alias or name for name, field in AgentCreate.model_fields.items()}
_NOT_KEPT = "postCallWebhookSecret"
_MOST_BYTES = 262_144

Note = Annotated[Text, Field(min_length=1, max_length=2000)]
Author = Literal["key", "member", "operator"]


def _fields_of_an_agent(value: dict[str, Any]) -> dict[str, Any]:
    if _NOT_KEPT in value:
        raise ValueError(f"must not hold {_NOT_KEPT}: send that when you save")
    unknown = sorted(value.keys() - _FIELDS)
    if unknown:
        raise ValueError(f"must hold fields of an agent, which {unknown[0]} is not")
    return value


class AgentVersionCreate(In):
    """What to publish: changes, and how the version that comes of them is called."""

    agent: Annotated[
        AgentPatch | None,
        Field(description="Changes to the agent. Without any, its present version is named."),
    ] = None
    name: Name | None = None
    note: Note | None = None
    base: Annotated[
        Annotated[Whole, Field(ge=1)] | None,
        Field(description="The version that was changed: 409 if the agent is at another by now."),
    ] = None


class AgentVersionPatch(In):
    """How a version is called. What is null is taken away, what is left out stays."""

    name: Name | None = None
    note: Note | None = None


class AgentVersionRestore(In):
    """How the version that comes of a restoration is called."""

    name: Name | None = None
    note: Note | None = None


class ListedAgentVersion(Out):
    """What an agent was from one change to the next."""

    id: UUID
    number: int
    name: str | None
    note: str | None
    author: Annotated[str | None, Field(description="Who made the change, by name.")]
    author_kind: Author | None
    restored_from: Annotated[int | None, Field(description="The version that this one repeats.")]
    is_current: Annotated[bool, Field(description="Whether the next call has it.")]
    created_at: Time


class AgentVersionOut(ListedAgentVersion):
    """A version with what the agent was."""

    agent: Annotated[
        Anything,
        Field(
            description="The agent's fields, but for `isActive` and the secret of its webhook. "
            "Tools are named by id: what a tool does is not part of the version."
        ),
    ]


class AgentVersionChange(Out):
    """One field that differs between two versions."""

    field: str
    before: Any
    after: Any


class AgentVersionDiffOut(Out):
    """What differs between two versions, by field."""

    number: int
    against: Annotated[int | None, Field(description="Null: there is none to compare it with.")]
    changes: list[AgentVersionChange]


class AgentDraftPut(In):
    """Work on an agent that does not count yet."""

    agent: Annotated[
        dict[str, Any],
        Field(
            description="The fields that are to change. Their values are checked when they are "
            "published, not here. At most 262144 bytes as JSON."
        ),
        at_most(_MOST_BYTES),
        AfterValidator(_fields_of_an_agent),
    ]
    base: Annotated[Whole, Field(ge=1, description="The version that was begun with.")]


class AgentDraftOut(Out):
    """The draft of an agent; with nothing in `agent` there is none."""

    agent: Anything = {}
    base: int | None = None
    author: str | None = None
    author_kind: Author | None = None
    updated_at: Time | None = None
