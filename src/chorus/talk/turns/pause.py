"""Whether a turn is over: what one silence at its end leads to.

Begun by the first unvoiced frame, a pause asks the end-of-turn model, lets the reply be drafted,
and says when the turn is to be committed or dropped. It is forgotten as soon as the caller goes
on.
"""

from __future__ import annotations

from collections import deque
from math import ceil, inf
from typing import Literal

from chorus.talk.text.digits_asked import digits_asked
from chorus.talk.text.endings import ends_sentence
from chorus.talk.turns.drafts import Drafts
from chorus.talk.turns.enough import NO_OPINION, SURE, enough_ms, sureness
from chorus.talk.turns.events import AskEndOfTurn, Event, KeyRule, SpeechPaused, TurnSettings
from chorus.talk.turns.words import OpenTurn

FRAME_MS = 32
EPS_MS = 0.01  # times are floats


def framed_ms(ms: float) -> int:
    """`ms` rounded up to whole frames, in milliseconds."""
    return ceil(ms / FRAME_MS) * FRAME_MS


_ASK_FIRST_MS = 64
_ASK_AGAIN_MS = framed_ms(256)
_WORTH_MS = framed_ms(150)  # of silence: what a finished sentence is worth to a draft
_MARKED_TURNS = 2  # with a mark that nobody had asked for: the next will have one too
_EARLY_MS = framed_ms(192)  # how long a voice may go on after the words that ended it

Outcome = Literal["eot", "fallback", "digits", "no_words", "too_short"]


