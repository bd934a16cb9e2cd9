"""What a webhook says: the body of an event, as it is sent and stored."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from chorus.calls.schemas import (
    FINAL,
    AnsweredBy,
    Direction,
    Status,
    TranscriptEntry,
    TransferStatus,
    TransferType,
)
from chorus.calls.tables import CallRow, Transfer
from chorus.recordings.links import Links
from chorus.wire import Anything, Out, Time

CallEvent = Literal["call.started", "call.completed", "call.failed"]
TransferEvent = Literal["transfer.started", "transfer.completed", "transfer.failed"]
Event = Literal[
    "call.started",
    "call.completed",
    "call.failed",
    "transfer.started",
    "transfer.completed",
    "transfer.failed",
    "latency.breached",
]


class CallPayload(Out):
    """A call's event. What is not known (yet) is null. `duration` is `durationSeconds` again;
    `cost` is in dollars. The two URLs are signed and expire."""

    event: CallEvent
    call_id: UUID
    organization_id: UUID
    agent_id: UUID
    phone_number_id: UUID | None
    direction: Direction
    status: Status
    is_final: bool
    customer_number: str
    duration_seconds: int | None
    duration: int | None
    started_at: Time | None
    ended_at: Time | None
    recording_url: str | None
    transcript_url: str | None
    transcript: list[TranscriptEntry] | None
    summary: str | None
    extracted_data: dict[str, Any] | None
    answered_by: AnsweredBy | None
    ended_reason: str | None
    ended_detail: str | None
    cost: float | None
    context_variables: Anything
    metadata: Anything


class TransferPayload(Out):
    """A transfer's event: `transfer.started` when the person is called, `transfer.completed` when
    two who were connected have hung up, `transfer.failed` for all that ended otherwise.
    `transferCallId` is the second call, with the person; null if it was never placed."""

    event: TransferEvent
    transfer_id: UUID
    call_id: UUID
    transfer_call_id: UUID | None
    organization_id: UUID
    name: str
    number: str
    transfer_type: TransferType
    transfer_status: TransferStatus
    detail: str | None
    started_at: Time
    connected_at: Time | None
    ended_at: Time | None


class LatencyPayload(Out):
    """An agent answered too late in the quarter of an hour from `windowStart` to `windowEnd`:
    fewer than `targetShare` of its turns came within `targetMs`. `share` is `turnsWithin` of
    `turns`; `agentName` is null if the agent was deleted meanwhile."""

    event: Literal["latency.breached"]
    organization_id: UUID
    agent_id: UUID
    agent_name: str | None
    window_start: Time
    window_end: Time
    target_ms: int
    target_share: float
    turns: int
    turns_within: int
    share: float


class TestPayload(Out):
    """What a test sends."""

    event: Literal["webhook.test"]
    organization_id: UUID
    endpoint_id: UUID | None
    agent_id: UUID | None
    created_at: Time


def of_call(call: CallRow, event: CallEvent, links: Links) -> str:
    analysis = call.analysis or {}
    cost = call.cost_micros
    payload = CallPayload(
        event=event,
        call_id=call.id,
        organization_id=call.organization_id,
        agent_id=call.agent_id,
        phone_number_id=call.phone_number_id,
        direction=call.direction,  # type: ignore[arg-type] # the column allows no others
        status=call.status,  # type: ignore[arg-type] # the column allows no others
        is_final=call.status in FINAL,
        customer_number=call.customer_number,
        duration_seconds=call.duration_seconds,
        duration=call.duration_seconds,
        started_at=call.started_at,
        ended_at=call.ended_at,
        recording_url=links.url("recording", call.id) if call.recording_path else None,
        transcript_url=links.url("transcript", call.id) if call.transcript is not None else None,
        transcript=call.transcript,  # type: ignore[arg-type] # validated
        summary=analysis.get("summary"),
        extracted_data=analysis.get("extractions"),
        answered_by=call.answered_by,  # type: ignore[arg-type] # validated
        ended_reason=call.ended_reason,
        ended_detail=call.ended_detail,
        cost=None if cost is None else cost / 1_000_000,
        context_variables=call.context_variables,
        metadata=call.meta,
    )
    return payload.model_dump_json()


def of_transfer(transfer: Transfer, event: TransferEvent) -> str:
    payload = TransferPayload(
        event=event,
        transfer_id=transfer.id,
        call_id=transfer.call_id,
        transfer_call_id=transfer.leg_id,
        organization_id=transfer.organization_id,
        name=transfer.name,
        number=transfer.number,
        transfer_type=transfer.type,  # type: ignore[arg-type] # the column allows no others
        transfer_status=transfer.status,  # type: ignore[arg-type] # the column allows no others
        detail=transfer.detail,
        started_at=transfer.created_at,
        connected_at=transfer.connected_at,
        ended_at=transfer.ended_at,
    )
    return payload.model_dump_json()


def of_test(
    organization_id: uuid.UUID, kind: str, target_id: uuid.UUID, created_at: datetime
) -> str:
    payload = TestPayload(
        event="webhook.test",
        organization_id=organization_id,
        endpoint_id=target_id if kind == "endpoint" else None,
        agent_id=target_id if kind == "agent" else None,
        created_at=created_at,
    )
    return payload.model_dump_json()
