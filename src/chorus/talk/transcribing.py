"""One call's words, whatever becomes of the streams and engines that they come from.

`run` opens a stream with the best engine of the call's ranking, waits until it is lost, and opens
another, for as long as the call lasts. A stream is lost when its engine says so, and when it owes
final words for longer than its engine said it would while another engine is there. What the caller
says meanwhile is kept: a new stream is first given everything since the last final words, is told
that speech had begun, and is asked for final words if the lost one still owed them. When no engine
gives a stream several times in a row the call ends.

All times are the call's audio clock, milliseconds of the caller's audio, whichever stream the
words come from.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

from chorus.audio.frame import AudioFormat
from chorus.audio.resample import Converter
from chorus.speech.engines import (
    EngineFailed,
    Hints,
    Transcriber,
    Transcription,
    Words,
    WordTime,
)
from chorus.speech.ranking import Ranking

KEEP_MS = 8000
"""How much audio is kept, for a new stream and for the end-of-turn model."""
IDLE_MS = 2000
"""How much of it a new stream is given when nobody was speaking: a whisper, if anything."""
RETRY_S = (0.0, 0.5, 1.5)
"""Waits before a stream is opened again where no other engine is left; when they are used up the
transcribers have failed. Words that were understood make them all available again."""
OPEN_TIMEOUT_S = 10.0
HAND_OVER_TIMEOUT_S = 2.0
"""For opening a stream where another engine could be asked instead."""
CLOSE_TIMEOUT_S = 2.0
PAUSE_MS = 96
"""Silence that counts as a pause, for an engine that is never asked for final words."""
EPS_MS = 1.0  # a sample's rounding, between the vendor's clock and this one


class Transcribing:
    """`format` is what is fed. `on_words` is given words on the call's clock; `note(kind, **data)`
    writes the timeline. `keep_ms`: how much of what was fed `since` is to have."""

    def __init__(
        self,
        ranking: Ranking[Transcriber],
        format: AudioFormat,
        hints: Hints,
        *,
        on_words: Callable[[Words], None],
        note: Callable[..., None],
        keep_ms: float = KEEP_MS,
    ) -> None:
        self._ranking = ranking
        self._engine = ranking.order()[0]
        self._heard_by = ranking.engines[0].name  # what the call's answer says
        self._format = format
        self._hints = hints
        self._on_words = on_words
        self._note = note
        self._keep_bytes = format.size(max(keep_ms, KEEP_MS))
        self._kept = bytearray()
        self._fed_ms = 0.0
        self._stream: Transcription | None = None
        self._converter: Converter | None = None
        self._opened = 0
        self._failures = 0
        self._settled_ms = 0.0  # up to here there are final words
        self._speech_ms: float | None = None  # where speech began that is not final yet
        self._again_ms: float | None = None  # where it went on after the last pause
        self._paused_ms: float | None = None  # the last pause, while no final has reached it
        self._overdue: asyncio.TimerHandle | None = None
        self._lost: asyncio.Future[EngineFailed] | None = None

    @property
    def pause_ms(self) -> float:
        """Silence after which `paused` is to be called."""
        after_ms = self._engine.endpointing.finalize_after_ms
        return PAUSE_MS if after_ms is None else after_ms

    @property
    def judges_turns(self) -> bool:
        """The words come with the vendor's own verdict on the turn."""
        return self._engine.endpointing.judges_turns

    @property
    def asks(self) -> bool:
        """Final words are asked for in a pause."""
        return self._engine.endpointing.finalize_after_ms is not None

    # --- audio ------------------------------------------------------------------------------

    def feed(self, chunk: bytes, length_ms: float) -> None:
        self._fed_ms += length_ms
        kept = self._kept
        kept += chunk
        if len(kept) > self._keep_bytes * 5 // 4:  # seldom, as it moves the rest
            del kept[: -self._keep_bytes]
        self._feed(chunk)

    def speech_started(self, ago_ms: float) -> None:
        """The detector heard speech begin `ago_ms` before the end of what was fed."""
        if self._speech_ms is None:
            self._speech_ms = self._fed_ms - ago_ms
        elif self._paused_ms is not None and self._again_ms is None:
            self._again_ms = self._fed_ms - ago_ms
        if self._stream is not None:
            self._stream.speech_started(ago_ms)

    def paused(self) -> None:
        """The caller is silent: final words of what was fed are wanted."""
        self._paused_ms, self._again_ms = self._fed_ms, None
        if self._stream is not None:
            self._finalize(self._stream)

    @property
    def owes_words(self) -> bool:
        """Something was said of which there are no final words yet."""
        return self._speech_ms is not None

    def ask_for_the_rest(self) -> None:
        """Nothing follows: final words of all that was fed are wanted."""
        if self._stream is not None and self._paused_ms != self._fed_ms:
            self._paused_ms, self._again_ms = self._fed_ms, None
            self._stream.finalize()

    def since(self, at_ms: float, most_ms: float = KEEP_MS) -> bytes:
        """What was fed from `at_ms` on, the last `most_ms` of it at most."""
        size = self._format.size(min(self._fed_ms - at_ms, most_ms) + 1e-6)
        return bytes(self._kept[-size:]) if size > 0 else b""

    def _feed(self, chunk: bytes) -> None:
        if self._stream is not None:
            if self._converter is not None:
                chunk = self._converter.feed(chunk)
            self._stream.feed(chunk)

    def _finalize(self, stream: Transcription) -> None:
        endpointing = self._engine.endpointing
        if endpointing.finalize_after_ms is None:
            return
        stream.finalize()
        if self._overdue is None and len(self._ranking.engines) > 1:
            self._overdue = asyncio.get_running_loop().call_later(
                endpointing.final_within_ms / 1000, self._late
            )

    def _late(self) -> None:
        self._overdue = None
        lost = self._lost
        if self._ranking.has_other(self._engine) and lost is not None and not lost.done():
            lost.set_result(EngineFailed(self._engine.name, "deadline", "no final words in time"))

    # --- streams ----------------------------------------------------------------------------

    async def run(self) -> None:
        """Never returns; raises `EngineFailed` when the transcribers have failed for good."""
        while True:
            before, self._stream = self._stream, None
            name = self._engine.name  # of the engine that `before` belongs to
            self._engine = engine = self._ranking.order()[0]
            self._opened += 1
            self._lost = lost = asyncio.get_running_loop().create_future()
            limit_s = HAND_OVER_TIMEOUT_S if self._ranking.has_other(engine) else OPEN_TIMEOUT_S
            try:
                async with asyncio.timeout(limit_s):
                    await self._open(engine, self._opened, lost)
            except EngineFailed as failed:
                failure = failed
            except TimeoutError:
                failure = EngineFailed(engine.name, "open", "no stream in time")
            else:
                if engine.name != self._heard_by:
                    self._heard_by = engine.name
                    self._note("transcriber_changed", transcriber=engine.name)
                if before is not None:
                    await self._put_away(before, name)
                    before = None
                failure = await lost
            if before is not None:
                await self._put_away(before, name)
            self._watch_no_more()
            await self._recover(engine, failure)

    async def close(self) -> None:
        stream, self._stream = self._stream, None
        self._opened += 1  # nothing that still comes counts
        self._watch_no_more()
        if stream is not None:
            await stream.close()

    async def _open(
        self, engine: Transcriber, number: int, lost: asyncio.Future[EngineFailed]
    ) -> None:
        begin_ms = 0.0

        def words(heard: Words) -> None:
            if number == self._opened:
                self._understood(_moved(heard, begin_ms))

        def failed(failure: EngineFailed) -> None:
            if number != self._opened:
                return
            if failure.stage != "lost":
                self._report(failure, "recovered")
            elif not lost.done():
                lost.set_result(failure)

        wanted = engine.takes(self._format)
        stream = await engine.open(wanted, self._hints, words, failed)
        kept_ms = min(self._format.ms(len(self._kept)), KEEP_MS)
        begin_ms = max(self._settled_ms, self._fed_ms - kept_ms)
        if self._speech_ms is None:
            begin_ms = max(begin_ms, self._fed_ms - IDLE_MS)
        self._stream = stream
        self._converter = None if wanted == self._format else Converter(self._format, wanted)
        if again := self.since(begin_ms):
            self._feed(again)
        if self._speech_ms is not None:
            stream.speech_started(self._fed_ms - max(self._speech_ms, begin_ms))
        if self._paused_ms is not None:
            self._finalize(stream)

    def _understood(self, words: Words) -> None:
        if words.final:
            self._settled_ms = max(self._settled_ms, min(words.heard_to_ms, self._fed_ms))
            if self._paused_ms is not None and words.heard_to_ms >= self._paused_ms - EPS_MS:
                self._paused_ms = None
                self._speech_ms, self._again_ms = self._again_ms, None
                self._watch_no_more()
        if words.text:
            self._failures = 0
        self._on_words(words)

    def _watch_no_more(self) -> None:
        if self._overdue is not None:
            self._overdue.cancel()
            self._overdue = None

    async def _recover(self, engine: Transcriber, failure: EngineFailed) -> None:
        """Go over to another engine, or wait before the next try, or give up."""
        other = self._ranking.has_other(engine)
        if not other and self._failures == len(RETRY_S):
            self._report(failure, "call_ended")
            raise failure
        self._ranking.failed(engine, failure)
        self._report(failure, "replaced" if other else "reopened")
        if not other:
            await asyncio.sleep(RETRY_S[self._failures])
            self._failures += 1

    async def _put_away(self, stream: Transcription, vendor: str) -> None:
        """Close a lost stream. That it may fail to close is part of its being lost."""
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await stream.close()
        except (EngineFailed, OSError, TimeoutError) as failure:
            self._note(
                "engine_failed",
                vendor=vendor,
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


def _moved(words: Words, by_ms: float) -> Words:
    """A stream's words on the call's clock."""
    if not by_ms:
        return words
    return replace(
        words,
        spoken_at_ms=words.spoken_at_ms + by_ms,
        heard_to_ms=words.heard_to_ms + by_ms,
        words=tuple(WordTime(w.text, w.start_ms + by_ms, w.end_ms + by_ms) for w in words.words),
    )
