"""Server-sent events of a chat: how many at once, for how long, and what a slow reader costs."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import aclosing

import orjson
from starlette.responses import StreamingResponse
from starlette.types import Message as AsgiMessage
from starlette.types import Receive, Scope, Send

from chorus import errors
from chorus.talk.chat import ChatEvent

log = logging.getLogger(__name__)

MAX_CHATS = 50
MAX_OF_ORGANIZATION = 5
LONGEST_S = 120.0
PATIENCE_S = 20.0


class ChatStreams:
    """The answers under way in this process."""

    def __init__(self) -> None:
        self._open: Counter[uuid.UUID] = Counter()

    def enter(self, organization_id: uuid.UUID) -> None:
        """Raises `Error` 429 if the organization has too many, 503 if the process has."""
        if self._open.total() >= MAX_CHATS:
            raise errors.unavailable("This server answers as many chats as it can")
        if self._open[organization_id] >= MAX_OF_ORGANIZATION:
            raise errors.Error(
                429,
                "too_many_chats",
                f"At most {MAX_OF_ORGANIZATION} chats may be answered at once",
                headers={"Retry-After": "2"},
            )
        self._open[organization_id] += 1

    def leave(self, organization_id: uuid.UUID) -> None:
        self._open[organization_id] -= 1


async def written(events: AsyncGenerator[ChatEvent, None]) -> AsyncGenerator[bytes, None]:
    """`events` as they are sent. An answer that takes too long ends with an `error`."""
    async with aclosing(events):
        try:
            async with asyncio.timeout(LONGEST_S):
                async for event in events:
                    yield _frame(event)
        except TimeoutError:
            detail = f"the answer took longer than {LONGEST_S:.0f} s"
            yield _frame(ChatEvent("error", {"model": None, "detail": detail, "spoken": None}))


def _frame(event: ChatEvent) -> bytes:
    """JSON holds no line break, so the data is one line."""
    return b"event: %b\ndata: %b\n\n" % (event.kind.encode(), orjson.dumps(event.data))


class ChatResponse(StreamingResponse):
    """Takes its place only while it is sent."""

    media_type = "text/event-stream"

    def __init__(
        self,
        streams: ChatStreams,
        organization_id: uuid.UUID,
        events: AsyncGenerator[ChatEvent, None],
    ) -> None:
        # The second is for nginx, which otherwise keeps what it is sent until it has 4 KB.
        headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
        self._events = written(events)
        super().__init__(self._events, headers=headers)
        self._streams = streams
        self._organization_id = organization_id

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._streams.enter(self._organization_id)
        try:
            async with aclosing(self._events):
                await super().__call__(scope, receive, send)
        finally:
            self._streams.leave(self._organization_id)

    async def stream_response(self, send: Send) -> None:
        async def send_in_time(message: AsgiMessage) -> None:
            async with asyncio.timeout(PATIENCE_S):
                await send(message)

        try:
            await super().stream_response(send_in_time)
        except TimeoutError:
            log.warning("the reader of a chat is too slow")
