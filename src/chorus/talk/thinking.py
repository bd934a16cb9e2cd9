"""From a caller's turn to the sound of the reply.

A `Reply` is one attempt at an answer: it streams the model, cuts the text into clauses, has the
voice speak them and collects the sound in an `Utterance`, in two tasks of the call's group. It
may begin as a draft, before the turn is over: then it runs no tool with effects and nobody hears
it. `commit` lets it go on to tools with effects; whoever owns it begins to play it. A reply that
is not wanted any more is cancelled, and what it had cost is told.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Protocol

from chorus.audio.frame import AudioFormat
from chorus.llm.model import (
    LanguageModel,
    Message,
    ModelFailed,
    Prompt,
    TextDelta,
    ToolCall,
    Usage,
    longest_sound_ms,
)
from chorus.llm.window import size_of, tokens
from chorus.speech.engines import EngineFailed
from chorus.speech.ranking import Ranking
from chorus.talk.asking import ask, of_its_own
from chorus.talk.dialogue import AgentReply, ToolRound
from chorus.talk.filler import Filler
from chorus.talk.knowledge import Found, LookUps, Source
from chorus.talk.tasks import Tasks
from chorus.talk.text.clauses import Clauses
from chorus.talk.timeline import Stage, note_hedged, note_lost
from chorus.talk.tools.acting import Acting
from chorus.talk.utterance import Utterance
from chorus.talk.voicing import Script, Voicing
from chorus.telemetry.spans import within_turn

MAX_ROUNDS = 8
"""Requests to the model within one reply; a model that only ever calls tools is stopped."""


@dataclass(frozen=True, slots=True)
class ReplyContext:
    """What every reply of a call is made with. `format` is the line's, `language` the agent's.
    `hedged`: another model is asked beside one that is slower than usual. `note(kind, **data)`
    writes the timeline."""

    models: Ranking[LanguageModel]
    voicing: Voicing
    format: AudioFormat
    system: str
    acting: Acting
    language: str | None = None
    look_ups: LookUps | None = None
    hedged: bool = False
    note: Callable[..., None] = lambda *_, **__: None
    filler: Filler | None = None

    @property
    def background(self) -> str:
        """The documents of a small base, for the system prompt."""
        return self.look_ups.background if self.look_ups is not None else ""

    @property
    def longest_sound_ms(self) -> int:
        """Of a turn, for models that hear; 0: there are none."""
        return longest_sound_ms(self.models.engines)

    def expect(self, text: str) -> None:
        """The caller's words are final: what they ask for may be looked up already."""
        if self.look_ups is not None:
            self.look_ups.expect(text)


class ReplyEvents(Protocol):
    """What a reply tells the conversation; called on the event loop."""

    def reply_token(self, reply: Reply) -> None: ...
    def reply_audio(self, reply: Reply) -> None: ...
    def reply_tool(self, reply: Reply, call: ToolCall, *, effects: bool) -> None: ...
    def reply_replaced(self, reply: Reply, failure: ModelFailed) -> None: ...
    def reply_finished(self, reply: Reply) -> None: ...


