"""What happens in a call, as server-sent events: what was, what comes, and the end.

The table of events is the only source, so all processes show the same of every call, whoever
holds it. A stream reads what comes after its cursor until it has all, then waits for news. `run`
looks for news for all streams of the process at once: when the journal of this process was
written, and otherwise twice a second. Once the call is over and everything was sent, an event
`end` closes the stream. A stream that closes without one is to be resumed with `Last-Event-ID`.
Whoever waits for nothing but the end of a call (`until_over`) waits here too.

Nothing here is on the way of a call: streams pull, at most `READERS` at a time read the database,
and one whose reader does not take what it is sent for `PATIENCE_S` is dropped.

The format: https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

import orjson
import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError
from starlette.responses import StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from chorus import errors
from chorus.calls.schemas import EventOut
from chorus.calls.tables import CallEvent, CallRow
from chorus.db import Database

log = logging.getLogger(__name__)

S = TypeVar("S", contravariant=True)

LOOK_EVERY_S = 0.5
HEARTBEAT_S = 15.0
PATIENCE_S = 20.0
LONGEST_S = 600.0
"""After this a stream has to be asked for again, with a key that is still good."""
RETRY_S = 2.0
TIMEOUT_S = 10.0
BATCH = 200
READERS = 4
MAX_STREAMS = 500
MAX_OF_ORGANIZATION = 100

_START = b"retry: 1000\n\n"
_HEARTBEAT = b": still here\n\n"
# No line breaks to the standard, but to many a reader that splits text into lines.
_BREAKS = {code: f"\\u{code:04x}" for code in (0x85, 0x2028, 0x2029)}
_EVENT = [
    CallEvent.seq,
    CallEvent.at_ms,
    CallEvent.kind,
    CallEvent.data,
    CallEvent.created_at,
]


@dataclass(slots=True, eq=False)
class Stream:
    """One reader; `seq` is the last event that it was sent, or has had before. One that is
    `for_end` has no news before the call is over."""

    organization_id: uuid.UUID
    call_id: uuid.UUID
    seq: int
    for_end: bool = False
    news: asyncio.Event = field(default_factory=asyncio.Event)

    def __str__(self) -> str:
        return f"events of call {self.call_id}"


class Streams:
    """The streams of this process. `written` is set by whoever has written events."""

    def __init__(self, database: Database, written: asyncio.Event) -> None:
        self._database = database
        self._written = written
        self._open: set[Stream] = set()
        self._readers = asyncio.Semaphore(READERS)
        self._closed = False

    async def run(self) -> None:
        """For ever; started once by the application."""
        failures = 0
        while True:
            self._written.clear()
            try:
                if self._open:
                    async with asyncio.timeout(TIMEOUT_S):
                        await self._look()
                failures = 0
            except (SQLAlchemyError, OSError) as failure:
                failures += 1
                if failures == 1:
                    log.error("streams of events wait for the database: %s", failure)
            try:
                async with asyncio.timeout(LOOK_EVERY_S):
                    await self._written.wait()
            except TimeoutError:
                continue

    def close(self) -> None:
        """The process stops: streams send what there is and end, for their readers to go on
        elsewhere."""
        self._closed = True
        for stream in self._open:
            stream.news.set()

    def enter(self, stream: Stream) -> None:
        """Raises `Error` 429 if the organization has too many streams, 503 if the process has."""
        if len(self._open) >= MAX_STREAMS or self._closed:
            raise errors.unavailable("This server streams as many calls as it can")
        if Counter(s.organization_id for s in self._open)[stream.organization_id] >= (
            MAX_OF_ORGANIZATION
        ):
            raise errors.Error(
                429,
                "too_many_streams",
                f"At most {MAX_OF_ORGANIZATION} may follow events or wait for a call at once",
                headers={"Retry-After": "5"},
            )
        self._open.add(stream)

    def leave(self, stream: Stream) -> None:
        self._open.discard(stream)

    async def follow(self, stream: Stream) -> AsyncGenerator[bytes, None]:
        """The body of the response."""
        loop = asyncio.get_running_loop()
        until = loop.time() + LONGEST_S
        yield _START
        while True:
            stream.news.clear()
            try:
                async with self._readers, asyncio.timeout(TIMEOUT_S):
                    events, more, end = await self._read(stream)
            except (SQLAlchemyError, OSError) as failure:
                log.warning("events of call %s wait: %s", stream.call_id, failure)
                yield _HEARTBEAT
                await asyncio.sleep(RETRY_S)
                continue
            if events:
                yield events
            if more:
                continue
            if end is not None:
                yield end
                return
            while not stream.news.is_set():
                if self._closed or loop.time() >= until:
                    return
                try:
                    async with asyncio.timeout(HEARTBEAT_S):
                        await stream.news.wait()
                except TimeoutError:
                    yield _HEARTBEAT

    async def until_over(
        self, stream: Stream, seconds: float, gone: Callable[[], Awaitable[None]]
    ) -> None:
        """Returns when the call is over, when `gone` does (nobody waits any more), when the
        process stops, and at the latest after `seconds`. Raises `Error` as `enter` does."""
        if self._closed:
            return
        self.enter(stream)
        waits = [asyncio.ensure_future(stream.news.wait()), asyncio.ensure_future(gone())]
        try:
            await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
            self.leave(stream)

    async def _look(self) -> None:
        """Wake the streams that have something to read."""
        calls = {stream.call_id for stream in self._open}
        last = (
            sa.select(sa.func.max(CallEvent.seq))
            .where(CallEvent.call_id == CallRow.id)
            .scalar_subquery()
        )
        async with self._database.reading() as session:
            found = await session.execute(
                sa.select(CallRow.id, CallRow.ended_at, last).where(CallRow.id.in_(calls))
            )
            state = {id: (ended_at is not None, seq or 0) for id, ended_at, seq in found}
        for stream in self._open:
            if stream.call_id not in calls:
                continue  # it came while the database was asked
            over, seq = state.get(stream.call_id, (True, 0))
            if over or (seq > stream.seq and not stream.for_end):
                stream.news.set()

    async def _read(self, stream: Stream) -> tuple[bytes, bool, bytes | None]:
        """What comes next, whether there is more, and the end if there will be none. The status
        is read first: of a call that is over then, all events are seen."""
        async with self._database.reading() as session:
            call = (
                await session.execute(
                    sa.select(CallRow.status, CallRow.ended_reason, CallRow.ended_at).where(
                        CallRow.id == stream.call_id,
                        CallRow.organization_id == stream.organization_id,
                    )
                )
            ).first()
            found = await session.execute(
                sa.select(*_EVENT)
                .where(CallEvent.call_id == stream.call_id, CallEvent.seq > stream.seq)
                .order_by(CallEvent.seq)
                .limit(BATCH)
            )
            rows = found.all()
        if rows:
            stream.seq = rows[-1].seq
        end = None
        if call is None or call.ended_at is not None:
            told = {"status": call.status, "endedReason": call.ended_reason} if call else {}
            end = b"event: end\ndata: " + orjson.dumps(told) + b"\n\n"
        events = b"".join(_written(EventOut.model_validate(row)) for row in rows)
        return events, len(rows) == BATCH, end


def _written(event: EventOut) -> bytes:
    """JSON holds no line break, so the data is one line."""
    data = event.model_dump_json().translate(_BREAKS)
    return f"id: {event.seq}\nevent: {event.kind}\ndata: {data}\n\n".encode()


class Followed(Protocol[S]):
    """Streams of one kind: who has a place, and what each is sent."""

    def enter(self, stream: S, /) -> None: ...
    def leave(self, stream: S, /) -> None: ...
    def follow(self, stream: S, /) -> AsyncGenerator[bytes, None]: ...


class EventStream(StreamingResponse, Generic[S]):
    """The response of one stream, which takes its place only while it is sent."""

    media_type = "text/event-stream"

    def __init__(self, streams: Followed[S], stream: S) -> None:
        # The second is for nginx, which otherwise keeps what it is sent until it has 4 KB.
        headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
        super().__init__(streams.follow(stream), headers=headers)
        self._streams = streams
        self._stream = stream

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._streams.enter(self._stream)
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._streams.leave(self._stream)

    async def stream_response(self, send: Send) -> None:
        late = False

        async def send_in_time(message: Message) -> None:
            nonlocal late
            try:
                async with asyncio.timeout(PATIENCE_S):
                    await send(message)
            except TimeoutError:
                late = True
                raise

        try:
            await super().stream_response(send_in_time)
        except TimeoutError:
            if not late:
                raise
            log.warning("a reader of %s is too slow", self._stream)
