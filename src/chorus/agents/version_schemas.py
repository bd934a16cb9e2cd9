"""Versions and drafts of agents at the HTTP edge."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, Field

from chorus.agents.schemas import AgentCreate, AgentPatch
from chorus.wire import Anything, In, Name, Out, Text, Time, Whole, at_most

FIELDS = {field.alias or name for name, field in AgentCreate.model_fields.items()}
_WEBHOOK_KEY = "postCallWebhookSecret"
_MOST_BYTES = 262_144

Note = Annotated[Text, Field(min_length=1, max_length=2000)]
Author = Literal["key", "member", "operator"]


def _fields_of_an_agent(value: dict[str, Any]) -> dict[str, Any]:
    if _WEBHOOK_KEY in value:
        raise ValueError(f"must not hold {_WEBHOOK_KEY}: send that when you save")
    unknown = sorted(value.keys() - FIELDS)
    if unknown:
        raise ValueError(f"must hold fields of an agent, which {unknown[0]} is not")
    return value


class AgentVersionCreate(In):
    """What to publish: changes, and how the version that comes of them is called."""

    agent: Annotated[
        AgentPatch | None,
        Field(description="Changes to the agent. Without any, its present version is named."),
    ] = None
    name: Annotated[Name | None, Field(description="What to call the version.")] = None
    note: Annotated[Note | None, Field(description="Why, for whoever looks at it later.")] = None
    base: Annotated[
        Annotated[Whole, Field(ge=1, le=2**31 - 1)] | None,
        Field(description="The version that was changed: 409 if the agent is at another by now."),
    ] = None


class AgentVersionPatch(In):
    """How a version is called. What is null is taken away, what is left out stays."""

    name: Annotated[Name | None, Field(description="What to call the version.")] = None
    note: Annotated[Note | None, Field(description="Why, for whoever looks at it later.")] = None


class AgentVersionRestore(In):
    """How the version that comes of a restoration is called."""

    name: Annotated[Name | None, Field(description="What to call the version.")] = None
    note: Annotated[Note | None, Field(description="Why, for whoever looks at it later.")] = None


class ListedAgentVersion(Out):
    """What an agent was from one change to the next."""

    id: UUID
    number: Annotated[int, Field(description="1 when the agent is made, and one more with each.")]
    name: Annotated[str | None, Field(description="What somebody called this version.")]
    note: Annotated[str | None, Field(description="What somebody wrote to it.")]
    author: Annotated[str | None, Field(description="Who made the change, by name.")]
    author_kind: Annotated[Author | None, Field(description="What that name is of.")]
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

    field: Annotated[str, Field(description="As it is called in an agent.")]
    before: Annotated[Any, Field(description="What `against` has.")]
    after: Annotated[Any, Field(description="What `number` has.")]


class AgentVersionDiffOut(Out):
    """What differs between two versions, by field."""

    number: Annotated[int, Field(description="The version that was asked for.")]
    against: Annotated[int | None, Field(description="Null: there is none to compare it with.")]
    changes: Annotated[list[AgentVersionChange], Field(description="The fields that differ.")]


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
    base: Annotated[
        Whole, Field(ge=1, le=2**31 - 1, description="The version that was begun with.")
    ]


class AgentDraftOut(Out):
    """The draft of an agent; with nothing in `agent` there is none."""

    agent: Annotated[Anything, Field(description="The fields that are to change.")]
    base: Annotated[
        int | None, Field(description="The version that was begun with; null without a draft.")
    ]
    author: Annotated[str | None, Field(description="Who kept it last, by name.")]
    author_kind: Annotated[Author | None, Field(description="What that name is of.")]
    updated_at: Annotated[Time | None, Field(description="When it was kept last.")]
