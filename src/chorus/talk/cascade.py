"""The conversation that is made of three engines: a transcriber, a language model and a voice.

It puts its parts together and passes on what comes in. `Hearing` makes speech probabilities and
words of the caller's audio; `Conversation` decides with them who speaks, and has replies made;
`Speaking` plays them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from chorus.audio.codec import decode
from chorus.lines.desk import Detected
from chorus.lines.line import LineMove
from chorus.llm.model import longest_sound_ms
from chorus.speech.engines import VAD_FRAME_MS, EngineFailed, Hints, Words
from chorus.talk.announcing import Announcement
from chorus.talk.answered.reception import Reception
from chorus.talk.answered.tones import Tones
from chorus.talk.conversation import Conversation
from chorus.talk.dialogue import Dialogue
from chorus.talk.hearing import Hearing, heard_as
from chorus.talk.keypad import Keypad
from chorus.talk.knowledge import LookUps
from chorus.talk.leg import Leg
from chorus.talk.preparing import (
    background_of,
    mind_of,
    turns_of,
    voicing_of,
    waiting_of,
)
from chorus.talk.speaking import Speaking
from chorus.talk.spec import AgentSpec, Engines
from chorus.talk.talk import Host
from chorus.talk.tasks import Tasks
from chorus.talk.text import phrases
from chorus.talk.tools.acting import Acting, ToolRun
from chorus.talk.transcribing import Transcribing

ON_HOLD = "The caller had put you on hold for {} seconds and is back."
NOTED_HOLD_S = 10
"""A shorter hold the model is not told of."""
LAST_WORDS_S = 1.5
"""How long a call that is over waits for the words of what was said last."""


class Cascade:
    """Implements `Talk` on one leg. `system` is the agent's prompt with its variables filled in,
    which `filled` does with other templates.
    Raises `ValueError` and `EngineFailed` where the engines cannot take the line's format."""

    def __init__(
        self,
        agent: AgentSpec,
        engines: Engines,
        leg: Leg,
        host: Host,
        tasks: Tasks,
        *,
        system: str,
        acting: Acting,
        keypad: Keypad,
        filled: Callable[[str], str],
        look_ups: LookUps | None = None,
    ) -> None:
        line = leg.line
        self._agent = agent
        self._leg = leg
        self._mouth = leg.mouth
        self._keypad = keypad
        self._host = host
        self._look_ups = look_ups
        self._tasks = tasks
        self._deaf = False
        self._held_at = 0.0
        self._unheard = False  # nobody listens to what is said, though it is recorded
        self._transcriber: asyncio.Task[None] | None = None
        self._voicing = voicing_of(agent, engines, line.format, self._voice_replaced, host.note)
        mind = mind_of(
            agent, engines, line.format, system, acting, self._voicing, look_ups, host.note
        )
        self._filler = mind.filler
        self._over = False
        self._silent: asyncio.Event = asyncio.Event()  # nothing that was said waits for its words
        self._conversation = Conversation(
            turns=turns_of(agent, engines.end_of_turn),
            mind=mind,
            end_of_turn=engines.end_of_turn,
            language=agent.language,
            waiting=waiting_of(agent),
            keypad=keypad,
            tasks=tasks,
            host=host,
        )
        self._reception = Reception(agent, self._conversation, host, filled)
        self._tones = Tones(line.format.rate_hz)
        if self._reception.listens:
            self._conversation.machines = self._reception
            leg.listen(self._hear_tones)
        self._guarded_words = host.guarded(self._understood)
        self._transcribing = Transcribing(
            engines.transcribers,
            heard_as(line.format),
            Hints(_languages(agent), engines.phrases(system)),
            on_words=self._words,
            note=host.note,
            keep_ms=longest_sound_ms(engines.models.engines),
        )
        self._hearing = Hearing(
            line.format,
            engines.detector,
            self._transcribing,
            threshold=agent.turns.frame_activation_threshold,
            lossless=line.lossless,
            track=leg.track,
            on_frame=host.guarded(self._frame),
        )
        self._speaking = Speaking(
            leg.mouth,
            on_first_sent=self._conversation.first_sent,
            on_done=self._conversation.all_heard,
        )
        self._conversation.join(self._hearing, self._speaking)
        if self._filler is not None:
            self._filler.on_hold = lambda: self._speaking.held

    @property
    def dialogue(self) -> Dialogue:
        return self._conversation.dialogue

    @property
    def lost_ms(self) -> float:
        return self._hearing.lost_ms

    @property
    def filled_ms(self) -> float:
        return self._hearing.filled_ms

    def start(self) -> None:
        self._reception.begin()
        self._transcriber = self._tasks.spawn(self._transcribe(), "transcribe")
        self._tasks.spawn(self._warm(), "warm")
        self._tasks.spawn(self._load_background(), "background")

    async def _warm(self) -> None:
        await self._voicing.warm()
        if self._filler is not None:
            await self._filler.prepare()

    def audio(self, chunk: bytes, at_ms: float) -> None:
        if self._speaking.held:
            return  # music; silence is put in its place
        self._hearing.audio(chunk, at_ms, self._host.call_ms)

    def digit(self, digit: str) -> None:
        self._conversation.digit(digit)

    def moved(self, move: LineMove) -> None:
        now = self._host.call_ms
        if move is LineMove.HELD and not self._speaking.held:
            self._held_at = now
            self._speaking.hold(now)
        elif move is LineMove.RESUMED and self._speaking.held:
            self._hearing.begins_anew()
            self._conversation.latencies.spoil()
            away_s = round((now - self._held_at) / 1000)
            if away_s >= NOTED_HOLD_S:
                self._conversation.dialogue.note(ON_HOLD.format(away_s))
            self._speaking.release(now)

    def tick(self) -> None:
        if not self._deaf:
            try:
                self._hearing.tick(self._host.call_ms)
            except EngineFailed as failure:
                self._lost_hearing(failure)
        self._leg.private = self._hearing.private = self._keypad.private
        self._conversation.tick()

    def open_with(self, greeting: str | None, *, uninterruptible: bool) -> Announcement:
        announcer = self._conversation.announcer
        return announcer.open_with(greeting, uninterruptible=uninterruptible)

    def say(self, text: str) -> None:
        self._conversation.announcer.say(text, lasting=True)

    def take_leave(self, text: str, reason: str, detail: str = "") -> None:
        self._conversation.take_leave(text, reason, detail)

    def say_first(self, text: str, then: Callable[[], None]) -> None:
        self._conversation.announcer.say_first(text, then)

    def advise(self, text: str) -> None:
        self._conversation.advise(text)

    def carrier_heard(self, found: Detected | None, *, greeting_over: bool) -> None:
        self._reception.carrier(found, greeting_over=greeting_over)

    async def may_open(self) -> None:
        await self._reception.may_open()

    @property
    def if_hung_up(self) -> str | None:
        return self._reception.if_hung_up

    def tool_done(self, action: ToolRun) -> None:
        self._conversation.tool_done(action)

    def suspend(self) -> None:
        self._reception.somebody_else()
        self._conversation.suspend()

    def resume(self) -> None:
        self._conversation.resume()

    def between_people(self, tell: Callable[[str], None] | None) -> None:
        self._conversation.overheard = tell
        if tell is None and not self._unheard:
            self._unheard = True
            self._host.note("transcriber_stopped")
            if self._transcriber is not None:
                self._transcriber.cancel()
            self._tasks.spawn(self._transcribing.close(), "stop transcribing")

    def close(self) -> None:
        self._over = True
        if self._look_ups is not None:
            self._look_ups.close()
        self._conversation.close()

    async def last_words(self) -> None:
        try:
            if self._transcribing.owes_words and not self._unheard:
                self._transcribing.ask_for_the_rest()
                async with asyncio.timeout(LAST_WORDS_S):
                    await self._silent.wait()
        except TimeoutError:
            pass  # what is known by now is the record
        finally:
            self._conversation.settle_unanswered()

    async def aclose(self) -> None:
        await self._hearing.close()
        await self._voicing.aclose()

    def _frame(self, voiced: bool, now_ms: float) -> None:
        if self._unheard:
            return
        # Before the turn may end: a machine is not answered.
        self._reception.frame(voiced, now_ms, VAD_FRAME_MS)
        self._conversation.frame(voiced, now_ms)

    def _understood(self, words: Words) -> None:
        self._reception.words(words.text, final=words.final, heard_to_ms=words.heard_to_ms)
        self._conversation.words(words)

    def _hear_tones(self, chunk: bytes, _at_ms: float) -> None:
        if not self._reception.hears_tones:
            self._leg.forget(self._hear_tones)
            return
        for tone in self._tones.feed(decode(self._leg.format, chunk)):
            self._reception.tone(tone)

    def _voice_replaced(self, failure: EngineFailed) -> None:
        self._host.note(
            "engine_failed",
            vendor=failure.vendor,
            stage=failure.stage,
            detail=failure.detail,
            remedy="replaced",
        )

    async def _transcribe(self) -> None:
        """Nobody is understood any more when it ends: the caller is told goodbye."""
        try:
            await self._transcribing.run()
        except EngineFailed as failure:
            self._lost_hearing(failure)

    def _lost_hearing(self, failure: EngineFailed) -> None:
        self._deaf = True
        goodbye = phrases.goodbye(self._agent.language)
        self.take_leave(goodbye, "provider_error", str(failure))

    def _words(self, words: Words) -> None:
        if self._over:
            if words.final:
                self._conversation.late_words(words.text)
            if not self._transcribing.owes_words:
                self._silent.set()
        else:
            self._guarded_words(words)

    async def _load_background(self) -> None:
        """Nobody waits for it."""
        try:
            background = await background_of(self._agent, self._mouth.line.format)
            self._mouth.background = background
        except (LookupError, OSError, ValueError) as failure:
            self._host.note("background_failed", detail=str(failure))


def _languages(agent: AgentSpec) -> tuple[str, ...]:
    """What may be spoken, the likeliest first."""
    first = (agent.language,) if agent.language else ()
    return tuple(dict.fromkeys((*first, *agent.languages)))
