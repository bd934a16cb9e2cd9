"""All calls of an organization that ring or are talked on, as server-sent events: what each is at,
what was said last, how long its last answer took.

The tables are the only source, so every process shows the calls of all of them. One look, once a
second while anybody follows, serves all streams of the process, with two queries: which calls there
are and how many events each has, then the new events of those that have some. What a look finds is
kept as one state of each call; a stream is told of the states that are not what it was told last.
So a reader that is slow misses states in between and holds up nobody, and whoever comes back
begins with all that there is.

A stream begins with an event `calls`; then come `call` for each that is new or has changed, and
`gone`. If the database cannot be asked, streams end, so that their readers know.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections import Counter
from collections.abc import AsyncGenerator, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import orjson
import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from chorus import errors
from chorus.agents.tables import Agent as AgentRow
from chorus.calls.ongoing_schemas import OngoingCall, OngoingCalls
from chorus.calls.tables import CallEvent, CallRow
from chorus.db import Database

log = logging.getLogger(__name__)

LOOK_EVERY_S = 1.0
TIMEOUT_S = 10.0
HEARTBEAT_S = 15.0
LONGEST_S = 600.0
"""After this a stream has to be asked for again, with a key or a session that is still good."""
MOST = 200
"""Calls of one organization that are shown: the newest."""
MAX_STREAMS = 300
MAX_OF_ORGANIZATION = 60
FAILED_LOOKS = 3
_PAST = 60
"""Events of a call that was not seen before: enough to know what it is at."""
_CHUNK = 100
_LONGEST_LINE = 300

_START = b"retry: 1000\n\n"
_HEARTBEAT = b": still here\n\n"
# No line breaks to the standard, but to many a reader that splits text into lines.
_BREAKS = {code: f"\\u{code:04x}" for code in (0x85, 0x2028, 0x2029)}

_calls = cast("sa.Table", CallRow.__table__).c
_events = cast("sa.Table", CallEvent.__table__).c
_SHOWN = (
    *(_calls.id, _calls.agent_id, _calls.phone_number_id, _calls.provider, _calls.direction),
    *(_calls.status, _calls.customer_number, _calls.transfer_status),
    *(_calls.created_at, _calls.answered_at),
)


@dataclass(slots=True)
class _Known:
    """A call as of the last look. `heard` is what its events have told so far, `seq` the last of
    them; `version` changes with `written`, which is the call as JSON."""

    seq: int
    heard: dict[str, Any]
    shown: OngoingCall
    written: bytes
    version: int


@dataclass(slots=True)
class _Board:
    """Of one organization. `total` counts those that are too many to be shown, too."""

    calls: dict[uuid.UUID, _Known] = field(default_factory=dict[uuid.UUID, _Known])
    total: int = 0


@dataclass(slots=True, eq=False)
class OngoingStream:
    """One reader. `told` is which version of each call it has."""

    organization_id: uuid.UUID
    told: dict[uuid.UUID, int] = field(default_factory=dict[uuid.UUID, int])
    total: int | None = None
    ends: bool = False
    news: asyncio.Event = field(default_factory=asyncio.Event)

    def __str__(self) -> str:
        return f"live calls of organization {self.organization_id}"


class Ongoing:
    """The streams of this process, and what is known of the calls of whoever follows one."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._open: set[OngoingStream] = set()
        self._boards: dict[uuid.UUID, _Board] = {}
        self._came = asyncio.Event()
        self._version = 0
        self._closed = False

    async def run(self) -> None:
        """For ever; started once by the application."""
        failures = 0
        while True:
            if not self._open:
                self._boards.clear()
                self._came.clear()
                await self._came.wait()
            try:
                async with asyncio.timeout(TIMEOUT_S):
                    await self.look()
                failures = 0
            except (SQLAlchemyError, OSError) as failure:
                failures += 1
                if failures == 1:
                    log.error("streams of live calls wait for the database: %s", failure)
                if failures == FAILED_LOOKS:
                    self._end_all()
            self._came.clear()
            try:
                # Whoever comes is not to wait for what was never looked at.
                async with asyncio.timeout(LOOK_EVERY_S):
                    await self._came.wait()
            except TimeoutError:
                continue

    def close(self) -> None:
        """The process stops: streams end, for their readers to go on elsewhere."""
        self._closed = True
        self._end_all()

    def _end_all(self) -> None:
        for stream in self._open:
            stream.ends = True
            stream.news.set()

    def enter(self, stream: OngoingStream) -> None:
        """Raises `Error` 429 if the organization has too many streams, 503 if the process has."""
        if len(self._open) >= MAX_STREAMS or self._closed:
            raise errors.unavailable("This server streams to as many as it can")
        if Counter(s.organization_id for s in self._open)[stream.organization_id] >= (
            MAX_OF_ORGANIZATION
        ):
            raise errors.Error(
                429,
                "too_many_streams",
                f"At most {MAX_OF_ORGANIZATION} may follow the live calls at once",
                headers={"Retry-After": "5"},
            )
        self._open.add(stream)
        if stream.organization_id in self._boards:
            stream.news.set()
        else:
            self._came.set()

    def leave(self, stream: OngoingStream) -> None:
        self._open.discard(stream)
        if not any(s.organization_id == stream.organization_id for s in self._open):
            self._boards.pop(stream.organization_id, None)

    async def follow(self, stream: OngoingStream) -> AsyncGenerator[bytes, None]:
        """The body of the response."""
        loop = asyncio.get_running_loop()
        until = loop.time() + LONGEST_S
        yield _START
        while not stream.ends and loop.time() < until:
            try:
                async with asyncio.timeout(HEARTBEAT_S):
                    await stream.news.wait()
            except TimeoutError:
                yield _HEARTBEAT
                continue
            stream.news.clear()
            board = self._boards.get(stream.organization_id)
            if board is not None and (news := _news(stream, board)):
                yield news

    async def now(self, organization_id: uuid.UUID) -> OngoingCalls:
        """As of this moment, without following."""
        boards: dict[uuid.UUID, _Board] = {organization_id: _Board()}
        await self._read(boards)
        board = boards[organization_id]
        return OngoingCalls(
            calls=[known.shown for known in board.calls.values()], total=board.total
        )

    async def look(self) -> None:
        """See what there is for all who follow, and wake those for whom something has changed."""
        wanted = {stream.organization_id for stream in self._open}
        boards = {id: self._boards.get(id, _Board()) for id in wanted}
        before = {id: (board.total, _versions(board)) for id, board in boards.items()}
        await self._read(boards)
        # Who has come or gone meanwhile is seen next time.
        for stream in self._open:
            board = boards.get(stream.organization_id)
            if board is None:
                continue
            first = stream.organization_id not in self._boards
            if first or before[stream.organization_id] != (board.total, _versions(board)):
                stream.news.set()
        still = {stream.organization_id for stream in self._open}
        self._boards = {id: board for id, board in boards.items() if id in still}

    async def _read(self, boards: Mapping[uuid.UUID, _Board]) -> None:
        if not boards:
            return
        async with self._database.reading() as session:
            rows = (await session.execute(_ongoing(boards))).mappings().all()
            new: list[tuple[uuid.UUID, int]] = []
            for row in rows:
                known = boards[row["organization_id"]].calls.get(row["id"])
                if row["seq"] > (known.seq if known else 0):
                    new.append((row["id"], known.seq if known else max(0, row["seq"] - _PAST)))
            told: dict[uuid.UUID, list[Any]] = {}
            for at in range(0, len(new), _CHUNK):
                for event in await session.execute(_told(new[at : at + _CHUNK])):
                    told.setdefault(event.call_id, []).append(event)
        seen: dict[uuid.UUID, dict[uuid.UUID, _Known]] = {id: {} for id in boards}
        totals = dict.fromkeys(boards, 0)
        for row in rows:
            id, owner = row["id"], row["organization_id"]
            seen[owner][id] = self._with(boards[owner].calls.get(id), row, told.get(id, ()))
            totals[owner] = row["total"]
        for owner, board in boards.items():
            board.calls, board.total = seen[owner], totals[owner]

    def _with(self, known: _Known | None, row: sa.RowMapping, told: Iterable[Any]) -> _Known:
        """What is known of a call after its row and its new events."""
        heard = dict(known.heard) if known else {}
        for event in told:
            _hear(heard, event.kind, event.data, event.at_ms)
        shown = OngoingCall.model_validate({**row, **heard})
        written = shown.model_dump_json().translate(_BREAKS).encode()
        seq = max(known.seq if known else 0, row["seq"])
        if known is not None and known.written == written:
            return _Known(seq, heard, known.shown, written, known.version)
        self._version += 1
        return _Known(seq, heard, shown, written, self._version)


