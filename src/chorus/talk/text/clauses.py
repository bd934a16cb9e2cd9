"""Cuts a reply into clauses while it streams, so that the voice can begin before it is whole.

Text goes through `Speakable`, then each character is asked whether a clause may end there. The
first clause is let go at the first comma; without one, after a few words. Later ones must be
longer, because by then there is audio to speak while more text comes. A mark after a letter
decides at once; only where a digit, a dot or an address is before it is the next character
waited for, so that `3.50`, `10:30`, `Dr.` and `a@b.example` stay whole.

    clauses = Clauses()
    for delta in model: voice(clauses.feed(delta.text))
    voice(clauses.flush())

The clauses joined are `speakable(text)`: a clause begins with the space before it. (Only marks
that repeat the one before, as the second `!` of `Great!!`, may be left out: the clause was let go
by then.) How the text was cut into pieces changes nothing.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Literal

from chorus.languages import Languages, code_of, languages
from chorus.talk.text.speakable import Speakable
from chorus.talk.text.units import graphemes, is_unspaced, weight

_Kind = Literal["no", "wait", "soft", "hard", "space", "line", "unit"]


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Letters needed in a clause that ends at a sentence's end, and at a comma: for the first, the
# second, and all others.
_LEAST = ((1, 1), (8, 16), (20, 40))
_FIRST_WORDS = 7  # the first clause ends here without punctuation, or at a later safe word
_FIRST_UNSPACED = 45  # letters, in a script without spaces, where no mark and no space comes
_LEAST_PHRASE = 12  # letters, in such a script, before a space
_LATER_CHARS = 180  # without punctuation, at a safe word; at any word after twice as many

_HARD_AT_ONCE = frozenset("!?…。！？।؟")
_SOFT_AT_ONCE = frozenset(",;—，、；：،؛")
_SOFT_BEFORE_SPACE = frozenset(":-–")
_CLOSERS = frozenset("\"')]}”’»」』）")
# Replies often open with one of these alone; no address begins so, hence the full stop is
# believed without waiting for what follows.
_OPENERS = _words(
    "sure yes yeah okay ok great perfect certainly absolutely right thanks hello hi hey sorry "
    "alright good wonderful excellent understood ja nein genau gerne natürlich danke hallo gut "
    "oui non bonjour merci parfait sí claro hola gracias perfecto sim olá obrigado"
)
_ABBREVIATIONS = _words(
    "mr mrs ms mx dr prof st sr jr vs etc approx inc ltd co corp dept est ave blvd rd apt mt ft "
    "gen col sgt lt capt rev hon jan feb mar apr jun jul aug sep sept oct nov dec tel ext hrs min "
    "max bzw usw evtl ggf inkl str hr fr mme mlle sra dra ud uds dott sig"
)
# Of languages that write ordinals with a full stop: months and what else has ordinals, in capitals.
_AFTER_ORDINALS = _words(
    "Januar Jänner Februar März April Mai Juni Juli August September Oktober November Dezember "
    "Jan Feb Mär Apr Jun Jul Aug Sep Okt Nov Dez Stock Etage Klasse Mal Woche Platz Quartal Tag "
    "Jahrhundert Geburtstag Bezirk Januari Februari Maj"
)
_WORD = re.compile(r"[^\W\d_]+")
# "3", and what ends in such a number: a date, "3.-5".
_ORDINAL = re.compile(r"\d{1,2}|\d{1,2}\.\d{1,2}|\d{1,2}\.?[-–]\d{1,2}")
_REPEATED = "".join(sorted(_HARD_AT_ONCE)) + "."
_ABBREVIATIONS_BEFORE_NUMBERS = _words("no nos nr p pp vol fig ch sec art ca")
# A clause that ends after one of these sounds cut off.
_UNSAFE_LAST = _words(
    "a an the of to in on at by for from with and or but nor as is are was were be been will "
    "would can could shall should may might must do does did has have had i you we they he she "
    "it this that these those my your our their his her its not no very more most than if when "
    "while because so about into over under per der die das ein eine und oder zu im in le la les "
    "un une de du des et ou à el los las y o en para por que"
)


@cache
def _abbreviations(languages: Languages, code: str) -> frozenset[str]:
    """Those of all languages, and those that are abbreviations in this one only ("Do.")."""
    known = languages.get(code)
    written = known.reading.table("abbreviations") if known else ()
    return _ABBREVIATIONS | {
        each.rstrip(" #").split()[-1].removesuffix(".").lower()
        for each in written
        if each.rstrip(" #").endswith(".")
    }


class Clauses:
    """One reply, in a language (a tag; None where it is not known). After `flush` it begins
    anew."""

    def __init__(self, language: str | None = None) -> None:
        self._language = language
        self._abbreviations = _abbreviations(languages(), code_of(language))
        self._endings = tuple(each[1:] for each in self._abbreviations if each.startswith("*"))
        self._text = Speakable()
        self._repeating = False  # the last clause ended with a mark that may be repeated
        self._buffer = ""
        self._at = 0
        self._released = 0

    def feed(self, text: str) -> list[str]:
        """The clauses that are ready, often none."""
        self._buffer += self._text.feed(text)
        return self._cut(final=False)

    def flush(self) -> list[str]:
        """The text is over: everything that is left."""
        self._buffer += self._text.flush()
        ready = self._cut(final=True)
        if any(char.isalnum() for char in self._buffer):
            ready.append(self._buffer.replace("\n", " "))
        self.__init__(self._language)
        return ready

    def _cut(self, *, final: bool) -> list[str]:
        ready: list[str] = []
        while self._at < len(self._buffer):
            if self._repeating:
                rest = self._buffer.lstrip(_REPEATED)
                if not rest:
                    break
                self._repeating = False
                dot = self._buffer[: len(self._buffer) - len(rest)].endswith(".")
                if not (dot and rest[0].isalnum() and rest[0].isascii()):  # ".5" is no mark
                    self._buffer = rest
            kind, stop = self._end(self._at, final)
            if kind == "wait":
                break
            if kind != "no" and self._long_enough(kind, stop):
                ready.append(self._buffer[:stop].replace("\n", " "))
                self._buffer = self._buffer[stop:]
                self._released += 1
                self._repeating = kind == "hard"
                self._at = 0
            else:
                self._at += 1
        return ready

    def _end(self, at: int, final: bool) -> tuple[_Kind, int]:
        """Whether a clause may end at the character `at`, and where it stops then."""
        text = self._buffer
        char = text[at]
        if char == " ":
            return ("space" if at else "no"), at
        if char == "\n":
            return ("line" if at else "no"), at
        before = text[at - 1] if at else " "
        token = text[max(text.rfind(" ", 0, at), text.rfind("\n", 0, at)) + 1 : at]
        if char in _HARD_AT_ONCE or char in _SOFT_AT_ONCE:
            kind: _Kind = "hard" if char in _HARD_AT_ONCE else "soft"
            numeric = char in ",—" and before.isdigit()
            if not numeric and not any(c in "@/." for c in token):
                return kind, at + 1
        elif char == ".":
            kind = "hard"
            word = token.lstrip("\"'([{“‘«").lower()
            if not self._released and word in _OPENERS and text[:at].strip() == token:
                return kind, at + 1
            if text[at + 1 : at + 2] == ".":
                return "no", at  # an ellipsis is one mark; its last dot decides
            label = word.rpartition(".")[2]
            if len(label) == 1 and label.isalpha():
                return "no", at  # an initial, `e.g.`, `p.m.`
            if self._is_abbreviation(word) or (word.isdigit() and text[:at].strip() == token):
                return "no", at
            if _ORDINAL.fullmatch(word):
                # "am 3. Mai": an ordinal where a month or a small letter follows.
                rest = text[at + 1 :].lstrip(" ")
                if not rest and not final:
                    return "wait", at
                follows = _WORD.match(rest)
                noun = follows.group() if follows else ""
                if noun[:1].islower() or noun in _AFTER_ORDINALS:
                    return "no", at
                if not final and noun == rest and any(n.startswith(noun) for n in _AFTER_ORDINALS):
                    return "wait", at
            if word in _ABBREVIATIONS_BEFORE_NUMBERS and not final:
                if len(text) < at + 3:
                    return "wait", at
                if text[at + 2].isdigit():
                    return "no", at
        elif char in _SOFT_BEFORE_SPACE:
            kind = "soft"
            if char != ":" and not before.isspace():
                return "no", at  # a hyphen inside a word, a range
            if char != ":" and text[:at].rstrip()[-1:].isdigit():
                if len(text) < at + 3 and not final:
                    return "wait", at
                if text[at + 1 : at + 3].strip().isdigit():
                    return "no", at  # "10 - 3"
        elif is_unspaced(char):
            # A script without spaces: between two written characters, if it must be.
            if at + 1 == len(text):
                return ("no" if final else "wait"), at
            parts = is_unspaced(text[at + 1]) and len(graphemes(text[at : at + 2])) == 2
            return ("unit" if parts else "no"), at + 1
        else:
            return "no", at
        stop = at + 1
        while stop < len(text) and (text[stop] in _CLOSERS or text[stop] in ".!?"):
            stop += 1
        if stop == len(text):
            return (kind if final else "wait"), stop
        return (kind if text[stop].isspace() else "no"), stop

    def _is_abbreviation(self, word: str) -> bool:
        return word in self._abbreviations or word.endswith(self._endings)

    def _long_enough(self, kind: _Kind, stop: int) -> bool:
        clause = self._buffer[:stop]
        letters = _letters(clause)
        if kind == "line" or not letters:
            return letters > 0
        if kind == "unit":
            return letters >= (_LATER_CHARS if self._released else _FIRST_UNSPACED)
        if kind == "space" and is_unspaced(clause.rstrip()[-1]):  # it stands between phrases
            return letters >= max(_LEAST[min(self._released, len(_LEAST) - 1)][1], _LEAST_PHRASE)
        if kind == "space":
            words = clause.split()
            last = words[-1].lower()
            # Neither within a number that is read out nor between a sign and its number.
            safe = last not in _UNSAFE_LAST and not any(c.isdigit() for c in last)
            safe = safe and any(c.isalpha() for c in last)
            if not self._released and len(words) >= _FIRST_WORDS:
                return safe
            return stop >= _LATER_CHARS and (safe or stop >= 2 * _LATER_CHARS)
        hard, soft = _LEAST[min(self._released, len(_LEAST) - 1)]
        return letters >= (hard if kind == "hard" else soft)


def _letters(text: str) -> float:
    """How much there is to say; a character of a script that writes syllables counts for more."""
    return sum(weight(c) if is_unspaced(c) else c.isalnum() for c in text)
