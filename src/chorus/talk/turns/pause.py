"""Whether a turn is over: what one silence at its end leads to.

Begun by the first unvoiced frame, a pause asks the end-of-turn model, lets the reply be drafted,
and says when the turn is to be committed or dropped. It is forgotten as soon as the caller goes
on.
"""

from __future__ import annotations

from collections import deque
from math import ceil, inf
from typing import Literal

from chorus.talk.turns.events import (
    AskEndOfTurn,
    CancelDraft,
    Draft,
    Event,
    KeyRule,
    SpeechPaused,
    TurnSettings,
)
from chorus.talk.turns.words import OpenTurn, same_words

FRAME_MS = 32
EPS_MS = 0.01  # times are floats


def framed_ms(ms: float) -> int:
    """`ms` rounded up to whole frames, in milliseconds."""
    return ceil(ms / FRAME_MS) * FRAME_MS


_ASK_FIRST_MS = 192
ASK_AGAIN_MS = framed_ms(256)
_MAX_DRAFTS = 3
_WORTH_MS = framed_ms(150)  # of silence: what final words are worth to a draft
_EARLY_MS = framed_ms(192)  # how long a voice may go on after the words that ended it

Outcome = Literal["eot", "fallback", "digits", "no_words", "too_short"]


class Pause:
    """The present silence of one call; its events go to `events`. `begun`: the caller is silent;
    `final`: all that was said before is transcribed; `verdict`: the end-of-turn model's, or the
    transcriber's own."""

    __slots__ = (
        "_ask_first",
        "_asked_at",
        "_count",
        "_draft",
        "_early_until",
        "_endpoint",
        "_events",
        "_fallback",
        "_give_up",
        "_key_gap",
        "_key_rule",
        "_least_fallback_ms",
        "_least_gap_ms",
        "_min_turn",
        "_question",
        "_questions",
        "_speculate",
        "_threshold",
        "_vendor_ms",
        "begun",
        "final",
        "verdict",
    )

    def __init__(self, settings: TurnSettings, threshold: float, events: deque[Event]) -> None:
        delay = settings.turn_endpoint_delay_ms
        fallback = max(settings.fallback_silence_ms, delay)
        self._threshold = threshold
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
        self._draft: Draft | None = None
        self._early_until = inf
        self._asked_at = 0.0
        self._vendor_ms = -inf  # up to where the transcriber says that the turn is over
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
        self.verdict: bool | None = None
        self._question = 0
        self._vendor_ms = -inf

    def begin(self, turn: OpenTurn) -> None:
        vendor_ms = self._vendor_ms
        self.forget()
        if turn.speech_end_ms - vendor_ms <= _EARLY_MS:
            self.vendor_verdict(True, vendor_ms)
        self._early_until = inf
        self.begun = True
        self._count += 1
        self._events.append(SpeechPaused(turn.id, self._count))

    def answer(self, question: int, p: float) -> bool:
        """The model's verdict; False if it is not the one waited for."""
        if not self._question or question != self._question:
            return False
        self.verdict = p >= self._threshold
        return True

    def vendor_verdict(self, over: bool, heard_to: float) -> None:
        """The transcriber's own, of all that it heard up to there. A yes settles the pause: it has
        heard all that there is. Where silence alone or the fallback alone decides, it does not."""
        self._vendor_ms = heard_to if over else -inf
        if self.begun and 0 < self._threshold < 1:
            self.verdict = over
            self.final = self.final or over

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
        decided = self._threshold == 0 or bool(self.verdict)
        if decided and self.final and not interim and silence >= self._endpoint:
            by = "eot"
        elif silence >= self._fallback:
            by = "fallback"
        else:
            self._ask(turn, silence, now, again=True)
            worth = _WORTH_MS if self.final else 0
            if silent and silence + worth >= self._speculate:
                self._draft_reply(turn, interim)
            return None
        return by if turn.by_words or turn.voiced_ms >= self._min_turn else "too_short"

    def _ask(self, turn: OpenTurn, silence: float, now: float, *, again: bool) -> None:
        if not 0 < self._threshold < 1 or not self._ask_first <= silence < self._fallback:
            return
        if self._question:
            # An answer that is late or lost is not asked for twice: the fallback stands in.
            if self.verdict is not False or not again:
                return
            if now - self._asked_at + EPS_MS < ASK_AGAIN_MS:
                return
        self._questions += 1
        self._question = self._questions
        self._asked_at = now
        self.verdict = None
        silence_ms = round(silence - EPS_MS, 3)
        self._events.append(AskEndOfTurn(self._question, turn.id, turn.onset_ms, silence_ms))

    def _draft_reply(self, turn: OpenTurn, interim: str) -> None:
        if self._speculate and not self._draft and turn.drafts < _MAX_DRAFTS:
            turn.drafts += 1
            self._draft = Draft(turn.id, self._count, turn.text(interim))
            self._events.append(self._draft)

    def draft_early(self, turn: OpenTurn, now: float) -> None:
        """Final words have come while the caller is still voiced: a detector falls silent some
        frames later than a person, so the reply is drafted for the pause that is about to
        begin. One draft is left for when this was wrong."""
        wanted = 0 < self._speculate <= _WORTH_MS
        if wanted and not self._draft and turn.drafts < _MAX_DRAFTS - 1:
            turn.drafts += 1
            self._draft = Draft(turn.id, self._count + 1, turn.text(""))
            self._events.append(self._draft)
            self._early_until = now + _EARLY_MS

    def voiced(self, now: float) -> None:
        """The caller is still voiced: an early draft was a mistake after a while."""
        if now > self._early_until:
            self._early_until = inf
            self.cancel_draft()

    def cancel_draft(self, *, unless: str | None = None) -> None:
        """Cancel the open draft, unless it was made of these words, whatever their case and
        punctuation."""
        draft = self._draft
        if draft and (unless is None or not same_words(draft.text, unless)):
            self._draft = None
            self._events.append(CancelDraft(draft.turn, draft.pause))

    def hand_over_draft(self, text: str) -> None:
        """The turn is committed with `text`: a draft of it is the owner's now."""
        self.cancel_draft(unless=text)
        self._draft = None
