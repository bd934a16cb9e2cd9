"""What the last words promise: whether there is more to come, and how long to wait for it.

A finished sentence needs little silence; a trailing "and", an article or a filler promises more;
half a telephone number is dictated in groups with long pauses between them, but one that has as
many digits as were asked for is whole; no words at all mean that the transcriber is not there yet.
The words are in the files of the languages (`chorus/languages/`), of those that have them.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache

from chorus.languages import Languages, code_of, languages

# Milliseconds of silence that end a turn whose words so far…
WHOLE_MS = 200  # …are a number of as many digits as were asked for
FINISHED_MS = 250  # …end a sentence (the transcriber punctuates)
PLAIN_MS = 550  # …promise nothing either way
WORDLESS_MS = 900  # …have not come
OPEN_MS = 1500  # …cannot be the last
CLOSED_MS = 1200  # …are a number that is closed by a full stop
UNMARKED_MS = 1400  # …have no mark, from a transcriber that has put one behind each turn
NUMBER_MS = 1900  # …are part of a number that is being read out
PARTIAL_MS = 2000  # …are fewer digits than were asked for

# Digits at the end of the text: fewer are a quantity, more are a whole telephone number.
_LEAST_NUMBER, _WHOLE_NUMBER = 3, 9


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


# Where the language is not known, words that are open in one and may be the last in another
# do not count: "si" (if; yes), "es" (is; it), "sie" and the like.
_AMBIGUOUS = _set(
    "a die es in so an am me was war er on la un son este sur elle u e o si sie men man den van "
    "met her sin no na to do as i en de ya var han at der het is us jest"
)

_SENTENCE_END = re.compile(r"[.?!。？！…]['\"”’»)\]]*\s*$")
# A whole date is no part of a number: "12.5.1980", "May 5, 1980", "in 1980".
_DATE = re.compile(
    r"(?:\b\d{1,2}[./ -]\d{1,2}[./ -](?:19|20)\d\d|\b(?:19|20)\d\d[./-]\d{1,2}[./-]\d{1,2}"
    r"|\d{1,2}\.? [^\W\d]\w*,? (?:19|20)\d\d"
    r"|[^\W\d]\w*[.,]? \d{1,2}(?:st|nd|rd|th)?,? (?:19|20)\d\d)['\"\u201d]*[.?!]?\s*$"
)
_YEAR = re.compile(r"[^\W\d] (?:19|20)\d\d['\"\u201d]*[.?!]?\s*$")
_TRAILING_OFF = re.compile(r"(?:\.\.+|…|[,;:–—-])['\"”’»)\]]*\s*$")


def silence_needed_ms(
    text: str, language: str | None = None, *, digits: int | None = None, marked: bool = False
) -> int:
    """How long a silence ends a turn with these words so far. `language` is a BCP 47 tag; None
    or another language than those known looks for what is plain in all of them. `digits`: so many
    were asked for. `marked`: the transcriber puts a mark behind each sentence."""
    words = _words(text)
    if not words:
        return WORDLESS_MS
    open_words, digit_words = _known(languages(), code_of(language))
    count = _digits_at_end(words, digit_words)
    # One word of number behind others ("only the old one") is none that was read out.
    if digits is not None and 0 < count <= digits and (count > 1 or len(words) == 1):
        return WHOLE_MS if count == digits else PARTIAL_MS
    if _LEAST_NUMBER <= count < _WHOLE_NUMBER and not _DATE.search(text):
        if _YEAR.search(text):  # or the first digits of something longer
            return CLOSED_MS
        closed = bool(_SENTENCE_END.search(text)) and not trails_off(text)
        return CLOSED_MS if closed else NUMBER_MS
    if trails_off(text):
        return OPEN_MS
    if _SENTENCE_END.search(text):
        return FINISHED_MS
    if words[-1] in open_words:
        return OPEN_MS
    return UNMARKED_MS if marked else PLAIN_MS


def ends_sentence(text: str) -> bool:
    """Whether the last words are closed by the mark of a sentence's end."""
    return bool(_SENTENCE_END.search(text)) and not trails_off(text)


def trails_off(text: str) -> bool:
    """Whether the last mark promises more, in any language."""
    return bool(_TRAILING_OFF.search(text))


@cache
def _known(known: Languages, code: str) -> tuple[frozenset[str], frozenset[str]]:
    """Words that leave a sentence open, and figures; of all languages where this one has none."""
    own = known.get(code)
    if own is not None and own.open_words:
        return own.open_words, own.number_words
    open_words = frozenset[str]().union(*(each.open_words for each in known.values()))
    number_words = frozenset[str]().union(*(each.number_words for each in known.values()))
    return open_words - _AMBIGUOUS, number_words


def _words(text: str) -> list[str]:
    """In small letters, with the marks of their letters, without punctuation."""
    folded = unicodedata.normalize("NFC", text.lower()).replace("’", "'")
    plain = "".join(
        char if char == "'" or unicodedata.category(char)[0] in "LMN" else " " for char in folded
    )
    return [word for each in plain.split() if (word := each.strip("'"))]


def _digits_at_end(words: list[str], digit_words: frozenset[str]) -> int:
    count = 0
    for word in reversed(words):
        if word.isdecimal():
            count += len(word)
        elif word in digit_words:
            count += 1
        else:
            break
    return count
