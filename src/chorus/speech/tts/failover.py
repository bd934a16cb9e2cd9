"""A second voice for when the first does not do its part.

In order: the best engine that has not failed lately reads the clauses; a failure, or no
audio in time, is reported, and the next engine goes on where the first broke off. The
clauses are read from their source by a task of their own and kept until they are spoken.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from dataclasses import replace

from chorus.audio.frame import AudioFormat
from chorus.speech.engines import EngineFailed, Spoken, Voice, VoiceStyle, WordTime
from chorus.speech.ranking import Ranking


class FailoverVoice:
    """`Voice` over `engines`. `deadline_ms` is how long a voice that has text may take to its
    next piece of audio. A voice's id means something to the first engine only: the others are
    asked for their own voice of the language.

    A clause that broke off is taken up at its first word that was not given out yet, where
    the vendor told the words' times, and spoken again from its start where it did not.
    """

    def __init__(
        self,
        engines: Sequence[Voice],
        *,
        deadline_ms: float = 1500,
        on_failure: Callable[[EngineFailed], None] | None = None,
    ) -> None:
        self._ranking = Ranking[Voice](engines, on_failure)
        self._deadline_s = deadline_ms / 1000

    @property
    def name(self) -> str:
        return "+".join(engine.name for engine in self._ranking.engines)

    async def speak(
        self, clauses: AsyncIterator[str], format: AudioFormat, style: VoiceStyle
    ) -> AsyncGenerator[Spoken, None]:
        script = _Script(clauses)
        failure = EngineFailed(self.name, "speak", "no engine")
        try:
            for engine in self._ranking.order():
                own = style if engine is self._ranking.engines[0] else replace(style, voice="")
                reading = _Reading(script, format, self._deadline_s)
                speech = engine.speak(reading, format, own)
                try:
                    while True:
                        try:
                            piece = await reading.next_of(speech)
                        except StopAsyncIteration:
                            if script.finished:
                                return
                            raise EngineFailed(engine.name, "speak", "it ended early") from None
                        yield piece
                except TimeoutError:
                    script.check()
                    failure = EngineFailed(engine.name, "deadline", "no audio in time")
                except EngineFailed as error:
                    script.check()
                    failure = error
                finally:
                    await speech.aclose()
                self._ranking.failed(engine, failure)
            raise failure
        finally:
            await script.close()


class _Script:
    """The clauses of one reply, read once from their source and kept, and how far they have
    been spoken. `heard_ms` and `words` are of the clause `spoken`, which is under way."""

    def __init__(self, source: AsyncIterator[str]) -> None:
        self.clauses: list[str] = []
        self.spoken = 0
        self.heard_ms = 0.0
        self.words: list[WordTime] = []
        self.ended = False
        self.broken: Exception | None = None
        self._more = asyncio.Event()
        # In a task of its own: a vendor's end must not cancel the source in mid-sentence.
        self._task = asyncio.create_task(self._read(source), name="clauses")

    async def _read(self, source: AsyncIterator[str]) -> None:
        try:
            async for clause in source:
                self.clauses.append(clause)
                self._more.set()
        except Exception as error:  # given to the reader, who raises it to the caller
            self.broken = error
        self.ended = True
        self._more.set()

    @property
    def finished(self) -> bool:
        return self.ended and self.spoken == len(self.clauses)

    def check(self) -> None:
        """Raise what broke the source: that is no failure of a voice."""
        if self.broken is not None:
            raise self.broken

    async def wait(self) -> None:
        """Until there is more to say, or nothing more will come."""
        self._more.clear()
        await self._more.wait()

    def rest(self) -> str:
        """What is left to say of the clause under way."""
        left = [word.text for word in self.words if word.end_ms > self.heard_ms + 1]
        whole = self.clauses[self.spoken]
        if not self.words or not self.heard_ms:
            return whole
        return " ".join(left or [self.words[-1].text])

    async def close(self) -> None:
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task


class _Reading(AsyncIterator[str]):
    """One engine's reading of a script: what it takes and what it gives, with its deadline."""

    def __init__(self, script: _Script, format: AudioFormat, deadline_s: float) -> None:
        self._script = script
        self._format = format
        self._deadline_s = deadline_s
        self._first = script.spoken
        self._taken = script.spoken
        self._offset_ms = 0.0  # of the first clause, which may have been begun by another
        self._scope: asyncio.Timeout | None = None

    async def __anext__(self) -> str:
        script = self._script
        while self._taken >= len(script.clauses):
            script.check()
            if script.ended:
                raise StopAsyncIteration
            await script.wait()
        clause = script.clauses[self._taken]
        if self._taken == self._first and script.heard_ms:
            clause = script.rest()
            self._offset_ms = script.heard_ms
        self._taken += 1
        if self._scope is not None and self._scope.when() is None:
            self._scope.reschedule(asyncio.get_running_loop().time() + self._deadline_s)
        return clause

    async def next_of(self, speech: AsyncGenerator[Spoken, None]) -> Spoken:
        """The engine's next piece, as a piece of the whole reply. Raises `TimeoutError`."""
        script = self._script
        owing = self._taken > script.spoken
        async with asyncio.timeout(self._deadline_s if owing else None) as self._scope:
            piece = await anext(speech)
        index = piece.clause + self._first
        offset_ms = self._offset_ms if index == self._first else 0.0
        words = tuple(
            WordTime(w.text, w.start_ms + offset_ms, w.end_ms + offset_ms) for w in piece.words
        )
        script.words += words
        script.heard_ms += self._format.ms(len(piece.audio))
        if piece.last:
            script.spoken, script.heard_ms, script.words = index + 1, 0.0, []
        return replace(piece, clause=index, words=words)
