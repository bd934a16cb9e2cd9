"""Test cases at the HTTP edge."""

# ruff: noqa: RUF012  pydantic copies the defaults of a model

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal
from uuid import UUID

from pydantic import Field

from chorus.wire import In, Name, OneLine, Out, SearchQuery, Text, Time, at_most, patch_of

_LONGEST_NOTE = 2000
MOST_TOOLS = 200
MOST_NAME = 255
MOST_ARGUMENTS = 32_000
MOST_EXTRACTIONS = 200
TEXT_BYTES = 65_536

Note = Annotated[
    Text, Field(max_length=_LONGEST_NOTE, description="Yours: what the case is there to hold.")
]


class TestCaseQuery(SearchQuery):
    agent_id: Annotated[UUID | None, Field(description="Those of one agent.")] = None


class TestCaseCreate(In):
    """Keeps a call that is over."""

    call_id: Annotated[UUID, Field(description="The call. It is over, and its caller spoke.")]
    name: Annotated[
        Name | None, Field(description="Null: the first words that the caller said.")
    ] = None
    note: Note = ""


class ScriptLine(Out):
    """What one side said, in the order of the call. Times are milliseconds since the call was
    answered, null where they are not known."""

    role: Annotated[
        Literal["user", "assistant"], Field(description="`user` the caller, `assistant` the agent.")
    ]
    content: Annotated[
        str, Field(description="Of the agent, what the caller heard; of the caller, the words.")
    ]
    started_at_ms: Annotated[int | None, Field(description="When it began.")]
    ended_at_ms: Annotated[int | None, Field(description="When it ended.")]
    interrupted: Annotated[bool, Field(description="The caller cut the agent short.")]


class ExpectedTool(In):
    """A tool that the model should call."""

    name: Annotated[
        OneLine, Field(min_length=1, max_length=MOST_NAME, description="The tool's name.")
    ]
    arguments: Annotated[
        Text, Field(max_length=MOST_ARGUMENTS, description="As JSON; empty: whatever they are.")
    ] = ""


class Expected(In):
    """What should come of it again."""

    ended_reason: Annotated[
        OneLine | None, Field(max_length=64, description="Null: however it ends.")
    ] = None
    tools: Annotated[
        list[ExpectedTool],
        Field(max_length=MOST_TOOLS, description="Which the model should call."),
    ] = []
    extractions: Annotated[
        dict[str, Any],
        Field(
            max_length=MOST_EXTRACTIONS,
            description="Values of the agent's extraction fields; at most 65536 bytes as JSON.",
        ),
        at_most(TEXT_BYTES),
    ] = {}


class _Changeable(In):
    name: Name
    note: Note = ""
    expected: Expected = Expected()


if TYPE_CHECKING:
    TestCasePatch = _Changeable
else:
    TestCasePatch = patch_of(_Changeable, "TestCasePatch")


class ListedTestCase(Out):
    """A test case as lists show it: without its script."""

    id: UUID
    agent_id: Annotated[UUID, Field(description="Whose call it was.")]
    call_id: Annotated[UUID, Field(description="It was made of; the call may be gone.")]
    agent_version: Annotated[
        int | None,
        Field(description="That the call was held with. Null: with changes that were not saved."),
    ]
    name: str
    note: Annotated[str, Field(description="What the case is there to hold.")]
    created_at: Time
    updated_at: Time


class TestCaseOut(ListedTestCase):
    context_variables: Annotated[
        dict[str, Any], Field(description="The variables that the call was held with.")
    ]
    script: Annotated[list[ScriptLine], Field(description="What was said, in order.")]
    expected: Expected
