"""A call's voice over HTTP, a request for each clause: what such vendors have in common.

The next clause is asked for while the one before is still coming, so that there is no gap between
them. Closing a request closes its connection, which is what stops the vendor's work.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

from chorus.audio.frame import AudioFormat
from chorus.outbound import Headers, OutboundFailed, OutboundRefused, OutboundStream
from chorus.speech.engines import EngineFailed, Spoken
from chorus.speech.vendor.failures import Failures
from chorus.speech.vendor.limits import limits_of
from chorus.speech.vendor.net import Net

_AHEAD = 2  # requests under way at once
_HEAD_TIMEOUT_MS = 15_000  # the call has a shorter deadline of its own
_MOST_BYTES = 40_000_000
_TOLD_BYTES = 4000

Decode = Callable[[bytes], bytes]
"""What comes over the wire to samples; made anew for each clause. Raises `ValueError`."""


@dataclass(frozen=True, slots=True)
class ClauseRequest:
    url: str
    headers: Headers
    content: bytes


class _Clause:
    """What comes of one clause: pieces of its audio, and None or a failure at its end. `begun`:
    some of it was given out, whether it was taken or not."""

    def __init__(self) -> None:
        self.begun = False
        self.task: asyncio.Task[None] | None = None
        self.pieces: asyncio.Queue[bytes | Exception | None] = asyncio.Queue()

    def sound(self, samples: bytes) -> None:
        self.begun = True
        self.pieces.put_nowait(samples)

    def end(self, failure: Exception | None = None) -> None:
        self.pieces.put_nowait(failure)


class RequestSession:
    """`VoiceSession`. `request` says what is asked for a text; `decoder` makes a `Decode`.
    `in_json`: the audio is in a field of JSON, which is a failure of any other vendor's."""

    def __init__(
        self,
        net: Net,
        failures: Failures,
        format: AudioFormat,
        request: Callable[[str], ClauseRequest],
        decoder: Callable[[], Decode] = lambda: bytes,
        *,
        in_json: bool = False,
    ) -> None:
        self._net = net
        self._limit = limits_of(net).of(failures, "request")
        self._failures = failures
        self.format = format
        self._request = request
        self._decoder = decoder
        self._no_audio = ("text/",) if in_json else ("text/", "application/json")

    async def start(self, warm: Callable[[], Awaitable[None]] | None = None) -> RequestSession:
        """`warm` opens a connection, which stays in the pool. Raises what it raises."""
        if warm is not None:
            await warm()
        return self

    @property
    def ahead(self) -> int:
        """Requests of a reply at once: no second one where the account has no place for it."""
        limit = self._limit
        return _AHEAD if limit.most is None or limit.under_way < limit.most else 1

    async def aclose(self) -> None:
        """Connections belong to the pool."""

    async def speak(self, clauses: AsyncIterator[str]) -> AsyncGenerator[Spoken, None]:
        speech = _Speech(self)
        try:
            async for piece in speech.pieces(clauses):
                yield piece
        finally:
            await speech.stop()

    async def fetch(self, text: str, clause: _Clause) -> None:
        try:
            try:
                await self._fetch(text, clause)
            except OutboundFailed as error:
                # An idle connection of the pool may have been closed by the server just now.
                if error.timed_out or clause.begun:
                    raise
                await self._fetch(text, clause)
            except EngineFailed as failure:
                if failure.kind != "full" or not self._limit.may_free():
                    raise
                await self._fetch(text, clause)  # waits for a place
            clause.end()
        except (OutboundFailed, OutboundRefused) as error:
            clause.end(self._failures.unreached("speak", error))
        except ValueError as error:
            clause.end(self._failures.garbage("speak", error))
        except EngineFailed as failure:
            clause.end(failure)

    async def _fetch(self, text: str, clause: _Clause) -> None:
        await self._limit.take(self._failures, "speak")
        try:
            await self._ask(text, clause)
        finally:
            self._limit.give()

    async def _ask(self, text: str, clause: _Clause) -> None:
        asked = self._request(text)
        got = 0
        decode = self._decoder()
        async with self._net.stream(
            "POST",
            asked.url,
            headers=asked.headers,
            content=asked.content,
            timeout_ms=_HEAD_TIMEOUT_MS,
        ) as answer:
            if answer.status != 200:
                failure = self._failures.status("speak", answer.status, await _told(answer))
                others = self._limit.under_way - 1
                raise self._limit.refused(failure, others=others, headers=dict(answer.headers))
            kind = next((value for name, value in answer.headers if name == "content-type"), "")
            if kind.startswith(self._no_audio):
                raise self._failures.of("speak", "garbage", f"{kind}: {await _told(answer)}")
            async for piece in answer.pieces():
                got += len(piece)
                if got > _MOST_BYTES:
                    raise ValueError("more audio than a clause can have")
                if samples := decode(piece):
                    clause.sound(samples)
        if not clause.begun:
            raise self._failures.of("speak", "garbage", "it sent no audio")


class _Speech:
    """One `speak`."""

    def __init__(self, session: RequestSession) -> None:
        self._session = session
        self._under_way: deque[_Clause] = deque()
        self._more = asyncio.Event()
        self._room = asyncio.Event()
        self._ended: Exception | bool = False
        self._feeder: asyncio.Task[None] | None = None

    async def pieces(self, clauses: AsyncIterator[str]) -> AsyncGenerator[Spoken, None]:
        self._feeder = asyncio.create_task(self._feed(clauses), name="vendor voice, text")
        size = self._session.format.sample_bytes
        index = 0
        while True:
            while not self._under_way:
                if isinstance(self._ended, Exception):
                    raise self._ended
                if self._ended:
                    return
                self._more.clear()
                await self._more.wait()
            clause = self._under_way[0]
            rest = b""
            while (audio := await clause.pieces.get()) is not None:
                if isinstance(audio, Exception):
                    raise audio
                audio = rest + audio
                whole = len(audio) - len(audio) % size
                rest = audio[whole:]
                if whole:
                    yield Spoken(audio[:whole], index)
            yield Spoken(b"", index, last=True)
            index += 1
            self._under_way.popleft()
            self._room.set()

    async def _feed(self, clauses: AsyncIterator[str]) -> None:
        try:
            async for text in clauses:
                while len(self._under_way) >= self._session.ahead:
                    self._room.clear()
                    await self._room.wait()
                clause = _Clause()
                if any(letter.isalnum() for letter in text):
                    work = self._session.fetch(text.strip(), clause)
                    clause.task = asyncio.create_task(work, name="vendor voice, clause")
                else:
                    clause.end()
                self._under_way.append(clause)
                self._more.set()
            self._ended = True
        except Exception as error:
            self._ended = error
        self._more.set()

    async def stop(self) -> None:
        tasks = [clause.task for clause in self._under_way if clause.task is not None]
        if self._feeder is not None:
            tasks.append(self._feeder)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _told(answer: OutboundStream) -> str:
    """The beginning of an answer that is no audio."""
    told = b""
    async for piece in answer.pieces():
        told += piece
        if len(told) >= _TOLD_BYTES:
            break
    return told[:_TOLD_BYTES].decode("utf-8", "replace")
