"""The floor: whose turn it is, and how it passes.

States: `idle`; `user` (the caller is voiced); `pause` (silent, the turn open); `reply`
(committed, nothing heard of the answer yet); `agent` (heard); `held` (the agent paused by what
may be an interruption); `ended`. In `user` and `pause` `_turn` is the open turn; in every other
state it is a candidate: speech that may become one.

In order below: what an owner may look at; what falls due as time passes; how the caller takes
the floor; how his turn ends. What is heard, and what it means, is the business of `turns.py`.
"""

from __future__ import annotations

from collections import deque
from math import inf
from typing import Literal

from chorus.talk.text.backchannel import is_backchannel
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
from chorus.talk.turns.pause import EPS_MS, FRAME_MS, Pause, frames
from chorus.talk.turns.words import OpenTurn, Transcript

State = Literal["idle", "user", "pause", "reply", "agent", "held", "ended"]

GAP_MS = frames(160)  # silence inside a run of speech
_FALSE_INTERRUPTION_MS = frames(1000)
_WORDLESS_MS = frames(3000)
_WORDLESS_TURNS = 3


class Floor:
    """The state of one call's turn-taking, and its transitions."""

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
        self._open_at = settings.frame_activation_threshold
        self._stay_at = max(settings.frame_activation_threshold - 0.15, 0.01)
        least_ms = max(settings.min_interruption_duration_ms, settings.min_turn_duration_ms)
        self._min_interruption = max(frames(least_ms), FRAME_MS)
        self._min_wordless = frames(least_ms + 1000)
        self._min_turn = frames(settings.min_turn_duration_ms)
        self._cooldown = frames(settings.post_speech_cooldown_ms)

        self._events: deque[Event] = deque()
        self._state: State = "idle"
        self._now = 0.0
        self._ids = 0  # the last turn id given out
        self._current = 0
        # The caller.
        self._voice = False
        self._voice_end = -inf  # end of the last voiced frame
        self._run = 0  # voiced ms in the present run of speech, whose gaps are short
        self._run_onset = 0.0
        self._segment_onset = 0.0  # when the turn last went from silence to voice
        self._noise = False  # the voice that was open when a turn ended; it takes no turn
        self._turn: OpenTurn | None = None
        self._pause = Pause(settings, threshold, self._events)
        self._transcript = Transcript()
        self._wordless_turns = 0
        # The agent.
        self._answered: OpenTurn | None = None  # the turn whose reply was not heard yet
        self._committed_at = -inf
        self._effects = False
        self._uninterruptible = False
        self._heard_ms = 0.0
        self._position_ms = 0.0  # as last told; less than was heard while a word is repeated
        self._said = ""
        self._asked = False  # what the caller hears is, or is about to be, a question
        self._sound_end = -inf  # when the agent was last audible
        self._cooldown_end = -inf
        self._held_voice = 0  # voiced ms of the interruption that holds the agent
        self._confirmed = False  # the candidate's words are an interruption's
        self._resumed: tuple[OpenTurn, float] | None = None  # held in vain, and until when

    # --- what the owner may look at ---------------------------------------------------------

    @property
    def state(self) -> State:
        return self._state

    @property
    def turn(self) -> int:
        """The turn that is open, or else the last one that was; 0 before the first."""
        return self._current

    @property
    def uninterruptible(self) -> bool:
        return self._uninterruptible

    @property
    def text(self) -> str:
        """What is known of the open turn or candidate, for the record of a call that ends in it."""
        return self._turn.text(self._transcript.interim) if self._turn else ""

    @property
    def onset_ms(self) -> float | None:
        """Where the audio of the open turn or candidate begins: what must still be kept."""
        return self._turn.onset_ms if self._turn else None

    def next_event(self) -> Event | None:
        return self._events.popleft() if self._events else None

    # --- time -------------------------------------------------------------------------------

    def timer(self) -> float | None:
        """When something may be due if nothing is heard until then: `tick` then. None: nothing."""
        turn, after = self._turn, self._now + EPS_MS
        if turn is None:
            return None
        if self._state == "held":
            due = (self._voice_end + _FALSE_INTERRUPTION_MS,)
        elif self._state == "idle":
            due = (self._cooldown_end,)
        elif self._state == "pause":
            due = self._pause.deadlines(turn, self._silent_since(turn))
        elif self._state == "user":
            noise = self._wordless_since(turn) + _WORDLESS_MS
            due = (noise, *self._pause.deadlines(turn, self._silent_since(turn)))
            due = tuple(at for at in due if at >= noise)
        else:
            return None
        return min((at for at in due if at > after), default=None)

    def _advance(self, now: float) -> None:
        turn = self._turn
        if turn is None:
            return
        if self._state == "pause":
            self._judge(turn, now)
        elif self._state == "user":
            self._judge_noise(turn, now)
        elif self._state == "held":
            if now - self._voice_end + EPS_MS >= _FALSE_INTERRUPTION_MS:
                self._resume(turn, now)
        elif self._state == "idle" and now + EPS_MS >= self._cooldown_end:
            self._outlast(turn, now)
            if self.state == "pause":
                self._judge(turn, now)

    # --- the caller takes the floor ---------------------------------------------------------

    def _announce(self, turn: OpenTurn) -> None:
        if not turn.id:
            self._ids += 1
            turn.id = self._ids

    def _open(self, turn: OpenTurn, *, since: float | None = None) -> None:
        """`turn` is the caller's from now on; his speech began at `since`."""
        asked = self._state == "held" and self._pause.begun
        self._announce(turn)
        self._current = turn.id
        self._state = "user"
        self._cooldown_end = -inf
        self._effects = False
        self._run = 0
        onset = turn.onset_ms if since is None else since
        self._events.append(SpeechStarted(turn.id, onset))
        self._begin_segment(onset)
        if self._voice:
            return
        if asked:  # already, in the silence in which it is confirmed
            self._state = "pause"
            self._pause.begun = True
        else:
            self._fall_silent()
        self._pause.final = turn.settled

    def _begin_segment(self, onset: float) -> None:
        self._segment_onset = onset
        self._noise = False
        self._pause.forget()

    def _fall_silent(self) -> None:
        if self._turn:
            self._state = "pause"
            self._pause.begin(self._turn)

    @property
    def _may_be_taken_back(self) -> bool:
        """Nothing was heard of the reply and nothing was done that cannot be undone. Any other,
        and what the agent says on its own account, is only interrupted."""
        return self._state == "reply" and self._answered is not None and not self._effects

    def _hold(self, turn: OpenTurn, now: float) -> None:
        self._state = "held"
        self._held_voice = self._run
        self._resumed = None
        self._announce(turn)
        self._events.append(PauseAgent())
        if self._confirmed:
            self._interrupt("speech", now)

    def _resume(self, turn: OpenTurn, now: float) -> None:
        self._resumed = (turn, now)
        self._pause.forget()
        if self._is_backchannel(self._transcript.interim, final=False):
            self._transcript.use(now)
        if not turn.digits and (not turn.finals or self._is_backchannel(turn.text(""), final=True)):
            self._turn = None  # else there is more in it than what has just been judged
        self._run = 0
        self._state = "agent" if self._heard_ms else "reply"
        self._events.append(ResumeAgent())

    def _is_backchannel(self, text: str, *, final: bool) -> bool:
        """After a question "mm-hm" is an answer."""
        return not self._asked and is_backchannel(text, self._language, final=final)

    def _interrupt(self, by: Literal["speech", "digit"], now: float) -> None:
        turn = self._turn = self._turn or OpenTurn(now)
        self._announce(turn)
        turn.took_floor = True
        self._answered = self._resumed = None
        self._uninterruptible = self._effects = False
        self._events.append(Interrupted(turn.id, by, self._heard_ms))
        self._open(turn)

    def _take_back(self, now: float) -> None:
        """The caller went on before the answer was heard: the same turn goes on."""
        more = self._turn or OpenTurn(now)
        answered, self._answered = self._answered, None
        assert answered is not None
        self._events.append(Retract(answered.id))
        answered.join(more)
        self._turn = answered
        self._open(answered, since=more.onset_ms)

    def _outlast(self, turn: OpenTurn, now: float) -> None:
        """The cooldown is over and there was speech in it: an answer, or an echo."""
        going_on = now - self._voice_end <= GAP_MS + EPS_MS
        self._voice = self._voice and going_on  # no frames may have come to say so
        if going_on or (turn.voiced_ms >= self._min_turn and not turn.settled):
            turn.doubtful = not going_on
            self._open(turn)
        else:
            self._turn = None

    # --- and leaves it ----------------------------------------------------------------------

    def _begin_reply(self) -> None:
        self._state = "reply"
        self._run = 0
        self._heard_ms = self._position_ms = 0.0
        self._said = ""
        self._asked = False
        self._effects = self._confirmed = False
        self._resumed = None

    def _silent_since(self, turn: OpenTurn, *, keys: bool = True) -> float:
        """Where the silence began; in noise, which hides it, where the last word ended."""
        if self._state == "pause":
            since = turn.speech_end_ms
        elif turn.finals or self._transcript.interim:
            since = turn.word_at
        else:
            since = self._segment_onset
        return max(since, turn.key_at) if keys and turn.digits else since

    def _wordless_since(self, turn: OpenTurn) -> float:
        return max(turn.word_at, self._segment_onset)

    def _judge_noise(self, turn: OpenTurn, now: float) -> None:
        """Voice without words for long is no speech: the silence is what the words say it is."""
        if now - self._wordless_since(turn) + EPS_MS >= _WORDLESS_MS:
            if not self._pause.begun:
                self._pause.begin(turn)
            self._judge(turn, now)

    def _judge(self, turn: OpenTurn, now: float) -> None:
        since = self._silent_since(turn)
        silent = self._state == "pause"
        outcome = self._pause.judge(turn, self._transcript.interim, since, now, silent=silent)
        if outcome is None:
            return
        if outcome in ("no_words", "too_short"):
            self._drop(turn, outcome, now)
        else:
            self._commit(turn, outcome, now)

    def _commit(self, turn: OpenTurn, by: Literal["eot", "fallback", "digits"], now: float) -> None:
        if self._state == "user" and (turn.finals or self._transcript.interim):
            turn.speech_end_ms = max(turn.word_at, turn.onset_ms)
        if interim := self._transcript.use(now):
            turn.finals.append(interim)
        text = turn.text("")
        self._pause.hand_over_draft(text)
        self._events.append(
            TurnCommitted(turn.id, by, text, turn.digits, turn.onset_ms, turn.speech_end_ms)
        )
        self._wordless_turns = 0
        self._turn, self._answered = None, turn
        self._committed_at = now
        self._noise = self._voice
        self._begin_reply()

    def _drop(self, turn: OpenTurn, reason: Literal["no_words", "too_short"], now: float) -> None:
        self._pause.cancel_draft()
        self._pause.forget()
        self._transcript.use(now)
        self._events.append(TurnDropped(turn.id, reason))
        self._turn = None
        self._run = 0
        self._state = "idle"
        if reason == "too_short":
            self._wordless_turns = 0
        elif not turn.doubtful:
            self._wordless_turns += 1
            if turn.took_floor or self._wordless_turns == _WORDLESS_TURNS:
                self._wordless_turns = 0
                self._events.append(Unheard())
