"""How a tool fared in the latest calls: GET /v1/tools/{id}/history.

Read from the events of the calls of some weeks, the newest first, which are few enough to look
through; no call writes anything more for it.
"""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Annotated, Any
from uuid import UUID

import orjson
import sqlalchemy as sa
from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncSession

from chorus.accounts.permissions import TABLE, permit
from chorus.calls.tables import CallEvent, CallRow
from chorus.db import utcnow
from chorus.route import InPrincipal, InSession, failures, router
from chorus.tools import queries
from chorus.wire import Data, Out, Time

routes = router("Tools")

_LATEST = 200
_DAYS = 30
_MOST = 50
_LONGEST_RESULT = 2000


class ToolUse(Out):
    """One time that a model called the tool."""

    call_id: Annotated[UUID, Field(description="In which call.")]
    at: Annotated[Time, Field(description="When.")]
    at_ms: Annotated[int, Field(description="Since the call was answered.")]
    arguments: Annotated[str, Field(description="What the model gave, as JSON.")]
    ok: Annotated[bool | None, Field(description="Null: no result came while the call went on.")]
    status: Annotated[int | None, Field(description="Of HTTP; null without an answer.")]
    elapsed_ms: Annotated[int | None, Field(description="What the request took.")]
    result: Annotated[
        str | None,
        Field(description=f"What the model was shown, its first {_LONGEST_RESULT} characters."),
    ]


class ToolHistory(Out):
    """A tool is found in calls by its name, as models call it."""

    calls: Annotated[
        int, Field(description=f"How many were looked at: the latest {_LATEST} of {_DAYS} days.")
    ]
    uses: Annotated[list[ToolUse], Field(description=f"The newest first, {_MOST} at most.")]


@routes.get(
    "/tools/{id}/history",
    operation_id="getToolHistory",
    summary="See how a tool fared in calls",
    responses=failures(404),
)
async def get_tool_history(
    session: InSession, principal: InPrincipal, id: UUID
) -> Data[ToolHistory]:
    """What the latest calls asked of it, and what came of that: a key needs `calls:read` for it,
    too. Runs by `POST /v1/tools/{id}/test` are not kept."""
    permit(principal, "GET", TABLE["calls"])
    organization_id = principal.organization_id
    tool = await queries.one(session, organization_id, id)
    call_ids = await session.scalars(
        sa.select(CallRow.id)
        .where(
            CallRow.organization_id == organization_id,
            CallRow.created_at >= utcnow() - timedelta(days=_DAYS),
        )
        .order_by(CallRow.created_at.desc())
        .limit(_LATEST)
    )
    calls = list(call_ids)
    uses = await _uses(session, organization_id, calls, tool.name)
    return Data(data=ToolHistory(calls=len(calls), uses=uses))


async def _uses(
    session: AsyncSession, organization_id: uuid.UUID, calls: list[uuid.UUID], name: str
) -> list[ToolUse]:
    events = await session.scalars(
        sa.select(CallEvent)
        .where(
            CallEvent.organization_id == organization_id,
            CallEvent.call_id.in_(calls),
            CallEvent.kind.in_(("tool_called", "tool_result")),
            CallEvent.data["name"].as_string() == name,
        )
        .order_by(CallEvent.created_at.desc(), CallEvent.seq.desc())
    )
    uses: list[ToolUse] = []
    results: dict[tuple[uuid.UUID, str], dict[str, Any]] = {}
    for event in events:  # a result comes before its call here
        data = event.data
        key = (event.call_id, str(data.get("id")))
        if event.kind == "tool_result":
            results[key] = data
            continue
        result = results.pop(key, {})
        uses.append(
            ToolUse(
                call_id=event.call_id,
                at=event.created_at,
                at_ms=event.at_ms,
                arguments=_text(data.get("arguments")) or "{}",
                ok=result.get("ok"),
                status=result.get("status"),
                elapsed_ms=result.get("elapsedMs"),
                result=_text(result.get("result")),
            )
        )
        if len(uses) == _MOST:
            break
    return uses


def _text(result: Any) -> str | None:
    if result is None:
        return None
    text = result if isinstance(result, str) else orjson.dumps(result).decode()
    return text[:_LONGEST_RESULT]
