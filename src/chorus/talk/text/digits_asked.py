"""How many digits an agent has asked for: "What are the last four digits?"

A number that has them is whole, and need not be waited for. What is asked is read from the last
words of what the agent said, in the languages whose file tells how digits are counted
(`chorus/languages/`, `[digits]`); figures ("your 6-digit code") are understood with any of their
words for a digit.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache

from chorus.languages import Language, Languages, code_of, languages

_LAST_LETTERS = 200
_FEWEST, _MOST = 2, 20
_SENTENCES = re.compile(r"(?<=[.?!])\s+|(?<=[。？！؟])\s*(?=\S)")


@lru_cache(maxsize=512)
def digits_asked(question: str, language: str | None) -> int | None:
    """`language`: BCP 47, None for any. None where no length was asked for, or more than one."""
    counted, whole = _patterns(languages(), code_of(language))
    # What was counted before ("the four digits were right") is not asked for any more.
    end = _SENTENCES.split(question[-_LAST_LETTERS:].strip().lower())[-1]
    found = {int(number) for number, _ in counted.findall(end) if number.isdecimal()}
    words = _counts(languages(), code_of(language))
    found |= {words[number] for number, _ in counted.findall(end) if number in words}
    if not found:
        found = {length for name, length in whole.items() if name in end}
    if len(found) != 1:
        return None
    (length,) = found
    return length if _FEWEST <= length <= _MOST else None


@cache
def _counts(known: Languages, code: str) -> dict[str, int]:
    return {word: n for each in _of(known, code) for word, n in each.digit_counts.items()}


@cache
def _patterns(known: Languages, code: str) -> tuple[re.Pattern[str], dict[str, int]]:
    nouns = sorted({noun for each in _of(known, code) for noun in each.digit_nouns})
    numbers = [r"\d{1,2}", *map(re.escape, sorted(_counts(known, code), key=len, reverse=True))]
    # Without a language that has any, nothing is found.
    ends = "|".join(map(re.escape, nouns)) or r"(?!)"
    counted = re.compile(rf"(?<!\w)({'|'.join(numbers)})[\s\u00a0-]*({ends})")
    return counted, {k: v for each in _of(known, code) for k, v in each.whole_numbers.items()}


def _of(known: Languages, code: str) -> list[Language]:
    own = known.get(code)
    return [own] if own is not None else list(known.values())