class Reply:
    """`turn` None: the agent speaks on its own account. `text`: what it answers to."""

    def __init__(
        self, mind: ReplyContext, events: ReplyEvents, *, turn: int | None, text: str, version: int
    ) -> None:
        self.turn = turn
        self.text = text
        self.version = version
        self.found: list[Found] = []  # in documents
        self._passages = ""
        self.utterance = Utterance(mind.format)
        self.entry = AgentReply(turn)
        self.committed = asyncio.Event()
        self.waits_for_commit = False  # it has a tool to run that changes something
        self.ends_call = False
        self.end_reason, self.end_detail = "agent_ended", ""
        self.then: list[Callable[[], None]] = []  # once it was heard to its end
        self.cancelled = False
        self.mute = False  # what it says is written for nobody
        self.reached: dict[Stage, float] = {}
        self.failure: ModelFailed | EngineFailed | None = None
        self.input_tokens = 0
        self.output_tokens = 0
        self.audio_tokens = 0
        self._unended: tuple[Prompt, list[str]] | None = None  # asked, and what it said so far
        self._mind = mind
        self._events = events
        self._script = Script()
        self._text_ended = False  # of one request, and the next may say more
        self.model = mind.models.engines[0].name  # that answered last
        self.due_ms = 0.0  # when the answer is to sound, once something was sent
        self._tasks: Tasks | None = None
        self._filling: asyncio.Task[None] | None = None
        self._thinking: asyncio.Task[None] | None = None
        self._speaking: asyncio.Task[None] | None = None

    # --- beginning and ending ---------------------------------------------------------------

    def think(self, tasks: Tasks, messages: tuple[Message, ...]) -> None:
        """Ask the model, and speak what it says."""
        self._tasks = tasks
        self._thinking = tasks.spawn(self._think(messages), "think")
        self._speaking = tasks.spawn(self._speak(), "speak")

    def say(self, tasks: Tasks, text: str) -> None:
        """Speak `text` as it stands."""
        splitter = Clauses(self._mind.language)
        for clause in [*splitter.feed(text), *splitter.flush()]:
            self._add_clause(clause)
        self._script.put(None)
        self._speaking = tasks.spawn(self._speak(), "say")

    def commit(self, waited_ms: float = 0.0) -> None:
        """`waited_ms`: how long the caller has been silent."""
        self.committed.set()
        filler = self._mind.filler
        if filler is not None and self._tasks is not None and self.turn is not None:
            filler.begin_turn()
            work = self._fill(filler, (filler.after_ms - waited_ms) / 1000)
            self._filling = self._tasks.spawn(work, "filler")
        for found in self.found:
            self._tell(found)

    def cancel(self) -> None:
        """Stop the model and the voice. A tool with effects that has begun goes on to its end,
        and its result is added to the history."""
        self.cancelled = True
        if self._filling is not None:
            self._filling.cancel()
        self._stop_thinking()
        if self._speaking is not None:
            self._speaking.cancel()
        for done in self.entry.rounds:
            done.cut = True

    def end_after_reply(self, reason: str = "agent_ended", detail: str = "") -> None:
        """For a tool; see `CallControl`. The first reason stands."""
        if not self.ends_call:
            self.ends_call, self.end_reason, self.end_detail = True, reason, detail

    def do_after_reply(self, do: Callable[[], None]) -> None:
        """For a tool; see `CallControl`."""
        self.then.append(do)

    def cite(self, found: Found) -> None:
        """For a tool; see `CallControl`."""
        self.found.append(found)
        self.entry.sources = Source.of(p for each in self.found for p in each.passages)
        if self.committed.is_set():
            self._tell(found)

    async def _fill(self, filler: Filler, wait_s: float) -> None:
        """Have something heard if nothing of the answer is there by then."""
        await asyncio.sleep(max(0.0, wait_s))
        utterance = self.utterance
        if utterance.audio or utterance.finished or self.mute or (found := filler.take()) is None:
            return
        utterance.lead(*found)
        self.entry.filler, self.entry.filler_ms = found[0], utterance.filler_ms
        self._mind.note("filler", turn=self.turn, text=found[0])

    def _tell(self, found: Found) -> None:
        if self._mind.look_ups is not None:
            self._mind.look_ups.tell(self.turn, found)

    @property
    def speaks(self) -> bool:
        """For a tool; see `CallControl`."""
        return not self.mute and any(done.text.strip() for done in self.entry.rounds)

    @property
    def thought(self) -> bool:
        """Made by the model, not given as a text."""
        return self._thinking is not None

    def usage(self, *, discarded: bool) -> dict[str, Any]:
        """What the reply has cost so far; JSON-ready. A request that was stopped before it could
        say what it cost is estimated."""
        read = written = 0
        if self._unended is not None:
            prompt, said = self._unended
            read, written = size_of(prompt), tokens("".join(said)) if said else 0
        return {
            "model": self.model,
            "voice": self._mind.voicing.name,
            "inputTokens": self.input_tokens + read,
            "outputTokens": self.output_tokens + written,
            "characters": self.utterance.characters,
            "discarded": discarded,
            **({"audioTokens": self.audio_tokens} if self.audio_tokens else {}),
            **({"estimated": True} if read else {}),
        }

    # --- the model ----------------------------------------------------------------------------

    async def _think(self, messages: tuple[Message, ...]) -> None:
        within_turn(self.turn, "think")
        try:
            await self._look_up()
            for _ in range(MAX_ROUNDS):
                calls = await self._ask(messages)
                if not calls:
                    break
                done = self.entry.rounds[-1]
                await self._act(done)
                if self.ends_call or self.then:
                    break
                messages = (*messages, *_round_messages(done))
            else:
                raise ModelFailed(self.model, f"called tools {MAX_ROUNDS} times over")
        except ModelFailed as failure:
            self.failure = failure
            self._unended = None
        self._script.put(None)

    async def _look_up(self) -> None:
        """What the caller's turn asks for, in documents; in bounded time."""
        look_ups = self._mind.look_ups
        if look_ups is None or self.turn is None:
            return
        found = await look_ups.of_turn(self.text)
        if found is not None:
            self._passages = look_ups.passages(found)
            self.cite(found)

    def _stop_thinking(self) -> None:
        """No more requests; tools that only read are given up."""
        if self._thinking is not None:
            self._thinking.cancel()
        for done in self.entry.rounds:
            for action in done.actions.values():
                action.interrupt()

    async def _ask(self, messages: tuple[Message, ...]) -> tuple[ToolCall, ...]:
        """One request: its text goes to the voice; returns the tools that it asks for."""
        splitter = Clauses(self._mind.language)
        said: list[str] = []
        calls: list[ToolCall] = []
        prompt = Prompt(
            self._mind.system,
            messages,
            self._mind.acting.specs,
            background=self._mind.background,
            passages=self._passages,
        )
        told = _Asking(self, self._events, prompt, self._mind)
        self._unended = prompt, said
        asked = ask(self._mind.models, prompt, told, hedged=self._mind.hedged)
        async with aclosing(asked) as items:
            async for item in items:
                if isinstance(item, TextDelta):
                    if not said:
                        self._events.reply_token(self)
                    said.append(item.text)
                    for clause in splitter.feed(item.text):
                        self._add_clause(clause)
                elif isinstance(item, Usage):
                    self.input_tokens += item.input_tokens
                    self.output_tokens += item.output_tokens
                    self.audio_tokens += item.audio_tokens
                else:
                    calls.append(of_its_own(item, self._taken(calls)))
        self._unended = None
        for clause in splitter.flush():
            self._add_clause(clause)
        if said:
            self._text_ended = True
        if calls:
            self.entry.rounds.append(ToolRound("".join(said), tuple(calls)))
        return tuple(calls)

    def _taken(self, calls: list[ToolCall]) -> set[str]:
        """The ids that calls of this reply have."""
        earlier = [c.id for done in self.entry.rounds for c in done.calls]
        return {*earlier, *(c.id for c in calls)}

    async def _act(self, done: ToolRound) -> None:
        """Run a round's tools side by side; one with effects waits for the commit."""
        acting = self._mind.acting
        if any(acting.has_effects(call.name) for call in done.calls):
            self.waits_for_commit = True
            await self.committed.wait()
        for call in done.calls:
            self._events.reply_tool(self, call, effects=acting.has_effects(call.name))
            done.actions[call.id] = acting.begin(call, self)
        await asyncio.gather(*(action.wait() for action in done.actions.values()))

    def _add_clause(self, text: str) -> None:
        if self.mute:
            return
        if self._text_ended:  # what follows a tool is not glued to what came before it
            self._text_ended = False
            text = f" {text}"
        self.utterance.add_clause(text)
        self._script.put(text)

    # --- the voice ----------------------------------------------------------------------------

    async def _speak(self) -> None:
        within_turn(self.turn, "synthesize")
        try:
            async with aclosing(self._mind.voicing.speak(self._script)) as pieces:
                async for piece in pieces:
                    self.utterance.add(piece)
                    if piece.audio:
                        self._events.reply_audio(self)
        except EngineFailed as failure:
            self.failure = self.failure or failure
            self._stop_thinking()  # nobody would hear it
        self.utterance.finished = True
        self._events.reply_finished(self)


@dataclass(frozen=True, slots=True)
class _Asking:
    """What `ask` tells of one request of a reply."""

    reply: Reply
    events: ReplyEvents
    prompt: Prompt
    mind: ReplyContext

    def asked(self, engine: LanguageModel) -> None:
        self.reply.model = engine.name

    def replaced(self, failure: ModelFailed) -> None:
        self.events.reply_replaced(self.reply, failure)

    def hedged(self, engine: LanguageModel, by: LanguageModel, waited_ms: float) -> None:
        note_hedged(self.mind.note, "model", engine.name, by.name, waited_ms)

    def lost(self, engine: LanguageModel) -> None:
        """It was stopped before it said what it cost, so that is estimated."""
        note_lost(self.mind.note, model=engine.name, input_tokens=size_of(self.prompt))


def _round_messages(done: ToolRound) -> tuple[Message, ...]:
    """A finished round as the next request of the same reply is shown it."""
    return (
        Message("assistant", done.text, tool_calls=done.calls),
        *(Message("tool", done.result(call), tool_call_id=call.id) for call in done.calls),
    )
