"""One call's words, whatever becomes of the streams that they come from.

`run` opens a stream, waits until it is lost, and opens another, for as long as the call lasts.
What the caller says meanwhile is kept: a new stream is first given everything since the last
final words, is told that speech had begun, and is asked for final words if the lost one still
owed them. A transcriber that gives no stream several times in a row ends the call.

All times are the call's audio clock, milliseconds of the caller's audio, whichever stream the
words come from.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from chorus.audio.frame import AudioFormat
from chorus.speech.engines import EngineFailed, Hints, Transcriber, Transcription, Words

KEEP_MS = 8000
"""How much audio is kept, for a new stream and for the end-of-turn model."""
IDLE_MS = 2000
"""How much of it a new stream is given when nobody was speaking: a whisper, if anything."""
RETRY_S = (0.0, 0.5, 1.5)
"""Waits before a stream is opened again; when they are used up the transcriber has failed.
Words that were understood make them all available again."""
OPEN_TIMEOUT_S = 10.0
CLOSE_TIMEOUT_S = 2.0


class Transcribing:
    """`on_words` is given words on the call's clock; `note(kind, **data)` writes the timeline."""

    def __init__(
        self,
        transcriber: Transcriber,
        format: AudioFormat,
        hints: Hints,
        *,
        on_words: Callable[[Words], None],
        note: Callable[..., None],
    ) -> None:
        self._transcriber = transcriber
        self._format = format
        self._hints = hints
        self._on_words = on_words
        self._note = note
        self._keep_bytes = format.size(KEEP_MS)
        self._kept = bytearray()
        self._fed_ms = 0.0
        self._stream: Transcription | None = None
        self._opened = 0
        self._failures = 0
        self._settled_ms = 0.0  # up to here there are final words
        self._speech_ms: float | None = None  # where speech began that is not final yet
        self._asked = False  # for final words, and they have not come

    # --- audio ------------------------------------------------------------------------------

    def feed(self, chunk: bytes, length_ms: float) -> None:
        self._fed_ms += length_ms
        kept = self._kept
        kept += chunk
        if len(kept) > self._keep_bytes * 5 // 4:  # seldom, as it moves the rest
            del kept[: -self._keep_bytes]
        if self._stream is not None:
            self._stream.feed(chunk)

    def speech_started(self, ago_ms: float) -> None:
        """The detector heard speech begin `ago_ms` before the end of what was fed."""
        if self._speech_ms is None:
            self._speech_ms = self._fed_ms - ago_ms
        if self._stream is not None:
            self._stream.speech_started(ago_ms)

    def finalize(self) -> None:
        """The caller is silent: final words of what was fed are wanted."""
        self._asked = True
        if self._stream is not None:
            self._stream.finalize()

    def since(self, at_ms: float) -> bytes:
        """What was fed from `at_ms` on, in the line's format, `KEEP_MS` of it at most."""
        size = self._format.size(self._fed_ms - at_ms + 1e-6)
        return bytes(self._kept[-size:]) if size > 0 else b""

    # --- streams ----------------------------------------------------------------------------

    async def run(self) -> None:
        """Never returns; raises `EngineFailed` when the transcriber has failed for good."""
        while True:
            before, self._stream = self._stream, None
            self._opened += 1
            lost: asyncio.Future[EngineFailed] = asyncio.get_running_loop().create_future()
            try:
                async with asyncio.timeout(OPEN_TIMEOUT_S):
                    await self._open(self._opened, lost)
            except EngineFailed as failed:
                failure = failed
            except TimeoutError:
                failure = EngineFailed(self._transcriber.name, "open", "no stream in time")
            else:
                if before is not None:
                    await self._put_away(before)
                    before = None
                failure = await lost
            if before is not None:
                await self._put_away(before)
            await self._recover(failure)

    async def close(self) -> None:
        stream, self._stream = self._stream, None
        self._opened += 1  # nothing that still comes counts
        if stream is not None:
            await stream.close()

    async def _open(self, number: int, lost: asyncio.Future[EngineFailed]) -> None:
        begin_ms = 0.0

        def words(heard: Words) -> None:
            if number == self._opened:
                at_ms = heard.spoken_at_ms + begin_ms
                self._understood(Words(heard.text, heard.final, at_ms, heard.confidence))

        def failed(failure: EngineFailed) -> None:
            if number != self._opened:
                return
            if failure.stage != "lost":
                self._report(failure, "recovered")
            elif not lost.done():
                lost.set_result(failure)

        stream = await self._transcriber.open(self._format, self._hints, words, failed)
        begin_ms = max(self._settled_ms, self._fed_ms - self._format.ms(len(self._kept)))
        if self._speech_ms is None:
            begin_ms = max(begin_ms, self._fed_ms - IDLE_MS)
        self._stream = stream
        if again := self.since(begin_ms):
            stream.feed(again)
        if self._speech_ms is not None:
            stream.speech_started(self._fed_ms - max(self._speech_ms, begin_ms))
        if self._asked:
            stream.finalize()

    def _understood(self, words: Words) -> None:
        if words.final:
            self._settled_ms = max(self._settled_ms, min(words.spoken_at_ms, self._fed_ms))
            if self._asked:
                self._asked = False
                self._speech_ms = None
        if words.text:
            self._failures = 0
        self._on_words(words)

    async def _recover(self, failure: EngineFailed) -> None:
        """Wait before the next try, or give up."""
        if self._failures == len(RETRY_S):
            self._report(failure, "call_ended")
            raise failure
        self._report(failure, "reopened")
        await asyncio.sleep(RETRY_S[self._failures])
        self._failures += 1

    async def _put_away(self, stream: Transcription) -> None:
        """Close a lost stream. That it may fail to close is part of its being lost."""
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await stream.close()
        except (EngineFailed, OSError, TimeoutError) as failure:
            self._note(
                "engine_failed",
                vendor=self._transcriber.name,
                stage="close",
                detail=str(failure) or "not closed in time",
                remedy="left_behind",
            )

    def _report(self, failure: EngineFailed, remedy: str) -> None:
        self._note(
            "engine_failed",
            vendor=failure.vendor,
            stage=failure.stage,
            detail=failure.detail,
            remedy=remedy,
        )
