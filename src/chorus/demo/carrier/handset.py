"""The telephone at a person's end of a call, whatever carries its sound.

A deadline every 20 ms, absolute, does everything in order: send the frame that the person speaks,
play 20 ms of what came from the agent, and wake the script where it waits for something to be
heard. What carries the sound (`stream.py`, `sip.py`) says how a frame is sent and puts what arrives
into `_queue`.
"""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

from chorus.demo.carrier.exchange import Exchange
from chorus.demo.carrier.person import Person
from chorus.demo.carrier.sound import FRAME, SILENCE, audible

FRAME_S = 0.02
# The agent counts as speaking for this long after its last audible frame.
HANGOVER_S = 0.3


class Handset(ABC):
    def __init__(self, exchange: Exchange, call_sid: str, person: Person) -> None:
        self.stream_sid = ""
        self._exchange = exchange
        self._call_sid = call_sid
        self._person = person
        self._mic = bytearray()
        self._queue: bytearray = bytearray()
        self._waiting: list[tuple[Callable[[], bool], asyncio.Future[None]]] = []
        self._muted_until_s = 0.0
        self._deaf_until_s = 0.0
        self._begun_s = 0.0
        self._saying = False
        self._said_end_s: float | None = None
        self._barge_s: float | None = None
        self._awaiting = ""
        self._arrived_s: float | None = None
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

    # What carries it.

    @abstractmethod
    async def press(self, digit: str) -> None: ...

    @abstractmethod
    async def send(self, message: str | bytes) -> None:
        """A message as it is. Raises `ValueError` where there are none."""

    @abstractmethod
    async def _carry(self, frame: bytes, now: float) -> None:
        """Send 20 ms of the person's."""

    @abstractmethod
    async def _played_chunk(self, chunk: bytes, now: float) -> None:
        """After every 20 ms of playing; `chunk` is what there was of the agent's."""

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

    def mute(self, ms: int) -> None:
        self._muted_until_s = time.monotonic() + ms / 1000

    def deafen(self, ms: int) -> None:
        self._deaf_until_s = time.monotonic() + ms / 1000

    def end(self, why: str) -> None:
        """The first reason stands; but who hangs up while they are sent elsewhere has hung up."""
        if self.over is None or (self.over == "redirected" and why == "hung_up"):
            self.over = why

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

    # The beat.

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
        frame += SILENCE[len(frame) :]
        self.spoken += frame
        await self._carry(frame, time.monotonic())

    async def _play(self) -> None:
        now = time.monotonic()
        chunk = bytes(self._queue[:FRAME])
        del self._queue[:FRAME]
        self.heard += chunk + SILENCE[len(chunk) :]
        if chunk and audible(chunk):
            self.audible_s = now
            if self.speaks_since_s is None:
                self.speaks_since_s = now
                self._tell("agent.speaks")
            self._respond(now)
        elif self.speaks_since_s is not None and now - self.audible_s > HANGOVER_S:
            self.speaks_since_s = None
            self._tell("agent.quiet")
        await self._played_chunk(chunk, now)

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

    def _wake(self) -> None:
        for waiting in [w for w in self._waiting if w[1].done() or w[0]()]:
            self._waiting.remove(waiting)
            if not waiting[1].done():
                waiting[1].set_result(None)

    def _tell(self, kind: str, **facts: Any) -> None:
        self._exchange.tell(kind, self._call_sid, **facts)
