"""Words that do not take the turn: "mm-hm", and the agent's own words coming back.

A back-channel says "I am listening", not "let me speak". The lists (`chorus/languages/`) hold what
people say while the other goes on talking; a word that could as well be an objection ("no", "but",
"wait") is in none of them. An echo is the agent's own voice in the caller's microphone.
"""

from __future__ import annotations

from functools import cache

from chorus.languages import Languages, code_of, languages
from chorus.talk.turns.words import tokens

# Spelled as transcribers do; hyphens and case do not matter. Hums are common to all.
_HUMS = ("mm", "mmm", "mhm", "mm hm", "mm hmm", "mhmm", "hm", "hmm", "uh huh", "ah", "oh", "aha")
# An echo is looked for among the last words heard: a short one closer to the end, because a
# single word of the agent's is also a likely answer to it ("… morning or evening?").
_ECHO_WORDS = 16
_SHORT_ECHO_WORDS = 6


@cache
def _phrases(known: Languages, code: str) -> tuple[frozenset[tuple[str, ...]], int]:
    """Back-channels as tuples of tokens, and how many tokens the longest has. Without a language
    those of all of them, but for what means something else elsewhere (Polish "no")."""
    if not code:
        chosen = [p for one in known.values() for p in one.backchannels if p not in one.only_here]
    else:
        language = known.get(code)
        chosen = list(language.backchannels if language else ("ok", "okay"))
    phrases = frozenset(tuple(tokens(phrase)) for phrase in (*_HUMS, *chosen))
    return phrases, max(map(len, phrases))


def is_backchannel(text: str, language: str | None, *, final: bool = True) -> bool:
    """Whether `text` is nothing but back-channels in `language` (ISO 639-1, region allowed;
    None: any). An interim may break off within a phrase: "I" may become "I see"."""
    words = tokens(text)
    phrases, longest = _phrases(languages(), code_of(language))
    reached = {0}  # where a row of whole phrases from the beginning may end
    for at in range(len(words)):
        if at in reached:
            reached |= {
                end
                for end in range(at + 1, min(at + longest, len(words)) + 1)
                if tuple(words[at:end]) in phrases
            }
    if not words or len(words) in reached:
        return bool(words)
    if final:
        return False
    rests = [tuple(words[at:]) for at in reached]
    return any(phrase[: len(rest)] == rest for rest in rests for phrase in phrases)


def is_echo(text: str, agent_text: str) -> bool:
    """Whether the words of `text` are, in this order, among the last that the agent said. A run
    of four or more may have one word in four misheard, as an echo often has."""
    words = tokens(text)
    if not words:
        return False
    within = _ECHO_WORDS if len(words) > 2 else _SHORT_ECHO_WORDS
    said = tokens(agent_text)[-max(within, len(words)) :]
    wrong = len(words) // 4
    return any(
        sum(a != b for a, b in zip(words, said[start:], strict=False)) <= wrong
        for start in range(len(said) - len(words) + 1)
    )


def is_question(text: str) -> bool:
    """Whether `text` ends in a question, by its last mark."""
    return text.rstrip(" \t\n\"'”“’»«)]").endswith(("?", "？", "؟", "՞", "⸮"))
