"""Calls at the HTTP edge."""

# ruff: noqa: RUF012  pydantic copies the defaults of a model

from __future__ import annotations

import operator
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import Field

from chorus.agents.schemas import AgentPatch
from chorus.talk.answered.verdict import Who
from chorus.wire import (
    Anything,
    Dialled,
    Flag,
    In,
    ListQuery,
    Metadata,
    Out,
    Searched,
    Time,
    TimeIn,
    Variables,
)

Status = Literal["queued", "ringing", "in_progress", "completed", "failed", "no_answer"]
Final = Literal["completed", "failed", "no_answer"]
FINAL: tuple[Final, ...] = ("completed", "failed", "no_answer")
"""In which a call's status stays."""
Direction = Literal["inbound", "outbound"]
TransferType = Literal["cold", "warm", "warm_briefing"]
TransferStatus = Literal[
    "initiated",
    "ringing",
    "briefing",
    "connected",
    "completed",
    "failed",
    "declined",
    "no_answer",
    "cancelled",
]


class CallCreate(In):
    """An outbound call to place."""

    agent_id: UUID
    phone_number_id: UUID
    to: Dialled
    context_variables: Variables = {}
    metadata: Metadata = {}
    scheduled_at: Annotated[
        TimeIn | None,
        Field(description="Dial at this time, at most a year from now; without it, at once."),
    ] = None
    detect_machine: Annotated[
        Flag,
        Field(
            description="Have the carrier tell a mailbox from a person, which it may charge for. "
            "The agent waits for the end of a mailbox's greeting, then leaves a message."
        ),
    ] = False


class TestCallCreate(In):
    """A call to an agent from a browser, with its microphone."""

    agent_id: Annotated[UUID, Field(description="Who talks.")]
    agent: Annotated[
        AgentPatch | None,
        Field(
            description="Changes to the agent that count for this conversation and are not saved. "
            "What follows a call is done as saved."
        ),
    ] = None
    context_variables: Variables = {}
    metadata: Metadata = {}


class TestCallOut(Out):
    """What a browser needs to connect."""

    call_id: Annotated[UUID, Field(description="The call, as `GET /v1/calls/{id}` has it.")]
    url: Annotated[
        str,
        Field(description="The WebSocket to which the browser connects; signed, for this call."),
    ]
    token: Annotated[str, Field(description="Shown there, once.")]
    expires_at: Annotated[Time, Field(description="Until then the token can be shown.")]


class TranscriptSource(Out):
    """A document of which the model was shown passages for its answer."""

    document_id: UUID
    document: str
    page: int | None
    url: str | None


class TranscriptEntry(Out):
    role: Annotated[
        Literal["user", "assistant", "person"],
        Field(
            description="The caller, the agent, or the person whom the caller was handed to where "
            "the target's `transcribe` is set."
        ),
    ]
    content: str
    sources: Annotated[
        list[TranscriptSource],
        Field(
            description="Of an answer for which passages of documents were shown to the model; "
            "absent otherwise. The passages are in the events `knowledge_found`.",
            exclude_if=operator.not_,
        ),
    ] = []


class AnalysisProblem(Out):
    """Why something that was wanted is null. `field` is `summary` or a field's name."""

    field: str
    reason: str


class Analysis(Out):
    summary: str | None = None
    extractions: dict[str, Any] = {}
    problems: list[AnalysisProblem] = []


class ListedTransferCall(Out):
    """One leg of a transfer, as lists show it."""

    id: UUID
    transfer_type: TransferType | None
    transfer_status: TransferStatus | None
    duration_seconds: int | None
    customer_number: str
    recording_url: str | None
    started_at: Time | None
    ended_at: Time | None
    cost: float | None
    status: Status
    is_final: bool


class TransferCall(ListedTransferCall):
    """One leg of a transfer."""

    transcript: list[TranscriptEntry] | None


class AnsweredBy(Out):
    """Who answered, as far as was heard; the last that was found out."""

    who: Who
    confidence: Annotated[float, Field(description="0 to 1.")]
    at_ms: Annotated[int, Field(description="When it was found out, after the answer.")]


