"""One call's voices: a session with each that is used, and what takes over when one fails.

`warm` opens a session with the best voice of the ranking before anything is to be said. `speak`
has it read a `Script`; where it fails, or owes audio for longer than it said it would take, the
next voice reads on from what was not spoken yet: from the next word where the first told how far
it was, else from the beginning of the clause. `aclose` ends all sessions with the call.

What a voice gives at another rate or in another encoding than the line's is converted here, once;
and what a plain voice would read wrongly is written out for it (`talk/text/reading/`).
"""

from __future__ import annotations

import asyncio
import logging
from bisect import bisect_right
from collections import defaultdict
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from chorus.audio.frame import AudioFormat
from chorus.audio.resample import Converter
from chorus.speech.engines import (
    EngineFailed,
    Mark,
    PlainVoice,
    Spoken,
    Voice,
    VoiceSession,
    VoiceStyle,
)
from chorus.speech.racing import Hedge, race
from chorus.speech.ranking import Ranking
from chorus.talk.text.pronunciations import Pronunciations, Said
from chorus.talk.text.units import units
from chorus.talk.timeline import note_hedged, note_lost
from chorus.telemetry.spans import span

if TYPE_CHECKING:
    from chorus.talk.text.reading.reading import Reader, Reading

log = logging.getLogger(__name__)

CLOSE_TIMEOUT_S = 2.0

_HEDGE: Hedge[Voice] = Hedge(
    untried_ms=1000,
    most_ms=lambda voice: voice.deadline_ms,
    beaten=lambda voice: EngineFailed(
        voice.name, "speak", "another began sooner, three times in a row", "late"
    ),
)


class Script:
    """The clauses of one reply, as they come; kept, so that another voice can read on."""

    def __init__(self) -> None:
        self.clauses: list[str] = []
        self.ended = False
        self.begun = asyncio.Event()
        """There is something to say."""
        self._more = asyncio.Event()

    def put(self, clause: str | None) -> None:
        """None: that was the last."""
        if clause is None:
            self.ended = True
        else:
            self.clauses.append(clause)
            self.begun.set()
        self._more.set()

    async def wait(self) -> None:
        """Until there is more to say, or nothing more will come."""
        self._more.clear()
        await self._more.wait()


@dataclass(slots=True)
class Place:
    """How far a script was spoken: `clause` is under way, `given_ms` of it have been given out,
    and up to `chars` of it the audio is known to hold whole words."""

    clause: int = 0
    given_ms: float = 0.0
    marks: tuple[Mark, ...] = ()

    @property
    def chars(self) -> int:
        count = bisect_right(self.marks, self.given_ms + 1, key=lambda mark: mark.end_ms)
        return self.marks[count - 1].chars_end if count else 0


