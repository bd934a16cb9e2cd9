"""What a text names: the cheap rule of an agent whose instructions say when to look something up.

"When somebody asks about prices or opening hours" names prices, opening and hours; a turn that has
one of these words, in any form, is looked up at once. What a clause excludes ("not for
complaints") is not named. The words that instructions are made of, and those that stand in any
sentence, name nothing; they are known in English, so in other languages more turns may be looked up
than had to be. Nothing is named by words of fewer than four letters (`tax`, words in Chinese), nor
by a clause that holds another language's word for `not`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from chorus.talk.turns.words import tokens

_SHORTEST = 4
_ENDING = 3
"""Letters at most that forms of one word do not share: price, prices, pricing."""
_CLAUSE = re.compile(r"[.,;:!?\n]")
_EXCLUDING = """
not no never without except don't doesn't isn't aren't won't nicht nie kein keine keinen
ohne außer ne pas jamais sans nunca sin non mai senza
"""
_IN_ANY_SENTENCE = """
about after again agent agents all also always answer answers any anybody anyone anything
ask asked asking asks base bases because been before being between both call called caller
callers calling calls came come comes could customer customers does doing document documents
during each either else ever every everything find first from gets give given goes going
have having hear help here information instead into involves just kind know knowledge knows
like look looked looking looks made make makes many maybe mention mentioned mentions might
more most much must need needed needs only other others otherwise over passage passages
people person please question questions rather regarding related said says search searched
searches searching should some somebody someone something speak such sure take talk tell
tells than that their them then there these they thing things think this those topic topics
turn turns under unless until upon used user users using very want wanted wants were what
whatever when whenever where whether which while whose will with wonder would your yours
"""
_NOT = frozenset(_EXCLUDING.split())
_NOTHING = frozenset(_IN_ANY_SENTENCE.split())


@dataclass(frozen=True, slots=True)
class Topics:
    """Words that say what a text is about, folded in case, by their first letters: forms of one
    word share these, so a turn's words are held against few. A call asks with every draft."""

    by_beginning: Mapping[str, frozenset[str]]

    @property
    def words(self) -> frozenset[str]:
        return frozenset[str]().union(*self.by_beginning.values())

    @classmethod
    def of(cls, instructions: str) -> Topics:
        found: dict[str, set[str]] = {}
        for clause in _CLAUSE.split(instructions):
            said = tokens(clause)
            if not _NOT.intersection(said):
                for word in filter(_names, said):
                    found.setdefault(word[:_SHORTEST], set()).add(word)
        return cls({beginning: frozenset(words) for beginning, words in found.items()})

    def named_in(self, text: str) -> bool:
        """Whether the text has a form of one of them."""
        return any(
            _same(word, topic)
            for word in filter(_names, tokens(text))
            for topic in self.by_beginning.get(word[:_SHORTEST], ())
        )


def _names(word: str) -> bool:
    return len(word) >= _SHORTEST and word not in _NOTHING


def _same(one: str, other: str) -> bool:
    shared = 0
    for mine, theirs in zip(one, other, strict=False):
        if mine != theirs:
            break
        shared += 1
    return shared >= _SHORTEST and max(len(one), len(other)) - shared <= _ENDING