def _versions(board: _Board) -> dict[uuid.UUID, int]:
    return {id: known.version for id, known in board.calls.items()}


def _news(stream: OngoingStream, board: _Board) -> bytes:
    """What the stream was not told yet, and note that it is."""
    now = _versions(board)
    if stream.total is None:
        all_of_them = b",".join(known.written for known in board.calls.values())
        news = b'event: calls\ndata: {"calls":[%b],"total":%d}\n\n' % (all_of_them, board.total)
    else:
        parts = [
            b"event: call\ndata: " + board.calls[id].written + b"\n\n"
            for id, version in now.items()
            if stream.told.get(id) != version
        ]
        gone = stream.told.keys() - now.keys()
        if gone or board.total != stream.total:
            left = {"ids": [str(id) for id in gone], "total": board.total}
            parts.append(b"event: gone\ndata: " + orjson.dumps(left) + b"\n\n")
        news = b"".join(parts)
    stream.told, stream.total = now, board.total
    return news


def _ongoing(organizations: Iterable[uuid.UUID]) -> sa.Select[*tuple[Any, ...]]:
    """The newest calls of each, with how many events each call has and how many calls there are.
    Without the legs of transfers, which are part of another call."""
    ranked = (
        sa.select(
            _calls.id,
            sa.func.row_number()
            .over(partition_by=_calls.organization_id, order_by=_calls.created_at.desc())
            .label("place"),
            sa.func.count().over(partition_by=_calls.organization_id).label("total"),
        )
        .where(
            _calls.organization_id.in_(list(organizations)),
            _calls.status.in_(("ringing", "in_progress")),
            _calls.ended_at.is_(None),
            _calls.parent_call_id.is_(None),
        )
        .subquery()
    )
    last = sa.select(sa.func.max(_events.seq)).where(_events.call_id == _calls.id).scalar_subquery()
    return (
        sa.select(
            *_SHOWN,
            _calls.organization_id,
            AgentRow.name.label("agent_name"),
            sa.func.coalesce(last, 0).label("seq"),
            ranked.c.total,
        )
        .join_from(ranked, CallRow, ranked.c.id == _calls.id)
        .outerjoin(AgentRow, AgentRow.id == _calls.agent_id)
        .where(ranked.c.place <= MOST)
        .order_by(_calls.created_at, _calls.id)
    )


