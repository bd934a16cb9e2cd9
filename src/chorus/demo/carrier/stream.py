"""One media stream, from the carrier's side: a telephone at one end, a websocket at the other.

What was played is told by echoing the marks that were passed, frame by frame.

https://www.twilio.com/docs/voice/media-streams/websocket-messages
"""

from __future__ import annotations

import asyncio
import base64
import json
import random
import time
from collections import deque
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from chorus.demo.carrier.exchange import Exchange
from chorus.demo.carrier.handset import Handset
from chorus.demo.carrier.person import Person
from chorus.demo.carrier.signature import sign
from chorus.demo.carrier.sound import SILENCE, audible
from chorus.demo.carrier.twiml import OpenStream

# Twilio keeps a call's audio for a while; more than this is a sender without measure.
MAX_BUFFER = 8000 * 600


class MediaStream(Handset):
    def __init__(
        self, exchange: Exchange, account_sid: str, call_sid: str, person: Person, to: OpenStream
    ) -> None:
        super().__init__(exchange, call_sid, person)
        self.stream_sid = f"MZ{random.getrandbits(128):032x}"
        self._account_sid = account_sid
        self._to = to
        self._ws: ClientConnection | None = None
        self._sequence = 0
        self._frames = 0
        self._late: deque[tuple[float, str]] = deque()
        self._chance = random.Random(call_sid)  # noqa: S311 - network weather
        self._received = 0
        self._played = 0
        self._marks: deque[tuple[int, str]] = deque()
        self._dry_s: float | None = None

    async def run(self) -> str:
        """The whole stream; returns why it is over: `closed` by the other side, `hung_up`,
        `dropped`, `left`, or `unreachable`."""
        try:
            self._ws = await connect(
                self._address(),
                additional_headers=self._signature(),
                compression=None,
                max_size=None,
                open_timeout=10,
                close_timeout=2,
            )
        except (OSError, TimeoutError, InvalidHandshake) as error:
            self._tell("stream.unreachable", error=f"{type(error).__name__}: {error}")
            return "unreachable"
        receiver = asyncio.create_task(self._receive(self._ws))
        try:
            await self._open()
            await self._pace()
        except ConnectionClosed:
            self.over = self.over or "closed"
        finally:
            await self._close(self._ws)
            receiver.cancel()
            await asyncio.gather(receiver, return_exceptions=True)
            for _, future in self._waiting:
                future.cancel()
        return self.over or "hung_up"

    # What the script does.

    async def press(self, digit: str) -> None:
        body = {"track": "inbound_track", "digit": digit}
        await self._send({"event": "dtmf", "streamSid": self.stream_sid, "dtmf": body})

    async def send(self, message: str | bytes) -> None:
        if self._ws is not None:
            await self._ws.send(message)

    # Outwards.

    def _address(self) -> str:
        base, call_id, token = self._to.url.rsplit("/", 2)
        return "/".join((base, self._person.call_id or call_id, self._person.token or token))

    def _signature(self) -> dict[str, str]:
        signature = self._person.signature
        if signature is None:
            account = self._exchange.accounts[self._account_sid]
            signature = sign(account.auth_token, self._address(), {})
        return {"X-Twilio-Signature": signature} if signature else {}

    async def _open(self) -> None:
        if self._person.media_before_start:
            await self._send_frame(SILENCE, 0)
        await self._send({"event": "connected", "protocol": "Call", "version": "1.0.0"})
        start = {
            "accountSid": self._account_sid,
            "streamSid": self.stream_sid,
            "callSid": self._call_sid,
            "tracks": ["inbound"],
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
            "customParameters": self._to.parameters,
            **self._person.start,
        }
        await self._send({"event": "start", "start": start, "streamSid": self.stream_sid})
        self._begun_s = time.monotonic()
        self._tell("stream.started", stream=self.stream_sid)
        self.opened.set()

    async def _carry(self, frame: bytes, now: float) -> None:
        self._frames += 1
        if now >= self._muted_until_s and self._chance.random() >= self._person.loss:
            await self._send_frame(frame, now)

    async def _played_chunk(self, chunk: bytes, now: float) -> None:
        self._played += len(chunk)
        if chunk and not self._queue:
            self._dry_s = now + len(chunk) / 8000
        await self._echo()

    async def _send_frame(self, frame: bytes, now: float) -> None:
        media = {
            "track": "inbound",
            "chunk": str(self._frames),
            "timestamp": str(self._frames * 20),
            "payload": base64.b64encode(frame).decode(),
        }
        text = self._numbered({"event": "media", "streamSid": self.stream_sid, "media": media})
        if not self._person.jitter_ms:
            await self.send(text)
            return
        due_s = now + self._chance.uniform(0, self._person.jitter_ms) / 1000
        self._late.append((max(due_s, self._late[-1][0] if self._late else 0), text))
        while self._late and self._late[0][0] <= now:
            await self.send(self._late.popleft()[1])

    async def _send(self, message: dict[str, Any]) -> None:
        await self.send(self._numbered(message))

    def _numbered(self, message: dict[str, Any]) -> str:
        if message["event"] != "connected":
            self._sequence += 1
            message["sequenceNumber"] = str(self._sequence)
        return json.dumps(message)

    # Inwards.

    async def _receive(self, ws: ClientConnection) -> None:
        try:
            while True:
                text = await ws.recv()
                deaf_s = self._deaf_until_s - time.monotonic()
                if deaf_s > 0:
                    await asyncio.sleep(deaf_s)
                await self._take(text)
        except ConnectionClosed:
            self.end("closed")

    async def _take(self, text: str | bytes) -> None:
        try:
            message = json.loads(text)
            event = message["event"]
            if message["streamSid"] != self.stream_sid:
                raise ValueError("the streamSid is not of this stream")
            if event == "media":
                self._buffer(base64.b64decode(message["media"]["payload"], validate=True))
            elif event == "mark":
                self._marks.append((self._received, str(message["mark"]["name"])))
            elif event == "clear":
                await self._clear()
            else:
                raise ValueError(f"unknown event {event!r}")
        except (ValueError, KeyError, TypeError) as error:
            # Twilio: warning 31951, the message is dropped.
            self.counts["wrong"] += 1
            self._tell("protocol.error", error=f"{type(error).__name__}: {error}")
            return
        self.counts[event] += 1
        if event == "mark" and not self._queue:
            await self._echo()

    def _buffer(self, audio: bytes) -> None:
        now = time.monotonic()
        if self._awaiting and self._arrived_s is None and audible(audio):
            self._arrived_s = now
        if self._dry_s is not None and self.agent_speaks and not self._queue:
            self.underruns_ms.append(round((now - self._dry_s) * 1000, 1))
        self._dry_s = None
        if len(self._queue) + len(audio) > MAX_BUFFER:
            raise ValueError("the playout buffer is full")
        self._queue += audio
        self._received += len(audio)

    async def _clear(self) -> None:
        now = time.monotonic()
        facts: dict[str, Any] = {"thrown_ms": len(self._queue) / 8}
        if self._barge_s is not None:
            facts["after_speech_ms"] = round((now - self._barge_s) * 1000, 1)
            self._barge_s = None
        self.clears.append(facts)
        self._tell("clear", **facts)
        self._queue.clear()
        self._dry_s = None
        self._played = self._received
        await self._echo()

    async def _echo(self) -> None:
        while self._marks and self._marks[0][0] <= self._played:
            _, name = self._marks.popleft()
            if self._person.marks:
                mark = {"name": name}
                await self._send({"event": "mark", "streamSid": self.stream_sid, "mark": mark})

    async def _close(self, ws: ClientConnection) -> None:
        if self.over == "dropped":
            ws.transport.abort()
        elif self.over != "closed":
            try:
                if self._person.stop and self.over != "left":
                    ids = {"accountSid": self._account_sid, "callSid": self._call_sid}
                    await self._send({"event": "stop", "streamSid": self.stream_sid, "stop": ids})
                await ws.close()
            except ConnectionClosed:
                # Chorus closes it, too, when the call was sent elsewhere.
                if self.over not in ("redirected", "hung_up"):
                    self.over = "closed"
        if self.over == "closed":
            self._tell("stream.closed", code=ws.close_code, reason=ws.close_reason)
        self._tell("stream.over", why=self.over or "hung_up")
