"""An agent that is written to: the same prompt, models and tools as in a call, and no sound.

A `Chat` keeps nothing: it is shown the whole history and answers its last message. The answer is
events in their order: pieces of text, tools that are called and what they gave, and at the end the
messages that belong to the history from now on.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from chorus.llm.model import (
    LanguageModel,
    Message,
    ModelFailed,
    Prompt,
    TextDelta,
    ToolCall,
    Usage,
)
from chorus.outbound import Outbound
from chorus.speech.ranking import Ranking
from chorus.talk.asking import ask, of_its_own
from chorus.talk.dialogue import result_data
from chorus.talk.knowledge import Found, Knowledge, LookUps
from chorus.talk.preparing import acting_of
from chorus.talk.spec import AgentSpec, CallSpec
from chorus.talk.text.phrases import apology
from chorus.talk.thinking import MAX_ROUNDS
from chorus.talk.tools.acting import ToolRun
from chorus.talk.tools.template import fill

GRACE_MS = 5000
"""For a tool with effects, once nobody reads the answer any more."""


@dataclass(frozen=True, slots=True)
class ChatEvent:
    """`kind` and its JSON-ready `data`: `text` (delta), `tool_call`, `tool_result`, `variables`
    (missing), `knowledge` (passages that were found), `replaced` (a model that failed, by the
    next), `error`, and `done` at the end."""

    kind: str
    data: dict[str, Any]


@dataclass(slots=True)
class _State:
    """What came of one answer so far. `end_after_reply` makes it a `CallControl`, `asked` what
    `ask` tells."""

    model: str = ""
    messages: list[Message] = field(default_factory=list[Message])
    first_ms: int | None = None
    input_tokens: int = 0
    output_tokens: int = 0
    end_reason: str | None = None
    notes: list[ChatEvent] = field(default_factory=list[ChatEvent])

    @property
    def speaks(self) -> bool:
        """A chat has no sound."""
        return False

    def end_after_reply(self, reason: str = "agent_ended") -> None:
        self.end_reason = reason

    def do_after_reply(self, do: Callable[[], None]) -> None:
        """Nobody is on the line: there is no tool in a chat that asks for it."""

    def cite(self, found: Found) -> None:
        self.notes.append(ChatEvent("knowledge", found.as_data()))

    def asked(self, engine: LanguageModel) -> None:
        self.model = engine.name

    def replaced(self, failure: ModelFailed) -> None:
        self.notes.append(
            ChatEvent("replaced", {"model": failure.vendor, "detail": failure.detail})
        )

    def hedged(self, engine: LanguageModel, by: LanguageModel, waited_ms: float) -> None:
        """Nobody waits on a line."""

    def lost(self, engine: LanguageModel) -> None:
        """As `hedged`."""


class Chat:
    """`variables` fill the agent's templates."""

    def __init__(
        self,
        agent: AgentSpec,
        models: Ranking[LanguageModel],
        outbound: Outbound,
        variables: Mapping[str, Any] | None = None,
        knowledge: Knowledge | None = None,
    ) -> None:
        self._agent = agent
        self._models = models
        self._outbound = outbound
        self._spec = CallSpec("", "inbound", "", agent, variables or {})
        self._knowledge = knowledge
        self.last: tuple[Message, ...] = ()
        """What the answer that was done last adds to the history."""

    async def answer(self, messages: tuple[Message, ...]) -> AsyncGenerator[ChatEvent, None]:
        """Without any message the agent opens, as in a call: with its greeting or, where it has
        none, with what the model says; where the caller speaks first it says nothing."""
        loop = asyncio.get_running_loop()
        begun_s = loop.time()
        state = _State()

        def elapsed_ms() -> int:
            return round((loop.time() - begun_s) * 1000)

        greeting = self._agent.greeting if self._agent.first_speaker == "agent" else None
        template = greeting if greeting and not messages else self._agent.system_prompt
        filled = fill(template, self._spec.variables)
        if filled.missing:
            yield ChatEvent("variables", {"missing": list(filled.missing)})
        try:
            if messages or (self._agent.first_speaker == "agent" and not greeting):
                async with aclosing(self._think(filled.text, messages, state)) as events:
                    async for event in events:
                        if event.kind == "text" and state.first_ms is None:
                            state.first_ms = elapsed_ms()
                        yield event
            elif greeting:
                state.first_ms = elapsed_ms()
                state.messages.append(Message("assistant", filled.text))
                yield ChatEvent("text", {"delta": filled.text})
        except ModelFailed as failure:
            # What a call would do: the caller hears that something went wrong.
            spoken = apology(self._agent.language)
            yield ChatEvent(
                "error", {"model": failure.vendor, "detail": failure.detail, "spoken": spoken}
            )
        self.last = tuple(state.messages)
        yield ChatEvent(
            "done",
            {
                "messages": [message_data(message) for message in state.messages],
                "endsCall": state.end_reason is not None,
                "model": state.model or None,
                "firstTextMs": state.first_ms,
                "totalMs": elapsed_ms(),
                "inputTokens": state.input_tokens,
                "outputTokens": state.output_tokens,
            },
        )

    async def _think(
        self, system: str, messages: tuple[Message, ...], state: _State
    ) -> AsyncGenerator[ChatEvent, None]:
        look_ups = self._looking(messages)
        acting = acting_of(self._spec, self._outbound, lambda _: None, look_ups=look_ups)
        background, passages = "", ""
        if look_ups is not None:
            background = look_ups.background
            if messages and messages[-1].role == "user":
                found = await look_ups.of_turn(messages[-1].content)
                passages = look_ups.passages(found)
                if found is not None:
                    yield ChatEvent("knowledge", found.as_data())
        taken = {call.id for message in messages for call in message.tool_calls}
        try:
            for _ in range(MAX_ROUNDS):
                said: list[str] = []
                calls: list[ToolCall] = []
                prompt = Prompt(
                    system,
                    (*messages, *state.messages),
                    acting.specs,
                    background=background,
                    passages=passages,
                )
                asked = ask(self._models, prompt, state)
                async with aclosing(asked) as items:
                    async for item in items:
                        while state.notes:
                            yield state.notes.pop(0)
                        if isinstance(item, TextDelta):
                            said.append(item.text)
                            yield ChatEvent("text", {"delta": item.text})
                        elif isinstance(item, Usage):
                            state.input_tokens += item.input_tokens
                            state.output_tokens += item.output_tokens
                        else:
                            calls.append(of_its_own(item, taken))
                            taken.add(calls[-1].id)
                state.messages.append(Message("assistant", "".join(said), tool_calls=tuple(calls)))
                if not calls:
                    return
                actions: list[ToolRun] = []
                for call in calls:
                    effects = acting.has_effects(call.name)
                    yield ChatEvent("tool_call", {**_call_data(call), "hasEffects": effects})
                    actions.append(acting.begin(call, state))
                for action in actions:
                    result = await action.wait()
                    while state.notes:
                        yield state.notes.pop(0)
                    yield ChatEvent("tool_result", result_data(action))
                    state.messages.append(
                        Message("tool", result.content, tool_call_id=action.call.id)
                    )
                if state.end_reason is not None:
                    return
            raise ModelFailed(state.model, f"called tools {MAX_ROUNDS} times over")
        finally:
            await acting.finish(GRACE_MS)
            if look_ups is not None:
                look_ups.close()

    def _looking(self, messages: tuple[Message, ...]) -> LookUps | None:
        if self._knowledge is None:
            return None
        said = [m.content for m in messages if m.role == "assistant" and m.content]
        heard = said[-1] if said else ""
        return LookUps(self._knowledge, self._agent.language, last_heard=lambda: heard)


def message_data(message: Message) -> dict[str, Any]:
    """As a client keeps it and sends it back."""
    data: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.tool_calls:
        data["toolCalls"] = [_call_data(call) for call in message.tool_calls]
    if message.tool_call_id:
        data["toolCallId"] = message.tool_call_id
    return data


def _call_data(call: ToolCall) -> dict[str, Any]:
    data: dict[str, Any] = {"id": call.id, "name": call.name, "arguments": call.arguments}
    if call.echo is not None:
        echo = call.echo
        data["vendorData"] = {
            "vendor": echo.vendor,
            "call": dict(echo.call),
            "message": dict(echo.message),
        }
    return data
