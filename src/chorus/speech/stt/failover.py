"""A second transcriber for when the first does not do its part.

In order: the best engine that has not failed lately opens the stream; a stream that is
lost, or final words that do not come in time, are reported, and the next engine takes over
in mid-call. It is given the audio of the last two seconds that nothing was understood of,
and the questions that are still open.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace

from chorus.audio.frame import AudioFormat
from chorus.speech.engines import EngineFailed, Hints, Transcriber, Transcription, Words
from chorus.speech.ranking import Ranking

log = logging.getLogger(__name__)

_REPLAY_MS = 2000


class FailoverTranscriber:
    """`Transcriber` over `engines`. `open_deadline_ms` is for opening a stream,
    `final_deadline_ms` for the final words after `finalize`. `on_failure`, of the process, and
    the call's own `on_failed` are told of every failure; with stage `lost` the latter only
    when no engine is left."""

    def __init__(
        self,
        engines: Sequence[Transcriber],
        *,
        open_deadline_ms: float = 2000,
        final_deadline_ms: float = 1500,
        on_failure: Callable[[EngineFailed], None] | None = None,
    ) -> None:
        self.ranking = Ranking[Transcriber](engines, on_failure)
        self.open_deadline_s = open_deadline_ms / 1000
        self.final_deadline_s = final_deadline_ms / 1000

    @property
    def name(self) -> str:
        return "+".join(engine.name for engine in self.ranking.engines)

    async def open(
        self,
        format: AudioFormat,
        hints: Hints,
        on_words: Callable[[Words], None],
        on_failed: Callable[[EngineFailed], None],
    ) -> Transcription:
        stream = _FailoverStream(self, format, hints, on_words, on_failed)
        await stream.take_first()
        return stream


class _FailoverStream:
    def __init__(
        self,
        engine: FailoverTranscriber,
        format: AudioFormat,
        hints: Hints,
        on_words: Callable[[Words], None],
        on_failed: Callable[[EngineFailed], None],
    ) -> None:
        self._engine = engine
        self._format = format
        self._hints = hints
        self._on_words = on_words
        self._on_failed = on_failed
        self._vendor: Transcriber | None = None
        self._stream: Transcription | None = None
        self._base_ms = 0.0  # where in the call's audio the vendor's stream begins
        self._fed_ms = 0.0
        self._recent: deque[bytes] = deque()
        self._recent_ms = 0.0
        self._asked: deque[float] = deque()  # where the finalizes without an answer fell
        # Whether the vendor's stream is still the one: a list, shared with its callbacks, so
        # that what a vendor says after it was left is not heard.
        self._alive = [False]
        self._speaking = False
        self._overdue: asyncio.TimerHandle | None = None
        self._switch: asyncio.Task[None] | None = None
        self._closed = False
        self._lost = False

    async def take_first(self) -> None:
        failure = await self._take(self._engine.ranking.order())
        if failure is not None:
            raise failure

    def feed(self, audio: bytes) -> None:
        ms = self._format.ms(len(audio))
        self._fed_ms += ms
        self._recent.append(audio)
        self._recent_ms += ms
        while self._recent_ms > _REPLAY_MS and len(self._recent) > 1:
            self._forget_oldest()
        if self._stream is not None:
            self._stream.feed(audio)

    def speech_started(self, ago_ms: float) -> None:
        self._speaking = True
        if self._stream is not None:
            self._stream.speech_started(ago_ms)

    def finalize(self) -> None:
        if self._closed:
            return
        self._speaking = False
        if self._lost:
            asyncio.get_running_loop().call_soon(self._answer_nothing)
            return
        self._asked.append(self._fed_ms)
        if self._stream is not None:
            self._stream.finalize()
            self._watch()

    async def close(self) -> None:
        self._closed = True
        if self._overdue is not None:
            self._overdue.cancel()
        if self._switch is not None:
            self._switch.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._switch
        if self._stream is not None:
            await self._stream.close()
            self._stream = None

    def _watch(self) -> None:
        """Expect the next final within its deadline, if one is owed."""
        if self._overdue is not None:
            self._overdue.cancel()
            self._overdue = None
        if self._asked and not self._closed:
            loop = asyncio.get_running_loop()
            self._overdue = loop.call_later(self._engine.final_deadline_s, self._late)

    def _late(self) -> None:
        self._overdue = None
        if self._vendor is not None:
            self._change(EngineFailed(self._vendor.name, "deadline", "no final words in time"))

    def _change(self, failure: EngineFailed) -> None:
        """Leave the vendor for the next one."""
        if self._switch is not None or self._closed or self._vendor is None:
            return
        self._on_failed(
            EngineFailed(failure.vendor, "failover", f"{failure.stage}: {failure.detail}")
        )
        self._engine.ranking.failed(self._vendor, failure)
        left, self._stream = self._stream, None
        self._alive[0] = False
        if self._overdue is not None:
            self._overdue.cancel()
            self._overdue = None
        others = [e for e in self._engine.ranking.order() if e is not self._vendor]
        self._switch = asyncio.create_task(self._go_over(left, others), name="failover")

    async def _go_over(self, left: Transcription | None, others: list[Transcriber]) -> None:
        failure = await self._take(others)
        self._switch = None
        if failure is not None:
            self._lost = True
            while self._asked:
                self._asked.popleft()
                self._answer_nothing()
            self._on_failed(EngineFailed(failure.vendor, "lost", failure.detail))
        if left is not None:
            try:
                async with asyncio.timeout(self._engine.open_deadline_s):
                    await left.close()
            except TimeoutError:
                log.warning("%s: a stream that was left did not close", self._engine.name)

    async def _take(self, candidates: list[Transcriber]) -> EngineFailed | None:
        """Open a stream with the first that can, and give it what was missed."""
        failure = EngineFailed(self._engine.name, "open", "no other engine is left")
        for vendor in candidates:
            alive = [True]
            try:
                async with asyncio.timeout(self._engine.open_deadline_s):
                    stream = await vendor.open(
                        self._format,
                        self._hints,
                        lambda words, alive=alive: self._heard(words) if alive[0] else None,
                        lambda failed, alive=alive: self._failed(failed, alive),
                    )
            except TimeoutError:
                failure = EngineFailed(vendor.name, "open", "no stream in time")
            except EngineFailed as error:
                failure = error
            else:
                self._vendor, self._stream, self._alive = vendor, stream, alive
                self._catch_up(stream)
                return None
            self._engine.ranking.failed(vendor, failure)
        return failure

    def _catch_up(self, stream: Transcription) -> None:
        self._base_ms = self._fed_ms - self._recent_ms
        for audio in self._recent:
            stream.feed(audio)
        if self._recent and (self._speaking or self._asked):
            stream.speech_started(self._recent_ms)
        for _ in self._asked:
            stream.finalize()
        self._watch()

    def _heard(self, words: Words) -> None:
        if words.final:
            understood_ms = words.spoken_at_ms + self._base_ms
            if self._asked:
                understood_ms = self._asked.popleft()
                self._watch()
            # The next vendor must not hear again what has been understood.
            while self._recent and self._fed_ms - self._recent_ms < understood_ms:
                self._forget_oldest()
        if not self._closed:
            self._on_words(replace(words, spoken_at_ms=words.spoken_at_ms + self._base_ms))

    def _failed(self, failure: EngineFailed, alive: list[bool]) -> None:
        if not alive[0]:
            return
        if failure.stage == "lost":
            alive[0] = False
            self._change(failure)
        else:
            self._on_failed(failure)

    def _forget_oldest(self) -> None:
        self._recent_ms -= self._format.ms(len(self._recent.popleft()))

    def _answer_nothing(self) -> None:
        if not self._closed:
            self._on_words(Words("", True, self._fed_ms))
