"""Test cases: what a caller said in a call, turn by turn, and what came of it, kept to be held
again against another version of the agent.

The script is read from the events of the call, which have times; of a call without them (their
words were deleted, or it is of an old version) the transcript is taken.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from typing import Any

import orjson
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from chorus import errors, lists
from chorus.agents import queries as agents
from chorus.calls import queries as calls
from chorus.calls.case_schemas import (
    MOST_ARGUMENTS,
    MOST_EXTRACTIONS,
    MOST_NAME,
    MOST_TOOLS,
    TEXT_BYTES,
    Expected,
    TestCaseCreate,
    TestCaseQuery,
)
from chorus.calls.case_tables import CaseRow
from chorus.calls.tables import CallEvent, CallRow
from chorus.db import named_like, scoped
from chorus.wire import Found

MOST = 1000
"""Test cases of one organization."""

_KINDS = (
    *("speech_started", "speech_paused", "turn_committed", "turn_unanswered", "retracted"),
    *("reply_started", "reply_heard", "tool_called"),
)
_LONGEST_NAME = 80


async def page(
    session: AsyncSession, organization_id: uuid.UUID, wanted: TestCaseQuery
) -> tuple[list[CaseRow], Found]:
    query = scoped(CaseRow, organization_id)
    if wanted.agent_id is not None:
        query = query.where(CaseRow.agent_id == wanted.agent_id)
    if search := wanted.wanted:
        query = query.where(named_like(CaseRow.name, search))
    return await lists.of(session, query, CaseRow, wanted)


async def one(session: AsyncSession, organization_id: uuid.UUID, id: uuid.UUID) -> CaseRow:
    """Raises `Error` 404."""
    query = scoped(CaseRow, organization_id).where(CaseRow.id == id)
    return await lists.one(session, query, "Test case")


async def create(
    session: AsyncSession, organization_id: uuid.UUID, wish: TestCaseCreate
) -> CaseRow:
    """Raises `Error` 404 for a call or an agent that is not there, 409 for a call that is not over
    or in which the caller said nothing, and for too many cases."""
    # Locked, so that who deletes its words meanwhile finds the copy.
    call = await calls.one(session, organization_id, wish.call_id, lock="change")
    if call.ended_at is None:
        raise errors.conflict("call_not_ended", "The call is not over yet")
    await agents.one(session, organization_id, call.agent_id)
    if await lists.count(session, scoped(CaseRow, organization_id), MOST) >= MOST:
        raise errors.conflict(
            "too_many_test_cases", f"An organization has at most {MOST} test cases"
        )
    found = await session.scalars(
        sa.select(CallEvent)
        .where(CallEvent.call_id == call.id, CallEvent.kind.in_(_KINDS))
        .order_by(CallEvent.seq)
    )
    events = found.all()
    script = script_of(events) or _transcribed(call)
    said = next((line["content"] for line in script if line["role"] == "user"), None)
    if said is None:
        raise errors.conflict("nothing_said", "The caller said nothing in this call that is kept")
    row = CaseRow(
        organization_id=organization_id,
        agent_id=call.agent_id,
        call_id=call.id,
        agent_version=call.agent_version,
        name=wish.name or " ".join(said.split())[:_LONGEST_NAME],
        note=wish.note,
        context_variables=call.context_variables,
        script=script,
        expected={
            "endedReason": call.ended_reason,
            "tools": _tools(events),
            "extractions": _small((call.analysis or {}).get("extractions") or {}),
        },
    )
    session.add(row)
    await session.flush()
    return row


async def change(
    session: AsyncSession, organization_id: uuid.UUID, id: uuid.UUID, changes: dict[str, Any]
) -> CaseRow:
    """Raises `Error` 404."""
    row = await one(session, organization_id, id)
    for name, value in changes.items():
        told = value.model_dump(by_alias=True) if isinstance(value, Expected) else value
        setattr(row, name, told)
    await session.flush()
    return row


def script_of(events: Iterable[CallEvent]) -> list[dict[str, Any]]:
    """Lines of the script, of events in their order. A turn that was taken back is part of the one
    that follows, and what the agent said on its own account is a line like any other."""
    lines: list[tuple[int | None, dict[str, Any]]] = []
    began: dict[Any, int] = {}
    paused: dict[Any, int] = {}
    speaking: dict[Any, int] = {}
    for event in events:
        data, turn = event.data, event.data.get("turn")
        match event.kind:
            case "speech_started":
                onset = data.get("onsetMs")
                began.setdefault(turn, event.at_ms if onset is None else max(0, round(onset)))
            case "speech_paused":
                paused[turn] = event.at_ms
            case "reply_started":
                speaking[turn] = event.at_ms
            case "turn_committed" | "turn_unanswered":
                ended = paused.pop(turn, event.at_ms)
                lines.append((turn, _line("user", data.get("text"), began.pop(turn, None), ended)))
            case "retracted":
                for taken_back in [each for each in lines if _is_of(turn, each)]:
                    lines.remove(taken_back)
                    if (start := taken_back[1]["startedAtMs"]) is not None:
                        began[turn] = start
            case "reply_heard":
                begun = speaking.pop(turn, None)
                ended = event.at_ms if begun is None else begun + round(data.get("heardMs") or 0)
                line = _line("assistant", data.get("heard"), begun, ended)
                line["interrupted"] = data.get("interrupted") is True
                lines.append((turn, line))
            case _:
                pass
    script = [line for _, line in lines if line["content"]]
    # Who spoke first comes first: a reply is settled after the words that cut it short.
    return sorted(script, key=lambda line: line["startedAtMs"] or line["endedAtMs"] or 0)


def _is_of(turn: int | None, each: tuple[int | None, dict[str, Any]]) -> bool:
    """Whether it is what the caller said in that turn."""
    return each[0] == turn and each[1]["role"] == "user"


def _line(role: str, text: Any, started: int | None, ended: int | None) -> dict[str, Any]:
    return {
        "role": role,
        "content": text if isinstance(text, str) else "",
        "startedAtMs": started,
        "endedAtMs": ended,
        "interrupted": False,
    }


def _transcribed(call: CallRow) -> list[dict[str, Any]]:
    return [
        _line(entry["role"], entry.get("content"), None, None)
        for entry in call.transcript or ()
        if entry.get("role") in ("user", "assistant") and entry.get("content")
    ]


def _tools(events: Iterable[CallEvent]) -> list[dict[str, Any]]:
    """What the model called. It is kept as the model wrote it; of a case it is what a request may
    say, and arguments that are longer are whatever they are."""
    found: list[dict[str, Any]] = []
    for event in events:
        if event.kind != "tool_called":
            continue
        given = event.data.get("arguments")
        text = given if isinstance(given, str) else orjson.dumps(given or {}).decode()
        if name := " ".join(str(event.data.get("name") or "").split())[:MOST_NAME]:
            kept = text if len(text) <= MOST_ARGUMENTS else ""
            found.append({"name": name, "arguments": kept})
    return found[:MOST_TOOLS]


def _small(extractions: dict[str, Any]) -> dict[str, Any]:
    if len(extractions) > MOST_EXTRACTIONS or len(orjson.dumps(extractions)) > TEXT_BYTES:
        return {}
    return extractions
