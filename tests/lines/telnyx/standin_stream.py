"""The media streaming of the stand-in: one stream, in frames of 20 ms."""

from __future__ import annotations

import asyncio
import base64
import json
import time
import uuid
from dataclasses import dataclass, field
from typing import Any

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

FRAME = 160
SILENCE = b"\xff"


@dataclass
class Stream:
    """One media stream, in frames of 20 ms."""

    ws: ClientConnection
    tell: Any
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    mic: bytearray = field(default_factory=bytearray)
    heard: bytearray = field(default_factory=bytearray)
    over: bool = False
    shuffled: bool = False
    """Swaps each two of its frames."""
    _queue: bytearray = field(default_factory=bytearray)
    _played: int = 0
    _written: int = 0
    _marks: list[tuple[int, str]] = field(default_factory=list[tuple[int, str]])
    _sent: int = 0

    async def run(self) -> None:
        reader = asyncio.create_task(self._read())
        due_s = time.monotonic()
        held: dict[str, Any] | None = None
        try:
            while not self.over:
                due_s += 0.02
                await asyncio.sleep(max(due_s - time.monotonic(), 0))
                frame = bytes(self.mic[:FRAME]).ljust(FRAME, SILENCE)
                del self.mic[:FRAME]
                self._sent += 1
                media = {
                    "track": "inbound",
                    "chunk": str(self._sent),
                    "timestamp": str((self._sent - 1) * 20),
                    "payload": base64.b64encode(frame).decode(),
                }
                if self.shuffled and held is None:
                    held = media
                else:
                    await self.send("media", media=media)
                    if held is not None:
                        await self.send("media", media=held)
                        held = None
                await self._play()
        except ConnectionClosed:
            self.over = True
        finally:
            reader.cancel()
            await self.ws.close()

    async def send(self, event: str, **more: Any) -> None:
        body = {"event": event, "stream_id": self.id, "sequence_number": str(self._sent), **more}
        await self.ws.send(json.dumps(body))

    async def _read(self) -> None:
        try:
            async for message in self.ws:
                await self._obey(json.loads(message))
        except ConnectionClosed:
            pass
        self.over = True

    async def _obey(self, body: dict[str, Any]) -> None:
        match body["event"]:
            case "media":
                audio = base64.b64decode(body["media"]["payload"], validate=True)
                assert len(audio) >= FRAME, "less than 20 ms of audio in a message"
                self._queue += audio
                self._written += len(audio)
            case "mark":
                self._marks.append((self._written, body["mark"]["name"]))
            case "clear":
                self.tell("clear")
                self._played = self._written
                self._queue.clear()
                await self._echo()
            case other:
                raise AssertionError(f"Telnyx knows no {other}")

    async def _play(self) -> None:
        frame = bytes(self._queue[:FRAME])
        del self._queue[:FRAME]
        self._played += len(frame)
        self.heard += frame.ljust(FRAME, SILENCE)
        await self._echo()

    async def _echo(self) -> None:
        while self._marks and self._marks[0][0] <= self._played:
            _, name = self._marks.pop(0)
            self.tell("mark", name=name)
            await self.send("mark", mark={"name": name})
