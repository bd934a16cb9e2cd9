"""Who answered, as a machine without I/O: sounds, words and tones in, verdicts out.

Times are milliseconds of the call's audio. In order of what says most:

1. words: phrases of mailboxes, menus and screening programs (`words.py`), as soon as known;
2. tones: a fax, the tones before an announcement, the beep of a mailbox (`tones.py`);
3. the carrier's own detection, where there is one;
4. timing: who says a few words and then listens is a person; who talks on and on is none;
5. nothing at all for a while.

A verdict stands until a better one. A person may turn out to be a mailbox that paused, in its first
seconds; a mailbox may turn out to be a menu; whoever picks up later is a person after all. After a
screening `again` has it begin anew.
"""

from __future__ import annotations

from chorus.lines.desk import Detected
from chorus.talk.answered.tones import Tone
from chorus.talk.answered.verdict import Verdict, Who, Why
from chorus.talk.answered.words import CERTAIN, Kind, Phrases

GAP_MS = 450.0
"""A silence that is shorter is part of what is being said."""
WORDS_DUE_MS = 1000.0
"""So long after somebody fell silent their words are not waited for any more."""
SHORT_MS = 2600.0
"""Few people say more than that before they listen."""
LONG_MS = 5000.0
"""Whoever speaks for so long without a pause, whatever it is, does not listen. Shorter, and people
with a long sentence are taken for machines (docs/guides/leave-a-message.md)."""
HELLO_MS = 1500.0
"""A greeting that is no longer, after a mailbox's, is somebody who has picked up."""
FAX_AFTER_MS = 1500.0
"""With more voice than this before it a tone is no fax."""
SILENT_MS = 8000.0
PAUSED_MS = 8000.0
"""So long after it any words of a mailbox do, if only a pause made it a person."""
REVISED_MS = 15_000.0
"""So long after the first sound a person may turn out to be a machine."""

_WHO: dict[Kind, Who] = {
    "screening": "screening",
    "unavailable": "unavailable",
    "after_tone": "mailbox",
    "menu": "menu",
    "mailbox": "mailbox",
    "reached": "mailbox",
    "person": "person",
}
_SURE: dict[Kind, float] = {
    "screening": 0.95,
    "unavailable": 0.95,
    "after_tone": 0.97,
    "menu": 0.95,
    "mailbox": 0.9,
    "reached": 0.7,
    "person": 0.95,
}


