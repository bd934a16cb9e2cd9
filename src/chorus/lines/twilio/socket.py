"""The websocket of one call, from the handshake to the close.

1. accept, unless too many sockets have not said yet who they are;
2. wait for `connected` and `start`, a few seconds, believing nothing else;
3. claim the call with the token in `start`; a stranger is closed and nothing has happened;
4. run two tasks, one that reads and one that writes, and hold the conversation in between;
5. whatever ended it, close the socket, which ends the call at the carrier too.

Spoken to in plain ASGI: at fifty messages a second and call, a framework's wrapper around
each would be the largest part of the work.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar, cast

import orjson
from starlette.types import Message, Receive, Scope, Send

from chorus.lines.line import LineCause
from chorus.lines.twilio.desk import Desk, TwilioAccount
from chorus.lines.twilio.rest import TwilioApi
from chorus.lines.twilio.stream import MAX_MESSAGE_CHARS, TwilioLine
from chorus.lines.websocket import direct

log = logging.getLogger(__name__)

Way = TypeVar("Way", Receive, Send)

# `start` follows the handshake at once.
START_TIMEOUT_S = 10.0
# Sockets that have not shown a token yet. Each costs little, but anybody can open one.
MAX_STRANGERS = 500
# How long the close may wait for a peer that does not read.
CLOSE_TIMEOUT_S = 5.0

# RFC 6455 §7.4.1.
NORMAL, UNSUPPORTED, POLICY, BROKEN, LATER = 1000, 1003, 1008, 1011, 1013
# Closes that the server makes for a peer that breaks the protocol or sends too much.
_PEER_BROKE = {
    1002: "the carrier broke the websocket protocol",
    1007: "the carrier sent text that is not UTF-8",
    1009: "the carrier sent a message that is too large",
}


@dataclass(frozen=True, slots=True)
class _Start:
    stream_sid: str
    call_sid: str
    call_id: str
    token: str
    encoding: str
    rate_hz: str


class _Stranger(Exception):
    """Not a stream of ours. `code` closes the socket, the text goes to the log."""

    def __init__(self, code: int, what: str) -> None:
        super().__init__(what)
        self.code = code


class MediaSocket:
    """The ASGI application behind `/twilio/media`; one for all calls of the process."""

    def __init__(self, desk: Desk, api: TwilioApi) -> None:
        self._desk = desk
        self._api = api
        self._strangers = 0
        self._lines: dict[str, tuple[str, TwilioLine]] = {}

    async def completed(self, account: TwilioAccount, call_sid: str) -> None:
        """Who signs for `account` says that a call is over; its line may be here. Believed of that
        account's own calls: its SID alone is anybody's to write into a number of theirs."""
        call_id, line = self._lines.get(call_sid, ("", None))
        if line is not None and await self._desk.account_of_call(call_id) == account:
            line.completed()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()  # websocket.connect
        if self._strangers >= MAX_STRANGERS:
            log.error("a media stream was refused: %d others wait for their start", MAX_STRANGERS)
            await send({"type": "websocket.close", "code": LATER})
            return
        self._strangers += 1
        try:
            await send({"type": "websocket.accept"})
            start = await self._admit(receive)
        except _Stranger as stranger:
            log.warning("a media stream from %s was closed: %s", scope.get("client"), stranger)
            await _close(send, stranger.code)
            return
        finally:
            self._strangers -= 1
        await self._hold(start, scope, receive, send)

    async def _admit(self, receive: Receive) -> _Start:
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                start = await _read_start(receive)
                if not await self._desk.claim(start.call_id, start.token):
                    raise _Stranger(POLICY, "its token is wrong or used up")
                return start
        except TimeoutError:
            raise _Stranger(POLICY, f"no start within {START_TIMEOUT_S:g} s") from None

    async def _hold(self, start: _Start, scope: Scope, receive: Receive, send: Send) -> None:
        end_call = partial(self._end_call, start.call_id, start.call_sid)
        line = TwilioLine(start.stream_sid, start.call_sid, end_call)
        if (start.encoding, start.rate_hz) != ("audio/x-mulaw", "8000"):
            detail = (
                "Twilio streams audio/x-mulaw at 8000 Hz; "
                f"this stream is {start.encoding[:40]} at {start.rate_hz[:10]} Hz"
            )
            line.end(LineCause.FAILED, detail)
        self._lines[start.call_sid] = start.call_id, line
        direct(scope, partial(_take, line))
        reader = asyncio.create_task(_guarded(line, _read, receive))
        writer = asyncio.create_task(_guarded(line, _write, send))
        code = NORMAL
        try:
            await self._desk.stream(line, start.call_id)
        except Exception:
            code = BROKEN
            log.exception("call %s: the conversation failed", start.call_id)
        finally:
            if self._lines.get(start.call_sid) == (start.call_id, line):
                del self._lines[start.call_sid]
            # The conversation is over: nobody would hear what the line still says.
            line.end(LineCause.LOCAL)
            reader.cancel()
            writer.cancel()
            await asyncio.gather(reader, writer, return_exceptions=True)
            await _close(send, code)

    async def _end_call(self, call_id: str, call_sid: str) -> None:
        account = await self._desk.account_of_call(call_id)
        if account is not None:
            await self._api.end(account, call_sid)


async def _read_start(receive: Receive) -> _Start:
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            raise _Stranger(NORMAL, "it went away before its start")
        text = message.get("text")
        if text is None:
            raise _Stranger(UNSUPPORTED, "it sent a binary message")
        if len(text) > MAX_MESSAGE_CHARS:
            raise _Stranger(1009, "its first message is too large")
        try:
            body: dict[str, Any] = orjson.loads(text)
            event = body["event"]
        except (ValueError, TypeError, KeyError):
            raise _Stranger(1007, "it did not send an event in JSON") from None
        if event == "start":
            return _parse_start(body)
        if event != "connected":
            raise _Stranger(POLICY, f"it sent {str(event)[:40]!r} before its start")


def _parse_start(body: dict[str, Any]) -> _Start:
    try:
        start = body["start"]
        custom, format = start["customParameters"], start["mediaFormat"]
        parsed = _Start(
            stream_sid=start["streamSid"],
            call_sid=start["callSid"],
            call_id=custom["callId"],
            token=custom["token"],
            encoding=str(format["encoding"]),
            rate_hz=str(format["sampleRate"]),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise _Stranger(POLICY, f"its start is incomplete: {error!r}"[:200]) from None
    for text in (parsed.stream_sid, parsed.call_sid, parsed.call_id, parsed.token):
        if not isinstance(cast("object", text), str) or not 0 < len(text) <= 256:
            raise _Stranger(POLICY, "its start holds a value that is no short text")
    return parsed


def _take(line: TwilioLine, text: str) -> None:
    try:
        line.take(text)
    except Exception as error:
        _broke(line, error)


async def _read(line: TwilioLine, receive: Receive) -> None:
    while True:
        message: Message = await receive()
        text = message.get("text")
        if text is not None:
            _take(line, text)
        elif message["type"] == "websocket.disconnect":
            code = message.get("code", 1005)
            if code in _PEER_BROKE:
                line.end(LineCause.FAILED, _PEER_BROKE[code])
            else:
                line.end(LineCause.DROPPED, f"the media stream closed without a stop ({code})")
            return
        else:
            line.complain("a binary message")


async def _write(line: TwilioLine, send: Send) -> None:
    while not line.over:
        await line.wake.wait()
        line.wake.clear()
        while (text := line.next_message()) is not None:
            try:
                await send({"type": "websocket.send", "text": text})
            except OSError:
                # The peer is gone; the reader learns how.
                return


async def _guarded(
    line: TwilioLine, work: Callable[[TwilioLine, Way], Awaitable[None]], way: Way
) -> None:
    try:
        await work(line, way)
    except Exception as error:
        _broke(line, error)


def _broke(line: TwilioLine, error: Exception) -> None:
    log.error("call %s: the media stream failed", line.call_sid, exc_info=error)
    line.end(LineCause.FAILED, f"the media stream failed inside ({type(error).__name__})")


async def _close(send: Callable[[Message], Awaitable[None]], code: int) -> None:
    try:
        async with asyncio.timeout(CLOSE_TIMEOUT_S):
            await send({"type": "websocket.close", "code": code})
    except (OSError, RuntimeError, TimeoutError):
        # Closed already, or it does not read: the server drops the connection next.
        return
