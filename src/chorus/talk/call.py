"""The life of one call, from the answered line to the settled record. Read it top down.

    call = Call(spec, line, engines, ...)
    outcome = await call.run()

`run` prepares (templates, sound, recording, transcriber), lets the line deliver, opens the
conversation, and waits for the one thing that every call comes to: a reason to end. However it
ends (either side hangs up, the socket drops, a provider fails, the time is over, the task is
cancelled, an exception) it goes through the one `finally`, after which the line is down, the
recording is closed, the history is settled and no task is left.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import Literal, cast

from chorus.audio import sounds
from chorus.audio.mix import Background
from chorus.audio.pace import Ticker
from chorus.audio.record import Recording
from chorus.lines.line import Line, LineCause, LineEnded
from chorus.outbound import Outbound
from chorus.speech.engines import EngineFailed, Hints, VoiceStyle
from chorus.talk.acting import Acting, Action
from chorus.talk.conversation import Conversation
from chorus.talk.dialogue import Line as TranscriptLine
from chorus.talk.hearing import Hearing
from chorus.talk.speaking import Speaking
from chorus.talk.spec import CallSpec, Engines, Journal
from chorus.talk.tasks import Tasks
from chorus.talk.template import fill
from chorus.talk.thinking import END_CALL, END_CALL_SPEC, Mind
from chorus.talk.timeline import Happening
from chorus.talk.turns import Turns

log = logging.getLogger(__name__)

STEP_TIMEOUT_S = 20.0
EFFECTS_GRACE_MS = 10_000
"""A tool with effects that still runs when the call ends is let finish for so long."""
REOPEN_TRIES = 3
FIRST_PACKET_TIMEOUT_S = 5.0
"""A line that sends nothing at all is spoken to after this long all the same."""

LINE_REASONS: dict[LineCause, str] = {
    LineCause.FAR_END: "customer_ended",
    LineCause.LOCAL: "agent_ended",
    LineCause.CANCELED: "customer_ended",
    LineCause.BUSY: "busy",
    LineCause.NO_ANSWER: "no_answer",
    LineCause.REJECTED: "rejected",
    LineCause.DROPPED: "provider_error",
    LineCause.FAILED: "provider_error",
}

FAILED_REASONS = frozenset({"provider_error", "internal_error", "worker_lost"})


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a call ended. `detail` explains a failure and holds no secrets; `recording_fault` says
    what of the recording was lost, if anything."""

    status: Literal["completed", "failed"]
    reason: str
    detail: str
    duration_ms: int
    turn_count: int
    transcript: tuple[TranscriptLine, ...]
    recording_fault: str | None = None


