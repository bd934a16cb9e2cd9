"""The websocket of one call, from the handshake to the close: one for every carrier whose audio
comes over websockets. What its messages mean is the carrier's `MediaProtocol`.

1. check the carrier's signature of the handshake where there is one, then claim the call with the
   token that the path shows; a handshake without a right token is refused, and has cost a look or
   two at the database;
2. accept, and wait a few seconds for the start message, believing nothing else;
3. run two tasks, one that reads and one that writes, and have the conversation held in between;
4. whatever ended it, close the socket, which at most carriers ends the call too.

Spoken to in plain ASGI: at fifty messages a second and call, a framework's wrapper around each
would be the largest part of the work.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol, TypeVar

from starlette.types import Message, Receive, Scope, Send

from chorus.lines.carrier import Carrier, CarrierFailed
from chorus.lines.desk import Connection, Desk, NotHere
from chorus.lines.line import Line, LineCause
from chorus.lines.strangers import Strangers, TurnedAway
from chorus.lines.websocket import direct

log = logging.getLogger(__name__)

Way = TypeVar("Way", Receive, Send)

# The start message follows the handshake at once.
START_TIMEOUT_S = 10.0
# How long the close may wait for a peer that does not read.
CLOSE_TIMEOUT_S = 5.0
# A first message is a few hundred bytes.
MAX_START_CHARS = 64 * 1024
# Ids and tokens in it.
MAX_FIELD_CHARS = 256

# RFC 6455 §7.4.1.
NORMAL, UNSUPPORTED, NOT_UTF8, POLICY, TOO_LARGE, BROKEN, LATER = (
    1000,
    1003,
    1007,
    1008,
    1009,
    1011,
    1013,
)
# Closes that the server makes for a peer that breaks the protocol or sends too much.
_PEER_BROKE = {
    1002: "the carrier broke the websocket protocol",
    NOT_UTF8: "the carrier sent text that is not UTF-8",
    TOO_LARGE: "the carrier sent a message that is too large",
}


@dataclass(frozen=True, slots=True)
class Shown:
    """What says whose audio this is: the call's id and its one-time token. Every carrier's route
    ends in `/{call_id}/{token}`."""

    call_id: str
    token: str

    @classmethod
    def of(cls, scope: Scope) -> Shown:
        parameters = scope["path_params"]
        return cls(parameters["call_id"], parameters["token"])


class NotOurs(Exception):
    """Not a stream of ours. `code` closes the socket, the text goes to the log."""

    def __init__(self, code: int, what: str) -> None:
        super().__init__(what)
        self.code = code


class MediaLine(Line, Protocol):
    """A line over a websocket, without the socket: it is handed each message, and asked for what
    it has to send. No method raises for what a peer sent."""

    wake: asyncio.Event
    """Set when there is something to send, and when the line is over."""

    @property
    def over(self) -> bool: ...

    def take(self, message: str | bytes) -> None: ...

    def next_message(self) -> str | bytes | None:
        """What to send now, None when there is nothing."""
        ...

    def end(self, cause: LineCause, detail: str = "") -> None:
        """The first reason stands."""
        ...

    def closed(self, code: int) -> None:
        """The carrier closed the socket, with this code. Ends the line: what it means that no
        message came before is the carrier's own."""
        ...


HangUp = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class MediaStart:
    """What a carrier's start message told. `line` makes the call's line from its id and from what
    ends it at the carrier; of a stream that cannot be used (another audio format) a line that has
    ended, with the reason."""

    leg_id: str
    line: Callable[[str, HangUp], MediaLine]
    again: Callable[[MediaLine], bool] | None = None
    """Have a line whose call is talked on already go on by this stream; whether it does. Only of a
    carrier whose streams stop in a transfer, and start anew when it comes to nothing."""


class MediaProtocol(Protocol):
    """One carrier's messages, as far as the socket has to know them."""

    @property
    def subprotocol(self) -> str | None:
        """Which one is agreed to if the carrier offers it (RFC 6455 §1.9)."""
        ...

    def genuine(self, scope: Scope, connection: Connection) -> bool | None:
        """Whether the handshake is signed by the account of the call's number; None where nothing
        is signed, and the token alone tells."""
        ...

    def parse_start(self, message: str | bytes) -> MediaStart | None:
        """The start message; None for one that comes before it and may. Raises `NotOurs` for
        anything else."""
        ...


