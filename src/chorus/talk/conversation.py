"""Who has the floor, and what follows from it: the middle of a call.

Frames, words, keys and verdicts go into the turn-taking machine (`turns.py`); what it decides
comes out as events and is carried out here, each by one method: a draft is begun or dropped, a
committed turn is answered, the agent is silenced, resumed, or loses the floor. Replies
(`thinking.py`) report back when they have words, sound, tools or a failure; the mouth
(`speaking.py`) when all was heard.

Everything runs on the event loop in plain calls. Tasks exist per reply and per question to the
end-of-turn model, all in the call's one group.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from chorus.llm.model import ModelFailed, ToolCall
from chorus.speech.engines import EndOfTurn, Words
from chorus.talk.announcing import Announcement, Announcements, Announcer
from chorus.talk.dialogue import Dialogue, Unanswered, result_data, with_keys
from chorus.talk.drafting import Drafting
from chorus.talk.failures import Failures
from chorus.talk.hearing import Hearing
from chorus.talk.judging import Judge
from chorus.talk.keypad import Keypad
from chorus.talk.speaking import Speaking
from chorus.talk.talk import Host
from chorus.talk.tasks import Tasks
from chorus.talk.text import phrases
from chorus.talk.thinking import Reply, ReplyContext
from chorus.talk.timeline import Latencies
from chorus.talk.tools.acting import ToolRun
from chorus.talk.turns.turns import (
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
    Turns,
    Unheard,
)
from chorus.talk.utterance import Utterance
from chorus.talk.waiting import Waiting

if TYPE_CHECKING:
    from chorus.talk.answered.reception import Reception

EARLY_ANSWER_MS = 400
"""A question with no more than this to go when the caller speaks counts as asked."""


class Conversation:
    """`join` gives it what hears and what speaks, before the first sample: each needs the other's
    callbacks."""

    hearing: Hearing
    speaking: Speaking

    def __init__(
        self,
        *,
        turns: Turns,
        mind: ReplyContext,
        end_of_turn: EndOfTurn,
        language: str | None,
        waiting: Waiting,
        keypad: Keypad,
        tasks: Tasks,
        host: Host,
    ) -> None:
        self.dialogue = Dialogue()
        self._turns = turns
        self._mind = mind
        self._language = language
        self._waiting = waiting
        self._keypad = keypad
        keypad.attach(turns.expect_keys)
        self._suspended = False
        self._unanswered: Unanswered | None = None
        self._tasks = tasks
        self._host = host
        self._note, self._end = host.note, host.hang_up
        self._drafts = Drafting(self._discard)
        self._reply: Reply | None = None
        self._announcements = Announcements()
        self.announcer = Announcer(
            self._announcements, self.dialogue, tasks, self._own_reply, self._discard
        )
        self.machines: Reception | None = None
        """Where it is found out who answered: it is asked before a machine is."""
        self.overheard: Callable[[str], None] | None = None
        """Is given the turns of a person who talks with another one."""
        self._missed = False  # a turn was over while the agent was silent
        self._announced: Announcement | None = None  # the last that was begun
        self.latencies = Latencies()
        self._failures = Failures(host.note)
        self._judge = Judge(end_of_turn, self._failures)

    def join(self, hearing: Hearing, speaking: Speaking) -> None:
        self.hearing = hearing
        self.speaking = speaking

    # --- what comes in ------------------------------------------------------------------------

    def frame(self, voiced: bool, now_ms: float) -> None:
        self._turns.hear(voiced, now_ms)
        self._carry_out()

    def words(self, words: Words) -> None:
        if words.final and words.text:
            self._note("words", text=words.text, spokenAtMs=round(words.spoken_at_ms))
        if self._reply is not None:
            soon = self.speaking.heard(EARLY_ANSWER_MS)
            self._turns.agent_text(self.speaking.heard().sounded, soon.sounded)
        self._turns.words(
            words.text,
            words.final,
            words.spoken_at_ms,
            words.heard_to_ms,
            self.hearing.now_ms,
            asked=self.hearing.asks_for_words,
        )
        if words.final:
            self.latencies.words(self._host.call_ms)
            self._mind.expect(self._turns.text)
        if words.turn_over is not None:
            self._turns.vendor_verdict(words.turn_over, words.heard_to_ms, self.hearing.now_ms)
        self._carry_out()

    def digit(self, digit: str) -> None:
        shown = self._keypad.press(digit)
        if shown is None:
            return
        self._note("digit", digit=shown)
        self._waiting.answered()
        self._turns.digit(digit, self.hearing.now_ms)
        self._carry_out()

    def tick(self) -> None:
        """Every 20 ms: send, and notice what was heard. What falls due in time is noticed with
        the frames, whose clock it is."""
        speaking = self.speaking
        speaking.pump(self._host.call_ms)
        if self._reply is not None:
            if not speaking.paused and (position_ms := speaking.position_ms) > 0:
                self._note_latency(position_ms)
                self._turns.audible(position_ms, self.hearing.now_ms)
                self._carry_out()
        elif self._announcements and not self._suspended:
            self._announce()
        quiet = self._reply is None and not self._announcements and self._turns.state == "idle"
        quiet = quiet and not self._suspended and not speaking.held
        missed = self._keypad.tick(quiet=quiet, keyed=bool(self._turns.digits))
        if missed is not None:
            self.announcer.speak_up(f"No key was pressed for {missed.name}.")
        quiet = quiet and not self._keypad.waiting
        due = self._waiting.tick(self._host.call_ms, quiet=quiet)
        if due is not None:
            self._remind(leave=due == "leave")

    def _remind(self, *, leave: bool) -> None:
        """The caller has been silent for too long."""
        self._note("caller_silent", reminder=None if leave else self._waiting.reminded)
        if leave:
            self.take_leave(phrases.goodbye(self._language), "silence")
        else:
            self.announcer.say(phrases.still_there(self._language))

    # --- what the operator asks for -----------------------------------------------------------

    def take_leave(self, text: str, reason: str, detail: str = "") -> None:
        """Say `text`, which may not be interrupted, and end the call when it was heard, or when
        it could not be in time."""
        if self.announcer.leaving:
            return
        self.announcer.leaving, self._suspended = True, False
        self.announcer.say_first(text, lambda: self._end(reason, detail))

    def deliver(self, text: str | None, reason: str) -> None:
        """Leave a message in one go, `text` or the model's, and end the call for `reason`."""
        if not self.announcer.leaving:
            self.announcer.leaving, self._suspended = True, False
            self.announcer.deliver(text, lambda: self._end(reason), reason)

    def advise(self, text: str) -> None:
        """A note for the model, from the next reply on."""
        self._note("operator_note", text=text)
        self.dialogue.note(text)

    # --- its beginning and its end ------------------------------------------------------------

    def close(self) -> None:
        """The call is over: settle what was heard and drop the rest. What the caller had begun
        to say is kept."""
        turns = self._turns
        digits = self._keypad.shown(turns.digits)
        self._unanswered = Unanswered(turns.turn, [turns.final_text], turns.text, digits)
        self._turns.end(self.hearing.now_ms)
        while self._turns.next_event() is not None:
            pass  # only the draft's end, which is seen to here
        self._drafts.drop()
        if self._reply is not None:
            self._settle(self._reply)
        self.announcer.withdraw(everything=True)

    def late_words(self, text: str) -> None:
        """Final words of what was said before `close`."""
        if text and self._unanswered is not None:
            self._note("words", text=text, spokenAtMs=round(self.hearing.now_ms))
            self._unanswered.finals.append(text)

    def settle_unanswered(self) -> None:
        """After `close`: what the caller had begun to say, and the keys, are the last turn."""
        unanswered, self._unanswered = self._unanswered, None
        if unanswered is not None and (text := unanswered.text):
            self._note("turn_unanswered", text=text)
            self.dialogue.caller_said(unanswered.turn, text)

    def suspend(self) -> None:
        self._suspended = True
        self._keypad.cancel()
        self._drafts.drop()
        if self._reply is not None:
            self._settle(self._reply)
            self._turns.reply_done(self.hearing.now_ms)
            self._carry_out()

    def resume(self) -> None:
        self._suspended = self._missed = False

    def come_back(self, note: str | None = None) -> None:
        """As `resume`; the model knows `note`, and answers what was said meanwhile."""
        missed = self._missed
        self.resume()
        if missed and not self._announcements:
            self.announcer.speak_up(note)
        elif note is not None:
            self.dialogue.note(note)

    def patience(self, ms: float | None) -> None:
        """How long a silence ends a turn from now on; None: as the agent has it."""
        self._turns.patience(ms)

    # --- turn-taking's decisions --------------------------------------------------------------

    def _carry_out(self) -> None:
        while (event := self._turns.next_event()) is not None:
            self._decided(event)

    def _decided(self, event: Event) -> None:
        match event:
            case SpeechStarted():
                self._speech_started(event)
            case SpeechPaused():
                self._note("speech_paused", turn=event.turn)
            case Draft():
                self._begin_draft(event)
            case CancelDraft():
                self._drafts.drop(event.text)
            case AskEndOfTurn() if self.hearing.judges_turns:
                pass  # the transcriber's own verdict comes with its words
            case AskEndOfTurn():
                self._tasks.spawn(self._ask(event), "end-of-turn")
            case TurnCommitted():
                self._answer(event)
            case TurnDropped():
                self._drafts.drop()
                self.latencies.dropped(event.turn)
                self._note("turn_dropped", turn=event.turn, reason=event.reason)
            case Unheard():
                self._note("unheard")
                if not self._suspended:
                    self.announcer.say(phrases.ask_again(self._language))
            case Retract():
                self._retract(event.turn)
            case PauseAgent():
                self.speaking.pause(self._host.call_ms)
                self._note("agent_paused")
            case ResumeAgent():
                self.speaking.resume(self._host.call_ms)
                self._note("agent_resumed")
            case Interrupted():
                self._note("interrupted", turn=event.turn, by=event.by)
                self._drafts.drop()
                self._lose_floor()

    def _speech_started(self, event: SpeechStarted) -> None:
        self._note("speech_started", turn=event.turn, onsetMs=round(event.onset_ms))
        self.latencies.opened(event.turn)

    def _begin_draft(self, event: Draft) -> None:
        if self._suspended or self._opens():
            return
        draft = self._new_reply(event.turn, event.text)
        self._drafts.add(draft)
        self._note("draft_started", turn=event.turn)
        sound = self.hearing.sound(event.onset_ms, event.text, self._mind.longest_sound_ms)
        draft.think(self._tasks, self.dialogue.messages_with(event.text, sound))

    def _answer(self, event: TurnCommitted) -> None:
        text = with_keys(event.text, *self._keypad.turn_over(event.digits))
        now = self._host.call_ms
        hearing, detected_ms = self.hearing, event.speech_end_ms
        ended_ms = hearing.call_time(hearing.speech_end(detected_ms))
        self.latencies.committed(event.turn, ended_ms, hearing.call_time(detected_ms), now)
        reply = None if self._suspended else self._drafts.take(text, self.dialogue.version)
        drafted = reply is not None
        self._note("turn_committed", turn=event.turn, by=event.by, text=text, drafted=drafted)
        self._waiting.answered()
        if self.machines is not None:
            self.machines.turn(text)
        if self._suspended:
            self._drafts.drop()
            self._missed = True
            self.dialogue.caller_said(event.turn, text)
            if self.overheard is not None:
                self.overheard(text)
            self._turns.reply_done(self.hearing.now_ms)
            return
        if self._opens() and (opening := self._announcements.take_opening()) is not None:
            # Who was called has said hello: they hear the agent's first message.
            if reply is not None:
                self._discard(reply)
            reply = opening.reply
            reply.turn = reply.entry.turn = event.turn
        if reply is None:
            sound = hearing.sound(event.onset_ms, event.text, self._mind.longest_sound_ms)
            messages = self.dialogue.messages_with(text, sound)
            reply = self._new_reply(event.turn, text)
            reply.think(self._tasks, messages)
        if not reply.mute:
            self.announcer.withdraw()
        self.dialogue.caller_said(event.turn, text)
        self._begin(reply, now - ended_ms)

    def _retract(self, turn: int) -> None:
        self._note("retracted", turn=turn)
        self._keypad.retracted()
        self._drafts.drop()
        reply = self._reply
        if reply is not None and reply.turn == turn:
            self._reply = None
            self.latencies.take()
            self.speaking.stop(self._host.call_ms)
            self._discard(reply)
        self.dialogue.retract(turn)

    def _lose_floor(self) -> None:
        reply, announced = self._reply, self._announced
        if reply is None:
            return
        self._settle(reply)
        if announced and announced.reply is reply and announced.lasting and not reply.entry.heard:
            self.announcer.say(reply.utterance.text, lasting=True)  # it is to be said all the same

    async def _ask(self, event: AskEndOfTurn) -> None:
        heard = self.hearing.since(
            event.onset_ms, self._turns.text, event.silence_ms, self.dialogue.last_heard
        )
        probability = await self._judge.verdict(heard)
        self.latencies.judged(event.turn, self._host.call_ms)
        self._turns.verdict(event.question, probability, self.hearing.now_ms)
        self._carry_out()

    # --- replies ------------------------------------------------------------------------------

    def _new_reply(self, turn: int, text: str) -> Reply:
        reply = Reply(self._mind, self, turn=turn, text=text, version=self.dialogue.version)
        reply.mute = self.machines is not None and self.machines.mutes(text)
        return reply

    def _opens(self) -> bool:
        """The agent's first message waits for who was called to say something."""
        machines = self.machines
        return machines is not None and machines.waits_for_hello and self._announcements.opens

    def _own_reply(self) -> Reply:
        return Reply(self._mind, self, turn=None, text="", version=self.dialogue.version)

    def _begin(self, reply: Reply, waited_ms: float = 0.0) -> None:
        """The reply has the floor: what it has to say is heard from now on."""
        self._reply = reply
        self.dialogue.reply_began(reply.entry)
        reply.commit(waited_ms)
        self.speaking.play(reply.utterance, self._host.call_ms)

    def _announce(self) -> None:
        announcement = None if self.speaking.held else self._announcements.next(self._turns.state)
        if announcement is not None:
            self._announced = announcement
            now = self.hearing.now_ms
            self._turns.agent_speaks(now, uninterruptible=announcement.uninterruptible)
            self._carry_out()
            self._begin(announcement.reply)
            self._carry_out()

    def _discard(self, reply: Reply) -> None:
        reply.cancel()
        self._note("usage", **reply.usage(discarded=True))

    def _settle(self, reply: Reply) -> None:
        """The reply has lost the floor before its end."""
        self._reply = None
        utterance = reply.utterance
        position_ms = self.speaking.stop(self._host.call_ms)
        reply.cancel()
        self._settled(reply, utterance, position_ms)

    def all_heard(self, utterance: Utterance) -> None:
        """The mouth has finished."""
        reply, self._reply = self._reply, None
        if reply is None:
            return
        self._settled(reply, utterance, utterance.length_ms)
        self._turns.agent_text(reply.entry.heard or "")
        self._turns.reply_done(self.hearing.now_ms)
        if reply.ends_call:
            self._end(reply.end_reason, reply.end_detail)
        for do in reply.then:
            do()
        self._carry_out()

    def _settled(self, reply: Reply, utterance: Utterance, heard_ms: float) -> None:
        self._note_latency(heard_ms)
        heard = utterance.split(heard_ms)
        self.dialogue.reply_settled(
            reply.entry, heard.text, heard.unsaid, heard_ms, estimated=heard.estimated
        )
        if reply.thought and reply.failure is None and heard.text:
            self._failures.forgive()
        self._note("reply_heard", heardMs=round(heard_ms), **reply.entry.as_data())
        self._note("usage", **reply.usage(discarded=False))

    def first_sent(self, ahead_ms: float) -> None:
        """The first sound of the reply was handed to the line, which is to play it `ahead_ms` from
        now: behind the background sound that it was given before."""
        reply = self._reply
        if reply is None:
            return
        self._note("reply_started", turn=reply.turn)
        reply.due_ms = self._host.call_ms + ahead_ms + reply.utterance.filler_ms
        if "audio" in reply.reached:
            self.latencies.sent(reply.turn, reply.reached, reply.due_ms)

    def _note_latency(self, heard_ms: float) -> None:
        """The turn is answered only now: until it is heard, a reply may be taken back."""
        latency = self.latencies.take()
        if latency is not None and heard_ms > 0:
            self._note("turn_latency", **latency)

    # --- what replies report --------------------------------------------------------------------

    def reply_token(self, reply: Reply) -> None:
        reply.reached.setdefault("token", self._host.call_ms)

    def reply_audio(self, reply: Reply) -> None:
        if reply.reached.setdefault("audio", now := self._host.call_ms) == now and reply.due_ms:
            self.latencies.sent(reply.turn, reply.reached, max(now, reply.due_ms))  # a filler led
        if reply is self._reply:
            self.speaking.pump(self._host.call_ms)
        elif self._reply is None and self._announcements:
            self._announce()

    def reply_tool(self, reply: Reply, call: ToolCall, *, effects: bool) -> None:
        if effects:
            self._turns.effects_begun()
        self._note(
            "tool_called", turn=reply.turn, id=call.id, name=call.name, arguments=call.arguments
        )

    def tool_done(self, action: ToolRun) -> None:
        """A tool has its result, perhaps long after the turn that asked for it."""
        self._note("tool_result", **result_data(action))
        if action.has_effects:  # others belong to one reply, which waits for them
            self.dialogue.touched()

    def reply_replaced(self, reply: Reply, failure: ModelFailed) -> None:
        self._failures.note(failure.vendor, "model", failure.detail, "replaced")

    def reply_finished(self, reply: Reply) -> None:
        if reply.failure is not None and not reply.cancelled:
            leaving = self.announcer.leaving or reply.ends_call
            remedy = self._failures.of_reply(
                reply.failure, draft=reply in self._drafts, leaving=leaving
            )
            if remedy == "apology":
                self.announcer.say(phrases.apology(self._language))
            elif remedy == "call_ended" and not leaving:
                detail = f"{reply.failure.vendor}: {reply.failure.detail}"
                self.take_leave(phrases.goodbye(self._language), "provider_error", detail)
        if reply is self._reply:
            self.speaking.pump(self._host.call_ms)
