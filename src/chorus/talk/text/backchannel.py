"""Words that do not take the turn: "mm-hm", and the agent's own words coming back.

A back-channel says "I am listening", not "let me speak". The lists hold what people say
while the other goes on talking; a word that could as well be an objection ("no", "but",
"wait") is in none of them. An echo is the agent's own voice in the caller's microphone.
"""

from __future__ import annotations

from functools import cache

from chorus.talk.turns.words import tokens

# Spelled as transcribers do; hyphens and case do not matter. Hums are common to all.
_HUMS = ("mm", "mmm", "mhm", "mm hm", "mm hmm", "mhmm", "hm", "hmm", "uh huh", "ah", "oh", "aha")
_PHRASES: dict[str, tuple[str, ...]] = {
    "en": ("ok", "okay", "yeah", "yep", "yes", "yup", "right", "sure", "i see", "got it",
           "alright", "all right", "uhhuh", "good", "great", "cool", "fine", "of course", "i know"),
    "de": ("ok", "okay", "ja", "jaja", "jo", "genau", "gut", "klar", "stimmt", "richtig",
           "alles klar", "na gut", "ach so", "achso", "verstehe", "ich verstehe", "sicher", "aha"),
    "fr": ("ok", "okay", "oui", "ouais", "d'accord", "dac", "bien", "très bien", "bien sûr",
           "voilà", "je vois", "entendu", "ah oui", "ah bon", "c'est ça", "exactement", "hum"),
    "es": ("ok", "okay", "sí", "si", "vale", "claro", "ya", "bien", "bueno", "de acuerdo",
           "entiendo", "ajá", "exacto", "está bien", "muy bien", "eso", "perfecto"),
    "it": ("ok", "okay", "sì", "si", "va bene", "certo", "capito", "ho capito", "esatto", "bene",
           "giusto", "d'accordo", "eh", "perfetto", "chiaro"),
    "pt": ("ok", "okay", "sim", "tá", "tá bom", "está bem", "está bom", "certo", "claro",
           "entendi", "pois", "pois é", "isso", "beleza", "bem", "uhum", "aham", "exato"),
    "nl": ("ok", "oké", "okee", "ja", "jaja", "jawel", "precies", "goed", "klopt", "prima",
           "juist", "ik snap het", "snap ik", "duidelijk", "is goed", "natuurlijk"),
    "pl": ("ok", "okej", "tak", "no", "no tak", "dobrze", "dobra", "jasne", "rozumiem", "aha",
           "racja", "w porządku", "właśnie", "yhm", "mhm"),
    "tr": ("ok", "okey", "evet", "tamam", "tabii", "tabi", "peki", "hı hı", "hıhı", "anladım",
           "doğru", "aynen", "olur", "he"),
    "ru": ("ок", "окей", "да", "угу", "ага", "так", "понятно", "понял", "поняла", "хорошо",
           "ясно", "ладно", "конечно", "верно", "мм", "хм", "ну да"),
    "uk": ("ок", "окей", "так", "угу", "ага", "зрозуміло", "добре", "ясно", "звісно", "гаразд",
           "мм"),
    "sv": ("ok", "okej", "ja", "jo", "just det", "precis", "bra", "visst", "jaha", "jag förstår"),
    "da": ("ok", "okay", "ja", "jo", "nemlig", "godt", "klart", "javel", "det er rigtigt"),
    "nb": ("ok", "okei", "ja", "jo", "nettopp", "bra", "riktig", "akkurat", "skjønner"),
    "cs": ("ok", "jo", "ano", "jasně", "dobře", "aha", "rozumím", "přesně", "no jo"),
}  # fmt: skip
_LONGEST = max(len(tokens(p)) for of_language in _PHRASES.values() for p in of_language)

# An echo is looked for among the last words heard: a short one closer to the end, because a
# single word of the agent's is also a likely answer to it ("… morning or evening?").
_ECHO_WORDS = 16
_SHORT_ECHO_WORDS = 6


@cache
def _phrases(language: str | None) -> frozenset[tuple[str, ...]]:
    """Back-channels as tuples of tokens. Without a language those of all of them, but for
    what means something else elsewhere (Polish "no")."""
    code = (language or "").casefold().replace("_", "-").split("-")[0]
    code = {"no": "nb", "nn": "nb"}.get(code, code)
    if not code:
        chosen = [p for of_language in _PHRASES.values() for p in of_language if p != "no"]
    else:
        chosen = list(_PHRASES.get(code, ("ok", "okay")))
    return frozenset(tuple(tokens(phrase)) for phrase in (*_HUMS, *chosen))


def is_backchannel(text: str, language: str | None, *, final: bool = True) -> bool:
    """Whether `text` is nothing but back-channels in `language` (ISO 639-1, region allowed;
    None: any). An interim may break off within a phrase: "I" may become "I see"."""
    words = tokens(text)
    phrases = _phrases(language)
    at = 0
    while at < len(words):
        for length in range(min(_LONGEST, len(words) - at), 0, -1):
            if tuple(words[at : at + length]) in phrases:
                at += length
                break
        else:
            rest = tuple(words[at:])
            return not final and any(p[: len(rest)] == rest for p in phrases)
    return bool(words)


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