class _Call(Out):
    id: UUID
    organization_id: UUID
    agent_id: UUID
    agent_version: Annotated[
        int | None,
        Field(
            description="The version of the agent that it was held with; null before it is "
            "answered, and for one that tried changes that were not saved."
        ),
    ]
    phone_number_id: UUID | None
    call_sid: str | None
    provider: str
    direction: Direction
    status: Status
    is_final: Annotated[
        bool, Field(description="The call is over: `status` does not change any more.")
    ]
    customer_number: str
    duration_seconds: int | None
    cost: Annotated[float | None, Field(description="Dollars.")]
    recording_url: Annotated[
        str | None,
        Field(description="Holds for a limited time; .wav in it may be changed to .mp3."),
    ]
    turn_count: int
    answered_by: Annotated[
        AnsweredBy | None,
        Field(description="Of calls that were placed, by agents with `answering`."),
    ]
    ended_reason: str | None
    ended_detail: Annotated[
        str | None,
        Field(description="Why, in a sentence, where there is more to say than `endedReason`."),
    ]
    context_variables: Anything
    metadata: Anything
    parent_call_id: UUID | None
    transfer_type: TransferType | None
    transfer_status: TransferStatus | None
    scheduled_at: Time | None
    started_at: Time | None
    answered_at: Time | None
    ended_at: Time | None
    created_at: Time


class ListedCall(_Call):
    """A call as lists show it: without transcript and analysis."""

    transfer_calls: list[ListedTransferCall]


class LineQuality(Out):
    """How the sound of a call went over the line, by RTP and the other side's RTCP reports."""

    codec: Annotated[str | None, Field(examples=["PCMU"])] = None
    encrypted: bool | None = None
    packets_received: int | None = None
    packets_sent: int | None = None
    loss: Annotated[
        float | None, Field(description="Share of the packets to us that were lost, 0 to 1.")
    ] = None
    late_packets: Annotated[
        int | None, Field(description="Came after the wait for them was over.")
    ] = None
    concealed_ms: Annotated[
        float | None, Field(description="Lost sound that was recovered or continued.")
    ] = None
    jitter_ms: float | None = None
    round_trip_ms: Annotated[
        float | None, Field(description="Null where the other side sends no reports.")
    ] = None
    remote_loss: Annotated[
        float | None, Field(description="What the other side reports of our packets, 0 to 1.")
    ] = None
    remote_jitter_ms: float | None = None
    packets_refused: Annotated[
        int | None, Field(description="Came from elsewhere than the other side.")
    ] = None
    mos: Annotated[
        float | None,
        Field(description="Estimated mean opinion score, 1 to 4.4 (ITU-T G.107, shortened)."),
    ] = None


class CallOut(_Call):
    """A call with all that is known of it."""

    transcript: list[TranscriptEntry] | None
    transcript_url: Annotated[
        str | None,
        Field(description="Holds for a limited time; .json in it may be changed to .txt."),
    ] = None
    analysis: Analysis | None
    transfer_calls: list[TransferCall]
    line_quality: Annotated[
        LineQuality | None,
        Field(description="How the sound arrived, where the line knows: SIP, once it is over."),
    ] = None
    turns: Annotated[
        list[dict[str, Any]] | None,
        Field(description="The latencies of each turn; only with include=turns."),
    ] = None


class EventOut(Out):
    """One thing that happened in a call; `atMs` counts from when it was answered."""

    seq: int
    at_ms: int
    kind: str
    data: Anything
    created_at: Time


class CallFilters(Searched):
    """Which calls are meant; all that is given must hold."""

    search: Annotated[
        str | None,
        Field(max_length=255, description="Part of the customer's number or the agent's name."),
    ] = None
    text: Annotated[
        str | None,
        Field(
            max_length=255,
            description="Words that were all said, or are in the metadata: whole words, whatever "
            "the case and the order.",
        ),
    ] = None
    status: Status | None = None
    direction: Direction | None = None
    ended_reason: Annotated[
        str | None, Field(max_length=64, description="Exactly this one, such as `busy`.")
    ] = None
    agent_id: UUID | None = None
    phone_number_id: UUID | None = None
    from_: Annotated[
        TimeIn | None, Field(alias="from", description="Created at this time or later.")
    ] = None
    to: Annotated[TimeIn | None, Field(description="Created before this time.")] = None


class CallQuery(CallFilters, ListQuery):
    """Which calls to list; all that is given must hold."""


class ExportQuery(CallFilters):
    """Which calls to export, and how; all that is given must hold."""

    format: Annotated[
        Literal["csv", "jsonl"], Field(description="CSV with a head, or a JSON object a line.")
    ] = "csv"
    texts: Annotated[
        bool, Field(description="With the transcript and the analysis of each call.")
    ] = False
    sort: Annotated[
        Literal["-createdAt", "createdAt"], Field(description="The newest first, or the oldest.")
    ] = "-createdAt"


class ExportedCall(_Call):
    """A call as exports have it. Without `recordingUrl`, which holds for a limited time."""

    recording_url: Annotated[str | None, Field(exclude=True)] = None


class ExportedCallWithTexts(ExportedCall):
    transcript: list[TranscriptEntry] | None
    analysis: Analysis | None