class Judge:
    """Of one call. `verdict` is the present one."""

    def __init__(self, phrases: Phrases) -> None:
        self._phrases = phrases
        self.verdict: Verdict | None = None
        self._forget(0.0)

    @property
    def spoken(self) -> bool:
        """Somebody or something has made a voice."""
        return self._first_ms is not None

    def early(self, now: float) -> bool:
        """Whether a person may still turn out to be a machine."""
        return self._first_ms is None or now - self._first_ms <= REVISED_MS

    def again(self, now: float) -> None:
        """What is heard from now on is somebody else's."""
        self._forget(now)
        self.verdict = None

    def _forget(self, now: float) -> None:
        self._began_ms = now
        self._first_ms: float | None = None
        self._voice_ms: float | None = None  # where voice last ended
        self._onset_ms = 0.0  # where what is being said began
        self._voiced_ms = 0.0  # of all that was said
        self._words_ms = now  # up to where words are known
        self._said = ""  # finals
        self._last = ""  # of what was said last
        self._interim = ""
        self._judged = True  # what was said last

    # --- what is heard ------------------------------------------------------------------------

    def frame(self, voiced: bool, now: float, frame_ms: float) -> None:
        """One frame of audio that ends at `now` holds voice or not."""
        if voiced:
            if self._first_ms is None:
                self._first_ms = now
            if self._voice_ms is None or now - self._voice_ms > GAP_MS:
                self._onset_ms, self._last = now - frame_ms, ""
            self._voice_ms = now
            self._voiced_ms += frame_ms
            self._judged = False
            if self.verdict is None and now - self._onset_ms >= LONG_MS and not self._friendly():
                self._decide("mailbox", 0.6, "timing", now)
            return
        if self._voice_ms is None:
            if self.verdict is None and now - self._began_ms >= SILENT_MS:
                self._decide("silence", 0.9, "silence", now)
            return
        silent_ms = now - self._voice_ms
        if self._judged or silent_ms < GAP_MS:
            return
        if self._words_ms >= self._voice_ms or silent_ms >= WORDS_DUE_MS:
            self._judged = True
            self._fell_silent(self._voice_ms, now)

    def words(self, text: str, *, final: bool, heard_to: float, now: float) -> None:
        """What was understood; an interim is everything since the last final."""
        if final:
            self._said, self._interim = f"{self._said} {text}".strip(), ""
            self._last = f"{self._last} {text}".strip()
            self._words_ms = max(self._words_ms, heard_to)
        else:
            self._interim = text
        # Once there is a verdict, only what is being said now can change it.
        said = self._said if self.verdict is None else self._last
        kinds = self._phrases.kinds(f"{said} {self._interim}")
        if not kinds:
            return
        kind = kinds[0]
        if kind in ("mailbox", "reached") and "person" in kinds:
            kind = "person"  # "you have reached the garden shop, how can I help you"
        if kind in ("person", "reached") and not final:
            return  # the rest of it may say something else
        if self._may_become(_WHO[kind], kind, now):
            self._decide(_WHO[kind], _SURE[kind], "words", now)

    def tone(self, tone: Tone, now: float) -> None:
        if tone == "fax":
            if self._voiced_ms <= FAX_AFTER_MS:
                self._decide("fax", 0.97, "tone", now)
        elif tone == "sit":
            # A person is not hung up on for what may have been their own voice.
            if self.verdict is None or self.verdict.who != "person" or self.early(now):
                self._decide("unavailable", 0.95, "tone", now)
        elif self._first_ms is not None and (
            self.verdict is None or (self.verdict.who == "person" and self.early(now))
        ):
            self._decide("mailbox", 0.9, "beep", now)

    def carrier(self, found: Detected, *, now: float) -> None:
        """It knows by timing, too, so words go before it."""
        verdict = self.verdict
        if verdict is not None and verdict.why == "words":
            return
        if found != "person" and (verdict is None or verdict.who in ("person", "silence")):
            self._decide("fax" if found == "fax" else "mailbox", 0.8, "carrier", now)
        elif found == "person" and verdict is None:
            self._decide("person", 0.75, "carrier", now)

    # --- what follows -------------------------------------------------------------------------

    def _fell_silent(self, ended_ms: float, now: float) -> None:
        """Somebody has said something and listens, or only breathes."""
        length_ms = ended_ms - self._onset_ms
        verdict = self.verdict
        if verdict is None or verdict.who == "silence":
            if self._phrases.is_hello(self._last):
                self._decide("person", 0.95, "words", now)
            else:
                sure = 0.85 if length_ms <= SHORT_MS / 2 else 0.75 if length_ms <= SHORT_MS else 0.6
                self._decide("person", sure, "timing", now)
            return
        short = length_ms <= HELLO_MS and now - verdict.at_ms > GAP_MS
        if short and verdict.who in ("mailbox", "screening") and self._phrases.is_hello(self._last):
            self._decide("person", 0.85, "words", now)

    def _friendly(self) -> bool:
        return "person" in self._phrases.kinds(f"{self._said} {self._interim}")

    def _may_become(self, who: Who, kind: Kind, now: float) -> bool:
        verdict = self.verdict
        if verdict is None or verdict.who == "silence":
            return True
        if verdict.who == who:
            return verdict.why != "words"
        if verdict.who == "person":
            paused = verdict.why == "timing" and now - (self._first_ms or now) <= PAUSED_MS
            return self.early(now) and (kind in CERTAIN or (kind == "mailbox" and paused))
        if who == "person":
            return verdict.who == "menu"
        return kind in CERTAIN

    def _decide(self, who: Who, confidence: float, why: Why, now: float) -> None:
        if self.verdict is None or (self.verdict.who, self.verdict.why) != (who, why):
            self.verdict = Verdict(who, confidence, now, why)
