"""A call's voice over a vendor's WebSocket: what all of them have in common.

One socket serves all replies of a call, each a context of its own; a second one is opened where
the first has no room, as for a vendor that knows one reply at a time. A socket that closed while
nobody spoke is replaced at once, so that the next reply finds it warm; one that goes silent in
mid-reply is thrown away with it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from itertools import count

from chorus.audio.frame import AudioFormat
from chorus.outbound_socket import Socket, SocketClosed
from chorus.speech.engines import EngineFailed, Spoken
from chorus.speech.vendor.clauses import Clauses
from chorus.speech.vendor.failures import GARBAGE, Failures
from chorus.speech.vendor.limits import Limit, LimitedSocket, refused_by
from chorus.speech.vendor.outbox import Outbox
from chorus.speech.vendor.speech_wire import (
    ClauseDone,
    ContextDone,
    ContextFailed,
    Sound,
    SpeechEvent,
    SpeechWire,
    Timed,
)

log = logging.getLogger(__name__)

_TICK_S = 2.0
_STALLED_S = 1.0  # silent for so long while it owed: not to be used again
_CANCEL_S = 5.0  # what was cancelled has ended by then, or the socket is given up
_WORTH_S = 10.0  # a socket that lived shorter is not replaced unasked
_AHEAD = 3  # clauses that a vendor is sent before it has spoken those before

Dial = Callable[[], Awaitable[tuple[Socket, SpeechWire]]]
"""Opens a socket and what is spoken over it. Raises `EngineFailed`."""


Item = SpeechEvent | Exception | list[Spoken]


class _Link:
    def __init__(self, socket: Socket, wire: SpeechWire, session: SocketSession) -> None:
        loop = asyncio.get_running_loop()
        self.socket = socket
        self.wire = wire
        self.outbox = Outbox(socket)
        self.opened_s = self.heard_s = loop.time()
        self.contexts: dict[str, asyncio.Queue[Item]] = {}
        self.cancelled: dict[str, float] = {}
        self.failure: EngineFailed | None = None
        self.reader = asyncio.create_task(session.read(self), name="vendor voice")

    @property
    def room(self) -> bool:
        now_s = asyncio.get_running_loop().time()
        open_now = len(self.contexts) + len(self.cancelled)
        return (
            self.failure is None
            and open_now < self.wire.most_contexts
            and now_s - self.opened_s < self.wire.session_s
            and self.wire.fresh(now_s)
        )

    @property
    def replies(self) -> Limit | None:
        """Where each has to have a place."""
        socket = self.socket
        if isinstance(socket, LimitedSocket) and self.wire.counts_replies:
            return socket.replies
        return None

    @property
    def idle(self) -> bool:
        return not self.contexts and not self.cancelled

    def deliver(self, event: SpeechEvent) -> None:
        context = event.context
        if not context:
            # The only one: what was cancelled before, until the vendor says that it is over.
            context = next(iter(self.cancelled or self.contexts), "")
        if isinstance(event, (ContextDone, ContextFailed)) and context in self.cancelled:
            del self.cancelled[context]
        elif context in self.contexts:
            self.contexts[context].put_nowait(event)

    def fail(self, failure: EngineFailed) -> None:
        self.failure = self.failure or failure
        for queue in self.contexts.values():
            queue.put_nowait(self.failure)

    async def close(self) -> None:
        self.reader.cancel()
        await asyncio.gather(self.reader, return_exceptions=True)
        await self.outbox.close(() if self.failure else self.wire.goodbye())


class SocketSession:
    """`VoiceSession`. `start` opens the first socket."""

    def __init__(self, dial: Dial, failures: Failures, format: AudioFormat) -> None:
        self._dial = dial
        self._failures = failures
        self._format = format
        self._links: list[_Link] = []
        self._opening = asyncio.Lock()
        self._numbers = count(1)
        self._warming: set[asyncio.Task[None]] = set()
        self._putting_away: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False

    async def start(self) -> SocketSession:
        """Raises `EngineFailed`."""
        await self._link()
        self._timer = asyncio.get_running_loop().call_later(_TICK_S, self._tick)
        return self

    async def aclose(self) -> None:
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        for task in self._warming:
            task.cancel()
        await asyncio.gather(*self._warming, return_exceptions=True)
        links, self._links = self._links, []
        await asyncio.gather(*self._putting_away, *(link.close() for link in links))

    async def speak(self, clauses: AsyncIterator[str]) -> AsyncGenerator[Spoken, None]:
        speech = _Speech(self._format, self._failures, clauses)
        try:
            link = await self._link()
            async for piece in speech.over(link, self._numbers):
                yield piece
        finally:
            await speech.stop()
            if speech.stalled:
                self._drop(speech.link)

    # --- sockets ----------------------------------------------------------------------------

    async def _link(self) -> _Link:
        """One with room, which is opened if need be."""
        async with self._opening:
            for link in self._links:
                if link.room:
                    return link
            socket, wire = await self._dial()
            link = _Link(socket, wire, self)
            self._links.append(link)
            return link

    @staticmethod
    def _old(link: _Link) -> bool:
        return asyncio.get_running_loop().time() - link.opened_s >= link.wire.session_s

    async def read(self, link: _Link) -> None:
        """What comes over a socket, until it closes."""
        loop = asyncio.get_running_loop()
        try:
            while True:
                message = await link.socket.recv()
                link.heard_s = loop.time()
                for event in link.wire.read(message):
                    link.deliver(event)
        except SocketClosed as closed:
            failure = self._failures.closed("speak", closed)
        except EngineFailed as failed:
            failure = failed
        except GARBAGE as error:
            failure = self._failures.garbage("speak", error)
        if not link.wire.counts_replies:
            failure = refused_by(link.socket, failure)
        worth = link.idle and loop.time() - link.opened_s >= _WORTH_S
        link.fail(failure)
        self._drop(link)
        if worth and not self._closed:
            self._keep_warm()

    def _drop(self, link: _Link | None) -> None:
        """It is broken, or as good as that."""
        if link is not None:
            link.fail(self._failures.of("speak", "gone", "it was given up"))
            self._retire(link)

    def _retire(self, link: _Link) -> None:
        """It is not used again."""
        if link in self._links:
            self._links.remove(link)
            task = asyncio.create_task(link.close(), name="vendor voice, put away")
            self._putting_away.add(task)
            task.add_done_callback(self._putting_away.discard)

    def _keep_warm(self) -> None:
        async def warm() -> None:
            try:
                await self._link()
            except EngineFailed as failure:
                log.info("not warm: %s", failure)

        task = asyncio.create_task(warm(), name="vendor voice, another")
        self._warming.add(task)
        task.add_done_callback(self._warming.discard)

    def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(_TICK_S, self._tick)
        now_s = loop.time()
        for link in list(self._links):
            overdue = any(now_s - since_s > _CANCEL_S for since_s in link.cancelled.values())
            if overdue and not link.contexts:
                self._drop(link)
                continue
            if link.idle and self._old(link):
                self._retire(link)
                self._keep_warm()
                continue
            every_s = link.wire.keep_alive_s
            if every_s is not None and now_s - link.outbox.sent_s >= every_s:
                link.outbox.put(*link.wire.keep_alive())


class _Speech:
    """One `speak`. `stalled`: it was closed while the vendor owed audio and sent nothing."""

    def __init__(
        self, format: AudioFormat, failures: Failures, clauses: AsyncIterator[str]
    ) -> None:
        self.link: _Link | None = None
        self.stalled = False
        self._failures = failures
        self._format = format
        self._texts = clauses
        self._context = ""
        self._open = False  # at the vendor
        self._ended = False  # no more texts come
        self._over = False  # nothing is owed
        self._queue: asyncio.Queue[Item] = asyncio.Queue()
        self._spoken = asyncio.Event()
        self._feeder: asyncio.Task[None] | None = None
        self._asked_s = 0.0
        self._place: Limit | None = None

    async def over(self, link: _Link, numbers: count[int]) -> AsyncGenerator[Spoken, None]:
        self.link = link
        pieces = Clauses(self._format, by_text=link.wire.clauses_by_text)
        feeding = self._feed(link, numbers, pieces)
        self._context = f"c{next(numbers)}"
        link.contexts[self._context] = self._queue  # takes its place on the socket
        self._feeder = asyncio.create_task(feeding, name="vendor voice, text")
        while not (self._ended and self._over):
            event = await self._queue.get()
            out: list[Spoken] = []
            match event:
                case Exception():
                    raise self._refused(event)
                case ContextFailed(_, failure):
                    self._open = False
                    raise self._refused(failure)
                case Sound(_, audio):
                    out = pieces.sound(audio)
                case Timed(_, units):
                    pieces.timed(units)
                case ClauseDone():
                    out = pieces.clause_done()
                case ContextDone():
                    self._open = False
                    if pieces.owing and not pieces.begun:
                        raise self._failures.of("speak", "other", "it ended early")
                    out = pieces.all_done()
                case _:
                    out = event
            for piece in out:
                yield piece
            self._spoken.set()
            self._over = not self._open or (link.wire.ends_with_clauses and not pieces.owing)
        self._open = False
        if self._asked_s and not pieces.sounded:
            raise self._failures.of("speak", "garbage", "it sent no audio")

    async def _feed(self, link: _Link, numbers: count[int], pieces: Clauses) -> None:
        loop = asyncio.get_running_loop()
        try:
            async for text in self._texts:
                while pieces.owing >= _AHEAD:
                    self._spoken.clear()
                    await self._spoken.wait()
                silent = not any(letter.isalnum() for letter in text)
                if not silent:
                    await asyncio.sleep(link.wire.reserve_s(loop.time()))
                if out := pieces.add(text, silent=silent):
                    self._queue.put_nowait(out)
                if silent:
                    continue
                if not self._open:
                    if self._asked_s:  # the vendor ended the context before, in a silence
                        del link.contexts[self._context]
                        self._context = f"c{next(numbers)}"
                        link.contexts[self._context] = self._queue
                    if self._place is None and (limit := link.replies) is not None:
                        await limit.take(self._failures, "speak")
                        self._place = limit
                    self._open = True
                    pieces.again()
                    link.outbox.put(*link.wire.begin(self._context))
                self._asked_s = loop.time()
                link.outbox.put(*link.wire.clause(self._context, text))
            self._ended = True
            if self._open:
                link.outbox.put(*link.wire.end(self._context))
            self._over = not self._open
            self._queue.put_nowait([])  # have a look
        except Exception as error:
            self._queue.put_nowait(error)

    def _refused(self, failure: Exception) -> Exception:
        limit = self._place
        if limit is None or not isinstance(failure, EngineFailed):
            return failure
        return limit.refused(failure, others=limit.under_way - 1)

    async def stop(self) -> None:
        try:
            if self._feeder is not None:
                self._feeder.cancel()
                await asyncio.gather(self._feeder, return_exceptions=True)
        finally:
            place, self._place = self._place, None
            if place is not None:
                place.give()
        link = self.link
        if link is None:
            return
        link.contexts.pop(self._context, None)
        if not self._open or link.failure is not None:
            return
        now_s = asyncio.get_running_loop().time()
        self.stalled = now_s - max(link.heard_s, self._asked_s) >= _STALLED_S
        link.cancelled[self._context] = now_s
        link.outbox.put(*link.wire.cancel(self._context))