class Call:
    """One conversation on one line. `run` once. The operator's verbs (`say`, `advise`,
    `hang_up`) may be called while it runs."""

    def __init__(
        self,
        spec: CallSpec,
        line: Line,
        engines: Engines,
        journal: Journal,
        ticker: Ticker,
        outbound: Outbound,
    ) -> None:
        self.spec = spec
        self._line = line
        self._engines = engines
        self._journal = journal
        self._ticker = ticker
        self._acting = Acting(
            spec.agent.tools,
            outbound,
            spec.variables,
            reserved=(END_CALL,),
            on_result=self._tool_done,
        )
        self._loop = asyncio.get_running_loop()
        self._answered_at = self._loop.time()
        self._ending: asyncio.Future[tuple[str, str]] = self._loop.create_future()
        self._first_packet = asyncio.Event()
        self._line_over = asyncio.Event()
        self._talk: Conversation | None = None
        self._tasks: Tasks | None = None
        self._recording: Recording | None = None
        self._reopened = 0
        self.outcome: Outcome | None = None

    # --- from beginning to end ------------------------------------------------------------------

    async def run(self) -> Outcome:
        agent = self.spec.agent
        recording: Recording | None = None
        hearing: Hearing | None = None
        ticket = None
        reason, detail = "internal_error", ""
        try:
            self._note("answered", provider=self._line.provider, callSid=self._line.call_sid)
            background = await self._background()
            recording = self._recording = self._open_recording()
            async with asyncio.TaskGroup() as group:
                tasks = self._tasks = Tasks(group)
                talk = self._talk = self._conversation(tasks)
                hearing = talk.hearing = Hearing(
                    self._line.format,
                    self._engines.detector,
                    threshold=agent.turns.frame_activation_threshold,
                    recording=recording,
                    on_frame=self._frame,
                )
                talk.speaking = Speaking(
                    self._line,
                    background=background,
                    recording=recording,
                    on_first_sent=talk.first_sent,
                    on_done=talk.all_heard,
                )
                await self._open_transcriber()
                self._line.start(self)
                ticket = self._ticker.add(self._tick, self._broke)
                tasks.spawn(self._open(talk), "open")
                reason, detail = await self._wait_for_end()
                tasks.cancel()
        except asyncio.CancelledError:
            reason = "worker_lost"
            raise
        except Exception as failure:
            reason, detail = self._blame(failure)
        finally:
            if ticket is not None:
                ticket.remove()
            await self._put_down(hearing, recording, reason, detail)
        assert self.outcome is not None  # set by _put_down on every way out
        return self.outcome

    def _blame(self, failure: Exception) -> tuple[str, str]:
        """The reason of a call that an exception ended: an engine's, or a fault of ours."""
        broken = failure
        while isinstance(broken, ExceptionGroup):
            broken = cast("ExceptionGroup[Exception]", broken).exceptions[0]
        if isinstance(broken, EngineFailed):
            return "provider_error", str(broken)
        log.error("call %s broke", self.spec.call_id, exc_info=failure)
        return "internal_error", type(broken).__name__

    async def _wait_for_end(self) -> tuple[str, str]:
        """The first reason to end: somebody's, or the clock's."""
        limit_s = self.spec.agent.max_call_duration_s - self.call_ms / 1000
        try:
            async with asyncio.timeout(max(0.0, limit_s)):
                return await self._ending
        except TimeoutError:
            return "max_duration", ""

    async def _open(self, talk: Conversation) -> None:
        """The agent's first message, if it is the agent who speaks first: made at once, heard
        when the line is answered, the first packet is there and the delay is over."""
        agent = self.spec.agent
        if agent.first_speaker != "agent":
            return
        greeting = fill(agent.greeting, self.spec.variables).text if agent.greeting else None
        release = talk.open_with(greeting, uninterruptible=agent.first_message_uninterruptible)
        try:
            async with asyncio.timeout(FIRST_PACKET_TIMEOUT_S):
                await self._first_packet.wait()
        except TimeoutError:
            self._note("no_audio_yet", waitedMs=round(FIRST_PACKET_TIMEOUT_S * 1000))
        await asyncio.sleep(agent.first_message_delay_ms / 1000)
        release()

    async def _put_down(
        self, hearing: Hearing | None, recording: Recording | None, reason: str, detail: str
    ) -> None:
        """The one end. Each step is tried whatever became of the one before."""
        duration_ms = self.call_ms
        talk = self._talk
        if talk is not None:
            try:
                talk.close()
            except Exception:  # the rest of the end must still happen
                log.exception("call %s: the history could not be settled", self.spec.call_id)
        for step in (
            self._hang_up_line(),
            self._acting.finish(EFFECTS_GRACE_MS),
            hearing.close() if hearing else None,
            recording.close(duration_ms) if recording else None,
        ):
            if step is None:
                continue
            try:
                async with asyncio.timeout(STEP_TIMEOUT_S):
                    await step
            except Exception as failure:  # the rest of the end must still happen
                log.warning("call %s: while ending: %r", self.spec.call_id, failure)
        self.outcome = Outcome(
            status="failed" if reason in FAILED_REASONS else "completed",
            reason=reason,
            detail=detail,
            duration_ms=round(duration_ms),
            turn_count=talk.dialogue.turn_count if talk else 0,
            transcript=talk.dialogue.transcript() if talk else (),
            recording_fault=recording.failed if recording else None,
        )
        self._note(
            "ended",
            reason=reason,
            detail=detail,
            lostMs=round(hearing.lost_ms) if hearing else 0,
            filledMs=round(hearing.filled_ms) if hearing else 0,
        )

    async def _hang_up_line(self) -> None:
        if not self._line_over.is_set():
            await self._line.hang_up()

    # --- the operator's verbs -------------------------------------------------------------------

    def hang_up(self, reason: str = "operator_ended", detail: str = "") -> None:
        if not self._ending.done():
            self._ending.set_result((reason, detail))

    def say(self, text: str) -> None:
        if self._talk is not None:
            self._talk.say(text)

    def advise(self, text: str) -> None:
        if self._talk is not None:
            self._talk.advise(text)

    def answered_by(self, who: str, *, is_machine: bool) -> None:
        """The carrier's detection has decided who picked up."""
        self._note("answered_by", who=who, isMachine=is_machine)
        if is_machine:
            self.advise(
                "An answering machine or voicemail has picked up, not a person. Leave a short "
                "message if that makes sense, else end the call."
            )

    # --- callbacks of the line, the detector and the ticker ---------------------------------------
    # What goes wrong in one of these ends this call and no other: the caller of a callback is
    # shared by all calls of the process.

    def line_audio(self, chunk: bytes, at_ms: float) -> None:
        talk = self._talk
        if talk is None:
            return
        self._first_packet.set()
        try:
            talk.hearing.audio(chunk, at_ms, self.call_ms)
        except Exception as failure:
            self._broke(failure)

    def line_digit(self, digit: str) -> None:
        if self._talk is not None:
            try:
                self._talk.digit(digit)
            except Exception as failure:
                self._broke(failure)

    def line_ended(self, ended: LineEnded) -> None:
        self._line_over.set()
        self.hang_up(LINE_REASONS[ended.cause], ended.detail)

    def _frame(self, probability: float, now_ms: float) -> None:
        if self._talk is not None:
            try:
                self._talk.frame(probability, now_ms)
            except Exception as failure:
                self._broke(failure)

    def _tool_done(self, action: Action) -> None:
        if self._talk is not None:
            self._talk.tool_done(action)

    def _tick(self, _now: float) -> None:
        if self._talk is not None:
            call_ms = self.call_ms
            self._talk.hearing.tick(call_ms)
            if self._recording is not None:
                self._recording.advance(call_ms)
            self._talk.tick()

    def _broke(self, failure: Exception) -> None:
        self.hang_up(*self._blame(failure))

    # --- preparing ------------------------------------------------------------------------------

    @property
    def call_ms(self) -> float:
        """Milliseconds since the line was answered."""
        return (self._loop.time() - self._answered_at) * 1000

    def _conversation(self, tasks: Tasks) -> Conversation:
        agent, engines = self.spec.agent, self._engines
        system = fill(agent.system_prompt, self.spec.variables)
        if system.missing:
            self._note("variables_missing", names=list(system.missing))
        threshold = agent.turns.eot_threshold
        if threshold is None:
            threshold = engines.end_of_turn.threshold
        tools = self._acting.specs
        return Conversation(
            turns=Turns(agent.turns, threshold=threshold, language=agent.language),
            mind=Mind(
                model=engines.model,
                voice=engines.voice,
                style=VoiceStyle(
                    agent.voice, agent.voice_speed, agent.voice_stability, agent.language
                ),
                format=self._line.format,
                system=system.text,
                acting=self._acting,
                tools=(*tools, END_CALL_SPEC) if agent.allow_end_call else tools,
            ),
            end_of_turn=engines.end_of_turn,
            language=agent.language,
            tasks=tasks,
            clock=lambda: self.call_ms,
            note=self._note,
            end=self.hang_up,
        )

    async def _background(self) -> Background | None:
        agent = self.spec.agent
        if agent.background_sound is None or agent.background_volume <= 0:
            return None
        rate_hz = self._line.format.rate_hz
        pcm16 = await asyncio.to_thread(sounds.load, agent.background_sound, rate_hz)
        return Background(pcm16, agent.background_volume, self._line.format)

    def _open_recording(self) -> Recording | None:
        if self.spec.recording_path is None:
            return None
        return Recording(
            self.spec.recording_path,
            self._line.format.rate_hz,
            on_failed=lambda fault: self._note("recording_failed", detail=fault),
        )

    async def _open_transcriber(self) -> None:
        assert self._talk is not None
        system = fill(self.spec.agent.system_prompt, self.spec.variables).text
        hints = Hints(self.spec.agent.language, self._engines.model.phrases(system))
        await self._talk.hearing.open(
            self._engines.transcriber, hints, self._talk.words, self._transcriber_failed
        )

    def _transcriber_failed(self, failure: EngineFailed) -> None:
        """A stream that recovers by itself is noted; a lost one is opened anew, some times."""
        lost = failure.stage == "lost"
        self._reopened += lost
        remedy = "recovered" if not lost else "reopened"
        if self._reopened > REOPEN_TRIES:
            remedy = "call_ended"
        self._note(
            "engine_failed",
            vendor=failure.vendor,
            stage=failure.stage,
            detail=failure.detail,
            remedy=remedy,
        )
        if remedy == "call_ended":
            self.hang_up("provider_error", failure.detail)
        elif lost and self._tasks is not None:
            self._tasks.spawn(self._reopen(), "reopen")

    async def _reopen(self) -> None:
        try:
            await self._open_transcriber()
        except EngineFailed as failure:
            await asyncio.sleep(0.5)
            self._transcriber_failed(EngineFailed(failure.vendor, "lost", failure.detail))

    def _note(self, kind: str, **data: object) -> None:
        self._journal.note(Happening(round(self.call_ms), kind, data))
