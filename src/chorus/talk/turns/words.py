"""The words of a turn: what is final, what is still open, and what was answered already.

A transcriber repeats itself: an interim is everything since the last final, and a final
says the same again. Where a turn ended on interim words, what follows begins with words
that were answered; `Transcript` takes them off, so that nothing is lost and nothing doubled.

Words are compared by `tokens`, in any script: without case and punctuation, and with every vowel
sign and tone mark, which make other words of the same letters in Hindi, Thai or Bengali.
"""

from __future__ import annotations

import unicodedata

from chorus.talk.text.units import graphemes, is_unspaced, units

_APOSTROPHES = "'’ʼ"


def tokens(text: str) -> list[str]:
    """The words of `text`, folded in case, without punctuation and symbols; "mm-hm" is two. In
    scripts without spaces between words each written character is one."""
    folded = unicodedata.normalize("NFC", text.casefold())
    plain: list[str] = []
    for at, char in enumerate(folded):
        category = unicodedata.category(char)
        if char in _APOSTROPHES and _inside(folded, at):
            plain.append("'")
        elif category == "Cf":
            continue  # joiners and marks of direction: they say nothing
        else:
            plain.append(" " if category[0] in "PSZC" else char)
    words: list[str] = []
    for word in "".join(plain).split():
        if any(map(is_unspaced, word)):
            words += _characters(word)
        else:
            words.append(word)
    return words


def same_words(one: str, other: str) -> bool:
    """Equal but for case, punctuation and spaces."""
    return one == other or tokens(one) == tokens(other)


def _inside(text: str, at: int) -> bool:
    return 0 < at < len(text) - 1 and text[at - 1].isalnum() and text[at + 1].isalnum()


def _characters(word: str) -> list[str]:
    """A word of a script without spaces by its written characters; what else is in it (a Latin
    name, a number) stays whole."""
    found: list[str] = []
    begun, spaced = 0, False
    for end in graphemes(word):
        piece, begun = word[begun:end], end
        if is_unspaced(piece[0]):
            found.append(piece)
            spaced = False
        elif spaced:
            found[-1] += piece
        else:
            found.append(piece)
            spaced = True
    return found


class OpenTurn:
    """A turn that may still grow, or a candidate for one (`id` 0: nobody was told of it yet).

    `onset_ms` is where its audio begins, `speech_end_ms` where it last held speech, `voiced_ms`
    how much of it was voiced. `by_words`: its words opened it, however short it was.
    `doubtful`: opened only to find out whether it holds words. `took_floor`: the agent fell silent
    for it. `settled`: a final came after its last voice. `forced`: the mark at the end of the last
    final was written because the transcriber had to finish."""

    __slots__ = (
        "by_words",
        "digits",
        "doubtful",
        "drafts",
        "finals",
        "forced",
        "id",
        "key_at",
        "onset_ms",
        "settled",
        "speech_end_ms",
        "took_floor",
        "voiced_ms",
        "word_at",
    )

    def __init__(self, onset_ms: float) -> None:
        self.id = 0
        self.onset_ms = onset_ms
        self.speech_end_ms = onset_ms
        self.voiced_ms = 0
        self.by_words = False
        self.doubtful = False
        self.took_floor = False
        self.settled = False
        self.forced = False
        self.finals: list[str] = []
        self.word_at = onset_ms
        self.digits = ""
        self.key_at = onset_ms
        self.drafts = 0

    def text(self, interim: str) -> str:
        return " ".join([*self.finals, interim]) if interim else " ".join(self.finals)

    def join(self, other: OpenTurn) -> None:
        """Take over what was heard after this turn as part of it."""
        self.settled = other.settled or other.voiced_ms == 0
        self.voiced_ms += other.voiced_ms
        self.by_words = self.by_words or other.by_words
        self.word_at = max(self.word_at, other.word_at)
        if other.voiced_ms or other.finals:
            self.speech_end_ms = max(self.speech_end_ms, other.speech_end_ms)
        self.finals += other.finals
        self.forced = other.forced if other.finals else self.forced
        self.digits += other.digits
        self.key_at = max(self.key_at, other.key_at)


class Transcript:
    """The transcriber's open words, less those that were used up."""

    __slots__ = ("_used", "_used_at", "interim")

    def __init__(self) -> None:
        self.interim = ""
        self._used = ""
        self._used_at = 0.0

    def hear(self, text: str, *, final: bool, spoken_at: float) -> str:
        """Take what the transcriber says and return what of it is new since `use`."""
        text = self._unused(text.strip(), spoken_at) if self._used else text.strip()
        if final:
            self._used = ""
        self.interim = "" if final else text
        return text

    def use(self, now: float) -> str:
        """Use up the open words: the transcriber will say them again."""
        used, self.interim = self.interim, ""
        if used:
            self._used = f"{self._used} {used}".strip()
            self._used_at = now
        return used

    def _unused(self, text: str, spoken_at: float) -> str:
        """`text` without the words that were used up before it."""
        before, now = tokens(self._used), tokens(text)
        if spoken_at > self._used_at:
            # Later speech: it repeats the used words only if the transcriber gave no final.
            same = sum(a == b for a, b in zip(before, now, strict=False))
            if 2 * same < len(before):
                self._used = ""
                return text
        return _behind(text, len(before))


def _behind(text: str, count: int) -> str:
    """What stands behind the first `count` tokens of `text`, as it is written."""
    if not count:
        return text
    ends = units(text)
    for at, end in enumerate(ends):
        if len(tokens(text[:end])) >= count:
            return text[end:].strip() if at + 1 < len(ends) else ""
    return ""
