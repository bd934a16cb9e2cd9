"""Whether what a caller said is what a script expects, though a transcriber wrote it down.

Both are cut into plain words. A pattern matches where its words are found in order, near each
other, anywhere in what was said; small words may be missing, longer words may be misspelled by a
letter or two, numbers may be words or digits. Among patterns that match, the one that accounts
for more words wins. The same words always give the same answer.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice, product

_ONES = [
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"),
    *("eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen"),
    "nineteen",
]
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_SMALL_NUMBERS = {word: n for n, word in enumerate(_ONES)} | {
    word: 10 * n for n, word in enumerate(_TENS, 2)
}
_DIGITS = {word: str(n) for n, word in enumerate(_ONES[:10])} | {"oh": "0", "o": "0"}
_REPEATS = {"double": 2, "triple": 3}
_DAYS = [
    *("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"),
    *("today", "tomorrow", "tonight"),
]
_OPTIONAL = frozenset(["a", "an", "the", "please", "to", "of", "for", "my", "me", "i", "it"])
_FILLERS = frozenset(["um", "uh", "er", "erm", "eh", "ah", "hm", "mm", "well", "like", "so"])
_POLITE = frozenset(["please", "thanks", "thank", "you"])
_WORD = re.compile(r"\d+(?::\d\d)?|[^\W\d_]+")
_PART = re.compile(r"\{([^{}]*)\}")
_GAP = 3  # words that may stand between two words of a pattern
_MOST_WORDS = 60  # of what was said, from its end
_MOST_PARTS = 30
_MOST_CAPTURES = 5
_LONGEST_CAPTURE = 25  # words, where more of the pattern follows
_MOST_STEPS = 5_000  # of one search; a pattern that people write takes some hundreds

KINDS = ("number", "digits", "day", "time", "word", "words")


@dataclass(frozen=True, slots=True)
class Capture:
    """A place for what the caller says: `{number}`, or `{party:number}` with a name of its own."""

    name: str
    kind: str


@dataclass(frozen=True, slots=True)
class Pattern:
    parts: tuple[str | Capture, ...]
    text: str


@dataclass(frozen=True, slots=True)
class Match:
    """`score`: how much of the pattern was found, larger is better."""

    score: float
    captured: tuple[tuple[str, str | int], ...] = ()


def words_of(text: str) -> tuple[str, ...]:
    """Plain words: lower case, no punctuation, no apostrophes, `1,000` as `1000`."""
    text = re.sub(r"(?<=\d),(?=\d{3})", "", text.casefold())
    text = re.sub(r"['’.](?=\w)(?<=[^\W\d].)", "", text)  # don't, p.m.
    return tuple(_WORD.findall(text))


def pattern_of(text: str) -> Pattern:
    """`ValueError` with a sentence for what is no pattern."""
    parts: list[str | Capture] = []
    for n, piece in enumerate(_PART.split(text)):
        if n % 2 == 0:
            parts += words_of(piece)
            continue
        name, _, kind = piece.partition(":")
        kind = (kind or name).strip()
        name = name.strip()
        if kind not in KINDS:
            raise ValueError(f"{{{piece}}} captures nothing known: use {', '.join(KINDS)}.")
        if not re.fullmatch(r"[^\W\d]\w*", name):
            raise ValueError(f"{{{piece}}} has no usable name.")
        parts.append(Capture(name, kind))
    if len(parts) > _MOST_PARTS:
        raise ValueError(f"a pattern may have {_MOST_PARTS} words at most.")
    if sum(isinstance(part, Capture) for part in parts) > _MOST_CAPTURES:
        raise ValueError(f"a pattern may capture {_MOST_CAPTURES} things at most.")
    if not parts:
        raise ValueError("a pattern without a word matches nothing.")
    return Pattern(tuple(parts), text)


@lru_cache(maxsize=8192)
def match(pattern: Pattern, said: tuple[str, ...]) -> Match | None:
    """The best way to find `pattern` in the words that were said; None if there is none."""
    return _Search(pattern, said[-_MOST_WORDS:]).best()


class _Search:
    """Looks at each pair of places, in the pattern and in what was said, once."""

    def __init__(self, pattern: Pattern, said: Sequence[str]) -> None:
        self._parts = pattern.parts
        self._said = said
        literal = [p for p in self._parts if isinstance(p, str)]
        needed = [p for p in literal if p not in _OPTIONAL]
        self._needed = needed
        # "please" alone must be said; in "book a table please" it need not be.
        bare = not needed and not any(isinstance(p, Capture) for p in self._parts)
        self._optional: frozenset[str] = frozenset() if bare else _OPTIONAL
        self._may_miss = len(needed) // 4  # a word that the transcriber lost
        self._known: dict[tuple[int, int, int, int], Match | None] = {}

    def best(self) -> Match | None:
        here = sum(any(_likeness(w, said) for said in self._said) for w in self._needed)
        if here < len(self._needed) - self._may_miss:
            return None  # most patterns, most of the time
        found = [self._from(0, at, _GAP, 0) for at in range(len(self._said))]
        return _better(*(f for f in found if f and f.score > 0))

    def _from(self, part: int, at: int, gap: int, missed: int) -> Match | None:
        """Best match of the parts from `part` in the words from `at`. `gap`: words skipped since
        the last one found."""
        key = (part, at, gap, missed)
        if key not in self._known:
            if len(self._known) >= _MOST_STEPS:
                return None
            self._known[key] = _better(*self._ways(part, at, gap, missed))
        return self._known[key]

    def _ways(self, part: int, at: int, gap: int, missed: int) -> Iterator[Match | None]:
        if part == len(self._parts):
            yield Match(0.0)
            return
        wanted = self._parts[part]
        if isinstance(wanted, Capture):
            for value, taken in self._captures(wanted.kind, part, at):
                rest = self._from(part + 1, at + taken, 0, missed)
                if rest:
                    captured = ((wanted.name, value), *rest.captured)
                    worth = 0.1 if wanted.kind in ("word", "words") else 1.0
                    yield Match(rest.score + worth, captured)
        else:
            likeness = _likeness(wanted, self._said[at]) if at < len(self._said) else 0.0
            if likeness:
                rest = self._from(part + 1, at + 1, 0, missed)
                small = wanted in self._optional
                yield rest and Match(rest.score + likeness * (0.2 if small else 1.0), rest.captured)
            if wanted in self._optional:
                yield self._from(part + 1, at, gap, missed)
            elif missed < self._may_miss:
                rest = self._from(part + 1, at, gap, missed + 1)
                yield rest and Match(rest.score - 0.5, rest.captured)
        if at < len(self._said):
            filler = self._said[at] in _FILLERS
            if filler or gap < _GAP:
                rest = self._from(part, at + 1, gap if filler else gap + 1, missed)
                yield rest and Match(rest.score - 0.01, rest.captured)

    def _captures(self, kind: str, part: int, at: int) -> Iterator[tuple[str | int, int]]:
        """Values that may be captured at `at`, and how many words each takes; the longest first."""
        said = self._said[at:]
        if not said:
            return
        if kind == "word":
            if said[0] not in _FILLERS:
                yield said[0], 1
        elif kind == "words":
            last = part == len(self._parts) - 1
            for taken in [len(said)] if last else range(1, min(len(said), _LONGEST_CAPTURE) + 1):
                kept = list(said[:taken])
                while last and len(kept) > 1 and kept[-1] in _POLITE | _FILLERS:
                    kept.pop()
                yield " ".join(kept), taken
        elif kind == "number":
            number, taken = _number(said)
            if taken:
                yield number, taken
        elif kind == "digits":
            digits, taken = _digits(said)
            if taken:
                yield digits, taken
        elif kind == "day":
            if day := next((d for d in _DAYS if _likeness(d, said[0])), None):
                yield day, 1
        else:
            time, taken = _time(said)
            if taken:
                yield time, taken


def _better(*matches: Match | None) -> Match | None:
    best: Match | None = None
    for each in matches:
        if each and (best is None or each.score > best.score + 1e-9):
            best = each
    return best


@lru_cache(maxsize=8192)
def _likeness(wanted: str, said: str) -> float:
    """1 for the same word, a little less for one that a transcriber may have meant; else 0."""
    if wanted == said or _as_number(wanted) == _as_number(said) is not None:
        return 1.0
    allowed = 0 if len(wanted) < 4 or not wanted.isalpha() else 1 if len(wanted) < 8 else 2
    if abs(len(wanted) - len(said)) > allowed or not allowed:
        return 0.0
    if _SMALL_NUMBERS.get(wanted, wanted) != _SMALL_NUMBERS.get(said, wanted):
        return 0.0  # "seventy" is not a slip for "seventeen"
    distance = _distance(wanted, said)
    return 1.0 - 0.1 * distance if distance <= allowed else 0.0


def _as_number(word: str) -> int | None:
    return int(word) if word.isdecimal() else _SMALL_NUMBERS.get(word)


def _distance(a: str, b: str) -> int:
    """Letters to add, drop, change or swap with the next."""
    before: list[int] = []
    row = list(range(len(b) + 1))
    for n, left in enumerate(a, 1):
        older, before, row = before, row, [n]
        for m, right in enumerate(b, 1):
            steps = min(before[m] + 1, row[m - 1] + 1, before[m - 1] + (left != right))
            if n > 1 and m > 1 and left == b[m - 2] and a[n - 2] == right:
                steps = min(steps, older[m - 2] + 1)
            row.append(steps)
    return row[-1]


def _number(said: Sequence[str]) -> tuple[int, int]:
    """A number at the beginning, in digits or English words, and how many words it takes."""
    if said[0].isdecimal():
        return int(said[0][:15]), 1
    total = current = taken = 0
    room = 100  # the next word must be smaller: "twenty five" is one number, "five twenty" two
    for n, word in enumerate(said):
        small = _SMALL_NUMBERS.get(word)
        if small is not None and small < room and not (small == 0 and n):
            current += small
            room = 10 if small >= 20 else 0
        elif word == "hundred" and 0 < current < 10:
            current *= 100
            room = 100
        elif word == "thousand" and 0 < current < 1000 and not total:
            total, current, room = current * 1000, 0, 100
        elif word == "and" and taken and n + 1 < len(said) and room == 100:
            continue
        else:
            break
        taken = n + 1
    return total + current, taken


def _digits(said: Sequence[str]) -> tuple[str, int]:
    """Digits one by one ("five five five", "double two", "0 7 1") or in groups."""
    digits = ""
    taken = 0
    for n, word in enumerate(said):
        times = _REPEATS.get(said[n - 1], 1) if n else 1
        if word.isdecimal():
            digits += word * (times if len(word) == 1 else 1)
        elif word in _DIGITS:
            digits += _DIGITS[word] * times
        elif word in _REPEATS or word in _FILLERS:
            continue
        else:
            break
        taken = n + 1
    return digits, taken


def _time(said: Sequence[str]) -> tuple[str, int]:
    """ "7", "7:30", "seven thirty pm", "half past seven" as `7:30 pm`, and the words taken."""
    if said[0] == "half" and list(said[1:2]) == ["past"] and len(said) > 2:
        hour, taken = _number(said[2:])
        minute, at = 30, 2 + taken
        if not taken:
            return "", 0
    else:
        text, _, minutes = said[0].partition(":")
        hour, at = (int(text[:9]), 1) if text.isdecimal() else _number(said)
        minute = int(minutes or 0)
        if at and not minutes and at < len(said):
            found, taken = _number(said[at:])
            if taken and 10 <= found < 60:
                minute, at = found, at + taken
    if not at or hour > 24 or minute > 59:
        return "", 0
    end = said[at] if at < len(said) else ""
    if end == "oclock":
        end, at = "", at + 1
        end = said[at] if at < len(said) else ""
    half = f" {end}" if end in ("am", "pm") else ""
    return f"{hour}:{minute:02}{half}", at + bool(half)


def phrases_of(patterns: Sequence[Pattern], most: int = 500) -> tuple[str, ...]:
    """What callers may say, for a transcriber that listens for whole utterances. A capture
    becomes the values that it commonly has; one of any words cannot be listed and is left out
    together with its pattern. Every pattern has its turn before any has its second."""
    sources = [_phrases(p) for p in dict.fromkeys(patterns)]
    found: dict[str, None] = {}
    while sources and len(found) < most:
        for source in list(sources):
            phrase = next(source, None)
            if phrase is None:
                sources.remove(source)
            elif len(found) < most:
                found[phrase] = None
    return tuple(found)


def _phrases(pattern: Pattern) -> Iterator[str]:
    choices = [_spoken(p.kind) if isinstance(p, Capture) else [p] for p in pattern.parts]
    if all(choices):
        for words in islice(product(*choices), 500):
            yield " ".join(words)


def _spoken(kind: str) -> Sequence[str]:
    if kind == "number":
        return [*_ONES[1:], "twenty"]
    if kind == "digits":
        return _ONES[:10]
    if kind == "day":
        return _DAYS
    if kind == "time":
        hours = _ONES[1:13]
        return [*hours, *(f"{h} {half}" for h in hours for half in ("pm", "am", "thirty"))]
    return []
