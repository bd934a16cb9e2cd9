"""The floor: whose turn it is, and how it passes.

States: `idle`; `user` (the caller is voiced); `pause` (silent, the turn open); `reply`
(committed, nothing heard of the answer yet); `agent` (heard); `held` (the agent paused by what
may be an interruption); `ended`.

In order below: what falls due as time passes; how the caller takes the floor; how the turn ends.
What is heard, and what it means, is the business of `turns.py`, which calls this; what is known of
the two is in `caller.py` and `agent.py`.
"""

from __future__ import annotations

from collections import deque
from math import inf
from typing import Literal

from chorus.talk.text.backchannel import is_backchannel
from chorus.talk.turns.agent import Agent
from chorus.talk.turns.caller import Caller
from chorus.talk.turns.events import (
    Event,
    Interrupted,
    PauseAgent,
    ResumeAgent,
    Retract,
    SpeechStarted,
    TurnCommitted,
    TurnDropped,
    TurnSettings,
    Unheard,
)
from chorus.talk.turns.pause import EPS_MS, FRAME_MS, Pause, framed_ms
from chorus.talk.turns.words import OpenTurn

State = Literal["idle", "user", "pause", "reply", "agent", "held", "ended"]

GAP_MS = framed_ms(160)  # silence inside a run of speech
_FALSE_INTERRUPTION_MS = framed_ms(1000)
_WORDLESS_MS = framed_ms(3000)
_WORDLESS_TURNS = 3


