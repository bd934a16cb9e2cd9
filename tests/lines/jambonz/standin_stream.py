"""The media server of the stand-in: one `listen`, in frames of 20 ms."""

from __future__ import annotations

import asyncio
import json
import time
from array import array
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

MARK = -1
FRAME_S = 0.02


@dataclass
class Stream:
    """One `listen`: what goes to the websocket and what comes from it."""

    ws: ClientConnection
    rate_hz: int
    tell: Callable[..., None]
    mic: bytearray = field(default_factory=bytearray)
    heard: array[int] = field(default_factory=lambda: array("h"))
    over: bool = False
    marks: bool = True
    quiet: bool = False
    _pre: array[int] = field(default_factory=lambda: array("h"))
    _buffer: array[int] = field(default_factory=lambda: array("h"))
    _enough_ms: int = 160
    _held: list[str] = field(default_factory=list[str])
    _in_use: list[str] = field(default_factory=list[str])

    async def run(self) -> None:
        reader = asyncio.create_task(self._read())
        due_s = time.monotonic()
        size = self.rate_hz // 50
        try:
            while not self.over:
                due_s += FRAME_S
                await asyncio.sleep(max(due_s - time.monotonic(), 0))
                frame = bytes(self.mic[: size * 2])
                del self.mic[: size * 2]
                if not self.quiet:
                    await self.ws.send(frame.ljust(size * 2, b"\0"))
                await self._play(size)
        except ConnectionClosed:
            self.over = True
        finally:
            reader.cancel()
            await self.ws.close()

    async def _read(self) -> None:
        try:
            async for message in self.ws:
                if isinstance(message, bytes):
                    self._take(message)
                else:
                    self._obey(json.loads(message))
        except ConnectionClosed:
            pass
        self.over = True

    def _take(self, audio: bytes) -> None:
        self._pre += array("h", [MARK] * len(self._held))
        self._in_use += self._held
        self._held.clear()
        self._pre += array("h", audio)
        if len(self._pre) >= self.rate_hz * self._enough_ms // 1000:
            self._enough_ms = 80
            self._buffer += self._pre
            self._pre = array("h")

    def _obey(self, body: dict[str, Any]) -> None:
        self.tell("command", **body)
        match body["type"]:
            case "killAudio":
                self._buffer = array("h")
                for name in self._in_use + self._held:
                    self._mark(name, "cleared")
                self._in_use.clear()
                self._held.clear()
            case "mark":
                if len(self._held) + len(self._in_use) < 30:
                    self._held.append(body["data"]["name"])
            case "disconnect":
                self.over = True
            case other:
                raise AssertionError(f"jambonz knows no {other}")

    async def _play(self, size: int) -> None:
        taken, self._buffer = self._buffer[:size], self._buffer[size:]
        if taken and self._in_use:
            sound = array("h")
            for sample in taken:
                if sample == MARK and self._in_use:
                    self._mark(self._in_use.pop(0), "playout")
                else:
                    sound.append(sample)
            taken = sound
        elif not taken and self._held:
            self._mark(self._held.pop(0), "playout")
        self.heard += taken + array("h", [0] * (size - len(taken)))

    def _mark(self, name: str, event: str) -> None:
        self.tell("mark", name=name, event=event)
        if self.marks:
            body = {"type": "mark", "data": {"name": name, "event": event}}
            asyncio.get_running_loop().create_task(self._send(json.dumps(body)))

    async def press(self, digit: str) -> None:
        await self._send(json.dumps({"event": "dtmf", "dtmf": digit, "duration": "1600"}))

    async def _send(self, text: str) -> None:
        try:
            await self.ws.send(text)
        except ConnectionClosed:
            self.over = True
