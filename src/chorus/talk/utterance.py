"""The sound of one reply, and which of its words lie where in it.

Audio is appended as the voice makes it and kept until the reply is settled, so that a reply
that was interrupted by a cough can go on from the last whole word. `split(at_ms)` tells what
was heard up to a moment and what was not: by the voice's own word times where it gives them,
else by cutting the clause in proportion.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from math import inf

from chorus.audio.frame import AudioFormat
from chorus.speech.engines import Spoken, WordTime

LETTER_MS = 75.0
"""How long a letter is spoken, for a clause whose length is not known yet. Rather long than
short: a word that was not heard must not count as heard."""


@dataclass(slots=True)
class Clause:
    """A stretch of text; its sound begins at `start_ms` of the utterance and, once `whole`,
    lasts `length_ms`."""

    text: str
    start_ms: float = 0.0
    length_ms: float = 0.0
    sounding: bool = False
    whole: bool = False
    words: tuple[WordTime, ...] = ()

    def ends(self) -> tuple[list[float], bool]:
        """Where each word of `text.split()` ends, in ms from the clause's start, and whether that
        is an estimate. Of a clause that still grows, words without a time were not heard yet."""
        words = self.text.split()
        ends = [word.end_ms for word in self.words]
        if len(ends) == len(words):
            return ends, False
        if ends and len(ends) < len(words) and not self.whole:
            return ends + [inf] * (len(words) - len(ends)), False
        letters = max(1, sum(map(len, words)))
        length_ms = self.length_ms
        if not self.whole:
            length_ms = max(length_ms, letters * LETTER_MS)
        ends.clear()
        spoken = 0
        for word in words:
            spoken += len(word)
            ends.append(length_ms * spoken / letters)
        return ends, True


@dataclass(frozen=True, slots=True)
class Heard:
    """`resume_ms`: where the first word that was not wholly heard begins. `estimated`: a clause
    without word times was cut."""

    text: str
    unsaid: str
    resume_ms: float
    estimated: bool


class Utterance:
    """All times are milliseconds from the reply's first sample."""

    def __init__(self, format: AudioFormat) -> None:
        self.format = format
        self.audio = bytearray()
        self.clauses: list[Clause] = []
        self.finished = False

    @property
    def length_ms(self) -> float:
        return self.format.ms(len(self.audio))

    @property
    def text(self) -> str:
        return " ".join(clause.text for clause in self.clauses)

    @property
    def characters(self) -> int:
        return sum(len(clause.text) for clause in self.clauses)

    def add_clause(self, text: str) -> None:
        self.clauses.append(Clause(text.strip()))

    def add(self, spoken: Spoken) -> None:
        clause = self.clauses[spoken.clause]
        if not clause.sounding:
            clause.sounding = True
            clause.start_ms = self.length_ms
        self.audio += spoken.audio
        clause.length_ms = self.length_ms - clause.start_ms
        if spoken.words:
            clause.words += spoken.words
        clause.whole = clause.whole or spoken.last

    def split(self, at_ms: float) -> Heard:
        """What was heard by `at_ms`. Text whose sound was never made is unsaid."""
        heard: list[str] = []
        unsaid: list[str] = []
        resume_ms: float | None = None
        estimated = False
        for clause in self.clauses:
            if clause.whole and clause.start_ms + clause.length_ms <= at_ms:
                heard.append(clause.text)
            elif not clause.sounding or clause.start_ms >= at_ms:
                unsaid.append(clause.text)
                if resume_ms is None and clause.sounding:
                    resume_ms = clause.start_ms
            else:
                words, (ends, estimated) = clause.text.split(), clause.ends()
                count = bisect_right(ends, at_ms - clause.start_ms)
                if count:
                    heard.append(" ".join(words[:count]))
                if count < len(words):
                    unsaid.append(" ".join(words[count:]))
                    resume_ms = clause.start_ms + (ends[count - 1] if count else 0.0)
        if resume_ms is None:
            resume_ms = min(at_ms, self.length_ms)
        return Heard(" ".join(heard), " ".join(unsaid), resume_ms, estimated)