class Pause:
    """The present silence of one call; its events go to `events`. `begun`: the caller is silent;
    `final`: all that was said before is transcribed; `sure`: how sure it is that the turn is over
    (`enough.sureness`), by the end-of-turn model or by the transcriber itself; None while nobody
    has said. `question`: what the agent said last. `language` (BCP 47) is that of the words."""

    __slots__ = (
        "_answered",
        "_ask_first",
        "_asked_at",
        "_count",
        "_early_until",
        "_endpoint",
        "_enough",
        "_events",
        "_fallback",
        "_give_up",
        "_heard_ms",
        "_key_gap",
        "_key_rule",
        "_language",
        "_least_fallback_ms",
        "_least_gap_ms",
        "_marks",
        "_min_turn",
        "_question",
        "_questions",
        "_speculate",
        "_threshold",
        "_vendor_ms",
        "begun",
        "drafts",
        "final",
        "question",
        "sure",
    )

    def __init__(
        self,
        settings: TurnSettings,
        threshold: float,
        events: deque[Event],
        language: str | None = None,
    ) -> None:
        delay = settings.turn_endpoint_delay_ms
        fallback = max(settings.fallback_silence_ms, delay)
        self._threshold = threshold
        self._language = language
        self._endpoint = framed_ms(delay)
        self._ask_first = framed_ms(min(_ASK_FIRST_MS, delay))
        self._speculate = framed_ms(settings.speculative_silence_ms)
        self._fallback = framed_ms(fallback)
        self._give_up = framed_ms(fallback + 1000)
        self._least_gap_ms = delay
        self._least_fallback_ms = fallback
        self.expect_keys(None)
        self._min_turn = framed_ms(settings.min_turn_duration_ms)
        self._events = events
        self._count = 0
        self._questions = 0
        self.drafts = Drafts(events)
        self._early_until = inf
        self._asked_at = 0.0
        # Up to where the transcriber says that the turn is over, and has made words final unasked.
        self._vendor_ms = self._heard_ms = -inf
        # How long a silence is enough, and of what that is true.
        self._enough: tuple[float, str, bool, str, float] = (0.0, "", False, "", 0.0)
        self.question = ""
        self._marks = 0
        self.forget()

    def expect_keys(self, rule: KeyRule | None) -> None:
        """Numbers end so from now on; None: as usual."""
        self._key_rule = rule or KeyRule()
        self._key_gap = framed_ms(max(self._key_rule.gap_ms, self._least_gap_ms))

    def patience(self, ms: float | None) -> None:
        """A turn takes so much silence from now on; None: as usual."""
        self._endpoint = framed_ms(max(ms or 0.0, self._least_gap_ms))
        self._fallback = framed_ms(max(ms or 0.0, self._least_fallback_ms))
        self._give_up = self._fallback + framed_ms(1000)

    def keyed(self, digits: str) -> bool:
        """Whether these keys are a whole number."""
        return self._key_rule.complete(digits)

    def forget(self) -> None:
        """The caller goes on, or the turn has ended: nothing asked in this silence counts."""
        self.begun = self.final = False
        self.sure: float | None = None
        self._question = 0
        self._answered = False
        self._vendor_ms = self._heard_ms = -inf

    def begin(self, turn: OpenTurn) -> None:
        vendor_ms, heard_ms = self._vendor_ms, self._heard_ms
        self.forget()
        self.final = turn.speech_end_ms - heard_ms <= _EARLY_MS
        if turn.speech_end_ms - vendor_ms <= _EARLY_MS:
            self.vendor_verdict(True, vendor_ms)
        self._early_until = inf
        self.begun = True
        self._count += 1
        self._events.append(SpeechPaused(turn.id, self._count))

    def answer(self, question: int, p: float | None) -> bool:
        """The model's verdict, None if it has none; False if it is not the one waited for. In a
        longer silence a model says yes more easily, so what it said before counts too."""
        if not self._question or question != self._question:
            return False
        self._answered = True
        before = self.sure
        if p is not None:
            sure = sureness(p, self._threshold)
            self.sure = sure if before is None else (before + sure) / 2
        elif before is None:
            self.sure = NO_OPINION
        return True

    def vendor_verdict(self, over: bool, heard_to: float) -> None:
        """The transcriber's own, of all that it heard up to there. A yes settles the pause: it has
        heard all that there is. Where silence alone or the fallback alone decides, it does not."""
        self._vendor_ms = heard_to if over else -inf
        if self.begun and 0 < self._threshold < 1:
            self.sure = SURE if over else None
            self.final = self.final or over

    def heard(self, heard_to: float, since: float, *, asked: bool) -> None:
        """Final words, which have listened up to there; the silence began at `since`. A transcriber
        that was not asked for them knows by itself that the caller has stopped, and sooner than the
        detector does."""
        if self.begun and heard_to >= since - (0 if asked else _EARLY_MS):
            self.final = True
        elif not asked:
            self._heard_ms = heard_to

    def committed(self, turn: OpenTurn) -> None:
        """What the turn tells of the transcriber: whether it marks ends of sentences unasked."""
        if turn.finals and not turn.forced:
            marked = ends_sentence(turn.finals[-1])
            self._marks = min(self._marks + 1, _MARKED_TURNS + 1) if marked else self._marks // 2

    def judge(
        self, turn: OpenTurn, interim: str, since: float, now: float, *, silent: bool
    ) -> Outcome | None:
        """What is due at `now`, when nothing was said since `since`. `silent`: nothing is
        voiced either, so that a reply may be drafted."""
        silence = now - since + EPS_MS
        worded = bool(turn.finals or interim)
        if turn.digits:
            complete = self.keyed(turn.digits) or now - turn.key_at + EPS_MS >= self._key_gap
            settled = self.final or not (worded or turn.voiced_ms)
            over = complete and (settled or silence >= self._fallback)
            return "digits" if over else None
        if not worded:
            if silence >= self._give_up or (turn.doubtful and self.final):
                return "no_words"
            if not turn.doubtful:
                self._ask(turn, silence, now, again=False)
            return None
        settled = self.final and not interim and silence >= self._endpoint
        if settled and silence >= self._enough_ms(turn):
            by = "eot"
        elif silence >= self._fallback:
            by = "fallback"
        else:
            self._ask(turn, silence, now, again=True)
            if silent and self._speculate:
                self._draft_reply(turn, turn.text(interim), since, silence)
            return None
        return by if turn.by_words or turn.voiced_ms >= self._min_turn else "too_short"

    def _enough_ms(self, turn: OpenTurn) -> float:
        """How long this silence must be, as things are."""
        if self._threshold == 0:
            return 0.0
        if self.sure is None:
            return inf
        of = self.sure, turn.text(""), turn.forced, self.question
        if self._enough[:4] != of:  # not every frame
            enough = enough_ms(
                self.sure,
                of[1],
                self._language,
                forced=turn.forced,
                digits=digits_asked(self.question, self._language),
                marked=self._marks >= _MARKED_TURNS,
            )
            self._enough = (*of, enough)
        return self._enough[4]

    def _ask(self, turn: OpenTurn, silence: float, now: float, *, again: bool) -> None:
        if not 0 < self._threshold < 1 or not self._ask_first <= silence < self._fallback:
            return
        if self._question:
            # An answer that is late or lost is not asked for twice: the fallback stands in.
            if not self._answered or not again:
                return
            if now - self._asked_at + EPS_MS < _ASK_AGAIN_MS:
                return
        self._questions += 1
        self._question = self._questions
        self._asked_at = now
        self._answered = False
        silence_ms = round(silence - EPS_MS, 3)
        self._events.append(AskEndOfTurn(self._question, turn.id, turn.onset_ms, silence_ms))

    def _draft_reply(self, turn: OpenTurn, text: str, since: float, silence: float) -> None:
        worth = 0
        if silence < self._speculate:
            # A mark tells of this silence only if no voice came behind it.
            told = since - turn.word_at <= _EARLY_MS and ends_sentence(text)
            worth = _WORTH_MS if self.final or told else 0
        if silence + worth >= self._speculate:
            self.drafts.begin(turn, self._count, text)

    def draft_early(self, turn: OpenTurn, text: str, now: float) -> None:
        """Final words, or a sentence that has ended, while the caller is still voiced: a detector
        falls silent some frames later than a person, so the reply is drafted for the pause that is
        about to begin. One draft is left for when this was wrong."""
        wanted = 0 < self._speculate <= _WORTH_MS
        if wanted and self.drafts.begin(turn, self._count + 1, text, spare=1):
            self._early_until = now + _EARLY_MS

    def voiced(self, now: float) -> None:
        """The caller is still voiced: an early draft was a mistake after a while."""
        if now > self._early_until:
            self._early_until = inf
            self.drafts.cancel()

    def resumed(self, now: float) -> None:
        """The caller is voiced again. It may be a cough, or the end of a breath: drafts are kept
        for a while."""
        if self.drafts:
            self._early_until = now + _EARLY_MS
