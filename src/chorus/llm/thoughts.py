"""Reasoning and tool calls that a model wrote into its text, taken out as it streams.

Text is passed on at once, but for a tail that may be the beginning of a tag. From a tag that
opens reasoning to the one that closes it everything is dropped; what stands in a tag of tool
calls is read as calls. Some chat templates put the opening tag into the prompt, so that the reply
begins in the middle of the reasoning and only the closing tag comes: `held` keeps all text back
until that is decided.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any, Literal, cast

# What vendors' chat templates use: DeepSeek, Qwen and most others `think`; Kimi ◁think▷; Mistral
# [THINK]; Cohere <|START_THINKING|>; Seed <seed:think>; the rest is seen of fine-tunes.
_NAMES = (
    *("think", "thinking", "thought", "thoughts", "reasoning", "reflection", "scratchpad"),
    *("antthinking", "reason", "inner_monologue", "seed:think", "analysis"),
)
_THOUGHTS = {
    **{f"<{name}>": f"</{name}>" for name in _NAMES},
    "◁think▷": "◁/think▷",
    "[think]": "[/think]",
    "<|start_thinking|>": "<|end_thinking|>",
    "<|begin_of_thought|>": "<|end_of_thought|>",
    "<|channel>thought": "<channel|>",
}
_CALLS = {
    "<tool_call>": "</tool_call>",
    "<tool_calls>": "</tool_calls>",
    "<|tool_call|>": "<|/tool_call|>",
    "<function_call>": "</function_call>",
    "[tool_calls]": "",
    "<|python_tag|>": "",
    "<｜tool▁calls▁begin｜>": "<｜tool▁calls▁end｜>",
}
"""Tags around calls written as text (Hermes, Qwen, Mistral, Llama, DeepSeek); "" is the reply's
end."""
# How a reply begins that is nothing but a call, without any tag (Llama 3); white space left out.
_BARE_CALLS = tuple(
    f"{fence}{opening}{key}"
    for fence in ("", "```json", "```")
    for opening in ("{", "[{")
    for key in ('"name":', '"type":"function"', '"function":')
)
# OpenAI's harmony format of gpt-oss: a header names the channel, the content follows.
_HEADERS = ("<|start|>", "<|channel|>")
_MESSAGE = "<|message|>"
_ENDS = ("<|end|>", "<|return|>", "<|call|>")
_NOISE = frozenset(
    (
        *(*_ENDS, "<|im_end|>", "<|eot_id|>", "<|eom_id|>", "<|endoftext|>", "</s>"),
        *("<|end_of_text|>", "<start_of_turn>", "<end_of_turn>", "<｜end▁of▁sentence｜>"),
        *("<answer>", "</answer>", "<|begin_of_solution|>", "<|end_of_solution|>"),
    )
)
_CLOSERS = frozenset(_THOUGHTS.values())
_MARKS = frozenset((*_THOUGHTS, *_CLOSERS, *_CALLS, *_HEADERS, *_NOISE))
_LONGEST = max(map(len, _MARKS))
_FIRST = "<◁["
_MARK = re.compile("|".join(map(re.escape, sorted(_MARKS, key=len, reverse=True))), re.IGNORECASE)
# Harmony whose special tokens a server has removed.
_BARE = re.compile(r"analysis(?=[A-Z\"'])")
_BARE_FINAL = "assistantfinal"
_ROLE = "assistant\n"  # Llama 3, where a server adds the header of the reply twice
_TO = re.compile(r"to=(?:functions\.)?([\w.-]+)")


@dataclass(frozen=True, slots=True)
class WrittenCall:
    name: str
    arguments: str


_State = Literal["text", "thought", "calls", "header", "channel"]


class Thoughts:
    """One reply. `held`: keep the text back as described above; `tools`: the names that a call
    without a tag may have. Afterwards `unopened` tells that the reply began in reasoning without a
    tag, `dropped` that there was any reasoning."""

    def __init__(self, *, held: bool = False, tools: Collection[str] = ()) -> None:
        self._tools = tools
        self._bare_call = False
        self.held = held
        self.unopened = False
        self.dropped = False
        self.calls: list[WrittenCall] = []
        self._state: _State = "text"
        self._until: tuple[str, ...] = ()
        self._header = ""
        self._text = ""  # not decided yet
        self._kept = ""  # while held: what will be said if it was no reasoning
        self._begun = False

    def feed(self, text: str) -> str:
        """What of it is to be said."""
        self._text += text
        return self._out(self._run(final=False))

    def flush(self, *, whole: bool = True) -> str:
        """The reply is over. `whole`: it was not cut off; reasoning that was never closed is no
        answer then either, but text that was only held is."""
        said = self._run(final=True)
        if self._bare_call and not any(c.name in self._tools for c in written_calls(self._text)):
            said, self._text = said + self._text, ""  # no call of ours: JSON, as it stands
        elif self._state in ("calls", "channel"):
            self._take_calls()
        self.held = False if whole else self.held
        return self._out(said)

    def _out(self, text: str) -> str:
        if self.held:
            self._kept += text
            return ""
        text, self._kept = self._kept + text, ""
        return text

    def _run(self, *, final: bool) -> str:
        said: list[str] = []
        while True:
            if not self._begun and self._bare(final=final):
                return ""
            if self._state == "text":
                more = self._read_text(said, final=final)
            else:
                more = self._read_inside(final=final)
            if not more:
                return "".join(said)

    def _bare(self, *, final: bool) -> bool:
        """Whether it may begin in harmony without its special tokens, with its role or with a call
        without a tag, and more is needed."""
        start = self._text.lstrip()
        packed = "".join(start.split())
        if not start:
            return False
        may_become = [(start, _ROLE), *((packed, call) for call in _BARE_CALLS if self._tools)]
        if not final and (
            "analysis".startswith(start)
            or any(begun != whole and whole.startswith(begun) for begun, whole in may_become)
        ):
            return True
        self._begun = True
        if start.startswith(_ROLE):
            self._text = start.removeprefix(_ROLE)
        if self._tools and packed.startswith(_BARE_CALLS):
            self._bare_call = True
            self._enter("calls", "")
        if _BARE.match(start):
            self._enter("thought", _BARE_FINAL)
        return False

    def _read_text(self, said: list[str], *, final: bool) -> bool:
        mark = _MARK.search(self._text)
        if mark is None:
            keep = 0 if final else self._tail()
            cut = len(self._text) - keep
            said.append(self._text[:cut])
            self._text = self._text[cut:]
            return False
        said.append(self._text[: mark.start()])
        self._text = self._text[mark.end() :]
        tag = mark.group().lower()
        if tag in _CLOSERS:
            # It closes what nothing opened: all before it was reasoning.
            self.unopened = self.dropped = True
            self.held = False
            self._kept = ""
            said.clear()
        elif tag in _THOUGHTS:
            self.held = False
            self._enter("thought", _THOUGHTS[tag])
        elif tag in _CALLS:
            self._enter("calls", _CALLS[tag])
        elif tag in _HEADERS:
            self.held = False
            self._enter("header", _MESSAGE)
        return True

    def _read_inside(self, *, final: bool) -> bool:
        ends = [
            (at, end)
            for end in self._until
            if end and (at := self._text.lower().find(end.lower())) >= 0
        ]
        if not ends:
            if self._state == "thought":
                self._text = "" if final else self._text[-_LONGEST:]
            return False
        at, end = min(ends)
        inside = self._text[:at]
        rest = self._text[at if end in _HEADERS else at + len(end) :]
        if self._state in ("calls", "channel"):
            self._take_calls(inside)
        self._text = rest
        if self._state == "header":
            self._channel(inside)
        else:
            self._state, self._until = "text", ()
        return True

    def _channel(self, header: str) -> None:
        """Harmony: what follows is said, called, or only thought."""
        self._header = header
        if _TO.search(header):
            self._enter("channel", *_ENDS)
        elif "analysis" in header:
            self._enter("thought", *_ENDS, *_HEADERS)
        else:  # also a preamble in the channel "commentary", which is meant to be seen
            self._state, self._until = "text", ()

    def _enter(self, state: _State, *until: str) -> None:
        self.dropped = self.dropped or state == "thought"
        self._state, self._until = state, until

    def _take_calls(self, inside: str | None = None) -> None:
        if inside is None:
            inside, self._text = self._text, ""
        to = _TO.search(self._header) if self._state == "channel" else None
        self.calls += [WrittenCall(to.group(1), inside.strip())] if to else written_calls(inside)

    def _tail(self) -> int:
        """How many characters at the end may be the beginning of a mark."""
        for size in range(min(_LONGEST - 1, len(self._text)), 0, -1):
            end = self._text[-size:].lower()
            if end[0] in _FIRST and any(mark.startswith(end) for mark in _MARKS):
                return size
        return 0


_DEEPSEEK_CALL = re.compile(  # V3 and R1 write a type before the name, V3.1 the name alone
    r"<｜tool▁call▁begin｜>(?:function<｜tool▁sep｜>)?([\w.-]+)(?:<｜tool▁sep｜>)?(.*?)"
    r"(?:<｜tool▁call▁end｜>|\Z)",
    re.DOTALL,
)
_XML_CALL = re.compile(r"<function=([\w.-]+)>(.*?)(?:</function>|\Z)", re.DOTALL)
_XML_FIELD = re.compile(r"<parameter=([\w.-]+)>\s*(.*?)\s*(?:</parameter>|\Z)", re.DOTALL)


def written_calls(text: str) -> list[WrittenCall]:
    """The calls in what stood between tags: JSON objects with `name` and `arguments` (or
    `parameters`), one after the other or in a list, or Qwen3-Coder's `<function=name>` form.
    Empty if there are none."""
    found = [
        WrittenCall(name, body.strip().removeprefix("```json").removesuffix("```").strip() or "{}")
        for name, body in _DEEPSEEK_CALL.findall(text)
    ]
    for match in _XML_CALL.finditer(text):
        body = match.group(2).strip()
        fields = dict(_XML_FIELD.findall(body))
        found.append(WrittenCall(match.group(1), json.dumps(fields) if fields else body or "{}"))
    return found or [call for value in _values(text) for call in _of_json(value)]


def _values(text: str) -> Iterator[object]:
    decoder = json.JSONDecoder()
    at = 0
    while (start := min((p for c in "{[" if (p := text.find(c, at)) >= 0), default=-1)) >= 0:
        try:
            value, at = decoder.raw_decode(text, start)
        except (ValueError, RecursionError):
            at = start + 1
            continue
        yield value


def _of_json(value: object) -> Iterator[WrittenCall]:
    if isinstance(value, list):
        for each in cast("list[object]", value):
            yield from _of_json(each)
    elif isinstance(value, dict):
        call = cast("dict[str, Any]", value)
        if isinstance(call.get("function"), dict):
            call = call["function"]
        name = call.get("name")
        given: Any = call.get("arguments", call.get("parameters", {}))
        if isinstance(name, str) and name:
            yield WrittenCall(name, given if isinstance(given, str) else json.dumps(given))
