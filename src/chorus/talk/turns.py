"""Turn-taking, as a machine without I/O: who speaks, whose turn it is, when to answer.

Inputs carry `now`, milliseconds of inbound audio; what follows from them waits in
`next_event`. In order below: inputs (frames, words, keys, verdicts, the agent's own doings),
then what voice and silence do in each state, then how a turn opens and ends. The rules and
their numbers are those of docs/turn-taking.md.

States: `idle`; `user` (the caller is voiced); `pause` (silent, the turn open); `reply`
(committed, nothing heard of the answer yet); `agent` (heard); `held` (the agent paused by what
may be an interruption); `ended`. In `user` and `pause` `_turn` is the open turn; in every other
state it is a candidate: speech that may become one.
"""

from __future__ import annotations

from collections import deque
from math import inf
from typing import Literal

from chorus.talk.backchannel import is_backchannel, is_echo, is_question, tokens
from chorus.talk.turn_events import (
    AskEndOfTurn,
    CancelDraft,
    Draft,
    Event,
    Interrupted,
    PauseAgent,
    ResumeAgent,
    Retract,
    SpeechPaused,
    SpeechStarted,
    TurnCommitted,
    TurnDropped,
    TurnSettings,
    Unheard,
)
from chorus.talk.turn_pause import EPS_MS, FRAME_MS, Pause, frames
from chorus.talk.turn_words import OpenTurn, Transcript

__all__ = [
    "FRAME_MS",
    "AskEndOfTurn",
    "CancelDraft",
    "Draft",
    "Event",
    "Interrupted",
    "PauseAgent",
    "ResumeAgent",
    "Retract",
    "SpeechPaused",
    "SpeechStarted",
    "State",
    "TurnCommitted",
    "TurnDropped",
    "TurnSettings",
    "Turns",
    "Unheard",
]

State = Literal["idle", "user", "pause", "reply", "agent", "held", "ended"]

_GAP_MS = frames(160)  # silence inside a run of speech
_FALSE_INTERRUPTION_MS = frames(1000)
_WORDLESS_MS = frames(3000)
_GO_ON_MS = frames(64)  # voiced, to take a turn back before its answer is heard
_ECHO_MS = 300  # how late the agent's own words come back
_WORD_MS = 400  # length of a word that was not heard as voice, to guess where it began
_WORDLESS_TURNS = 3


