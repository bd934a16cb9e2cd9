"""Writes out what a plain voice would read wrongly: figures with a meaning, marks, addresses.

"$3.50" becomes "3 dollars 50 cents", "3. Mai" "dritter Mai", "+1 555 123 4567" single figures. It
is for voices that read a text as it stands (`speech/engines.py`, `plain_language`); hosted voices
do this by themselves, and better. Plain numbers are left as they are: every voice can count.

    reader = reader_of("de")
    reading = reader.read("Das macht 3,50 €.")
    reading.spoken            # "Das macht 3 Euro 50 Cent."
    reading.written_at(15)    # how much of the clause is said after so many characters of that

Rules are tried in a fixed order, addresses first; what one has taken is left alone by the others.
The words are from the language's file (`chorus/languages/`), names of currencies, units and months
from CLDR by Babel, ordinals from CLDR by unicode-rbnf. A language that lacks a word lacks the rule.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from chorus.languages import Languages, languages
from chorus.talk.text.reading import amounts, codes, dates
from chorus.talk.text.reading.words import Rule, Words, space_out

_LONGEST = 600
"""Characters of a clause that are looked at. A clause is far shorter; this bounds the time."""


@dataclass(frozen=True, slots=True)
class _Piece:
    """Where `spoken_from..` of the reading comes from; `changed`: it is one word to the ear."""

    spoken_from: int
    written_from: int
    changed: bool


class Reading:
    """`spoken` is what the voice is given for a clause."""

    def __init__(self, written: str, changes: Sequence[tuple[int, int, str]]) -> None:
        """`changes`: from, to and what is said instead, in order."""
        self._pieces: list[_Piece] = []
        parts: list[str] = []
        at = length = 0
        for begin, end, said in changes:
            for text, start, changed in ((written[at:begin], at, False), (said, begin, True)):
                if text:
                    self._pieces.append(_Piece(length, start, changed))
                    parts.append(text)
                    length += len(text)
            at = end
        self._pieces.append(_Piece(length, at, False))
        parts.append(written[at:])
        self.spoken = "".join(parts)
        self._begins = [piece.spoken_from for piece in self._pieces]

    def written_at(self, chars: int) -> int:
        """How many characters of the clause are said once `chars` of `spoken` are. What is said
        instead of something counts when it is said to its end."""
        at = bisect_right(self._begins, chars) - 1
        piece = self._pieces[at]
        if piece.changed:
            return piece.written_from
        return piece.written_from + chars - piece.spoken_from


class Reader:
    """One language's. Knows nothing of the clause before."""

    def __init__(self, words: Words) -> None:
        self._rules: tuple[Rule, ...] = (
            *codes.addresses(words),
            *dates.rules(words),
            *codes.telephone(words),
            *amounts.rules(words),
            *codes.numbers(words),
            *codes.abbreviations(words),
        )

    def read(self, clause: str) -> Reading:
        """Raises nothing for any text."""
        taken: list[tuple[int, int, str]] = []
        looked_at = space_out(clause)
        for pattern, say in self._rules:
            for match in pattern.finditer(looked_at, 0, _LONGEST):
                begin, end = match.span()
                if begin == end or any(a < end and begin < b for a, b, _ in taken):
                    continue
                said = say(match, clause)
                if said is not None and said != clause[begin:end]:
                    taken.append((begin, end, said))
        taken.sort()
        return Reading(clause, taken)


def reader_of(language: str | None) -> Reader:
    """For a language tag; English without one. The first of a language takes up to 50 ms."""
    return _reader_of(languages(), language)


@cache
def _reader_of(known: Languages, language: str | None) -> Reader:
    return Reader(Words.of(known, language))