def _told(calls: Iterable[tuple[uuid.UUID, int]]) -> sa.Select[*tuple[Any, ...]]:
    """Events that say what a call is at, of each those after the one that is known."""
    each = [sa.and_(_events.call_id == id, _events.seq > seq) for id, seq in calls]
    return (
        sa.select(_events.call_id, _events.at_ms, _events.kind, _events.data)
        .where(sa.or_(*each), _events.kind.in_(_KINDS))
        .order_by(_events.call_id, _events.seq)
    )


_KINDS = (
    *("speech_started", "speech_paused", "turn_committed", "reply_started", "reply_heard"),
    *("turn_latency", "engine_failed", "supervisor_mode", "supervisor_left"),
    *("leg_held", "leg_resumed"),
)


def _hear(heard: dict[str, Any], kind: str, data: Mapping[str, Any], at_ms: int) -> None:
    match kind:
        case "speech_started":
            heard["floor"] = "caller"
        case "speech_paused":
            heard["floor"] = None
        case "turn_committed":
            heard["floor"] = "thinking"
            heard["turn_count"] = _whole(data.get("turn")) or heard.get("turn_count", 0)
            _line(heard, "user", data.get("text"), at_ms)
        case "reply_started":
            heard["floor"] = "agent"
        case "reply_heard":
            heard["floor"] = None
            _line(heard, "assistant", data.get("heard"), at_ms)
        case "leg_held" | "leg_resumed":
            if data.get("leg") == "caller":  # the other is a person to whom they are handed
                heard["on_hold"] = kind == "leg_held"
        case "turn_latency":
            heard["latency_ms"] = _whole(data.get("sentMs"))
        case "engine_failed":
            heard["problem"] = " · ".join(
                str(data[name]) for name in ("vendor", "stage", "detail") if data.get(name)
            )[:_LONGEST_LINE]
        case "supervisor_mode" if data.get("mode") == "talk":
            heard["taken_over_by"] = str(data.get("by"))
            heard["supervision"] = data.get("id")
        case _:  # a supervisor who did not talk changes nothing
            if data.get("id") == heard.get("supervision"):
                heard["taken_over_by"] = heard["supervision"] = None


def _whole(value: object) -> int | None:
    return round(value) if isinstance(value, int | float) else None


def _line(heard: dict[str, Any], role: str, text: object, at_ms: int) -> None:
    if isinstance(text, str) and text.strip():
        heard["last_line"] = {"role": role, "content": text[:_LONGEST_LINE], "at_ms": at_ms}