class Turns:
    """One call's turn-taking. `threshold` is the end-of-turn probability in force: 0 means that
    silence alone decides, 1 that the fallback alone does. `language` (ISO 639-1) selects the
    back-channels. Raises `ValueError` naming the setting that makes no sense."""

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
        self._said = ""
        self._sound_end = -inf  # when the agent was last audible
        self._cooldown_end = -inf
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

    # --- the caller -------------------------------------------------------------------------

    def hear(self, p: float, now: float) -> None:
        """One frame of 32 ms that ends at `now` holds speech with probability `p`."""
        if self._state == "ended":
            return
        if now - self._now > 2 * FRAME_MS:
            self.tick(now - FRAME_MS)  # frames were lost, time was not
        if now > self._now:
            self._now = now
        if p >= (self._stay_at if self._voice else self._open_at):
            self._voice = True
            self._voiced(now)
        else:
            self._voice = False
            if self._noise and now - self._voice_end > _GAP_MS + EPS_MS:
                self._noise = False
            if self._state == "user":
                self._fall_silent()
            elif self._state == "held" and not self._pause.asked and self._turn:
                self._pause.begin(self._turn)
            self._advance(now)

    def words(self, text: str, final: bool, spoken_at: float, now: float) -> None:
        """The transcriber's words; see `chorus.speech.engines.Words`. An empty final says that
        nothing (more) was understood: it settles the pause and takes open interim words back."""
        if self._state == "ended":
            return
        now = self._now = max(self._now, now)
        spoken_at = min(spoken_at, now)
        known = self._transcript.interim
        new = self._transcript.hear(text, final=final, spoken_at=spoken_at)
        if new and self._echoes(new, spoken_at):
            new = self._transcript.interim = ""
        if new:
            self._noise = False
        turn = self._turn
        if turn and self._state in ("user", "pause"):
            more = bool(new) and tokens(new) != tokens(known)
            self._words_in_turn(turn, new, final, spoken_at, more)
            self._advance(now)
        elif new:
            self._words_outside(new, final, spoken_at, now)
        elif final and self._pause.asked:
            self._pause.final = True

    def digit(self, d: str, now: float) -> None:
        """A key was pressed. It opens a turn or joins the open one; `#` ends it."""
        if self._state == "ended":
            return
        now = self._now = max(self._now, now)
        turn = self._turn
        if turn is None:
            turn = self._turn = OpenTurn(now)
        turn.digits += d
        turn.key_at = now
        if self._state == "idle":
            self._open(turn)
        elif self._state in ("agent", "held") and not self._uninterruptible:
            self._interrupt("digit", now)
        elif self._state == "reply" and not self._uninterruptible:
            self._take_back(now)
        turn = self._turn
        if turn and self._state in ("user", "pause"):
            self._pause.cancel_draft()
            if d == "#":
                self._commit(turn, "digits", now)

    def verdict(self, question: int, p: float, now: float) -> None:
        """The end-of-turn model's answer; only the one to the latest question counts."""
        if self._state in ("user", "pause") and self._pause.answer(question, p):
            now = self._now = max(self._now, now)
            self._advance(now)

    # --- the agent --------------------------------------------------------------------------

    def agent_speaks(self, now: float, *, uninterruptible: bool = False) -> None:
        """The agent speaks on its own account: a greeting, a command, a goodbye. An open turn is
        set aside with all it holds, and goes on when the agent's audio ends."""
        if self._state == "ended":
            return
        self._now = max(self._now, now)
        self._uninterruptible = self._uninterruptible or uninterruptible
        if self._state in ("agent", "held"):
            if self._state == "held" and uninterruptible:
                self._state = "agent"
                self._events.append(ResumeAgent())
            return
        if self._state != "reply":
            self._pause.cancel_draft()
            self._answered = None
            self._begin_reply()

    def reply_ready(self, turn: int, now: float) -> bool:
        """Whether the reply to `turn` (0: the agent's own words) may sound now. False once the
        caller has gone on: there is a Retract, or a newer turn."""
        self._now = max(self._now, now)
        mine = self._answered.id if self._answered else 0
        return self._state in ("reply", "agent") and turn in (mine, 0)

    def audible(self, position_ms: float, now: float) -> None:
        """The caller has heard the reply up to `position_ms` of it."""
        if self._state not in ("reply", "agent", "held"):
            return
        now = self._now = max(self._now, now)
        if self._state == "reply":
            self._state = "agent"
            self._answered = None
            self._resumed = None
        if position_ms > self._heard_ms:
            self._heard_ms = position_ms
        if self._state == "agent":
            self._sound_end = now

    def agent_text(self, text: str) -> None:
        """All of what the caller has heard the agent say in this reply."""
        self._said = text

    def effects_begun(self) -> None:
        """A tool with effects has begun: from here on the turn cannot be taken back."""
        self._effects = True

    def reply_done(self, now: float) -> None:
        """All of the reply was heard, or it turned out to be empty."""
        if self._state not in ("reply", "agent", "held"):
            return
        now = self._now = max(self._now, now)
        if self._state != "reply":
            self._cooldown_end = now + self._cooldown
            self._sound_end = now
        held = self._state == "held"
        kept = self._uninterruptible
        self._state = "idle"
        self._uninterruptible = self._effects = self._noise = False
        self._answered = self._resumed = None
        if self._turn:
            self._judge_kept(self._turn, held, kept, now)

    def end(self, now: float) -> None:
        """The call is over."""
        self._now = max(self._now, now)
        self._pause.cancel_draft()
        self._state = "ended"

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

    def tick(self, now: float) -> None:
        """Time has passed without a frame."""
        if self._state != "ended":
            now = self._now = max(self._now, now)
            self._advance(now)

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

    # --- voice ------------------------------------------------------------------------------

    def _voiced(self, now: float) -> None:
        onset = now - FRAME_MS
        gap = onset - self._voice_end
        self._voice_end = now
        state, turn = self._state, self._turn
        if state == "user" and turn:
            turn.voiced_ms += FRAME_MS
            turn.speech_end_ms = now
            self._judge_noise(turn, now)
            return
        if state == "pause" and turn:
            self._pause.cancel_draft()
            self._state = "user"
            self._begin_segment(onset)
            turn.doubtful = False
            turn.voiced_ms += FRAME_MS
            turn.speech_end_ms = now
            return
        if self._noise and state in ("reply", "agent"):
            return
        self._pause.asked = False
        if turn is None:
            turn = self._turn = OpenTurn(onset)
            self._run = 0
        if self._run == 0 or gap > _GAP_MS + EPS_MS:
            self._run, self._run_onset, self._confirmed = 0, onset, False
            if state in ("reply", "agent") and not self._uninterruptible and not turn.id:
                turn.onset_ms, turn.voiced_ms = onset, 0
        self._run += FRAME_MS
        turn.voiced_ms += FRAME_MS
        turn.speech_end_ms = now
        self._speech_outside(turn, now)

    def _speech_outside(self, turn: OpenTurn, now: float) -> None:
        """A voiced frame joined the candidate `turn`: what comes of it."""
        if self._state == "idle":
            if now > self._cooldown_end + EPS_MS or self._run >= self._min_interruption:
                self._open(turn)
        elif self._uninterruptible:
            return
        elif self._state == "reply":
            if self._run >= _GO_ON_MS:
                self._take_back(now)
        elif self._state == "agent":
            if self._run >= self._min_interruption:
                self._hold(turn, now)
        elif turn.voiced_ms >= self._min_wordless:
            self._interrupt("speech", now)

    def _hold(self, turn: OpenTurn, now: float) -> None:
        self._state = "held"
        self._sound_end = now
        self._resumed = None
        self._announce(turn)
        self._events.append(PauseAgent())
        if self._confirmed:
            self._interrupt("speech", now)

    def _resume(self, turn: OpenTurn, now: float) -> None:
        self._resumed = (turn, now)
        self._transcript.use(now)
        self._pause.forget()
        self._turn = None
        self._run = 0
        self._state = "agent"
        self._events.append(ResumeAgent())

    def _interrupt(self, by: Literal["speech", "digit"], now: float) -> None:
        turn = self._turn = self._turn or OpenTurn(now)
        self._announce(turn)
        self._resumed = None
        self._uninterruptible = self._effects = False
        self._events.append(Interrupted(turn.id, by, self._heard_ms))
        self._open(turn)

    def _take_back(self, now: float) -> None:
        """The caller went on before the answer was heard: the same turn, or, once something was
        done about it that cannot be undone, a new one."""
        more = self._turn or OpenTurn(now)
        answered, self._answered = self._answered, None
        if answered is None or self._effects:
            self._turn = more
            self._effects = False
            self._open(more)
            return
        self._events.append(Retract(answered.id))
        answered.join(more)
        self._turn = answered
        self._open(answered, since=more.onset_ms)

    def _outlast(self, turn: OpenTurn, now: float) -> None:
        """The cooldown is over and there was speech in it: an answer, or an echo."""
        going_on = now - self._voice_end <= _GAP_MS + EPS_MS
        if going_on or turn.voiced_ms >= self._min_turn:
            turn.doubtful = not going_on
            self._open(turn)
        else:
            self._turn = None

    def _judge_kept(self, turn: OpenTurn, held: bool, kept: bool, now: float) -> None:
        """The agent's audio has ended: what was said meanwhile."""
        going_on = self._run > 0 and now - self._voice_end <= _GAP_MS + EPS_MS
        text = turn.text(self._transcript.interim)
        if turn.id or turn.digits or held:
            self._open(turn)
        elif text and not self._is_backchannel(text, final=True):
            turn.by_words = True
            self._open(turn)
        elif kept and not text and turn.voiced_ms >= self._min_interruption:
            turn.doubtful = not going_on
            self._open(turn)
        elif going_on:
            self._advance(now)
        else:
            self._transcript.use(now)
            self._turn = None

    # --- words ------------------------------------------------------------------------------

    def _words_in_turn(
        self, turn: OpenTurn, new: str, final: bool, spoken_at: float, more: bool
    ) -> None:
        if new:
            turn.doubtful = False
            if final:
                turn.finals.append(new)
        if more:
            turn.word_at = max(turn.word_at, spoken_at)
        if more and self._state == "user":
            self._pause.forget()  # no noise: somebody speaks
        elif final and self._pause.asked and (not new or spoken_at > self._segment_onset):
            self._pause.final = True
        if final:
            self._pause.cancel_draft(unless=turn.text(""))

    def _words_outside(self, new: str, final: bool, spoken_at: float, now: float) -> None:
        """New words while no turn is open."""
        if self._state == "idle":
            if self._turn or final:
                turn = self._keep(new, final, spoken_at)
                turn.by_words = True
                self._open(turn, heard=final)
                self._advance(now)
        elif self._uninterruptible:
            if final:
                self._keep(new, final, spoken_at)
        elif self._state == "reply":
            if final:
                self._keep(new, final, spoken_at)
                sure = self._pause.verdict
                self._take_back(now)
                if self.state == "pause":
                    self._pause.final = True
                    if spoken_at <= self._committed_at:
                        self._pause.verdict = sure  # nothing was said since the turn was judged
                    self._advance(now)
        elif self._state == "held":
            if final:
                self._keep(new, final, spoken_at)
                self._pause.final = self._pause.asked
            if not self._is_backchannel(new, final=final):
                self._interrupt("speech", now)
        else:
            self._words_over_agent(new, final, spoken_at, now)

    def _words_over_agent(self, new: str, final: bool, spoken_at: float, now: float) -> None:
        if self._is_backchannel(new, final=final):
            if final and self._run and now - self._voice_end <= _GAP_MS:
                self._keep(new, final, spoken_at)
            return
        resumed = self._resumed
        if resumed and resumed[0].onset_ms < spoken_at <= resumed[1]:
            # The word that would have confirmed the interruption came too late to.
            self._turn = resumed[0]
            self._state = "held"
            self._events.append(PauseAgent())
            if final:
                self._turn.finals.append(new)
            self._interrupt("speech", now)
            return
        if final:
            self._keep(new, final, spoken_at)
        if self._run and spoken_at > self._run_onset:
            self._confirmed = True

    def _keep(self, new: str, final: bool, spoken_at: float) -> OpenTurn:
        """Words of a candidate, which they make if there was none."""
        turn = self._turn
        if turn is None:
            begun = max(spoken_at - _WORD_MS * len(new.split()), 0.0)
            turn = self._turn = OpenTurn(begun)
            turn.speech_end_ms = spoken_at
            self._run = 0
        turn.word_at = max(turn.word_at, spoken_at)
        if final:
            turn.finals.append(new)
        return turn

    def _is_backchannel(self, text: str, *, final: bool) -> bool:
        """After a question "mm-hm" is an answer."""
        return not is_question(self._said) and is_backchannel(text, self._language, final=final)

    def _echoes(self, text: str, spoken_at: float) -> bool:
        end = self._now if self._state == "agent" else self._sound_end
        return spoken_at <= end + _ECHO_MS and bool(self._said) and is_echo(text, self._said)

    # --- a turn opens -----------------------------------------------------------------------

    def _announce(self, turn: OpenTurn) -> None:
        if not turn.id:
            self._ids += 1
            turn.id = self._ids

    def _open(self, turn: OpenTurn, *, since: float | None = None, heard: bool = False) -> None:
        """`turn` is the caller's from now on; `heard`: with final words to its end."""
        asked, final = self._pause.asked, self._pause.final
        held = self._state == "held"
        self._announce(turn)
        self._current = turn.id
        self._state = "user"
        self._cooldown_end = -inf
        self._answered = None
        self._effects = False
        self._run = 0
        onset = turn.onset_ms if since is None else since
        self._events.append(SpeechStarted(turn.id, onset))
        self._begin_segment(onset)
        if self._voice:
            return
        if held and asked:  # in the silence in which it was confirmed
            self._state = "pause"
            self._pause.asked, self._pause.final = True, final
        else:
            self._fall_silent()
            self._pause.final = heard

    def _begin_segment(self, onset: float) -> None:
        self._segment_onset = onset
        self._noise = False
        self._pause.forget()

    def _fall_silent(self) -> None:
        if self._turn:
            self._state = "pause"
            self._pause.begin(self._turn)

    def _begin_reply(self) -> None:
        self._state = "reply"
        self._run = 0
        self._heard_ms = 0.0
        self._said = ""
        self._effects = self._confirmed = False
        self._resumed = None

    # --- and ends ---------------------------------------------------------------------------

    def _silent_since(self, turn: OpenTurn) -> float:
        """Where the silence began; in noise, which hides it, where the last word ended."""
        if self._state == "pause":
            since = turn.speech_end_ms
        elif turn.finals or self._transcript.interim:
            since = turn.word_at
        else:
            since = self._segment_onset
        return max(since, turn.key_at) if turn.digits else since

    def _wordless_since(self, turn: OpenTurn) -> float:
        return max(turn.word_at, self._segment_onset)

    def _judge_noise(self, turn: OpenTurn, now: float) -> None:
        """Voice without words for long is no speech: the silence is what the words say it is."""
        if now - self._wordless_since(turn) + EPS_MS >= _WORDLESS_MS:
            if not self._pause.asked:
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
            turn.speech_end_ms = turn.word_at
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
            if self._wordless_turns == _WORDLESS_TURNS:
                self._wordless_turns = 0
                self._events.append(Unheard())
