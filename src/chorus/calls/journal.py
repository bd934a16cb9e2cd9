"""The timeline of live calls on its way to the database.

A conversation notes what happens without waiting (`CallJournal.note`). One task of the process
writes what all calls have noted, in one transaction about twice a second, so that a hundred
calls are two transactions a second and a call that dies leaves all but its last half second.
A database that is away delays the writing and loses nothing up to `MAX_PENDING` a call.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from chorus.billing.charges import Item, tally
from chorus.calls import latency
from chorus.calls.latency import Target
from chorus.calls.tables import CallEvent
from chorus.db import Database, utcnow
from chorus.news import News
from chorus.talk.timeline import Happening
from chorus.telemetry.watch import CallWatch

log = logging.getLogger(__name__)

FLUSH_S = 0.5
RETRY_S = 2.0
MAX_PENDING = 20_000
"""Happenings of one call that may wait for a database: hours of conversation."""


class CallJournal:
    """The `Journal` of one call."""

    def __init__(self, call_id: uuid.UUID, organization_id: uuid.UUID) -> None:
        self.call_id = call_id
        self.organization_id = organization_id
        self.pending: deque[Happening] = deque()
        self.turns: list[dict[str, object]] = []
        self.used = Counter[Item]()
        self.ears: list[tuple[str, int]] = []
        """Which transcribers took over, and from when on, as in `Used.others`."""
        self.failures = Counter[tuple[str, str]]()
        """Of vendors, by who and at what."""
        self.lost = 0
        self.told: Callable[[str, int, Mapping[str, Any]], None] | None = None
        """Is told of each happening at once; must not block."""
        self.watch: CallWatch | None = None
        self.target: Target | None = None
        """What its answers are measured by."""

    def note(self, happening: Happening) -> None:
        if happening.kind == "turn_latency":
            self.turns.append(dict(happening.data))
        elif happening.kind == "usage":
            self.used += tally([happening.data])
        elif happening.kind in ("transcriber_changed", "transcriber_stopped"):
            self.ears.append((str(happening.data.get("transcriber") or ""), happening.at_ms))
        elif happening.kind == "engine_failed":
            who, what = (str(happening.data.get(name) or "") for name in ("vendor", "stage"))
            self.failures[who, what] += 1
        if self.watch is not None:
            self.watch.told(happening)
        if self.told is not None:
            self.told(happening.kind, happening.at_ms, happening.data)
        if len(self.pending) >= MAX_PENDING:
            self.pending.popleft()
            self.lost += 1
        self.pending.append(happening)


class Journals:
    """The journals of this process's live calls, and the task that writes them."""

    def __init__(self, database: Database, news: News) -> None:
        self._database = database
        self._news = news
        self._open: dict[uuid.UUID, CallJournal] = {}
        self._writing = asyncio.Lock()

    def open(self, call_id: uuid.UUID, organization_id: uuid.UUID) -> CallJournal:
        journal = CallJournal(call_id, organization_id)
        self._open[call_id] = journal
        return journal

    def of(self, call_id: uuid.UUID) -> CallJournal | None:
        """The journal of a live call."""
        return self._open.get(call_id)

    async def close(self, journal: CallJournal) -> None:
        """Its call is over: what still waits is written by whoever ends it, and by nobody else,
        so this waits until what is being written now is done."""
        async with self._writing:
            self._open.pop(journal.call_id, None)

    async def run(self) -> None:
        """Write for ever; started once by the application."""
        failures = 0
        while True:
            await asyncio.sleep(RETRY_S if failures else FLUSH_S)
            try:
                await self.flush()
                if failures:
                    log.info("call events are being written again")
                failures = 0
            except (SQLAlchemyError, OSError) as failure:
                failures += 1
                if failures == 1:
                    log.error("call events wait for the database: %s", failure)

    async def flush(self) -> None:
        """One transaction for everything that waits; on failure all of it waits on."""
        async with self._writing:
            await self._flush()

    async def _flush(self) -> None:
        taken = [(j, len(j.pending), j.lost) for j in self._open.values() if j.pending]
        if not taken:
            return
        async with self._database.writing() as session:
            batches = [(j, [j.pending[i] for i in range(count)]) for j, count, _ in taken]
            for journal, batch in batches:
                await write(session, journal.call_id, journal.organization_id, batch)
            await latency.count(session, [(j.target, batch) for j, batch in batches], utcnow())
            await self._news.tell(session, "events")
        for journal, count, lost in taken:
            # Those dropped at the old end meanwhile were among what has been written.
            for _ in range(count - (journal.lost - lost)):
                journal.pending.popleft()


async def write(
    session: AsyncSession,
    call_id: uuid.UUID,
    organization_id: uuid.UUID,
    happenings: Iterable[Happening],
) -> None:
    """Append happenings to a call's events, in the caller's transaction."""
    last = await session.scalar(
        sa.select(sa.func.max(CallEvent.seq)).where(CallEvent.call_id == call_id)
    )
    now = utcnow()
    rows = [
        {
            "organization_id": organization_id,
            "call_id": call_id,
            "seq": seq,
            "at_ms": happening.at_ms,
            "kind": happening.kind,
            "data": dict(happening.data),
            "created_at": now,
        }
        for seq, happening in enumerate(happenings, start=(last or 0) + 1)
    ]
    if rows:
        await session.execute(sa.insert(CallEvent), rows)
