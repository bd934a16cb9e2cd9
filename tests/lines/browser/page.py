"""What a web page does in a browser's call, without the browser: a microphone, a playhead that
moves at the speed of sound, reports of it, and a socket that can be lost."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from chorus.lines.browser.messages import FORMATS

FRAME_MS = 20


class Page:
    """`heard` is what was played, in the call's format; `messages` what the server said."""

    def __init__(self, begun: dict[str, Any], format: str = "pcm16/16000") -> None:
        self.begun = begun
        self.name = format
        self.format = FORMATS[format]
        self.messages: list[dict[str, Any]] = []
        self.news = asyncio.Event()
        self.heard = bytearray()
        self.heard_of_epoch: dict[int, int] = {}
        self.microphone = bytearray()
        self._buffer = bytearray()
        self._epoch = self._received = self._played = 0
        self._plays = False
        self._resume_token = ""
        self.socket: ClientConnection | None = None
        self._tasks: list[asyncio.Task[None]] = []

    async def open(self, **options: Any) -> None:
        await self._connect(
            {
                "type": "start",
                "callId": self.begun["callId"],
                "token": self.begun["token"],
                "format": self.name,
            },
            **options,
        )
        self._tasks.append(asyncio.create_task(self._live()))

    async def resume(self, token: str | None = None) -> None:
        await self._connect(
            {
                "type": "resume",
                "callId": self.begun["callId"],
                "token": token or self._resume_token,
                "epoch": self._epoch,
                "received": self._received // self.format.sample_bytes,
            }
        )

    async def lose(self) -> None:
        """The network goes away without a goodbye."""
        assert self.socket is not None
        self.socket.transport.abort()
        self.socket = None

    async def send(self, message: dict[str, Any]) -> None:
        assert self.socket is not None
        await self.socket.send(json.dumps(message))

    async def send_bytes(self, audio: bytes) -> None:
        assert self.socket is not None
        await self.socket.send(audio)

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self.socket is not None:
            await self.socket.close()

    async def until(
        self, found: Callable[[dict[str, Any]], bool], timeout_s: float = 20
    ) -> dict[str, Any]:
        """The first message of which this is true, among those that came and will come."""
        async with asyncio.timeout(timeout_s):
            at = 0
            while True:
                for message in self.messages[at:]:
                    at += 1
                    if found(message):
                        return message
                self.news.clear()
                await self.news.wait()

    async def event(self, kind: str, timeout_s: float = 20) -> dict[str, Any]:
        return (await self.until(lambda m: m.get("kind") == kind, timeout_s))["data"]

    async def told(self, type: str, timeout_s: float = 20) -> dict[str, Any]:
        return await self.until(lambda m: m["type"] == type, timeout_s)

    async def played(self, ms: float, timeout_s: float = 20) -> None:
        """Until so much was heard."""
        async with asyncio.timeout(timeout_s):
            while self.format.ms(len(self.heard)) < ms:
                await asyncio.sleep(0.01)

    @property
    def last_ms(self) -> dict[int, float]:
        """How much was played since each clear."""
        return {epoch: self.format.ms(size) for epoch, size in self.heard_of_epoch.items()}

    async def _connect(self, first: dict[str, Any], **options: Any) -> None:
        socket = await connect(self.begun["url"], **options)
        await socket.send(json.dumps(first))
        self.socket = socket
        self._tasks.append(asyncio.create_task(self._read(socket)))

    async def _read(self, socket: ClientConnection) -> None:
        with suppress(ConnectionClosed):
            async for message in socket:
                if isinstance(message, bytes):
                    self._buffer += message
                    self._received += len(message)
                    continue
                told: dict[str, Any] = json.loads(message)
                if told["type"] == "started":
                    self._resume_token = told["resumeToken"]
                if told["type"] in ("started", "clear") and told["epoch"] > self._epoch:
                    self._buffer.clear()
                    self._epoch, self._received, self._played = told["epoch"], 0, 0
                self.messages.append(told)
                self.news.set()

    async def _live(self) -> None:
        """Every 20 ms a frame of the microphone goes out and one is played."""
        size = self.format.size(FRAME_MS)
        loop = asyncio.get_running_loop()
        began_s, frames = loop.time(), 0
        while True:
            frames += 1
            await asyncio.sleep(max(0, began_s + frames * FRAME_MS / 1000 - loop.time()))
            said = bytes(self.microphone[:size])
            del self.microphone[:size]
            said += self.format.silence(FRAME_MS)[len(said) :]
            piece = bytes(self._buffer[:size])
            del self._buffer[:size]
            self.heard += piece
            self._played += len(piece)
            self.heard_of_epoch[self._epoch] = self._played
            plays, self._plays = self._plays, bool(piece)
            if self.socket is None:
                continue
            with suppress(ConnectionClosed):
                await self.socket.send(said)
                if plays is not self._plays or frames % 3 == 0:
                    await self._report()

    async def _report(self) -> None:
        bytes_a_sample = self.format.sample_bytes
        await self.send(
            {
                "type": "played",
                "epoch": self._epoch,
                "played": self._played // bytes_a_sample,
                "received": self._received // bytes_a_sample,
                "plays": self._plays,
                "rttMs": 1,
            }
        )
