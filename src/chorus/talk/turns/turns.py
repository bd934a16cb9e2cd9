"""Turn-taking, as a machine without I/O: who speaks, whose turn it is, when to answer.

Inputs carry `now`, milliseconds of inbound audio; what follows from them waits in
`next_event`. In order: frames, words, keys and verdicts; the agent's own doings; what voice
and words lead to while no turn is open. How the floor passes is in `turn_floor.py`, when a
turn is over in `turn_pause.py`. The rules and their numbers are those of docs/turn-taking.md.
"""

from __future__ import annotations

from chorus.talk.text.backchannel import is_echo, is_question
from chorus.talk.turns.events import (
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
from chorus.talk.turns.floor import GAP_MS, Floor, State
from chorus.talk.turns.pause import EPS_MS, FRAME_MS, frames
from chorus.talk.turns.words import OpenTurn, tokens

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

_GO_ON_MS = frames(64)  # voiced, to take a turn back before its answer is heard
_ECHO_MS = 300  # how late the agent's own words come back
_WORD_MS = 400  # length of a word that was not heard as voice, to guess where it began


class Turns(Floor):
    """One call's turn-taking. `threshold` is the end-of-turn probability in force: 0 means that
    silence alone decides, 1 that the fallback alone does. `language` (ISO 639-1) selects the
    back-channels. Raises `ValueError` naming the setting that makes no sense."""

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
            if self._noise and now - self._voice_end > GAP_MS + EPS_MS:
                self._noise = False
            if self._state == "user":
                self._fall_silent()
            elif self._state == "held" and not self._pause.begun and self._turn:
                self._pause.begin(self._turn)
            self._advance(now)

    def words(self, text: str, final: bool, spoken_at: float, heard_to: float, now: float) -> None:
        """The transcriber's words; see `chorus.speech.engines.Words`. A final that has listened
        to where the caller fell silent settles the pause. An empty one says that nothing (more)
        was understood: it takes open interim words back."""
        if self._state == "ended":
            return
        now = self._now = max(self._now, now)
        spoken_at = min(spoken_at, now)
        heard_to = min(max(heard_to, spoken_at), now) + EPS_MS
        known = self._transcript.interim
        new = self._transcript.hear(text, final=final, spoken_at=spoken_at)
        if new and self._echoes(new, spoken_at):
            new = self._transcript.interim = ""
        if new:
            self._noise = False
        turn = self._turn
        if turn and self._state in ("user", "pause"):
            more = bool(new) and tokens(new) != tokens(known)
            self._words_in_turn(turn, new, final, spoken_at, heard_to, more, now)
        elif new:
            self._words_outside(new, final, spoken_at, heard_to, now)
        elif final and turn and not self._voice:
            turn.settled = turn.settled or heard_to >= turn.speech_end_ms
        self._advance(now)

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
        if not turn.voiced_ms and not turn.finals:
            turn.speech_end_ms = now
        if self._state == "idle":
            self._open(turn)
        elif self._uninterruptible:
            pass  # kept, as all that is said over it
        elif self._may_be_taken_back:
            self._take_back(now)
        elif self._state in ("reply", "agent", "held"):
            self._interrupt("digit", now)
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

    def vendor_verdict(self, p: float, heard_to: float, now: float) -> None:
        """The transcriber's own verdict, which came with its words: 0.5 means that the turn is
        over. A detector falls silent some frames later than a person, so one that comes while the
        caller is still voiced counts for the pause that is about to begin."""
        if self._state in ("user", "pause") and self._turn:
            now = self._now = max(self._now, now)
            self._pause.vendor_verdict(p >= 0.5, heard_to)
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
                self._state = "agent" if self._heard_ms else "reply"
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
        if self._state == "agent" and position_ms != self._position_ms:
            self._sound_end = now
        self._position_ms = position_ms
        self._heard_ms = max(self._heard_ms, position_ms)

    def agent_text(self, text: str, soon: str = "") -> None:
        """All of what the caller has heard the agent say in this reply, and what it will be in a
        moment: a question is often answered before its last word is out."""
        self._said = text
        self._asked = is_question(text) or is_question(soon)

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
            self._advance(now)

    def end(self, now: float) -> None:
        """The call is over."""
        self._now = max(self._now, now)
        self._pause.cancel_draft()
        self._state = "ended"

    # --- time -------------------------------------------------------------------------------

    def tick(self, now: float) -> None:
        """Time has passed without a frame."""
        if self._state != "ended":
            now = self._now = max(self._now, now)
            self._advance(now)

    # --- voice ------------------------------------------------------------------------------

    def _voiced(self, now: float) -> None:
        onset = now - FRAME_MS
        gap = onset - self._voice_end
        self._voice_end = now
        state, turn = self._state, self._turn
        if state == "user" and turn:
            turn.voiced_ms += FRAME_MS
            turn.speech_end_ms = now
            self._pause.voiced(now)
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
        self._pause.begun = False
        if turn is None:
            turn = self._turn = OpenTurn(onset)
            self._run = 0
        if self._run == 0 or gap > GAP_MS + EPS_MS:
            self._run, self._run_onset, self._confirmed = 0, onset, False
            if state in ("reply", "agent") and not self._uninterruptible and not turn.id:
                turn.onset_ms, turn.voiced_ms = onset, 0
        self._run += FRAME_MS
        turn.settled = False
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
        elif self._may_be_taken_back:
            if self._run >= _GO_ON_MS:
                self._take_back(now)
        elif self._state == "held":
            self._held_voice += FRAME_MS
            if self._held_voice >= self._min_wordless:
                self._interrupt("speech", now)
        elif self._run >= self._min_interruption:
            self._hold(turn, now)

    def _judge_kept(self, turn: OpenTurn, held: bool, kept: bool, now: float) -> None:
        """The agent's audio has ended: what was said meanwhile."""
        going_on = self._run > 0 and now - self._voice_end <= GAP_MS + EPS_MS
        text = turn.text(self._transcript.interim)
        if turn.id or turn.digits or held:
            self._open(turn)
        elif text and not self._is_backchannel(text, final=True):
            turn.by_words = True
            self._open(turn)
        elif kept and not text and not turn.settled and turn.voiced_ms >= self._min_interruption:
            turn.doubtful = not going_on
            self._open(turn)
        elif not going_on:
            self._transcript.use(now)
            self._turn = None

    # --- words ------------------------------------------------------------------------------

    def _words_in_turn(
        self,
        turn: OpenTurn,
        new: str,
        final: bool,
        spoken_at: float,
        heard_to: float,
        more: bool,
        now: float,
    ) -> None:
        if new:
            turn.doubtful = False
            if final:
                turn.finals.append(new)
        if more:
            turn.word_at = max(turn.word_at, spoken_at)
        if more and self._state == "user":
            self._pause.forget()  # no noise: somebody speaks
            self._pause.cancel_draft(unless=turn.text("" if final else new))
        elif final and self._pause.begun and heard_to >= self._silent_since(turn, keys=False):
            self._pause.final = True
        if final:
            self._pause.cancel_draft(unless=turn.text(""))
            if new and self._state == "user":
                self._pause.draft_early(turn, now)

    def _words_outside(
        self, new: str, final: bool, spoken_at: float, heard_to: float, now: float
    ) -> None:
        """New words while no turn is open."""
        if self._state == "idle":
            if self._turn or final:
                turn = self._keep(new, final, spoken_at, heard_to)
                turn.by_words = True
                self._open(turn)
        elif self._uninterruptible:
            if final:
                self._keep(new, final, spoken_at, heard_to)
        elif self._may_be_taken_back:
            if final:
                self._keep(new, final, spoken_at, heard_to)
                sure = self._pause.verdict
                self._take_back(now)
                if self.state == "pause" and spoken_at <= self._committed_at:
                    self._pause.verdict = sure  # nothing was said since the turn was judged
        elif self._state == "held":
            if final:
                self._keep(new, final, spoken_at, heard_to)
            if not self._is_backchannel(new, final=final):
                self._interrupt("speech", now)
        else:
            self._words_over_agent(new, final, spoken_at, heard_to, now)

    def _words_over_agent(
        self, new: str, final: bool, spoken_at: float, heard_to: float, now: float
    ) -> None:
        if self._is_backchannel(new, final=final):
            if final and self._run and now - self._voice_end <= GAP_MS:
                self._keep(new, final, spoken_at, heard_to)
            return
        resumed = self._resumed
        if resumed and resumed[0].onset_ms < spoken_at <= resumed[1]:
            # The word that would have confirmed the interruption came too late to.
            self._turn = resumed[0]
            self._state = "held"
            self._events.append(PauseAgent())
            self._keep(new, final, spoken_at, heard_to)
            self._interrupt("speech", now)
            return
        if final:
            self._keep(new, final, spoken_at, heard_to)
        if self._run and spoken_at > self._run_onset:
            self._confirmed = True

    def _keep(self, new: str, final: bool, spoken_at: float, heard_to: float) -> OpenTurn:
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
            turn.settled = not self._voice and heard_to >= turn.speech_end_ms
        return turn

    def _echoes(self, text: str, spoken_at: float) -> bool:
        heard_by_then = spoken_at <= self._sound_end + _ECHO_MS
        return heard_by_then and bool(self._said) and is_echo(text, self._said)
