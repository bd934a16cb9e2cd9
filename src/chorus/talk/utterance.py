"""The sound of one reply, and which of its characters lie where in it.

Audio is appended as the voice makes it and kept until the reply is settled, so that a reply
that was interrupted by a cough can go on from the last whole word. `split(at_ms)` tells what
was heard up to a moment and what was not, in whole units (`talk/text/units.py`): by the voice's
own marks where it gives them, else by cutting the clause in proportion.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field

from chorus.audio.frame import AudioFormat
from chorus.speech.engines import Mark, Spoken
from chorus.talk.text.units import units, weight

LETTER_MS = 75.0
"""How long a letter is spoken, for a clause whose length is not known yet. Rather long than
short: a word that was not heard must not count as heard."""

ROUNDING_MS = 0.5
"""By so much a clause's end may lie behind what was played of it: lengths of pieces are summed, and
at most rates a sample is no whole part of a millisecond."""


@dataclass(slots=True)
class Clause:
    """A stretch of text, with the space before it; its sound begins at `start_ms` of the utterance
    and, once `whole`, lasts `length_ms`."""

    text: str
    start_ms: float = 0.0
    length_ms: float = 0.0
    sounding: bool = False
    whole: bool = False
    marks: list[Mark] = field(default_factory=list[Mark])

    def mark(self, marks: tuple[Mark, ...]) -> None:
        """What goes back is left out: a voice that took over says some of it again."""
        for mark in marks:
            last = self.marks[-1] if self.marks else Mark(0, 0.0)
            if mark.chars_end > last.chars_end and mark.end_ms >= last.end_ms:
                self.marks.append(mark)

    def heard(self, at_ms: float) -> tuple[int, float, bool]:
        """What was heard `at_ms` after its first sample: how many characters, in whole units;
        where the last of them ended; and whether that is an estimate."""
        ends = units(self.text)
        if self.marks:
            count = bisect_right(self.marks, at_ms, key=lambda mark: mark.end_ms)
            reached = self.marks[count - 1].chars_end if count else 0
            unit = bisect_right(ends, reached)
            if not unit:
                return 0, 0.0, False
            chars = ends[unit - 1]
            by = next(mark for mark in self.marks if mark.chars_end >= chars)
            return chars, by.end_ms, False
        total = weight(self.text) or 1.0
        length_ms = self.length_ms
        if not self.whole:
            length_ms = max(length_ms, total * LETTER_MS)
        chars, end_ms, said, begun = 0, 0.0, 0.0, 0
        for end in ends:
            said += weight(self.text[begun:end])
            begun = end
            if length_ms * said / total > at_ms:
                break
            chars, end_ms = end, length_ms * said / total
        return chars, end_ms, True


@dataclass(frozen=True, slots=True)
class HeardText:
    """`resume_ms`: where the first word that was not wholly heard begins. `estimated`: a clause
    without marks was cut. `filler` was heard before, and is in neither text."""

    text: str
    unsaid: str
    resume_ms: float
    estimated: bool
    filler: str = ""

    @property
    def sounded(self) -> str:
        """All that could come back as an echo."""
        return f"{self.filler} {self.text}".strip()


class Utterance:
    """All times are milliseconds from the reply's first sample."""

    def __init__(self, format: AudioFormat) -> None:
        self.format = format
        self.audio = bytearray()
        self.clauses: list[Clause] = []
        self.finished = False
        self.filler = ""
        self.filler_ms = 0.0

    def lead(self, filler: str, audio: bytes) -> None:
        """What is said first, while there is nothing of the answer: no part of its text."""
        self.filler, self.filler_ms = filler, self.format.ms(len(audio))
        self.audio += audio

    @property
    def length_ms(self) -> float:
        return self.format.ms(len(self.audio))

    @property
    def text(self) -> str:
        return "".join(clause.text for clause in self.clauses).strip()

    @property
    def characters(self) -> int:
        return sum(len(clause.text.strip()) for clause in self.clauses)

    def add_clause(self, text: str) -> None:
        """With the space before it, where there is one."""
        self.clauses.append(Clause(text))

    def add(self, spoken: Spoken) -> None:
        """A piece in this utterance's format."""
        clause = self.clauses[spoken.clause]
        if not clause.sounding:
            clause.sounding = True
            clause.start_ms = self.length_ms
        self.audio += spoken.audio
        clause.length_ms = self.length_ms - clause.start_ms
        clause.mark(spoken.marks)
        clause.whole = clause.whole or spoken.last

    def split(self, at_ms: float) -> HeardText:
        """What was heard by `at_ms`. Text whose sound was never made is unsaid."""
        heard: list[str] = []
        unsaid: list[str] = []
        resume_ms: float | None = None
        estimated = False
        for clause in self.clauses:
            if clause.whole and clause.start_ms + clause.length_ms <= at_ms + ROUNDING_MS:
                heard.append(clause.text)
            elif not clause.sounding or clause.start_ms >= at_ms:
                unsaid.append(clause.text)
                if resume_ms is None and clause.sounding:
                    resume_ms = clause.start_ms
            else:
                chars, end_ms, estimated = clause.heard(at_ms - clause.start_ms)
                heard.append(clause.text[:chars])
                unsaid.append(clause.text[chars:])
                if clause.text[chars:].strip():
                    resume_ms = clause.start_ms + end_ms
        if resume_ms is None:
            resume_ms = min(at_ms, self.length_ms)
        filler = self.filler if at_ms > 0 else ""
        text, rest = "".join(heard).strip(), "".join(unsaid).strip()
        return HeardText(text, rest, resume_ms, estimated, filler)
