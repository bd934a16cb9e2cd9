"""A model that follows a script in the system prompt: offline, without a key, always the same.

It is for trying a call, demonstrating one and testing one again and again. Nothing is kept
between requests: each replays the history through the script's rules and answers its last
message, so a draft that is thrown away has changed nothing. The language is described in
docs/script-model.md and read in `script_parse`; `script_match` understands the caller.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncGenerator, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, cast

from chorus.llm.model import Message, ModelItem, Prompt, TextDelta, ToolCall
from chorus.llm.script_match import Match, Pattern, match, phrases_of, words_of
from chorus.llm.script_parse import (
    CallTool,
    End,
    Expect,
    Extract,
    GoTo,
    Named,
    Remember,
    Rule,
    Say,
    Script,
    ScriptAction,
    ScriptError,
    Summary,
    Value,
    parse,
)

END_CALL = "end_call"
"""The tool by which this model hangs up, where it is offered."""

# A longer prompt is answered in a thread: its patterns may take more time than other calls have.
_SHORT_CHARS = 4_000
_NOT_UNDERSTOOD = "Sorry, I did not understand that."
_FAILED = "Sorry, that did not work."
_NAMED = re.compile(r"\{([\w.]+)\}")


@dataclass(slots=True)
class Conclusion:
    """What a script's `after call` rules say of a call. `values` by the names of fields; one that
    no rule could give a value is not there."""

    summary: str = ""
    values: dict[str, Any] = field(default_factory=dict[str, Any])


class ScriptModel:
    """`word_ms` is waited before each word, to speak at the pace of another model."""

    def __init__(self, *, word_ms: float = 0) -> None:
        self._word_s = word_ms / 1000

    @property
    def name(self) -> str:
        return "script"

    def phrases(self, system: str) -> tuple[str, ...]:
        """At most 500; none where the script cannot be read, which `reply` will say."""
        try:
            return _phrases(system)
        except ScriptError:
            return ()

    async def reply(self, prompt: Prompt) -> AsyncGenerator[ModelItem, None]:
        """See `LanguageModel.reply`. A mistake in the script is a `ScriptError`."""
        if len(prompt.system) <= _SHORT_CHARS:
            items = list(answer(prompt))
        else:
            items = await asyncio.to_thread(lambda: list(answer(prompt)))
        for item in items:
            if self._word_s:
                await asyncio.sleep(self._word_s)
            yield item

    def conclude(self, system: str, messages: Sequence[Message]) -> Conclusion:
        """What is to be known of a call that is over. Raises `ScriptError`."""
        replay = _Replay(parse(system))
        replay.through(messages)
        return replay.conclude(messages)


def answer(prompt: Prompt) -> Iterator[ModelItem]:
    """The whole reply, at once. Raises `ScriptError`."""
    replay = _Replay(parse(prompt.system))
    replay.through(prompt.messages)
    said = " ".join(a.text for a in replay.output if isinstance(a, Say))
    for word in re.findall(r"\s*\S+", said):
        yield TextDelta(word)
    number = replay.calls
    for action in replay.output:
        number += 1
        if isinstance(action, CallTool):
            arguments = json.dumps(dict(action.arguments), ensure_ascii=False)
            yield ToolCall(f"script_{number}", action.tool, arguments)
        elif isinstance(action, End) and any(t.name == END_CALL for t in prompt.tools):
            yield ToolCall(f"script_{number}", END_CALL, "{}")
        else:
            number -= 1


@lru_cache(maxsize=64)
def _phrases(system: str) -> tuple[str, ...]:
    patterns: list[Pattern] = []
    for rule in parse(system).rules():
        patterns += rule.patterns
        for action in rule.actions:
            if isinstance(action, Expect):
                patterns += action.patterns
    return phrases_of(patterns)


class _Replay:
    """Where a conversation stands after some messages. `output`: what the last one caused, with
    its names filled in; `calls`: how many tools were called before."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self._step = ""
        self._values: dict[str, Any] = {}
        self._lost = 0  # times in a row that nothing matched
        self._rest: list[ScriptAction] = []  # what waits for the result of a tool
        self._waiting_for = ""
        self._awaited = ""  # the id of that call
        self.output: list[ScriptAction] = []
        self.calls = 0

    def through(self, messages: Sequence[Message]) -> None:
        if not messages:
            self._run(self._of_kind("start"))
        for message in messages:
            self.output = []
            if message.role == "user":
                self._heard(message.content)
            elif message.role == "tool":
                if message.tool_call_id == self._awaited:
                    self._returned(message.content)
            else:
                self.calls += len(message.tool_calls)
                for call in message.tool_calls:
                    if call.name == self._waiting_for:
                        self._awaited = call.id

    def conclude(self, messages: Sequence[Message]) -> Conclusion:
        """The rules of the step that the call ended in come first, then those that hold always;
        of several that give the same thing, the first."""
        said = [words_of(message.content) for message in messages if message.role == "user"]
        found = Conclusion()
        for step in dict.fromkeys((self._step, "")):
            for rule in self._script.steps[step]:
                if rule.kind != "after":
                    continue
                matches = [m for p in rule.patterns for words in said if (m := match(p, words))]
                if rule.patterns and not matches:
                    continue
                self._values |= {name: v for m in matches for name, v in m.captured}
                for action in rule.actions:
                    if isinstance(action, Summary):
                        found.summary = found.summary or self._text(action.text)
                    elif isinstance(action, Extract):
                        value = self._value(action.value)
                        if value not in (None, ""):
                            found.values.setdefault(action.name, value)
        return found

    def _heard(self, text: str) -> None:
        rule, found = _understand(self._script, self._step, words_of(text))
        self._rest, self._waiting_for = [], ""
        if rule is not None and found is not None:
            self._lost = 0
            self._values |= dict(found.captured)
            self._run(rule.actions)
            return
        self._lost += 1
        again = self._of_kind("again") if self._lost > 1 else None
        self._run(again or self._of_kind("otherwise") or [Say(_NOT_UNDERSTOOD)])

    def _returned(self, content: str) -> None:
        tool, rest = self._waiting_for, self._rest
        if not tool:
            return  # the caller went on before the result came
        self._rest, self._waiting_for = [], ""
        try:
            result = json.loads(content)
        except (ValueError, RecursionError):
            result = content
        self._values |= {"result": result, tool: result}
        if isinstance(result, dict):
            keys = cast(dict[str, Any], result)
            if keys.keys() == {"cancelled", "note"}:
                return  # the caller took the turn; what they said comes next
            if keys.get("error"):
                rest = self._of_kind("fails", tool) or self._of_kind("fails") or [Say(_FAILED)]
        self._run(rest)

    def _of_kind(self, kind: str, tool: str = "") -> list[ScriptAction] | None:
        for step in dict.fromkeys((self._step, "")):
            for rule in self._script.steps[step]:
                if rule.kind == kind and rule.tool == tool:
                    return rule.actions
        return None

    def _run(self, actions: list[ScriptAction] | None) -> None:
        for n, action in enumerate(actions or ()):
            if isinstance(action, Say):
                self.output.append(Say(self._text(action.text)))
            elif isinstance(action, Remember):
                self._values[action.name] = self._value(action.value)
            elif isinstance(action, GoTo):
                self._step = action.step
            elif isinstance(action, CallTool):
                given = tuple((name, self._value(value)) for name, value in action.arguments)
                self.output.append(CallTool(action.tool, given))
                self._waiting_for = action.tool
                self._rest = (actions or [])[n + 1 :]
                return
            elif isinstance(action, End):
                self.output.append(action)

    def _value(self, value: Value) -> Any:
        if isinstance(value, Named):
            return self._look_up(value.path)
        return self._text(value) if isinstance(value, str) else value

    def _text(self, text: str) -> str:
        def put(match: re.Match[str]) -> str:
            value = self._look_up(match.group(1))
            if value is None or isinstance(value, str):
                return value or ""
            return json.dumps(value, ensure_ascii=False)

        return _NAMED.sub(put, text)

    def _look_up(self, path: str) -> Any:
        """`result.items.0.name` in what a tool answered; None where there is no such thing."""
        name, *keys = path.split(".")
        value: Any = self._values.get(name)
        for key in keys:
            if isinstance(value, dict):
                value = cast(dict[str, Any], value).get(key)
            elif isinstance(value, list) and key.isdecimal():
                items = cast(list[Any], value)
                value = items[int(key)] if int(key) < len(items) else None
            else:
                return None
        return value


def _understand(
    script: Script, step: str, said: tuple[str, ...]
) -> tuple[Rule | None, Match | None]:
    """The rule that fits best; the step's own are asked before those that hold everywhere."""
    for rules in dict.fromkeys((step, "")):
        best: tuple[Rule | None, Match | None] = (None, None)
        for rule in script.steps[rules]:
            for pattern in rule.patterns if rule.kind == "says" else ():
                found = match(pattern, said)
                if found and (best[1] is None or found.score > best[1].score + 1e-9):
                    best = (rule, found)
        if best[0]:
            return best
    return None, None
