"""A call's transcription over a vendor's WebSocket: what all of them have in common.

Audio is put together to pieces and sent by a task of its own, so that `feed` never waits. Each
`finalize` is answered by one final: the vendor's answer, or what it heard past that place without
being asked. A socket that closes, or an answer that cannot be read, loses the stream, and the call
opens another; a socket that grows old is replaced in a pause, of which the call knows nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable

from chorus.audio.frame import AudioFormat
from chorus.outbound_socket import Socket, SocketClosed
from chorus.speech.engines import EngineFailed, Words, WordTime
from chorus.speech.vendor.failures import GARBAGE, Failures
from chorus.speech.vendor.limits import refused_by
from chorus.speech.vendor.outbox import Outbox
from chorus.speech.vendor.wire import Told, Wire

log = logging.getLogger(__name__)

_TICK_S = 1.0
_RENEW_S = 10.0
_MOST_WAITING_MS = 15_000.0  # audio that it does not take; a stream that takes over gets 10 s
_STALLED_MS = 1500.0  # audio without the message that was to come in it
_OVERTIME_S = 60.0  # past its age a socket waits so long for a pause
_WORD_MS = 400.0  # the last word before a place is there when a vendor is so far past it
_EPS_MS = 20.0  # a rounding of the vendor's, and half a frame

Dial = Callable[[], Awaitable[tuple[Socket, Wire]]]
"""Opens a socket and what is spoken over it. Raises `EngineFailed`."""


async def open_stream(
    dial: Dial,
    failures: Failures,
    format: AudioFormat,
    on_words: Callable[[Words], None],
    on_failed: Callable[[EngineFailed], None],
) -> SocketTranscription:
    """Raises `EngineFailed`. The caller has a deadline."""
    link = await _connect(dial, failures)
    return SocketTranscription(link, dial, failures, format, on_words, on_failed)


class _Link:
    """`base_ms`: how much of the stream's audio went before this socket's first."""

    def __init__(self, socket: Socket, wire: Wire) -> None:
        self.socket = socket
        self.wire = wire
        self.outbox = Outbox(socket)
        self.base_ms = 0.0
        self.opened_s = asyncio.get_running_loop().time()
        self.told_ms = 0.0  # how much audio had been fed when it said something last

    async def close(self, *, wait: bool) -> None:
        goodbye = self.wire.goodbye()
        await self.outbox.close(() if goodbye is None else (goodbye,), wait=wait)


async def _connect(dial: Dial, failures: Failures) -> _Link:
    socket, wire = await dial()
    try:
        for message in wire.begin():
            await socket.send(message)
        if wire.greets:
            wire.read(await socket.recv())
        return _Link(socket, wire)
    except BaseException as error:
        if isinstance(error, SocketClosed):
            error = failures.closed("open", error)
        if isinstance(error, EngineFailed):
            error = refused_by(socket, EngineFailed(error.vendor, "open", error.detail, error.kind))
        await socket.close()
        if isinstance(error, GARBAGE):
            error = failures.garbage("open", error)
        raise error from None


class SocketTranscription:
    """`Transcription`."""

    def __init__(
        self,
        link: _Link,
        dial: Dial,
        failures: Failures,
        format: AudioFormat,
        on_words: Callable[[Words], None],
        on_failed: Callable[[EngineFailed], None],
    ) -> None:
        self._link = link
        self._dial = dial
        self._failures = failures
        self._format = format
        self._on_words = on_words
        self._on_failed = on_failed
        self._chunk = bytearray()
        self._chunk_bytes = format.size(link.wire.chunk_ms)
        self._fed_ms = 0.0
        self._asked_ms = 0.0  # where the last finalize fell
        self._pending: deque[float] = deque()  # where those fell that are not answered
        self._passed_ms = -1.0  # the last of them that was answered unasked
        self._speaking = False
        self._lost = False
        self._next: _Link | None = None  # takes over in the next pause
        self._tasks: set[asyncio.Task[None]] = set()
        self._reader = asyncio.create_task(self._read(link), name="vendor words")
        self._timer = asyncio.get_running_loop().call_later(_TICK_S, self._tick)

    # --- from the call ----------------------------------------------------------------------

    def feed(self, audio: bytes) -> None:
        if self._lost:
            return
        self._fed_ms += self._format.ms(len(audio))
        self._chunk += audio
        if len(self._chunk) >= self._chunk_bytes:
            self._send_chunks()
            if self._link.outbox.waiting_bytes > self._format.size(_MOST_WAITING_MS) * 1.4:
                self._lose(self._failures.of("lost", "late", "it takes no audio"))

    def speech_started(self, ago_ms: float) -> None:
        self._speaking = True

    def finalize(self) -> None:
        if self._lost:
            return
        self._flush()
        unheard_ms, self._asked_ms = self._fed_ms - self._asked_ms, self._fed_ms
        if unheard_ms <= 0 and self._pending:
            return  # the answer that is under way is the answer to this too
        self._pending.append(self._fed_ms)
        if unheard_ms <= 0:
            asyncio.get_running_loop().call_soon(self._told, self._link, Told("", True, True))
            return
        self._link.outbox.put(*self._link.wire.finalize(unheard_ms))

    async def close(self) -> None:
        wait, self._lost = not self._lost, True
        self._timer.cancel()
        for task in (self._reader, *self._tasks):
            task.cancel()
        await asyncio.gather(self._reader, *self._tasks, return_exceptions=True)
        links = [self._link] if self._next is None else [self._link, self._next]
        self._next = None
        await asyncio.gather(*(link.close(wait=wait) for link in links))

    # --- from the vendor --------------------------------------------------------------------

    async def _read(self, link: _Link) -> None:
        try:
            while True:
                message = await link.socket.recv()
                link.told_ms = self._fed_ms
                for told in link.wire.read(message):
                    self._told(link, told)
        except SocketClosed as closed:
            failure = self._failures.closed("lost", closed)
        except EngineFailed as failed:
            failure = EngineFailed(failed.vendor, "lost", failed.detail, failed.kind)
        except GARBAGE as error:
            failure = self._failures.garbage("lost", error)
        if link is self._link:
            self._lose(refused_by(link.socket, failure))

    def _told(self, link: _Link, told: Told) -> None:
        if self._lost or link is not self._link:
            return
        words = tuple(
            WordTime(w.text, w.start_ms + link.base_ms, w.end_ms + link.base_ms) for w in told.words
        )
        if told.heard_to_ms is not None:
            heard_to_ms = min(told.heard_to_ms + link.base_ms, self._fed_ms)
        elif told.final:
            heard_to_ms = min(words[-1].end_ms, self._fed_ms) if words else 0.0
        else:
            heard_to_ms = self._fed_ms
        final = told.final
        if self._pending:
            place_ms = self._pending[0]
            if told.answers and not self._belated(told, heard_to_ms, place_ms):
                self._pending.popleft()
                heard_to_ms = max(heard_to_ms, place_ms)
            elif (final and heard_to_ms >= place_ms - _EPS_MS) or (
                not told.text
                and told.heard_to_ms is not None
                and heard_to_ms >= place_ms + _WORD_MS
            ):
                # It has listened past the place: this says all that there was before it.
                self._passed_ms = self._pending.popleft()
                heard_to_ms, final = max(heard_to_ms, place_ms), True
        spoken_at_ms = min(words[-1].end_ms, heard_to_ms) if words else heard_to_ms
        if final:
            self._speaking = bool(self._pending)
        if final or told.text or told.turn_over is not None:
            self._on_words(
                Words(
                    told.text,
                    final,
                    spoken_at_ms,
                    heard_to_ms,
                    words,
                    told.language,
                    told.confidence,
                    told.turn_over,
                )
            )
        if self._next is not None and self._idle:
            self._take_over()

    def _belated(self, told: Told, heard_to_ms: float, place_ms: float) -> bool:
        """It answers the place before, of which everything had been said already."""
        if told.heard_to_ms is None or self._passed_ms < 0:
            return False
        belated = heard_to_ms <= self._passed_ms + _EPS_MS < place_ms
        self._passed_ms = -1.0
        return belated

    def _lose(self, failure: EngineFailed) -> None:
        if not self._lost:
            self._lost = True
            self._timer.cancel()
            self._on_failed(failure)

    # --- the socket -------------------------------------------------------------------------

    def _send_chunks(self) -> None:
        """All whole ones: what was kept for a new stream comes at once."""
        size, at = self._chunk_bytes, 0
        while len(self._chunk) - at >= size:
            self._link.outbox.put(self._link.wire.audio(bytes(self._chunk[at : at + size])))
            at += size
        del self._chunk[:at]

    def _flush(self) -> None:
        if self._chunk:
            self._link.outbox.put(self._link.wire.audio(bytes(self._chunk)))
            self._chunk.clear()

    def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(_TICK_S, self._tick)
        link, now_s = self._link, loop.time()
        for each in (link, self._next):
            if each is None or each.wire.keep_alive_s is None:
                continue
            if now_s - each.outbox.sent_s >= each.wire.keep_alive_s:
                message = each.wire.keep_alive()
                if message is not None:
                    each.outbox.put(message)
        every_ms = link.wire.speaks_every_ms
        if every_ms is not None and self._fed_ms - link.told_ms > every_ms + _STALLED_MS:
            self._lose(self._failures.of("lost", "late", "it says nothing more"))
        elif now_s - link.opened_s >= link.wire.session_s and self._next is None:
            if not self._tasks:
                task = asyncio.create_task(self._renew(), name="vendor socket, another")
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
        elif self._next is not None and (
            self._idle or now_s - link.opened_s > link.wire.session_s + _OVERTIME_S
        ):
            self._take_over()

    @property
    def _idle(self) -> bool:
        return not self._pending and not self._speaking

    async def _renew(self) -> None:
        try:
            async with asyncio.timeout(_RENEW_S):
                self._next = await _connect(self._dial, self._failures)
        except (EngineFailed, TimeoutError) as failure:
            log.info("no new socket yet: %s", failure)
            return
        if self._idle:
            self._take_over()

    def _take_over(self) -> None:
        assert self._next is not None
        self._flush()
        old, self._link, self._next = self._link, self._next, None
        self._link.base_ms = self._link.told_ms = self._fed_ms
        self._reader.cancel()
        self._reader = asyncio.create_task(self._read(self._link), name="vendor words")
        task = asyncio.create_task(old.close(wait=False), name="vendor socket, old")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
