"""The websocket of a browser's call, and what is left of the call while it has none.

1. refuse the handshake of whoever comes to an address that was not made here, for this call and
   lately, or for one that goes on; of a page of another site, unless the address was made for it;
   and while too many sockets wait for their first message, of one call, of one address or in all.
   So only who may begin a call, or had one begun, holds a socket here;
2. accept, and wait a few seconds for the first message;
3. `start` claims the call with its token, and the conversation is held for as long as it lasts:
   by the handler of this socket, also when the socket itself is lost;
4. `resume` goes on with such a call on a new socket, which takes the place of an older one; at the
   wrong process the socket is passed on to the one that holds the call, after its first message or,
   when the call can no longer be begun, in place of the handshake;
5. when the conversation is over, the page is told why, and the socket is closed.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import Counter
from collections.abc import Collection, Generator
from contextlib import contextmanager
from functools import partial
from typing import Protocol

import orjson
from starlette.datastructures import Headers
from starlette.types import Message, Receive, Scope, Send

from chorus.lines.browser.line import BrowserLine
from chorus.lines.browser.messages import Resume, Start, WrongMessage, read_first
from chorus.lines.desk import NotHere, Relayed
from chorus.lines.line import Line, LineCause, LineEnded
from chorus.lines.media_socket import (
    BROKEN,
    CLOSE_TIMEOUT_S,
    LATER,
    NORMAL,
    POLICY,
    close_socket,
)
from chorus.lines.strangers import Strangers, TurnedAway
from chorus.lines.websocket import direct

log = logging.getLogger(__name__)

FIRST_TIMEOUT_S = 10.0
STARTS_WITHIN_S = 75.0
"""After its address was made: what a token lasts, and a little more, for clocks that differ."""
WAITING_OF_CALL = 6
"""Sockets that have not said their first message. A page that comes back may have left some."""
# Of RFC 6455 §7.4.2, for what is between us and our pages.
NOT_HERE, TAKEN_OVER = 4004, 4009

_CAUSES = {
    LineCause.FAR_END: "hung_up",
    LineCause.LOCAL: "ended",
    LineCause.DROPPED: "lost",
}


class Talks(Protocol):
    """What the socket asks of whoever holds calls: a part of `Desk`."""

    async def claim(self, call_id: str, token: str) -> bool:
        """See `Desk.claim`."""
        ...

    async def converse(self, line: Line, call_id: str) -> None: ...

    async def way_to(self, call_id: str) -> Relayed | None:
        """See `Desk.way_to`."""
        ...

    def proved_s_ago(self, call_id: str, origin: str | None, proof: str) -> float | None:
        """See `Desk.proved_s_ago`."""
        ...


class BrowserSocket:
    """The ASGI application behind the routes; one for all calls of a process. `origins` are those
    whose pages may connect to any call; None: any."""

    def __init__(self, desk: Talks, origins: Collection[str] | None) -> None:
        self._desk = desk
        self._origins = origins
        self._strangers = Strangers("a browser")
        self._calls: dict[str, _Held] = {}
        self._waiting: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()  # websocket.connect
        address = (scope.get("client") or ("unknown",))[0]
        call_id: str = scope["path_params"]["call_id"]
        content: str | bytes = ""
        try:
            self._strangers.knock(address)
            way = await self._way_elsewhere(scope, address)
            if way is not None:
                await way((), scope, receive, send, accepted=False)
                return
            with self._strangers.look(address), self._one_of(call_id, address):
                await send({"type": "websocket.accept"})
                content = await _first(receive)
                first = _read_first(content)
                if call_id != first.call_id:
                    raise _Refused("the address is that of another call")
                if isinstance(first, Resume):
                    held = self._resumed(first)
                    if held is None:
                        way = await self._desk.way_to(first.call_id)
                        if way is None:
                            raise NotHere
                else:
                    held = await self._claimed(first)
        except _NotAccepted:
            await send({"type": "websocket.close", "code": POLICY})  # a 403
            return
        except TurnedAway:
            await send({"type": "websocket.close", "code": LATER})
            return
        except NotHere as elsewhere:
            if elsewhere.relayed is not None:
                await elsewhere.relayed([content], scope, receive, send, accepted=True)
            else:
                # It may be over, or on another machine. Whoever guesses is told the same.
                self._strangers.refused(address, "no such call goes on here")
                await _bye(send, "not_here", "another server holds this call", NOT_HERE)
            return
        except _Refused as refused:
            self._strangers.refused(address, str(refused))
            await _bye(send, "refused", str(refused), POLICY)
            return
        if way is not None:
            await way([content], scope, receive, send, accepted=True)
        elif held is not None and isinstance(first, Resume):
            log.info("call %s: the page is back", first.call_id)
            await held.connected(scope, receive, send, first)
        elif held is not None:
            await self._hold(held, scope, receive, send)

    async def aclose(self) -> None:
        for held in self._calls.values():
            held.line.end(LineCause.DROPPED, "the server was stopped")

    async def _way_elsewhere(self, scope: Scope, address: str) -> Relayed | None:
        """To who holds the call, if it cannot begin any more and is not held here. Raises
        `_NotAccepted` if there is none, and what `_made_s_ago` raises."""
        call_id = scope["path_params"]["call_id"]
        made_s_ago = self._made_s_ago(scope, address)
        if made_s_ago <= STARTS_WITHIN_S or call_id in self._calls:
            return None
        way = await self._desk.way_to(call_id)
        if way is None:
            self._strangers.refused(address, "no such call goes on here")
            raise _NotAccepted
        return way

    def _made_s_ago(self, scope: Scope, address: str) -> float:
        """How old the address is that is connected to. Raises `_NotAccepted` for one that is not
        ours, or not for this page. A program that is no page sends no origin."""
        call_id, proof = scope["path_params"]["call_id"], scope["path_params"]["proof"]
        origin = Headers(scope=scope).get("origin")
        own_s = self._desk.proved_s_ago(call_id, None, proof)
        if own_s is not None:
            allowed = self._origins
            if origin is None or allowed is None or origin.lower() in allowed:
                return own_s
            why = f"a page of {origin[:100]} may not connect: see CHORUS_CORS_ORIGINS"
            self._strangers.tell(address, why)
            raise _NotAccepted
        page_s = self._desk.proved_s_ago(call_id, (origin or "").lower(), proof)
        if page_s is None:
            why = f"its address was not made for a page of {(origin or 'nowhere')[:100]}"
            self._strangers.refused(address, why)
            raise _NotAccepted
        return page_s

    @contextmanager
    def _one_of(self, call_id: str, address: str) -> Generator[None]:
        """Held while a socket of the call waits. Raises `_NotAccepted` for one too many."""
        if self._waiting[call_id] >= WAITING_OF_CALL:
            self._strangers.tell(address, f"{WAITING_OF_CALL} sockets of its call wait already")
            raise _NotAccepted
        self._waiting[call_id] += 1
        try:
            yield
        finally:
            self._waiting[call_id] -= 1
            if not self._waiting[call_id]:
                del self._waiting[call_id]

    async def _claimed(self, start: Start) -> _Held:
        if not await self._desk.claim(start.call_id, start.token):
            raise _Refused("the token is wrong, used up or too old")
        held = _Held(BrowserLine(start.call_id, start.format))
        self._calls[start.call_id] = held
        return held

    async def _hold(self, held: _Held, scope: Scope, receive: Receive, send: Send) -> None:
        call_id = held.line.call_id
        connected = asyncio.create_task(held.connected(scope, receive, send, None))
        code = NORMAL
        try:
            await self._desk.converse(held.line, call_id)
        except Exception:
            code = BROKEN
            log.exception("call %s: the conversation failed", call_id)
        finally:
            held.line.end(LineCause.LOCAL)
            held.code = code
            held.over.set()
            del self._calls[call_id]
            await connected

    def _resumed(self, resume: Resume) -> _Held | None:
        """The call, if it is held here. Raises `NotHere` for a wrong token of one that is."""
        held = self._calls.get(resume.call_id)
        if held is None:
            return None
        if not secrets.compare_digest(held.line.resume_token.encode(), resume.token.encode()):
            raise NotHere
        return held


class _Held:
    """A call that is being held, and the one socket of it that counts."""

    def __init__(self, line: BrowserLine) -> None:
        self.line = line
        self.over = asyncio.Event()
        self.code = NORMAL
        self._newer = asyncio.Event()

    async def connected(
        self, scope: Scope, receive: Receive, send: Send, resume: Resume | None
    ) -> None:
        """Returns when the socket is closed, by whichever side: the page went away, a newer socket
        took its place, or the conversation is over."""
        self._newer.set()
        newer = self._newer = asyncio.Event()
        line = self.line
        line.attach(resume)
        direct(scope, partial(_take, line, newer))
        reader = asyncio.create_task(_read(line, newer, receive))
        writer = asyncio.create_task(_write(line, newer, send))
        replaced = asyncio.create_task(newer.wait())
        over = asyncio.create_task(self.over.wait())
        tasks = (reader, writer, replaced, over)
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        for task in (reader, writer):
            if not task.cancelled() and (failure := task.exception()) is not None:
                log.error("leg %s: the page's socket failed", line.leg_id, exc_info=failure)
        if self.over.is_set():
            await _send_rest(line, send)
            ended = line.ended or LineEnded(LineCause.FAILED)
            await _bye(send, _CAUSES.get(ended.cause, "failed"), ended.detail, self.code)
        elif newer.is_set():
            await _bye(send, "taken_over", "the call goes on over another connection", TAKEN_OVER)
        else:
            line.detach()
            await close_socket(send, NORMAL)


class _NotAccepted(Exception):
    """The handshake is refused."""


class _Refused(Exception):
    """Not a page of ours; the text is for the page and the log."""


async def _first(receive: Receive) -> str | bytes:
    try:
        async with asyncio.timeout(FIRST_TIMEOUT_S):
            message = await receive()
    except TimeoutError:
        raise _Refused(f"it sent nothing for {FIRST_TIMEOUT_S:g} s") from None
    if message["type"] == "websocket.disconnect":
        raise _Refused("it went away before its start")
    return _content(message)


def _read_first(content: str | bytes) -> Start | Resume:
    try:
        return read_first(content)
    except WrongMessage as wrong:
        raise _Refused(str(wrong)) from None


def _content(message: Message) -> str | bytes:
    text = message.get("text")
    return message["bytes"] if text is None else text


def _take(line: BrowserLine, newer: asyncio.Event, message: str | bytes) -> None:
    if newer.is_set():
        return  # of a socket that has been replaced
    try:
        line.take(message)
    except Exception as error:
        log.error("leg %s: a message of the page broke", line.leg_id, exc_info=error)
        line.end(LineCause.FAILED, f"the page's socket failed inside ({type(error).__name__})")


async def _read(line: BrowserLine, newer: asyncio.Event, receive: Receive) -> None:
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            return
        _take(line, newer, _content(message))


async def _write(line: BrowserLine, newer: asyncio.Event, send: Send) -> None:
    while True:
        while not newer.is_set() and (content := line.next_message()) is not None:
            kind = "text" if isinstance(content, str) else "bytes"
            try:
                await send({"type": "websocket.send", kind: content})
            except OSError:
                return  # gone
        await line.wake.wait()
        line.wake.clear()


async def _send_rest(line: BrowserLine, send: Send) -> None:
    """The last that the page is told; audio would not be heard any more."""
    while (content := line.next_message()) is not None:
        if isinstance(content, str):
            await _send(send, content)


async def _bye(send: Send, reason: str, detail: str, code: int) -> None:
    """Say why, and close."""
    await _send(send, orjson.dumps({"type": "ended", "reason": reason, "detail": detail}).decode())
    await close_socket(send, code)


async def _send(send: Send, text: str) -> None:
    try:
        async with asyncio.timeout(CLOSE_TIMEOUT_S):
            await send({"type": "websocket.send", "text": text})
    except (OSError, RuntimeError, TimeoutError):
        return  # it is gone already, or does not read
