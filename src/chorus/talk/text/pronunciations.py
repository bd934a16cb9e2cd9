"""A pronunciation dictionary that works with every voice: what is written is spoken otherwise.

The text is changed on its way to the voice, and what the voice tells of how far it is (`Mark`) is
counted back to the text as it was written, so that the record keeps it. Whole words are replaced,
whatever their case; where several entries fit, the longest.
"""

from __future__ import annotations

import re
from collections.abc import Sequence


class Pronunciations:
    """`entries`: what is written and how it is to be said."""

    def __init__(self, entries: Sequence[tuple[str, str]]) -> None:
        self._spoken = {written.casefold(): spoken for written, spoken in entries}
        longest = sorted((written for written, _ in entries), key=len, reverse=True)
        words = "|".join(
            # A word ends where a letter or digit meets none; "C++" ends by itself.
            (r"(?<!\w)" if written[0].isalnum() else "")
            + re.escape(written)
            + (r"(?!\w)" if written[-1].isalnum() else "")
            for written in longest
            if written
        )
        self._pattern = re.compile(words, re.IGNORECASE) if words else None

    def read(self, text: str) -> Said:
        if self._pattern is None:
            return Said(text, ())
        out: list[str] = []
        changes: list[tuple[int, int, int, int]] = []
        end = length = 0
        for match in self._pattern.finditer(text):
            spoken = self._spoken.get(match[0].casefold())
            if spoken is None:
                continue
            out.append(text[end : match.start()])
            length += match.start() - end
            changes.append((match.start(), match.end(), length, length + len(spoken)))
            out.append(spoken)
            length += len(spoken)
            end = match.end()
        out.append(text[end:])
        return Said("".join(out), tuple(changes))


class Said:
    """`spoken` is what the voice is given. `changes`: of each replaced stretch, where it began and
    ended as written and as spoken, in order."""

    def __init__(self, text: str, changes: tuple[tuple[int, int, int, int], ...]) -> None:
        self.spoken = text
        self._changes = changes

    def written_at(self, chars: int) -> int:
        """How many characters of the written text the first `chars` of the spoken text are. A
        replaced word counts when it was said whole."""
        shift = 0
        for written_from, written_to, spoken_from, spoken_to in self._changes:
            if chars <= spoken_from:
                break
            if chars < spoken_to:
                return written_from
            shift = written_to - spoken_to
        return chars + shift
