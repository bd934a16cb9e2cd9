"""Expected phrases as a recogniser's grammar wants them: words in lower case, numbers spelled.

Pure; which words a dictionary holds is handed in. English, as the model that uses it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

_ONES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_TEENS = (
    *("ten", "eleven", "twelve", "thirteen", "fourteen"),
    *("fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
)
_TENS = ("", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_WORD = re.compile(r"\d+|[^\W\d_]+(?:['’][^\W\d_]+)*")
# A longer row of digits is a number to be read out (a telephone, an order), not a quantity.
_QUANTITY_DIGITS = 4


@dataclass(frozen=True, slots=True)
class Phrasebook:
    """`written` finds the phrase as it was given by its spoken words; `left_out` are those that
    cannot be recognised."""

    written: dict[str, str]
    left_out: tuple[str, ...]


def phrasebook(phrases: Iterable[str], known: Callable[[str], bool]) -> Phrasebook:
    """Sort `phrases` into those all of whose words are `known` and the others. A `*`, which
    stands for anything in scripts, makes a phrase that no grammar can hold."""
    written: dict[str, str] = {}
    left_out: list[str] = []
    for phrase in phrases:
        spoken = spell(phrase)
        if not spoken or "*" in phrase or not all(map(known, spoken)):
            left_out.append(phrase)
        else:
            written.setdefault(" ".join(spoken), phrase)
    return Phrasebook(written, tuple(left_out))


def spell(phrase: str) -> list[str]:
    """The words of `phrase` as spoken: `Table for 12!` is table, for, twelve."""
    words: list[str] = []
    for word in _WORD.findall(phrase.lower()):
        if word.isdecimal():
            words += _number(word)
        else:
            words.append(word.replace("’", "'"))
    return words


def grammar(spoken: Iterable[str]) -> str:
    """A JSGF grammar of whole utterances (https://www.w3.org/TR/jsgf/)."""
    return f"#JSGF V1.0;\ngrammar phrases;\npublic <phrase> = {' | '.join(spoken)} ;\n"


def _number(digits: str) -> list[str]:
    if len(digits) > _QUANTITY_DIGITS or (digits[0] == "0" and len(digits) > 1):
        return [_ONES[int(digit)] for digit in digits]
    value = int(digits)
    words: list[str] = []
    if value >= 1000:
        words += [_ONES[value // 1000], "thousand"]
        value %= 1000
    if value >= 100:
        words += [_ONES[value // 100], "hundred"]
        value %= 100
    if value >= 20:
        words.append(_TENS[value // 10])
        value %= 10
    if value >= 10:
        words.append(_TEENS[value - 10])
    elif value or not words:
        words.append(_ONES[value])
    return words