class _Held:
    """A line in a conversation, and the two tasks between it and the socket that it has now."""

    def __init__(self, line: MediaLine) -> None:
        self.line = line
        self.over = asyncio.Event()
        self._scope: Scope = {}
        self._tasks: tuple[asyncio.Task[None], ...] = ()

    def attach(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._scope = scope
        direct(scope, partial(_take, self.line))
        self._tasks = (
            asyncio.create_task(_guarded(self.line, _read, receive)),
            asyncio.create_task(_guarded(self.line, _write, send)),
        )

    async def detach(self) -> None:
        direct(self._scope, _drop)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


class MediaSocket:
    """The ASGI application behind a carrier's websocket route; one for all calls of a process."""

    def __init__(self, desk: Desk, carrier: Carrier, protocol: MediaProtocol) -> None:
        self._desk = desk
        self._carrier = carrier
        self._protocol = protocol
        self._strangers = Strangers("a media stream")
        self._held: dict[str, _Held] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()  # websocket.connect
        address = (scope.get("client") or ("unknown",))[0]
        try:
            with self._strangers.look(address):
                shown = await self._authenticate(scope)
        except TurnedAway:
            await close_socket(send, LATER)  # a 403, as it was not accepted
            return
        except NotHere as elsewhere:
            if elsewhere.relayed is not None:
                await elsewhere.relayed((), scope, receive, send, accepted=False)
            else:
                await close_socket(send, LATER)
            return
        except NotOurs as refused:
            self._strangers.refused(address, str(refused))
            await close_socket(send, refused.code)  # a 403 too
            return
        try:
            await send(self._accept(scope))
            start = await self._start(receive)
        except NotOurs as refused:
            # It showed its call's token: it is no stranger.
            self._strangers.tell(address, str(refused))
            await close_socket(send, refused.code)
            return
        if (held := self._held.get(shown.call_id)) is not None:
            await self._go_on(held, start, scope, receive, send)
        else:
            await self._converse(start, shown.call_id, scope, receive, send)

    def _accept(self, scope: Scope) -> Message:
        chosen = self._protocol.subprotocol
        agreed = chosen if chosen in scope.get("subprotocols", ()) else None
        return {"type": "websocket.accept", "subprotocol": agreed}

    async def _authenticate(self, scope: Scope) -> Shown:
        shown = Shown.of(scope)
        for text in (shown.call_id, shown.token):
            if not 0 < len(text) <= MAX_FIELD_CHARS:
                raise NotOurs(POLICY, "its call id or its token is no short text")
        # Before the token is used up: a wrong signature must not cost the call its audio.
        connection = await self._desk.connection_of_call(shown.call_id)
        if connection is None or self._protocol.genuine(scope, connection) is False:
            raise NotOurs(POLICY, "its call is unknown or its signature wrong")
        if not await self._desk.claim(shown.call_id, shown.token):
            raise NotOurs(POLICY, "its token is wrong or used up")
        return shown

    async def _start(self, receive: Receive) -> MediaStart:
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                return await self._read_start(receive)
        except TimeoutError:
            raise NotOurs(POLICY, f"no start within {START_TIMEOUT_S:g} s") from None

    async def _read_start(self, receive: Receive) -> MediaStart:
        while True:
            message = await receive()
            if message["type"] == "websocket.disconnect":
                raise NotOurs(NORMAL, "it went away before its start")
            text = message.get("text")
            content: str | bytes = message["bytes"] if text is None else text
            if len(content) > MAX_START_CHARS:
                raise NotOurs(TOO_LARGE, "its first message is too large")
            start = self._protocol.parse_start(content)
            if start is not None:
                return start

    async def _converse(
        self, start: MediaStart, call_id: str, scope: Scope, receive: Receive, send: Send
    ) -> None:
        line = start.line(call_id, partial(self._hang_up, call_id, start.leg_id))
        held = self._held[call_id] = _Held(line)
        held.attach(scope, receive, send)
        code = NORMAL
        try:
            await self._desk.converse(line, call_id)
        except Exception:
            code = BROKEN
            log.exception("call %s: the conversation failed", call_id)
        finally:
            # The conversation is over: nobody would hear what the line still says.
            line.end(LineCause.LOCAL)
            del self._held[call_id]
            held.over.set()
            await held.detach()
            await close_socket(send, code)

    async def _go_on(
        self, held: _Held, start: MediaStart, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """The line's stream before this one stopped while the carrier called somebody else. One
        that the line does not go on with changes nothing."""
        if start.again is None or not start.again(held.line):
            await close_socket(send, POLICY)
            return
        await held.detach()
        held.attach(scope, receive, send)
        await held.over.wait()
        await close_socket(send, NORMAL)

    async def _hang_up(self, call_id: str, leg_id: str) -> None:
        connection = await self._desk.connection_of_call(call_id)
        if connection is None:
            raise CarrierFailed("the call's number is not at this carrier any more")
        await self._carrier.end(connection, leg_id)


def _take(line: MediaLine, message: str | bytes) -> None:
    try:
        line.take(message)
    except Exception as error:
        _broke(line, error)


def _drop(message: str | bytes) -> None:
    """Of a stream that the line has left."""


async def _read(line: MediaLine, receive: Receive) -> None:
    while True:
        message: Message = await receive()
        if message["type"] == "websocket.disconnect":
            code = message.get("code", 1005)
            if code in _PEER_BROKE:
                line.end(LineCause.FAILED, _PEER_BROKE[code])
            else:
                line.closed(code)
            return
        text = message.get("text")
        _take(line, message["bytes"] if text is None else text)


async def _write(line: MediaLine, send: Send) -> None:
    while not line.over:
        await line.wake.wait()
        line.wake.clear()
        while (content := line.next_message()) is not None:
            kind = "text" if isinstance(content, str) else "bytes"
            try:
                await send({"type": "websocket.send", kind: content})
            except OSError:
                # The peer is gone; the reader learns how.
                return


async def _guarded(
    line: MediaLine, work: Callable[[MediaLine, Way], Awaitable[None]], way: Way
) -> None:
    try:
        await work(line, way)
    except Exception as error:
        _broke(line, error)


def _broke(line: MediaLine, error: Exception) -> None:
    log.error("leg %s: the media stream failed", line.leg_id, exc_info=error)
    line.end(LineCause.FAILED, f"the media stream failed inside ({type(error).__name__})")


async def close_socket(send: Callable[[Message], Awaitable[None]], code: int) -> None:
    """Close, within a limit: a peer may not read."""
    try:
        async with asyncio.timeout(CLOSE_TIMEOUT_S):
            await send({"type": "websocket.close", "code": code})
    except (OSError, RuntimeError, TimeoutError):
        # Closed already, or it does not read: the server drops the connection next.
        return
