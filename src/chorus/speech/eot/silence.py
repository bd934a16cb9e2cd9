"""The end of a turn without a model: how long the silence is, and whether the words so far
leave something open.

`silence_needed_ms` looks at the last words: a finished sentence needs little silence; a
trailing "and", an article or a filler promises more; half a telephone number is dictated
in groups with long pauses between them; no words at all mean that the transcriber is not
there yet. `judge` turns the silence into a probability that reaches one half when it is as
long as needed, so that a higher threshold waits in proportion. Pure; English, German,
French and Spanish.
"""

from __future__ import annotations

import re

from chorus.speech.engines import Heard

# Milliseconds of silence that end a turn whose words so far…
FINISHED_MS = 250  # …end a sentence (the transcriber punctuates)
PLAIN_MS = 550  # …promise nothing either way
WORDLESS_MS = 900  # …have not come
OPEN_MS = 1500  # …cannot be the last
NUMBER_MS = 1900  # …are part of a number that is being read out

# Digits at the end of the text: fewer are a quantity, more are a whole telephone number.
_LEAST_NUMBER, _WHOLE_NUMBER = 3, 9


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_OPEN = {
    "en": _set(
        "and or but because so if when while that which who with without for from to at in on of "
        "by about into the a an my your his our their its this these is are was were will would "
        "can could should i'm it's i we they he she um uh uhm er erm hmm like well"
    ),
    "de": _set(
        "und oder aber weil denn dass wenn ob als damit mit ohne für von zu zum zur bei auf in im "
        "an am aus nach um der die das den dem des ein eine einen einem einer mein meine meinen "
        "dein ihr ihre unser ist sind war wäre ich wir sie er es äh ähm öh also hm"
    ),
    "fr": _set(
        "et ou mais parce que qui car donc si quand avec sans pour de du des à au aux en dans sur "
        "par chez le la les un une mon ma mes ton ta votre vos notre nos son sa ses ce cette ces "
        "est sont était je j'ai nous vous ils elle il euh heu ben alors hum"
    ),
    "es": _set(
        "y e o u pero porque que si cuando como con sin para por de del a al en sobre el la los "
        "las un una unos unas mi mis tu su sus nuestro nuestra este esta es son era yo nosotros "
        "eh em pues mmm"
    ),
}

_DIGIT_WORDS = {
    "en": _set("zero oh one two three four five six seven eight nine"),
    "de": _set("null eins zwei zwo drei vier fünf sechs sieben acht neun"),
    "fr": _set("zéro un deux trois quatre cinq six sept huit neuf"),
    "es": _set("cero uno dos tres cuatro cinco seis siete ocho nueve"),
}

# Where the language is not known, words that are open in one and may be the last in another
# do not count: "si" (if; yes), "es" (is; it), "sie" and the like.
_AMBIGUOUS = _set("a die es in so an am me was war er on la un son este sur elle u e o si sie")

_TOKEN = re.compile(r"[^\W_]+(?:['’][^\W\d_]+)*")
_SENTENCE_END = re.compile(r"[.?!。？！…]['\"”’»)\]]*\s*$")
_TRAILING_OFF = re.compile(r"(?:\.\.+|…|[,;:–—-])['\"”’»)\]]*\s*$")


def silence_needed_ms(text: str, language: str | None = None) -> int:
    """How long a silence ends a turn with these words so far. `language` is a BCP 47 tag; None
    or another language than those known looks for what is plain in all of them."""
    words = [token.lower().replace("’", "'") for token in _TOKEN.findall(text)]
    if not words:
        return WORDLESS_MS
    primary = (language or "").lower().split("-")[0]
    open_words = _OPEN.get(primary) or frozenset[str]().union(*_OPEN.values()) - _AMBIGUOUS
    digit_words = _DIGIT_WORDS.get(primary) or frozenset[str]().union(*_DIGIT_WORDS.values())
    if _LEAST_NUMBER <= _digits_at_end(words, digit_words) < _WHOLE_NUMBER:
        return NUMBER_MS
    if _TRAILING_OFF.search(text):
        return OPEN_MS
    if _SENTENCE_END.search(text):
        return FINISHED_MS
    return OPEN_MS if words[-1] in open_words else PLAIN_MS


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


class SilenceEndOfTurn:
    """`EndOfTurn` for where there is no model. `language`: of the calls that it judges."""

    name = "silence"
    threshold = 0.5

    def __init__(self, language: str | None = None) -> None:
        self._language = language

    async def judge(self, heard: Heard) -> float:
        needed_ms = silence_needed_ms(heard.text, self._language)
        return min(1.0, self.threshold * heard.silence_ms / needed_ms)

    async def aclose(self) -> None:
        """Nothing to release; here so that every engine is closed alike."""
