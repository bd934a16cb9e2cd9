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
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from typing import Any, Literal, ParamSpec

from chorus.audio.pace import Ticker, Ticket
from chorus.audio.record import Recording, Side
from chorus.lines.desk import Detected
from chorus.lines.line import Line, LineCause, LineEnded, LineMove
from chorus.outbound import Outbound
from chorus.talk.answered.verdict import Verdict
from chorus.talk.bridge import Bridge
from chorus.talk.cascade import Cascade
from chorus.talk.dialogue import Dialogue
from chorus.talk.keypad import Keypad
from chorus.talk.knowledge import Knowledge
from chorus.talk.leg import Leg
from chorus.talk.outcome import FAILED_REASONS, LINE_REASONS, Outcome, blame
from chorus.talk.preparing import acting_of, look_ups_of, recording_of
from chorus.talk.second_leg import SecondLeg
from chorus.talk.spec import CallSpec, Engines, Journal
from chorus.talk.supervision import Supervisors
from chorus.talk.talk import Talk
from chorus.talk.tasks import Tasks
from chorus.talk.text import phrases
from chorus.talk.timeline import Happening
from chorus.talk.tools.acting import ToolRun
from chorus.talk.tools.keys import key_tools
from chorus.talk.tools.template import fill
from chorus.talk.tools.tool import Tool
from chorus.talk.transfer import Exchange, Wish
from chorus.talk.transfers import Transfers

log = logging.getLogger(__name__)

P = ParamSpec("P")

CALLER = "caller"
STEP_TIMEOUT_S = 20.0
EFFECTS_GRACE_MS = 10_000
"""A tool with effects that still runs when the call ends is let finish for so long."""
FIRST_PACKET_TIMEOUT_S = 5.0
"""A line that sends nothing at all is spoken to after this long all the same."""