class Voicing:
    """`styles` says how each voice, by its place in the ranking, is to speak. `on_failed` is told
    of each failure that the next voice makes good; the last one's is raised. `hedged`: the next
    voice is asked beside one that is slow to begin a reply. `note(kind, **data)` writes the
    timeline."""

    def __init__(
        self,
        ranking: Ranking[Voice],
        styles: tuple[VoiceStyle, ...],
        format: AudioFormat,
        *,
        on_failed: Callable[[EngineFailed], None],
        pronunciations: Pronunciations | None = None,
        hedged: bool = False,
        note: Callable[..., None] = lambda *_, **__: None,
    ) -> None:
        self._ranking = ranking
        self._hedged = hedged
        self.note = note
        self._pronunciations = pronunciations
        self._styles = dict(zip(map(id, ranking.engines), styles, strict=True))
        self._format = format
        self.on_failed = on_failed
        self._sessions: dict[int, VoiceSession] = {}
        self._readers: dict[int, Reader | None] = {}
        self._opening = defaultdict[int, asyncio.Lock](asyncio.Lock)
        self.name = ranking.engines[0].name
        """Of the voice that spoke last."""

    async def warm(self) -> None:
        """Open a session ahead of the first word. A failure is left for `speak` to meet."""
        voice = self._ranking.order()[0]
        try:
            async with asyncio.timeout(voice.deadline_ms / 1000):
                await self._session(voice)
                await self._reader(voice)
        except (EngineFailed, TimeoutError) as failure:
            log.info("%s is not warm: %s", voice.name, failure or "no session in time")

    async def speak(self, script: Script) -> AsyncGenerator[Spoken, None]:
        """The script's audio in the line's format. Ends after the last piece of the last clause,
        and may be closed at any time. Raises `EngineFailed` when no voice is left."""
        told = _Told(self, script)
        pieces = race(
            self._ranking,
            told.start,
            EngineFailed,
            told,
            hedge=_HEDGE if self._hedged else None,
            due=script.begun.wait,
            begins=lambda piece: bool(piece.audio),
            resumes=True,
        )
        async with aclosing(pieces):
            async for voice, piece in pieces:
                told.gave(voice)
                yield piece

    async def aclose(self) -> None:
        """The call is over. Raises nothing: what a voice leaves open is its process's to end."""
        sessions, self._sessions = list(self._sessions.values()), {}
        for session in sessions:
            try:
                async with asyncio.timeout(CLOSE_TIMEOUT_S):
                    await session.aclose()
            except (EngineFailed, OSError, TimeoutError) as failure:
                log.warning("a voice's session did not close: %r", failure)

    async def _session(self, voice: Voice) -> VoiceSession:
        async with self._opening[id(voice)]:
            session = self._sessions.get(id(voice))
            if session is None:
                style = self._styles[id(voice)]
                session = await voice.open(voice.gives(self._format), style)
                self._sessions[id(voice)] = session
            return session

    async def _reader(self, voice: Voice) -> Reader | None:
        """What writes out for a voice, if it needs that; loaded in a thread."""
        if id(voice) not in self._readers:
            reader = None
            if isinstance(voice, PlainVoice):
                language = voice.plain_language(self._styles[id(voice)])
                if language is not None:
                    reader = await asyncio.to_thread(_reader_of, language)
            self._readers[id(voice)] = reader
        return self._readers[id(voice)]

    async def read(
        self, voice: Voice, script: Script, place: Place
    ) -> AsyncGenerator[Spoken, None]:
        """One voice's reading from `place` on, which moves with it. Raises `EngineFailed`."""
        deadline_s = voice.deadline_ms / 1000
        gives = voice.gives(self._format)
        converter = None if gives == self._format else Converter(gives, self._format)
        reading = _Reading(script, place, deadline_s, self._pronunciations)
        try:
            async with asyncio.timeout(deadline_s):
                session = await self._session(voice)
                reading.reader = await self._reader(voice)
            async with aclosing(session.speak(reading)) as speech:
                while (piece := await reading.next_of(speech)) is not None:
                    if converter is not None:
                        audio = converter.feed(piece.audio)
                        if piece.last:
                            audio += converter.flush()
                        piece = replace(piece, audio=audio)
                    place.given_ms += self._format.ms(len(piece.audio))
                    place.marks += piece.marks
                    if piece.last:
                        place.clause, place.given_ms, place.marks = piece.clause + 1, 0.0, ()
                    yield piece
        except TimeoutError:
            raise EngineFailed(voice.name, "deadline", "no audio in time") from None
        if not script.ended or place.clause < len(script.clauses):
            raise EngineFailed(voice.name, "speak", "it ended early")


