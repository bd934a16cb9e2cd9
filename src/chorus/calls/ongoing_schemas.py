"""Live calls at the HTTP edge, as lists of them show each."""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from chorus.calls.schemas import Direction, TransferStatus
from chorus.wire import Out, Time


class LastLine(Out):
    """The last that was said."""

    role: Annotated[Literal["user", "assistant"], Field(description="The caller or the agent.")]
    content: Annotated[
        str, Field(description="At most 300 characters; of the agent what was heard.")
    ]
    at_ms: Annotated[int, Field(description="Counts from when the call was answered.")]


class OngoingCall(Out):
    """A call that rings or is talked on."""

    id: UUID
    agent_id: UUID
    agent_name: Annotated[str | None, Field(description="Null if the agent was deleted.")]
    phone_number_id: UUID | None
    provider: str
    direction: Direction
    status: Literal["ringing", "in_progress"]
    customer_number: str
    transfer_status: Annotated[
        TransferStatus | None, Field(description="Of the last try to hand the caller to a person.")
    ]
    created_at: Time
    answered_at: Time | None
    turn_count: int = 0
    floor: Annotated[
        Literal["caller", "thinking", "agent"] | None,
        Field(description="Who speaks; `thinking` while the agent makes its answer."),
    ] = None
    on_hold: Annotated[
        bool, Field(description="The caller's side has put the call on hold: they hear nothing.")
    ] = False
    last_line: LastLine | None = None
    latency_ms: Annotated[
        int | None,
        Field(description="Of the last answer: from the end of the caller's speech to its sound."),
    ] = None
    problem: Annotated[
        str | None, Field(description="The last failure of a vendor: who, at what, and how.")
    ] = None
    taken_over_by: Annotated[
        str | None,
        Field(
            description="Who speaks with the caller in the agent's place: `member` or `key`, a "
            "space, and its id."
        ),
    ] = None


class OngoingCalls(Out):
    """The live calls of an organization, the oldest first."""

    calls: Annotated[list[OngoingCall], Field(description="The newest 200.")]
    total: Annotated[int, Field(description="How many there are.")]