class Call:
    """One conversation on one line. `run` once. The operator's verbs (`say`, `advise`,
    `hang_up`, `transfer`) may be called while it runs. `exchange` places the second calls of its
    transfers; `second`: it is one. `knowledge` is looked into. `recording_writer` is for tests."""

    def __init__(
        self,
        spec: CallSpec,
        line: Line,
        engines: Engines,
        journal: Journal,
        ticker: Ticker,
        outbound: Outbound,
        *,
        exchange: Exchange | None = None,
        second: SecondLeg | None = None,
        knowledge: Knowledge | None = None,
        recording_writer: Executor | None = None,
    ) -> None:
        self.spec = spec
        self._second = second
        self._recording_writer = recording_writer
        self.legs: dict[str, Leg] = {}
        """By name; `CALLER` is the one that the conversation is held on."""
        self._line = line
        self._engines = engines
        self._journal = journal
        self._ticker = ticker
        self.transfers = Transfers(self, exchange)
        self.supervisors = Supervisors(self)
        looks = self._look_ups = look_ups_of(spec.agent, knowledge, lambda: self._talk, self.note)
        self._loop = asyncio.get_running_loop()
        self._answered_at = self._loop.time()
        self._keypad = Keypad(lambda: self.call_ms, self.note)
        more = (self._keypad, self._tools(), looks)
        self._acting = acting_of(spec, outbound, self._tool_done, *more)
        self._ending: asyncio.Future[tuple[str, str]] = self._loop.create_future()
        self._first_packet = asyncio.Event()
        self._line_over = False
        self._caller: Leg | None = None
        self.bridge = Bridge(ticker, lambda: self.call_ms, self._broke)
        self._talk: Talk | None = None
        self._tasks: Tasks | None = None
        self._limit: asyncio.Timeout | None = None
        self._recording: Recording | None = None
        self._ticket: Ticket | None = None
        self._duration_ms: float | None = None
        self._verdict: Verdict | None = None
        self.outcome: Outcome | None = None

    # --- from beginning to end ------------------------------------------------------------------

    async def run(self) -> Outcome:
        reason, detail = "internal_error", ""
        try:
            self.note(
                "answered",
                provider=self._line.provider,
                callSid=self._line.leg_id,
                transcriber=self._engines.transcriber.name,
            )
            self._recording = recording_of(
                self.spec,
                self._line.format,
                lambda fault: self.note("recording_failed", detail=fault),
                self._recording_writer,
            )
            caller = self._caller = self.legs[CALLER] = self._leg(CALLER, self._line, "left")
            caller.listen(self._heard)
            async with asyncio.TaskGroup() as group:
                tasks = self._tasks = Tasks(group)
                talk = self._talk = self._conversation(caller, tasks)
                self._ticket = self._ticker.add(self._tick, self._broke)
                caller.start()
                talk.start()
                tasks.spawn(self._open(talk), "open")
                if self._second is not None:
                    self._second.join(self, self._line, self._ending)
                reason, detail = await self._wait_for_end()
                tasks.cancel()
                self._settle()
                await self._hang_up_line()
        except asyncio.CancelledError:
            reason = "worker_lost"
            raise
        except Exception as failure:
            reason, detail = blame(failure, self.spec.call_id)
        finally:
            await self._put_down(reason, detail)
        assert self.outcome is not None  # set by _put_down on every way out
        return self.outcome

    async def _wait_for_end(self) -> tuple[str, str]:
        """The first reason to end: somebody's, or the clock's."""
        limit_s = self.spec.agent.max_call_duration_s - self.call_ms / 1000
        try:
            async with asyncio.timeout(max(0.0, limit_s)) as self._limit:
                return await asyncio.shield(self._ending)  # a timeout would cancel it
        except TimeoutError:
            self.take_leave(phrases.goodbye(self.spec.agent.language), "max_duration")
            return await self._ending

    async def _open(self, talk: Talk) -> None:
        """The agent's first message, if it is the agent who speaks first: made at once, heard
        when the line is answered, the first packet is there and the delay is over."""
        agent = self.spec.agent
        if agent.first_speaker != "agent":
            return
        greeting = self.filled(agent.greeting) if agent.greeting else None
        opening = talk.open_with(greeting, uninterruptible=agent.first_message_uninterruptible)
        try:
            async with asyncio.timeout(FIRST_PACKET_TIMEOUT_S):
                await self._first_packet.wait()
        except TimeoutError:
            self.note("no_audio_yet", waitedMs=round(FIRST_PACKET_TIMEOUT_S * 1000))
        await talk.may_open()
        await asyncio.sleep(agent.first_message_delay_ms / 1000)
        opening.held_back = False

    def _settle(self) -> None:
        """Nothing is heard or said from now on: what was is the record."""
        if self._duration_ms is not None:
            return
        self._duration_ms = self.call_ms
        if not self._ending.done():
            self._ending.cancel()
        if self._ticket is not None:
            self._ticket.remove()
        self.supervisors.close()
        self.bridge.close()
        if self._talk is not None:
            try:
                self._talk.close()
            except Exception:  # the rest of the end must still happen
                log.exception("call %s: the history could not be settled", self.spec.call_id)

    async def _put_down(self, reason: str, detail: str) -> None:
        """The one end. Each step is tried whatever became of the one before; to be cancelled in
        one is to be cancelled after all of them, each of which is bounded in time."""
        self._settle()
        duration_ms = self._duration_ms or 0.0
        talk, recording = self._talk, self._recording
        cancelled = False
        for step in (
            self._hang_up_line(),
            talk.last_words() if talk else None,
            self._acting.finish(EFFECTS_GRACE_MS),
            talk.aclose() if talk else None,
            recording.close(duration_ms) if recording else None,
        ):
            if step is None:
                continue
            try:
                async with asyncio.timeout(STEP_TIMEOUT_S):
                    await step
            except asyncio.CancelledError:
                cancelled = True
            except Exception as failure:  # the rest of the end must still happen
                log.warning("call %s: while ending: %r", self.spec.call_id, failure)
        dialogue = talk.dialogue if talk else Dialogue()
        self.outcome = Outcome(
            status="failed" if reason in FAILED_REASONS else "completed",
            reason=reason,
            detail=detail,
            duration_ms=round(duration_ms),
            turn_count=dialogue.turn_count,
            transcript=dialogue.transcript(),
            recording_fault=recording.failed if recording else None,
            answered_by=self._verdict,
        )
        lost, filled = (round(talk.lost_ms), round(talk.filled_ms)) if talk else (0, 0)
        self.note("ended", reason=reason, detail=detail, lostMs=lost, filledMs=filled)
        if cancelled:
            raise asyncio.CancelledError

    async def _hang_up_line(self) -> None:
        """All legs, side by side: one that cannot be ended must not keep another."""
        lines = [leg.line for leg in self.legs.values()] or [self._line]
        await asyncio.gather(self.transfers.close(), *(self._end_line(line) for line in lines))

    async def _end_line(self, line: Line) -> None:
        if line is self._line and self._line_over:
            return
        try:
            async with asyncio.timeout(STEP_TIMEOUT_S):
                await line.hang_up()
        except Exception as failure:  # a line that cannot be ended must not keep the call
            log.warning("call %s: hanging up: %r", self.spec.call_id, failure)

    # --- the operator's verbs -------------------------------------------------------------------

    def hang_up(self, reason: str = "operator_ended", detail: str = "") -> None:
        """The first reason stands."""
        if not self._ending.done():
            self._ending.set_result((reason, detail))

    def say(self, text: str) -> None:
        """The agent says `text` as soon as nobody speaks, in its own voice."""
        if self._talk is not None and not self._ending.done():
            self.note("operator_said", text=text)
            self._talk.say(text)

    def take_leave(self, text: str, reason: str) -> None:
        """The agent says `text` and hangs up; the call ends for `reason`."""
        self.transfers.stop_hold()
        if self._talk is None:
            self.hang_up(reason)
        elif not self._ending.done():
            self._talk.take_leave(text, reason)

    def advise(self, text: str) -> None:
        """The model is told `text` with its next reply; the caller hears nothing of it."""
        if self._talk is not None and not self._ending.done():
            self._talk.advise(text)

    def press_keys(self, keys: str, *, by: Literal["agent", "api"] = "api") -> None:
        """Press keys towards the far end: 0-9, *, #, A-D; w and W are pauses."""
        if self._ending.done():
            return
        if (why := self.no_keys()) is not None:
            self.note("keys_refused", detail=why)
            return
        self.note("keys_pressed", keys=keys, by=by)
        self._line.send_digits(keys)

    def no_keys(self) -> str | None:
        """Why keys cannot be pressed here, in a sentence."""
        if not self._line.takes_keys:
            return "The other side is no telephone: keys mean nothing to it."
        return "The caller is with somebody else." if self.transfers.connected else None

    @property
    def provider(self) -> str:
        """The carrier that the caller's line is of."""
        return self._line.provider

    def answered_by(self, who: str, found: Detected | None, *, message_ended: bool = False) -> None:
        """The carrier's detection has decided who picked up; `who` is its word for it."""
        is_machine = found in ("machine", "fax")
        self.note("answered_by", who=who, isMachine=is_machine, messageEnded=message_ended)
        if is_machine and self._second is not None:
            self._second.machine_detected(who)
        elif self._talk is not None and not self._ending.done():
            self._talk.carrier_heard(found, greeting_over=message_ended)

    def who_answered(self, verdict: Verdict) -> None:
        """It was heard who answered, or that it is somebody else."""
        self._verdict = verdict
        told = {"confidence": verdict.confidence, "why": verdict.why}
        self.note("who_answered", who=verdict.who, **told)
        if self._second is not None:
            self._second.was_heard(verdict)

    # --- a transfer -------------------------------------------------------------------------------

    def transfer(self, wish: Wish) -> None:
        """Hand the caller to a person."""
        if not self._ending.done():
            self.transfers.begin(wish)

    def _tools(self) -> tuple[Tool, ...]:
        keys = key_tools(self.spec.agent, self._keypad.begin, self)
        return (*keys, *(self._second.tools if self._second else self.transfers.tools()))

    @property
    def talk(self) -> Talk | None:
        """The conversation, while there is one."""
        return None if self._ending.done() else self._talk

    @property
    def caller(self) -> Leg:
        """The leg that the conversation is held on; there is one once the call runs."""
        assert self._caller is not None
        return self._caller

    def suspend(self) -> None:
        """The agent falls silent: somebody else speaks with the caller."""
        if self._talk is not None:
            self._talk.suspend()

    def record(self, leg: Leg) -> Callable[[], None]:
        """Record another call's leg on the agent's side, until what is returned is called."""
        if self._recording is None:
            return lambda: None
        ear = leg.record(self._recording.track("right"), lambda: self.call_ms)
        return lambda: leg.forget(ear)

    def extend(self, seconds: float, *, at_least: bool = False) -> None:
        """The call may last so long from now on; `at_least`: or as long as it may anyway."""
        until = self._loop.time() + seconds
        if at_least:
            until = max(until, self._answered_at + self.spec.agent.max_call_duration_s)
        if self._limit is not None and not self._ending.done():
            self._limit.reschedule(until)

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """A task that ends with the call."""
        assert self._tasks is not None
        self._tasks.spawn(work, name)

    # --- legs -------------------------------------------------------------------------------------

    def add_leg(self, name: str, line: Line, *, recorded: bool = True) -> Leg:
        """Take another answered line into the call. It hears nothing and nobody hears it until
        `bridge` connects it; if `recorded`, its voice is on the agent's side. It is hung up with
        the call, or by whoever added it. Raises `ValueError` for a name that is taken and
        `RuntimeError` once the call is ending, or for a line that is over already."""
        if self._ending.done():
            raise RuntimeError("the call is ending")
        if name in self.legs:
            raise ValueError(f"there is a leg '{name}' already")
        leg = self.legs[name] = self._leg(name, line, None)
        if recorded:
            self.record(leg)
        self.note("leg_joined", leg=name, provider=line.provider, callSid=line.leg_id)
        leg.start()
        if self.legs.get(name) is not leg:
            raise RuntimeError(f"the line of the leg '{name}' is over")
        return leg

    def _leg(self, name: str, line: Line, side: Side | None) -> Leg:
        recording = self._recording if side is not None else None
        if recording is None or side is None:
            return Leg(name, line, self)
        return Leg(name, line, self, recording.track(side), recording.track("right"))

    # --- callbacks of the legs, the detector and the ticker ---------------------------------------
    # A fault in one of these ends this call alone. Once there is a reason to end they do nothing.

    def _heard(self, chunk: bytes, at_ms: float) -> None:
        if self._talk is None or self._ending.done():
            return
        if not self._first_packet.is_set():
            self._first_packet.set()
        self._talk.audio(chunk, at_ms)

    def leg_digit(self, leg: Leg, digit: str) -> None:
        of_caller = leg is self._caller
        if of_caller and self._second is not None and self._second.pressed(digit):
            self.note("digit", digit=digit)
        elif of_caller and self._talk is not None:
            self.guarded(self._talk.digit)(digit)

    def leg_moved(self, leg: Leg, move: LineMove) -> None:
        self.note(f"leg_{move}", leg=leg.name)
        if leg is self._caller:
            self.transfers.moved(move)
            if self._talk is not None:
                self.guarded(self._talk.moved)(move)

    def leg_ended(self, leg: Leg, ended: LineEnded) -> None:
        self.bridge.remove(leg)
        if leg is self._caller:
            self._line_over = True
            reason, detail = LINE_REASONS[ended.cause], ended.detail
            if self.transfers.connected:
                who = "the caller hung up" if ended.cause is not LineCause.TRANSFERRED else ""
                reason, detail = "transferred", detail or who or "the carrier has the caller"
            elif self._talk is not None and ended.cause is LineCause.FAR_END:
                reason = self._talk.if_hung_up or reason
            self.hang_up(reason, detail)
        elif self.legs.pop(leg.name, None) is leg and not self.supervisors.left(leg):
            self.note("leg_ended", leg=leg.name, cause=str(ended.cause), detail=ended.detail)

    def leg_broke(self, leg: Leg, failure: Exception) -> None:
        self._broke(failure)

    def guarded(self, callback: Callable[P, None]) -> Callable[P, None]:
        def call(*args: P.args, **kwargs: P.kwargs) -> None:
            if self._ending.done():
                return
            try:
                callback(*args, **kwargs)
            except Exception as failure:
                self._broke(failure)

        return call

    def _tool_done(self, action: ToolRun) -> None:
        """Also after the end: a tool with effects is let finish."""
        if self._talk is not None:
            try:
                self._talk.tool_done(action)
            except Exception as failure:
                self._broke(failure)

    def _tick(self, _now: float) -> None:
        talk = self._talk
        if talk is None or self._ending.done():
            return
        if self._recording is not None:
            self._recording.advance(self.call_ms)
        self.transfers.tick(self.call_ms)
        talk.tick()
        self.supervisors.tick(private=self.caller.private)

    def _broke(self, failure: Exception) -> None:
        self.hang_up(*blame(failure, self.spec.call_id))

    # --- preparing ------------------------------------------------------------------------------

    @property
    def call_ms(self) -> float:
        """Milliseconds since the line was answered."""
        return (self._loop.time() - self._answered_at) * 1000

    def _conversation(self, caller: Leg, tasks: Tasks) -> Talk:
        return Cascade(
            self.spec.agent,
            self._engines,
            caller,
            self,
            tasks,
            system=self.filled(self.spec.agent.system_prompt),
            acting=self._acting,
            keypad=self._keypad,
            look_ups=self._look_ups,
            filled=self.filled,
        )

    def filled(self, template: str, **more: str) -> str:
        """With the call's variables and `more`, which go first. The texts of a transfer's second
        call were filled before: what stands in them is data."""
        if self._second is not None:
            return template
        filled = fill(template, {**self.spec.variables, **more})
        if filled.missing:
            self.note("variables_missing", names=list(filled.missing))
        return filled.text

    def note(self, kind: str, /, **data: object) -> None:
        self._journal.note(Happening(round(self.call_ms), kind, data))
