"""Which clause each piece of a vendor's audio belongs to, and where its words end in it.

A vendor tells the ends of clauses, or only times of characters or words; those are looked for in
the text that it was sent, because a vendor leaves out spaces and marks, or adds some.
"""

from __future__ import annotations

from chorus.audio.frame import AudioFormat
from chorus.speech.engines import Mark, Spoken

_SKIP = 12  # so many characters of the text may be without times
_EPS_MS = 40.0  # by which a vendor's times may be longer than its audio


class Clauses:
    """One reply's, as its audio comes. Each method returns what can be given out then."""

    def __init__(self, format: AudioFormat, *, by_text: bool) -> None:
        self._format = format
        self._by_text = by_text
        self._texts: list[str] = []
        self._silent: set[int] = set()
        self._odd: bytes = b""
        self._given_ms = 0.0
        self._base_ms = 0.0  # where the vendor's own clock begins
        self._now = 0  # the clause whose audio comes
        self._begin_ms = 0.0  # where it begins
        self._at = (0, 0)  # how far the times have come: clause, character
        self._marks: dict[int, list[tuple[int, float]]] = {}
        self._ends: dict[int, float] = {}  # of clauses, by the text
        self._held: bytes = b""  # audio behind the last clause that there is

    @property
    def owing(self) -> int:
        """Clauses that are not wholly spoken."""
        return len(self._texts) - self._now

    @property
    def sounded(self) -> bool:
        """Some audio has come."""
        return self._given_ms > 0

    @property
    def begun(self) -> bool:
        """Some of the clause that is being spoken has come."""
        return self._given_ms > self._begin_ms

    def add(self, text: str, *, silent: bool = False) -> list[Spoken]:
        """`silent`: it holds nothing to be spoken and was not sent."""
        if silent:
            self._silent.add(len(self._texts))
        self._texts.append(text)
        return self._skip_silent()

    def again(self) -> None:
        """A new context: its times begin with what comes next."""
        self._base_ms = self._given_ms + self._format.ms(len(self._held))

    def timed(self, units: tuple[tuple[str, float], ...]) -> None:
        for text, end_ms in units:
            self._place(text, end_ms + self._base_ms)

    def sound(self, audio: bytes) -> list[Spoken]:
        audio = self._held + self._odd + audio
        whole = len(audio) - len(audio) % self._format.sample_bytes
        audio, self._odd, self._held = audio[:whole], audio[whole:], b""
        out: list[Spoken] = []
        while self._by_text and self._now in self._ends:
            size = self._format.size(max(0.0, self._ends[self._now] - self._given_ms))
            if size > len(audio) + self._format.size(_EPS_MS):
                break
            out.append(self._piece(audio[:size], last=True))
            audio = audio[size:]
            out += self._skip_silent()
        if audio and not self.owing:
            self._held = audio
        elif audio:
            out.append(self._piece(audio))
        return out

    def clause_done(self) -> list[Spoken]:
        if not self.owing:
            return []
        return [self._piece(b"", last=True), *self._skip_silent()]

    def all_done(self) -> list[Spoken]:
        """Nothing more comes of what was sent."""
        out: list[Spoken] = []
        if self._held and self._now:
            self._now -= 1  # the tail of the last one
            self._begin_ms = self._given_ms
            out.append(self._piece(self._held, last=True))
            self._held = b""
        while self.owing:
            out.append(self._piece(b"", last=True))
        return out

    def _piece(self, audio: bytes, *, last: bool = False) -> Spoken:
        self._given_ms += self._format.ms(len(audio))
        marks = self._marks.pop(self._now, [])
        told = tuple(Mark(chars, max(0.0, end_ms - self._begin_ms)) for chars, end_ms in marks)
        piece = Spoken(audio, self._now, told, last)
        if last:
            self._now += 1
            self._begin_ms = self._given_ms
        return piece

    def _skip_silent(self) -> list[Spoken]:
        out: list[Spoken] = []
        while self._now in self._silent:
            self._silent.discard(self._now)
            out.append(self._piece(b"", last=True))
        return out

    def _place(self, unit: str, end_ms: float) -> None:
        """Find the next `unit` in the text."""
        unit = unit.strip()
        clause, begin = max(self._at, (self._now, 0))
        if not unit:
            return
        for index in range(clause, min(clause + 3, len(self._texts))):
            text, start = self._texts[index], begin if index == clause else 0
            found = text.find(unit, start, start + _SKIP + len(unit))
            if found < 0:
                continue
            for passed in range(clause, index):
                self._end_of(passed, None)
            end = found + len(unit)
            self._at = (index, end)
            self._marks.setdefault(index, []).append((end, end_ms))
            if not text[end:].strip():
                self._end_of(index, end_ms)
                self._at = (index + 1, 0)
            return

    def _end_of(self, clause: int, end_ms: float | None) -> None:
        """The text of a clause was told to its end; None: it ended with the last time told."""
        if clause in self._ends or clause in self._silent:
            return
        if end_ms is None:
            marks = self._marks.get(clause)
            end_ms = marks[-1][1] if marks else self._given_ms
        self._ends[clause] = end_ms
