"""The words of a turn: what is final, what is still open, and what was answered already.

A transcriber repeats itself: an interim is everything since the last final, and a final
says the same again. Where a turn ended on interim words, what follows begins with words
that were answered; `Transcript` takes them off, so that nothing is lost and nothing doubled.
"""

from __future__ import annotations

from chorus.talk.text.backchannel import tokens


class OpenTurn:
    """A turn that may still grow, or a candidate for one (`id` 0: nobody was told of it yet).

    `onset_ms` is where its audio begins, `speech_end_ms` where it last held speech, `voiced_ms`
    how much of it was voiced. `by_words`: its words opened it, however short it was.
    `doubtful`: opened only to find out whether it holds words. `took_floor`: the agent fell silent
    for it. `settled`: a final came after its last voice."""

    __slots__ = (
        "by_words",
        "digits",
        "doubtful",
        "drafts",
        "finals",
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
        used = self._used
        if " " not in text and text.startswith(used):
            return text[len(used) :]  # a script without spaces
        before, words = used.split(), text.split()
        if spoken_at > self._used_at:
            # Later speech: it repeats the used words only if the transcriber gave no final.
            same = sum(a == b for a, b in zip(tokens(used), tokens(text), strict=False))
            if 2 * same < len(before):
                self._used = ""
                return text
        return " ".join(words[len(before) :])
