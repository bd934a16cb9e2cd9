"""One media stream, from the carrier's side: a telephone at one end, a websocket at the other.

A deadline every 20 ms, absolute, does everything in order: send the frame that the person
speaks, play 20 ms of what came from the agent, echo the marks that were passed, and wake the
script where it waits for something to be heard.

https://www.twilio.com/docs/voice/media-streams/websocket-messages
"""

from __future__ import annotations

import asyncio
import base64
import json
import random
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from chorus.demo.carrier.exchange import Exchange
from chorus.demo.carrier.person import Person
from chorus.demo.carrier.signature import sign
from chorus.demo.carrier.sound import FRAME, SILENCE, audible
from chorus.demo.carrier.twiml import OpenStream

FRAME_S = 0.02
# The agent counts as speaking for this long after its last audible frame.
HANGOVER_S = 0.3
# Twilio keeps a call's audio for a while; more than this is a sender without measure.
MAX_BUFFER = 8000 * 600


class MediaStream:
    def __init__(
        self, exchange: Exchange, account_sid: str, call_sid: str, person: Person, to: OpenStream
    ) -> None:
        self.stream_sid = f"MZ{random.getrandbits(128):032x}"
        self._exchange = exchange
        self._account_sid = account_sid
        self._call_sid = call_sid
        self._person = person
        self._to = to
        self._ws: ClientConnection | None = None
        self._sequence = 0
        self._frames = 0
        self._late: deque[tuple[float, str]] = deque()
        self._chance = random.Random(call_sid)  # noqa: S311 - network weather
        self._mic = bytearray()
        self._queue = bytearray()
        self._received = 0
        self._played = 0
        self._marks: deque[tuple[int, str]] = deque()
        self._waiting: list[tuple[Callable[[], bool], asyncio.Future[None]]] = []
        self._muted_until_s = 0.0
        self._deaf_until_s = 0.0
        self._begun_s = 0.0
        self._saying = False
        self._said_end_s: float | None = None
        self._barge_s: float | None = None
        self._awaiting = ""
        self._arrived_s: float | None = None
        self._dry_s: float | None = None
        self.audible_s = 0.0
        self.speaks_since_s: float | None = None
        self.answered = False
        self.heard = bytearray()
        self.spoken = bytearray()
        self.responses: list[dict[str, Any]] = []
        self.clears: list[dict[str, Any]] = []
        self.underruns_ms: list[float] = []
        self.counts: dict[str, int] = {"media": 0, "mark": 0, "clear": 0, "wrong": 0}
        self.over: str | None = None
        self.opened = asyncio.Event()

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

    async def say(self, audio: bytes, name: str) -> None:
        now = time.monotonic()
        if self.agent_speaks or self._queue:
            self._barge_s = now
        self._saying = True
        self._awaiting = ""
        self.answered = False
        self._arrived_s = None
        self._mic += audio
        self._tell("said.began", name=name, over_agent=self._barge_s == now)
        await self.until(lambda: not self._mic, len(audio) / 8000 + 30)
        self._saying = False
        self._said_end_s = time.monotonic()
        self._awaiting = name or "speech"
        self._tell("said.ended", name=name)

    async def press(self, digit: str) -> None:
        body = {"track": "inbound_track", "digit": digit}
        await self._send({"event": "dtmf", "streamSid": self.stream_sid, "dtmf": body})

    async def send(self, message: str | bytes) -> None:
        if self._ws is not None:
            await self._ws.send(message)

    def mute(self, ms: int) -> None:
        self._muted_until_s = time.monotonic() + ms / 1000

    def deafen(self, ms: int) -> None:
        self._deaf_until_s = time.monotonic() + ms / 1000

    def end(self, why: str) -> None:
        self.over = self.over or why

    async def until(self, true: Callable[[], bool], timeout_s: float) -> bool:
        """Wait for a condition that is looked at every 20 ms; whether it came true."""
        if true():
            return True
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((true, future))
        try:
            async with asyncio.timeout(timeout_s):
                await future
        except TimeoutError:
            return False
        return True

    @property
    def agent_speaks(self) -> bool:
        return self.speaks_since_s is not None

    @property
    def quiet_s(self) -> float:
        """How long nothing of the agent was heard."""
        return 0.0 if self._queue else time.monotonic() - max(self.audible_s, self._begun_s)

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

    async def _pace(self) -> None:
        due_s = time.monotonic()
        while self.over is None:
            due_s += FRAME_S
            await asyncio.sleep(max(due_s - time.monotonic(), 0))
            await self._speak()
            await self._play()
            self._wake()

    async def _speak(self) -> None:
        frame = bytes(self._mic[:FRAME])
        del self._mic[:FRAME]
        self._frames += 1
        frame += SILENCE[len(frame) :]
        self.spoken += frame
        now = time.monotonic()
        if now >= self._muted_until_s and self._chance.random() >= self._person.loss:
            await self._send_frame(frame, now)

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

    async def _play(self) -> None:
        now = time.monotonic()
        chunk = bytes(self._queue[:FRAME])
        del self._queue[:FRAME]
        self._played += len(chunk)
        self.heard += chunk + SILENCE[len(chunk) :]
        if chunk and not self._queue:
            self._dry_s = now + len(chunk) / 8000
        if chunk and audible(chunk):
            self.audible_s = now
            if self.speaks_since_s is None:
                self.speaks_since_s = now
                self._tell("agent.speaks")
            self._respond(now)
        elif self.speaks_since_s is not None and now - self.audible_s > HANGOVER_S:
            self.speaks_since_s = None
            self._tell("agent.quiet")
        await self._echo()

    def _respond(self, now: float) -> None:
        if self._saying:
            return
        self.answered = True
        if not self._awaiting or self._said_end_s is None:
            return
        arrived_s = self._arrived_s or now
        response = {
            "to": self._awaiting,
            "received_ms": round((arrived_s - self._said_end_s) * 1000, 1),
            "played_ms": round((now - self._said_end_s) * 1000, 1),
        }
        self._awaiting = ""
        self.responses.append(response)
        self._tell("agent.answers", **response)

    async def _echo(self) -> None:
        while self._marks and self._marks[0][0] <= self._played:
            _, name = self._marks.popleft()
            if self._person.marks:
                mark = {"name": name}
                await self._send({"event": "mark", "streamSid": self.stream_sid, "mark": mark})

    def _wake(self) -> None:
        for waiting in [w for w in self._waiting if w[1].done() or w[0]()]:
            self._waiting.remove(waiting)
            if not waiting[1].done():
                waiting[1].set_result(None)

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
                self.over = "closed"
        if self.over == "closed":
            self._tell("stream.closed", code=ws.close_code, reason=ws.close_reason)
        self._tell("stream.over", why=self.over or "hung_up")

    def _tell(self, kind: str, **facts: Any) -> None:
        self._exchange.tell(kind, self._call_sid, **facts)
