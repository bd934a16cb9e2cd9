"""Who says such words on answering, by the phrases that each language's file lists (`[answered]`).

A phrase is words in their order; `*` stands for up to four others. Case, accents' form and marks
between words do not count. In a greeting that holds phrases of several kinds the one goes first
that says most: what asks who calls is a screening, even if it ends with "after the tone".
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal, get_args

from chorus.languages import Languages, code_of, languages

Kind = Literal["screening", "unavailable", "after_tone", "menu", "mailbox", "reached", "person"]
KINDS: tuple[Kind, ...] = get_args(Kind)
CERTAIN: frozenset[Kind] = frozenset({"screening", "unavailable", "after_tone", "menu"})
"""What hardly anybody says who picks up a telephone."""


@dataclass(frozen=True, slots=True)
class Phrases:
    """Of the languages that may be spoken."""

    by_kind: tuple[tuple[Kind, re.Pattern[str]], ...]
    hello: re.Pattern[str] | None = None

    def kinds(self, text: str) -> list[Kind]:
        """Those of which `text` holds a phrase, the most telling first."""
        plain = _plain(text)
        return [kind for kind, pattern in self.by_kind if pattern.search(plain)]

    def is_hello(self, text: str) -> bool:
        """Whether it is a greeting or two, and nothing else."""
        return self.hello is not None and bool(self.hello.fullmatch(_plain(text)))


def phrases(tags: Sequence[str]) -> Phrases:
    """For BCP 47 tags; English where none of them has a list."""
    return _phrases(languages(), tuple(dict.fromkeys(code_of(tag) for tag in tags)))


@cache
def _phrases(known: Languages, codes: tuple[str, ...]) -> Phrases:
    told = [known[code].answered for code in codes if code in known and known[code].answered]
    told = told or [known["en"].answered]
    by_kind: list[tuple[Kind, re.Pattern[str]]] = []
    for kind in KINDS:
        listed = [phrase for table in told for phrase in table.get(kind, ())]
        if listed:
            by_kind.append((kind, _pattern(listed)))
    greetings = [_one(phrase) for table in told for phrase in table.get("hello", ())]
    one = "|".join(greetings)
    hello = re.compile(rf"(?:{one})(?: (?:{one})){{0,3}}") if greetings else None
    return Phrases(tuple(by_kind), hello)


def _pattern(listed: Sequence[str]) -> re.Pattern[str]:
    return re.compile("|".join(rf"(?<!\w){_one(phrase)}(?!\w)" for phrase in listed))


def _one(phrase: str) -> str:
    words = _plain(phrase).split()
    pieces = [r"(?: \w+){0,4}" if word == "*" else f" {re.escape(word)}" for word in words]
    return "".join(pieces).removeprefix(" ")


def _plain(text: str) -> str:
    """Lower case, one space between words, apostrophes gone."""
    text = unicodedata.normalize("NFC", text).casefold().replace("\u2019", "'").replace("'", "")
    return re.sub(r"[^\w*]+", " ", text).strip()
