"""/v1/call-stats: what a dashboard's first page shows of the calls of some time."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated
from uuid import UUID

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from chorus import errors
from chorus.calls import latency, stats
from chorus.calls.schemas import Status
from chorus.calls.stats import BUCKETS, SAMPLE, Interval
from chorus.db import utcnow
from chorus.route import InOrganization, InSession, router
from chorus.wire import Data, Out, Time, TimeIn

stats_routes = router("Calls")

_USUAL = timedelta(days=7)
_MOST_HOURS = 24 * 14


class CallStatsQuery(BaseModel):
    """Which calls to count, by when they were created."""

    model_config = ConfigDict(alias_generator=to_camel, extra="forbid")

    from_: Annotated[
        TimeIn | None, Field(alias="from", description="At this time or later; else 7 days before.")
    ] = None
    to: Annotated[TimeIn | None, Field(description="Before this time; else now.")] = None
    interval: Annotated[
        Interval, Field(description="Of the buckets, in UTC; hours for at most 14 days.")
    ] = "day"
    agent_id: UUID | None = None


class CallCounts(Out):
    calls: int
    completed: int
    failed: int
    no_answer: int
    seconds: Annotated[int, Field(description="Of all calls together.")]
    cost: Annotated[float, Field(description="Dollars.")]


class CallBucket(CallCounts):
    start: Annotated[Time, Field(description="Times without calls have no bucket.")]
    turns: Annotated[
        int,
        Field(
            description=f"Answers in the latest calls of the bucket: {SAMPLE} calls of all buckets "
            f"together are looked at, those of the newest {BUCKETS}."
        ),
    ]
    p50_ms: Annotated[
        int | None,
        Field(description="From the end of the caller's speech to the first sound of the answer."),
    ]
    p95_ms: Annotated[int | None, Field(description="95 of 100 answers came within it.")]


class EndedCalls(Out):
    status: Status
    reason: str | None
    calls: int


class SlowTurn(Out):
    call_id: UUID
    customer_number: str
    turn: int
    sent_ms: int


class StageMedians(Out):
    """When half of the turns had reached each stage of an answer, in milliseconds since the end of
    the caller's speech; null where none did."""

    detector_ms: Annotated[int | None, Field(description="The voice detector noticed.")]
    words_ms: Annotated[int | None, Field(description="The transcriber's last words.")]
    verdict_ms: Annotated[int | None, Field(description="The turn was judged to be over.")]
    committed_ms: Annotated[int | None, Field(description="The answer was decided on.")]
    token_ms: Annotated[int | None, Field(description="The model's first token.")]
    audio_ms: Annotated[int | None, Field(description="The voice's first audio.")]
    sent_ms: Annotated[int | None, Field(description="The first sound that was sent.")]


class TurnLatencies(Out):
    """From the end of the caller's speech to the first sound of the answer."""

    calls: Annotated[int, Field(description=f"How many were looked at: the latest {SAMPLE}.")]
    turns: int
    p50_ms: int | None
    p95_ms: int | None
    stages: Annotated[StageMedians, Field(description="Where the time of an answer goes.")]
    slowest: list[SlowTurn]


class LatencyTarget(Out):
    """How answers kept to `latencyTargetMs` of their agents. Turns of agents without one do not
    count. By the quarters of an hour (UTC) that begin in the time that is asked for."""

    turns: int
    within: Annotated[int, Field(description="Of these, how many came in time.")]
    share: Annotated[float | None, Field(description="`within` of `turns`; 0.95 is aimed at.")]
    windows: Annotated[int, Field(description="Quarters of an hour with such turns.")]
    breached: Annotated[int, Field(description="Of these, those that fell short.")]


class VendorFailuresOut(Out):
    """How often a vendor failed at one stage, in the calls that were looked at for latencies."""

    vendor: str
    stage: str
    failures: int
    calls: Annotated[int, Field(description="In how many.")]
    last_call_id: Annotated[UUID, Field(description="The latest of them.")]


class CallStatsOut(Out):
    from_: Annotated[Time, Field(alias="from")]
    to: Time
    interval: Interval
    total: CallCounts
    buckets: list[CallBucket]
    ended: list[EndedCalls]
    latency: TurnLatencies
    latency_target: LatencyTarget
    vendor_failures: Annotated[
        list[VendorFailuresOut], Field(description="Those of most calls first, 20 at most.")
    ]


@stats_routes.get("/call-stats", operation_id="getCallStats", summary="Sum up calls over time")
async def get_call_stats(
    session: InSession, organization_id: InOrganization, query: Annotated[CallStatsQuery, Query()]
) -> Data[CallStatsOut]:
    end = query.to or utcnow()
    start = query.from_ or end - _USUAL
    if start >= end:
        raise errors.invalid_field("from", "From must be before to")
    if query.interval == "hour" and end - start > timedelta(hours=_MOST_HOURS):
        raise errors.invalid_field("interval", "Interval must be day for more than 14 days")
    interval, agent_id = query.interval, query.agent_id
    found = await stats.sums(session, organization_id, start, end, agent_id, interval)
    wanted = stats.conditions(organization_id, start, end, agent_id)
    latencies = await stats.latency(session, wanted)
    of_buckets = await stats.bucket_latencies(
        session, organization_id, start, end, agent_id, interval, stats.bucket_starts(found)
    )
    return Data(
        data=CallStatsOut.model_validate(
            {
                "from_": start,
                "to": end,
                "interval": interval,
                "total": stats.total(found),
                "buckets": stats.buckets(found, of_buckets),
                "ended": stats.reasons(found),
                "latency_target": await latency.kept(
                    session, organization_id, start, end, agent_id
                ),
                "latency": latencies,
                "vendor_failures": latencies.vendors,
            }
        )
    )