class Floor:
    """The state of one call's turn-taking, and its transitions. What follows from them is appended
    to `events`; `current` is the turn that is open, or else the last one that was."""

    def __init__(
        self, settings: TurnSettings, *, threshold: float, language: str | None = None
    ) -> None:
        if not 0 <= threshold <= 1:
            raise ValueError(f"threshold must be 0 to 1, not {threshold}")
        if not 0 <= settings.frame_activation_threshold <= 1:
            raise ValueError(
                f"frame_activation_threshold must be 0 to 1, "
                f"not {settings.frame_activation_threshold}"
            )
        for name in (
            "turn_endpoint_delay_ms",
            "min_turn_duration_ms",
            "min_interruption_duration_ms",
            "post_speech_cooldown_ms",
            "speculative_silence_ms",
            "fallback_silence_ms",
        ):
            if getattr(settings, name) < 0:
                raise ValueError(f"{name} must not be negative")
        self._language = language
        least_ms = max(settings.min_interruption_duration_ms, settings.min_turn_duration_ms)
        self.min_interruption = max(framed_ms(least_ms), FRAME_MS)
        self.min_wordless = framed_ms(least_ms + 1000)
        self.min_turn = framed_ms(settings.min_turn_duration_ms)
        self.cooldown = framed_ms(settings.post_speech_cooldown_ms)

        self.events: deque[Event] = deque()
        self.state: State = "idle"
        self.now = 0.0
        self._ids = 0  # the last turn id given out
        self.current = 0
        self.caller = Caller()
        self.agent = Agent()
        self.pause = Pause(settings, threshold, self.events, language)

    # --- time -------------------------------------------------------------------------------

    def advance(self, now: float) -> None:
        turn = self.caller.turn
        if turn is None:
            return
        if self.state == "pause":
            self._judge(turn, now)
        elif self.state == "user":
            self.judge_noise(turn, now)
        elif self.state == "held":
            if now - self.caller.voice_end + EPS_MS >= _FALSE_INTERRUPTION_MS:
                self.resume(turn, now)
        elif self.state == "idle" and now + EPS_MS >= self.agent.cooldown_end:
            self._outlast(turn, now)
            if self._silent:
                self._judge(turn, now)

    # --- the caller takes the floor ---------------------------------------------------------

    def announce(self, turn: OpenTurn) -> None:
        if not turn.id:
            self._ids += 1
            turn.id = self._ids

    def open(self, turn: OpenTurn, *, since: float | None = None) -> None:
        """`turn` is the caller's from now on; the speech in it began at `since`."""
        asked = self.state == "held" and self.pause.begun
        self.announce(turn)
        self.current = turn.id
        self.state = "user"
        self.agent.cooldown_end = -inf
        self.agent.effects = False
        self.caller.run = 0
        onset = turn.onset_ms if since is None else since
        self.events.append(SpeechStarted(turn.id, onset))
        self.begin_segment(onset)
        if self.caller.voiced:
            return
        if asked:  # already, in the silence in which it is confirmed
            self.state = "pause"
            self.pause.begun = True
        else:
            self.fall_silent()
        self.pause.final = turn.settled

    def begin_segment(self, onset: float) -> None:
        self.caller.segment_onset = onset
        self.caller.noise = False
        self.pause.forget()

    def fall_silent(self) -> None:
        if self.caller.turn:
            self.state = "pause"
            self.pause.begin(self.caller.turn)

    @property
    def _silent(self) -> bool:
        return self.state == "pause"

    @property
    def may_be_taken_back(self) -> bool:
        """Nothing was heard of the reply and nothing was done that cannot be undone. Any other,
        and what the agent says on its own account, is only interrupted."""
        return self.state == "reply" and self.agent.answered is not None and not self.agent.effects

    def hold(self, turn: OpenTurn, now: float) -> None:
        self.state = "held"
        self.agent.held_voice = self.caller.run
        self.agent.resumed = None
        self.announce(turn)
        self.events.append(PauseAgent())
        if self.agent.confirmed:
            self.interrupt("speech", now)

    def resume(self, turn: OpenTurn, now: float) -> None:
        self.agent.resumed = (turn, now)
        self.pause.forget()
        if self.is_backchannel(self.caller.transcript.interim, final=False):
            self.caller.transcript.use(now)
        if not turn.digits and (not turn.finals or self.is_backchannel(turn.text(""), final=True)):
            self.caller.turn = None  # else there is more in it than what has just been judged
        self.caller.run = 0
        self.state = "agent" if self.agent.heard_ms else "reply"
        self.events.append(ResumeAgent())

    def is_backchannel(self, text: str, *, final: bool) -> bool:
        """After a question "mm-hm" is an answer."""
        return not self.agent.asked and is_backchannel(text, self._language, final=final)

    def interrupt(self, by: Literal["speech", "digit"], now: float) -> None:
        turn = self.caller.turn = self.caller.turn or OpenTurn(now)
        self.announce(turn)
        turn.took_floor = True
        self.agent.answered = self.agent.resumed = None
        self.agent.uninterruptible = self.agent.effects = False
        self.events.append(Interrupted(turn.id, by, self.agent.heard_ms))
        self.open(turn)

    def take_back(self, now: float) -> None:
        """The caller went on before the answer was heard: the same turn goes on."""
        more = self.caller.turn or OpenTurn(now)
        answered, self.agent.answered = self.agent.answered, None
        assert answered is not None
        self.events.append(Retract(answered.id))
        answered.join(more)
        self.caller.turn = answered
        self.open(answered, since=more.onset_ms)

    def _outlast(self, turn: OpenTurn, now: float) -> None:
        """The cooldown is over and there was speech in it: an answer, or an echo."""
        going_on = now - self.caller.voice_end <= GAP_MS + EPS_MS
        self.caller.voiced = self.caller.voiced and going_on  # no frames may have come to say so
        if going_on or (turn.voiced_ms >= self.min_turn and not turn.settled):
            turn.doubtful = not going_on
            self.open(turn)
        else:
            self.caller.turn = None

    # --- and leaves it ----------------------------------------------------------------------

    def begin_reply(self) -> None:
        self.state = "reply"
        self.caller.run = 0
        self.agent.begin_reply()

    def silent_since(self, turn: OpenTurn, *, keys: bool = True) -> float:
        """Where the silence began; in noise, which hides it, where the last word ended."""
        if self.state == "pause":
            since = turn.speech_end_ms
        elif turn.finals or self.caller.transcript.interim:
            since = turn.word_at
        else:
            since = self.caller.segment_onset
        return max(since, turn.key_at) if keys and turn.digits else since

    def judge_noise(self, turn: OpenTurn, now: float) -> None:
        """Voice without words for long is no speech: the silence is what the words say it is."""
        if now - self.caller.wordless_since(turn) + EPS_MS >= _WORDLESS_MS:
            if not self.pause.begun:
                self.pause.begin(turn)
            self._judge(turn, now)

    def _judge(self, turn: OpenTurn, now: float) -> None:
        since = self.silent_since(turn)
        silent = self.state == "pause"
        outcome = self.pause.judge(turn, self.caller.transcript.interim, since, now, silent=silent)
        if outcome is None:
            return
        if outcome in ("no_words", "too_short"):
            self._drop(turn, outcome, now)
        else:
            self.commit(turn, outcome, now)

    def commit(self, turn: OpenTurn, by: Literal["eot", "fallback", "digits"], now: float) -> None:
        if self.state == "user" and (turn.finals or self.caller.transcript.interim):
            turn.speech_end_ms = max(turn.word_at, turn.onset_ms)
        if interim := self.caller.transcript.use(now):
            turn.finals.append(interim)
        text = turn.text("")
        self.pause.committed(turn)
        self.pause.drafts.hand_over(text)
        self.events.append(
            TurnCommitted(turn.id, by, text, turn.digits, turn.onset_ms, turn.speech_end_ms)
        )
        self.caller.wordless_turns = 0
        self.caller.turn, self.agent.answered = None, turn
        self.agent.committed_at = now
        self.caller.noise = self.caller.voiced
        self.begin_reply()

    def _drop(self, turn: OpenTurn, reason: Literal["no_words", "too_short"], now: float) -> None:
        self.pause.drafts.cancel()
        self.pause.forget()
        self.caller.transcript.use(now)
        self.events.append(TurnDropped(turn.id, reason))
        self.caller.turn = None
        self.caller.run = 0
        self.state = "idle"
        if reason == "too_short":
            self.caller.wordless_turns = 0
        elif not turn.doubtful:
            self.caller.wordless_turns += 1
            if turn.took_floor or self.caller.wordless_turns == _WORDLESS_TURNS:
                self.caller.wordless_turns = 0
                self.events.append(Unheard())