class _Told:
    """How one script is spoken, by whichever voice; what `race` is told and asks for."""

    def __init__(self, voicing: Voicing, script: Script) -> None:
        self._voicing = voicing
        self._script = script
        self._place = Place()
        self._places: dict[int, Place] = {}

    async def start(self, voice: Voice) -> AsyncGenerator[Spoken, None]:
        """From where the voice before it has come."""
        place = self._places[id(voice)] = replace(self._place)
        with span(f"speak {voice.name}", "client", **{"chorus.voice": voice.name}):
            async with aclosing(self._voicing.read(voice, self._script, place)) as pieces:
                async for piece in pieces:
                    yield piece

    def gave(self, voice: Voice) -> None:
        """It is the voice that is heard."""
        self._place = self._places[id(voice)]

    def asked(self, engine: Voice) -> None:
        self._voicing.name = engine.name

    def replaced(self, failure: EngineFailed) -> None:
        self._voicing.on_failed(failure)

    def hedged(self, engine: Voice, by: Voice, waited_ms: float) -> None:
        note_hedged(self._voicing.note, "speak", engine.name, by.name, waited_ms)

    def lost(self, engine: Voice) -> None:
        characters = sum(len(clause.strip()) for clause in self._script.clauses)
        note_lost(self._voicing.note, voice=engine.name, characters=characters)


def _reader_of(language: str) -> Reader:
    """Imports what only plain voices need."""
    from chorus.talk.text.reading.reading import reader_of

    return reader_of(language)


class _Reading(AsyncIterator[str]):
    """What one voice takes of a script and what it gives, with its deadline. `reader` writes out
    what the voice would read wrongly, after the agent's own `pronunciations`."""

    reader: Reader | None = None

    def __init__(
        self,
        script: Script,
        place: Place,
        deadline_s: float,
        pronunciations: Pronunciations | None,
    ) -> None:
        self._pronunciations = pronunciations
        self._script = script
        self._place = place
        self._deadline_s = deadline_s
        self._first = self._taken = place.clause
        # Of the first clause, which another voice may have begun: characters and time.
        self._said, self._said_ms = 0, 0.0
        if place.given_ms and self._first < len(script.clauses):
            self._said = self._rest_from(script.clauses[self._first], place.chars)
            self._said_ms = place.given_ms
        self._scope: asyncio.Timeout | None = None
        self._replaced: dict[int, Said] = {}
        self._written_out: dict[int, Reading] = {}

    @staticmethod
    def _rest_from(clause: str, chars: int) -> int:
        """Where to go on: behind the last whole unit, and never with nothing left to say."""
        ends = units(clause)
        whole = bisect_right(ends, chars)
        return ends[min(whole, len(ends) - 1) - 1] if whole and len(ends) > 1 else 0

    async def __anext__(self) -> str:
        script = self._script
        while self._taken >= len(script.clauses):
            if script.ended:
                raise StopAsyncIteration
            await script.wait()
        clause = script.clauses[self._taken]
        if self._taken == self._first:
            clause = clause[self._said :]
        if self._pronunciations is not None:
            said = self._replaced[self._taken] = self._pronunciations.read(clause)
            clause = said.spoken
        if self.reader is not None:
            reading = self._written_out[self._taken] = self.reader.read(clause)
            clause = reading.spoken
        self._taken += 1
        if self._scope is not None and self._scope.when() is None:
            self._scope.reschedule(asyncio.get_running_loop().time() + self._deadline_s)
        return clause

    async def next_of(self, speech: AsyncGenerator[Spoken, None]) -> Spoken | None:
        """The voice's next piece, as a piece of the whole reply; None: there is no more. Raises
        `TimeoutError`."""
        owing = self._taken > self._place.clause
        try:
            async with asyncio.timeout(self._deadline_s if owing else None) as self._scope:
                piece = await anext(speech, None)
        finally:
            self._scope = None
        if piece is None:
            return None
        index = piece.clause + self._first
        marks = piece.marks
        if written := self._written_out.get(index):
            marks = tuple(Mark(written.written_at(mark.chars_end), mark.end_ms) for mark in marks)
        if replaced := self._replaced.get(index):
            marks = tuple(Mark(replaced.written_at(mark.chars_end), mark.end_ms) for mark in marks)
        if index == self._first and self._said_ms:
            marks = tuple(
                Mark(mark.chars_end + self._said, mark.end_ms + self._said_ms) for mark in marks
            )
        return replace(piece, clause=index, marks=marks)
