"""Turn-taking, as a machine without I/O: who speaks, whose turn it is, when to answer.

Inputs carry `now`, milliseconds of inbound audio; what follows from them waits in
`next_event`. In order: what an owner may look at; frames, words, keys and verdicts; the agent's
own doings; what voice and words lead to while no turn is open. How the floor passes is in
`floor.py`, when a turn is over in `pause.py`. The rules and their numbers are those of
docs/turn-taking.md.
"""

from __future__ import annotations

from chorus.talk.text.endings import ends_sentence
from chorus.talk.turns.events import (
    AskEndOfTurn,
    CancelDraft,
    Draft,
    Event,
    Interrupted,
    KeyRule,
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
from chorus.talk.turns.pause import EPS_MS, FRAME_MS, framed_ms
from chorus.talk.turns.words import OpenTurn, tokens

__all__ = [
    "FRAME_MS",
    "AskEndOfTurn",
    "CancelDraft",
    "Draft",
    "Event",
    "Interrupted",
    "KeyRule",
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

_GO_ON_MS = framed_ms(64)  # voiced, to take a turn back before its answer is heard
_WORD_MS = 400  # length of a word that was not heard as voice, to guess where it began


class Turns:
    """One call's turn-taking. `threshold` is the end-of-turn probability in force: 0 means that
    silence alone decides, 1 that the fallback alone does. `language` (ISO 639-1) selects the
    back-channels. Raises `ValueError` naming the setting that makes no sense."""

    def __init__(
        self, settings: TurnSettings, *, threshold: float, language: str | None = None
    ) -> None:
        floor = self._floor = Floor(settings, threshold=threshold, language=language)
        self._caller, self._agent, self._pause = floor.caller, floor.agent, floor.pause

    # --- what the owner may look at ---------------------------------------------------------

    @property
    def state(self) -> State:
        return self._floor.state

    @property
    def turn(self) -> int:
        """The turn that is open, or else the last one that was; 0 before the first."""
        return self._floor.current

    @property
    def uninterruptible(self) -> bool:
        return self._agent.uninterruptible

    @property
    def text(self) -> str:
        """What is known of the open turn or candidate, for the record of a call that ends in it."""
        caller = self._caller
        return caller.turn.text(caller.transcript.interim) if caller.turn else ""

    @property
    def final_text(self) -> str:
        """As `text`, without words that may still change."""
        return self._caller.turn.text("") if self._caller.turn else ""

    @property
    def digits(self) -> str:
        """The keys of the open turn."""
        return self._caller.turn.digits if self._caller.turn else ""

    @property
    def onset_ms(self) -> float | None:
        """Where the audio of the open turn or candidate begins: what must still be kept."""
        turn = self._caller.turn
        return turn.onset_ms if turn else None

    def next_event(self) -> Event | None:
        events = self._floor.events
        return events.popleft() if events else None

    # --- the caller -------------------------------------------------------------------------

    def hear(self, voiced: bool, now: float) -> None:
        """One frame of 32 ms that ends at `now` holds speech or not."""
        if self._floor.state == "ended":
            return
        if now - self._floor.now > 2 * FRAME_MS:
            self.tick(now - FRAME_MS)  # frames were lost, time was not
        if now > self._floor.now:
            self._floor.now = now
        self._caller.voiced = voiced
        if voiced:
            self._voiced(now)
        else:
            if self._caller.noise and now - self._caller.voice_end > GAP_MS + EPS_MS:
                self._caller.noise = False
            if self._floor.state == "user":
                self._floor.fall_silent()
            elif self._floor.state == "held" and not self._pause.begun and self._caller.turn:
                self._pause.begin(self._caller.turn)
            self._floor.advance(now)

    def words(
        self,
        text: str,
        final: bool,
        spoken_at: float,
        heard_to: float,
        now: float,
        *,
        asked: bool = False,
    ) -> None:
        """The transcriber's words; see `chorus.speech.engines.Words`. A final that has listened
        to where the caller fell silent settles the pause. An empty one says that nothing (more)
        was understood: it takes open interim words back. `asked`: this transcriber makes words
        final because it is asked to."""
        if self._floor.state == "ended":
            return
        now = self._floor.now = max(self._floor.now, now)
        spoken_at = min(spoken_at, now)
        heard_to = min(max(heard_to, spoken_at), now) + EPS_MS
        known = self._caller.transcript.interim
        new = self._caller.transcript.hear(text, final=final, spoken_at=spoken_at)
        if new and self._agent.echoed_by(new, spoken_at):
            new = self._caller.transcript.interim = ""
        if new:
            self._caller.noise = False
        forced = asked and final and not ends_sentence(known)
        turn = self._caller.turn
        if turn and self._floor.state in ("user", "pause"):
            more = bool(new) and tokens(new) != tokens(known)
            self._words_in_turn(turn, new, final, spoken_at, heard_to, more, now, asked)
            turn.forced = forced if final and new else turn.forced
        elif new:
            self._words_outside(new, final, spoken_at, heard_to, now)
        elif final and turn and not self._caller.voiced:
            turn.settled = turn.settled or heard_to >= turn.speech_end_ms
        self._floor.advance(now)

    def digit(self, d: str, now: float) -> None:
        """A key was pressed. It opens a turn or joins the open one, and may end it."""
        if self._floor.state == "ended":
            return
        now = self._floor.now = max(self._floor.now, now)
        turn = self._caller.turn
        if turn is None:
            turn = self._caller.turn = OpenTurn(now)
        turn.digits += d
        turn.key_at = now
        if not turn.voiced_ms and not turn.finals:
            turn.speech_end_ms = now
        if self._floor.state == "idle":
            self._floor.open(turn)
        elif self._agent.uninterruptible:
            pass  # kept, as all that is said over it
        elif self._floor.may_be_taken_back:
            self._floor.take_back(now)
        elif self._floor.state in ("reply", "agent", "held"):
            self._floor.interrupt("digit", now)
        turn = self._caller.turn
        if turn and self._floor.state in ("user", "pause"):
            self._pause.drafts.cancel()
            if self._pause.keyed(turn.digits):
                self._floor.commit(turn, "digits", now)

    def expect_keys(self, rule: KeyRule | None) -> None:
        """By what rule keys end a turn from now on; None: by `#` and by a pause of 1.5 s."""
        self._pause.expect_keys(rule)

    def patience(self, ms: float | None) -> None:
        """How long a silence ends a turn at the least from now on; None: as it is set."""
        self._pause.patience(ms)

    def verdict(self, question: int, p: float | None, now: float) -> None:
        """The end-of-turn model's answer, None where it has none: then the words and the silence
        decide. Only the one to the latest question counts."""
        if self._floor.state in ("user", "pause") and self._pause.answer(question, p):
            now = self._floor.now = max(self._floor.now, now)
            self._floor.advance(now)

    def vendor_verdict(self, p: float, heard_to: float, now: float) -> None:
        """The transcriber's own verdict, which came with its words: 0.5 means that the turn is
        over. A detector falls silent some frames later than a person, so one that comes while the
        caller is still voiced counts for the pause that is about to begin."""
        if self._floor.state in ("user", "pause") and self._caller.turn:
            now = self._floor.now = max(self._floor.now, now)
            self._pause.vendor_verdict(p >= 0.5, heard_to)
            self._floor.advance(now)

    # --- the agent --------------------------------------------------------------------------

    def agent_speaks(self, now: float, *, uninterruptible: bool = False) -> None:
        """The agent speaks on its own account: a greeting, a command, a goodbye. An open turn is
        set aside with all it holds, and goes on when the agent's audio ends."""
        if self._floor.state == "ended":
            return
        self._floor.now = max(self._floor.now, now)
        self._agent.uninterruptible = self._agent.uninterruptible or uninterruptible
        if self._floor.state in ("agent", "held"):
            if self._floor.state == "held" and uninterruptible:
                self._floor.state = "agent" if self._agent.heard_ms else "reply"
                self._floor.events.append(ResumeAgent())
            return
        if self._floor.state != "reply":
            self._pause.drafts.cancel()
            self._agent.answered = None
            self._floor.begin_reply()

    def audible(self, position_ms: float, now: float) -> None:
        """The caller has heard the reply up to `position_ms` of it."""
        if self._floor.state not in ("reply", "agent", "held"):
            return
        now = self._floor.now = max(self._floor.now, now)
        if self._floor.state == "reply":
            self._floor.state = "agent"
            self._agent.answered = None
        if self._floor.state == "agent" and position_ms != self._agent.position_ms:
            self._agent.sound_end = now
        self._agent.position_ms = position_ms
        self._agent.heard_ms = max(self._agent.heard_ms, position_ms)

    def agent_text(self, text: str, soon: str = "") -> None:
        """All of what the caller has heard the agent say in this reply, and what it will be in a
        moment: a question is often answered before its last word is out."""
        self._agent.says(text, soon)
        if said := f"{text} {soon}".strip():
            self._pause.question = said

    def effects_begun(self) -> None:
        """A tool with effects has begun: from here on the turn cannot be taken back."""
        self._agent.effects = True

    def reply_done(self, now: float) -> None:
        """All of the reply was heard, or it turned out to be empty."""
        if self._floor.state not in ("reply", "agent", "held"):
            return
        now = self._floor.now = max(self._floor.now, now)
        if self._floor.state != "reply":
            self._agent.cooldown_end = now + self._floor.cooldown
            self._agent.sound_end = now
        held = self._floor.state == "held"
        kept = self._agent.uninterruptible
        self._floor.state = "idle"
        self._agent.uninterruptible = self._agent.effects = self._caller.noise = False
        self._agent.answered = self._agent.resumed = None
        if self._caller.turn:
            self._judge_kept(self._caller.turn, held, kept, now)
            self._floor.advance(now)

    def end(self, now: float) -> None:
        """The call is over."""
        self._floor.now = max(self._floor.now, now)
        self._pause.drafts.cancel()
        self._floor.state = "ended"

    # --- time -------------------------------------------------------------------------------

    def tick(self, now: float) -> None:
        """Time has passed without a frame."""
        if self._floor.state != "ended":
            now = self._floor.now = max(self._floor.now, now)
            self._floor.advance(now)

    # --- voice ------------------------------------------------------------------------------

    def _voiced(self, now: float) -> None:
        onset = now - FRAME_MS
        gap = onset - self._caller.voice_end
        self._caller.voice_end = now
        state, turn = self._floor.state, self._caller.turn
        if state == "user" and turn:
            turn.voiced_ms += FRAME_MS
            turn.speech_end_ms = now
            self._pause.voiced(now)
            self._floor.judge_noise(turn, now)
            return
        if state == "pause" and turn:
            self._pause.resumed(now)
            self._floor.state = "user"
            self._floor.begin_segment(onset)
            turn.doubtful = False
            turn.voiced_ms += FRAME_MS
            turn.speech_end_ms = now
            return
        if self._caller.noise and state in ("reply", "agent"):
            return
        self._pause.begun = False
        if turn is None:
            turn = self._caller.turn = OpenTurn(onset)
            self._caller.run = 0
        if self._caller.run == 0 or gap > GAP_MS + EPS_MS:
            self._caller.run, self._caller.run_onset, self._agent.confirmed = (
                0,
                onset,
                False,
            )
            if state in ("reply", "agent") and not self._agent.uninterruptible and not turn.id:
                turn.onset_ms, turn.voiced_ms = onset, 0
        self._caller.run += FRAME_MS
        turn.settled = False
        turn.voiced_ms += FRAME_MS
        turn.speech_end_ms = now
        self._speech_outside(turn, now)

    def _speech_outside(self, turn: OpenTurn, now: float) -> None:
        """A voiced frame joined the candidate `turn`: what comes of it."""
        if self._floor.state == "idle":
            if (
                now > self._agent.cooldown_end + EPS_MS
                or self._caller.run >= self._floor.min_interruption
            ):
                self._floor.open(turn)
        elif self._agent.uninterruptible:
            return
        elif self._floor.may_be_taken_back:
            if self._caller.run >= _GO_ON_MS:
                self._floor.take_back(now)
        elif self._floor.state == "held":
            self._agent.held_voice += FRAME_MS
            if self._agent.held_voice >= self._floor.min_wordless:
                self._floor.interrupt("speech", now)
        elif self._caller.run >= self._floor.min_interruption:
            self._floor.hold(turn, now)

    def _judge_kept(self, turn: OpenTurn, held: bool, kept: bool, now: float) -> None:
        """The agent's audio has ended: what was said meanwhile."""
        going_on = self._caller.run > 0 and now - self._caller.voice_end <= GAP_MS + EPS_MS
        text = turn.text(self._caller.transcript.interim)
        if turn.id or turn.digits or held:
            self._floor.open(turn)
        elif text and not self._floor.is_backchannel(text, final=True):
            turn.by_words = True
            self._floor.open(turn)
        elif (
            kept
            and not text
            and not turn.settled
            and turn.voiced_ms >= self._floor.min_interruption
        ):
            turn.doubtful = not going_on
            self._floor.open(turn)
        elif not going_on:
            self._caller.transcript.use(now)
            self._caller.turn = None

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
        asked: bool,
    ) -> None:
        if new:
            turn.doubtful = False
            if final:
                turn.finals.append(new)
        if more:
            turn.word_at = max(turn.word_at, spoken_at)
        if more and self._floor.state == "user":
            self._pause.forget()  # no noise: somebody speaks
        if final:
            since = self._floor.silent_since(turn, keys=False)
            self._pause.heard(heard_to, since, asked=asked)
        text = turn.text("" if final else new)
        if final:
            self._pause.drafts.cancel(unless=text)
        elif more:
            self._pause.drafts.words(text)
        if new and self._floor.state == "user" and (final or (more and ends_sentence(new))):
            self._pause.draft_early(turn, text, now)

    def _words_outside(
        self, new: str, final: bool, spoken_at: float, heard_to: float, now: float
    ) -> None:
        """New words while no turn is open."""
        if self._floor.state == "idle":
            if self._caller.turn or final:
                turn = self._keep(new, final, spoken_at, heard_to)
                turn.by_words = True
                self._floor.open(turn)
        elif self._agent.uninterruptible:
            if final:
                self._keep(new, final, spoken_at, heard_to)
        elif self._floor.may_be_taken_back:
            if final:
                self._keep(new, final, spoken_at, heard_to)
                sure = self._pause.sure
                self._floor.take_back(now)
                if self.state == "pause" and spoken_at <= self._agent.committed_at:
                    self._pause.sure = sure  # nothing was said since the turn was judged
        elif self._floor.state == "held":
            if final:
                self._keep(new, final, spoken_at, heard_to)
            if not self._floor.is_backchannel(new, final=final):
                self._floor.interrupt("speech", now)
        else:
            self._words_over_agent(new, final, spoken_at, heard_to, now)

    def _words_over_agent(
        self, new: str, final: bool, spoken_at: float, heard_to: float, now: float
    ) -> None:
        if self._floor.is_backchannel(new, final=final):
            if final and self._caller.run and now - self._caller.voice_end <= GAP_MS:
                self._keep(new, final, spoken_at, heard_to)
            return
        resumed = self._agent.resumed
        if resumed and resumed[0].onset_ms < spoken_at <= resumed[1]:
            # The word that would have confirmed the interruption came too late to.
            self._caller.turn = resumed[0]
            self._floor.state = "held"
            self._floor.events.append(PauseAgent())
            self._keep(new, final, spoken_at, heard_to)
            self._floor.interrupt("speech", now)
            return
        if final:
            self._keep(new, final, spoken_at, heard_to)
        if self._caller.run and spoken_at > self._caller.run_onset:
            self._agent.confirmed = True

    def _keep(self, new: str, final: bool, spoken_at: float, heard_to: float) -> OpenTurn:
        """Words of a candidate, which they make if there was none."""
        turn = self._caller.turn
        if turn is None:
            begun = max(spoken_at - _WORD_MS * len(new.split()), 0.0)
            turn = self._caller.turn = OpenTurn(begun)
            turn.speech_end_ms = spoken_at
            self._caller.run = 0
        turn.word_at = max(turn.word_at, spoken_at)
        if final:
            turn.finals.append(new)
            turn.settled = not self._caller.voiced and heard_to >= turn.speech_end_ms
        return turn
