"""A streamed chat completion, put together from its chunks.

Text is handed on as it comes, less the reasoning in it; the pieces of tool calls are kept until
the vendor says that the reply is finished, and the token counts come last. Known dialects of
compatible servers are allowed for where they are read.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any, cast

from chorus.llm.model import Echo, ToolCall, Usage
from chorus.llm.thoughts import Thoughts

# Of a message, wanted back with its tool calls: DeepSeek and Kimi, Groq and others, OpenRouter.
_WANTED_BACK = ("reasoning_content", "reasoning", "reasoning_details")
_TEXT_PARTS = frozenset(("text", "output_text", ""))


class VendorError(Exception):
    """The stream reported an error; `body` is what it said."""

    def __init__(self, body: object) -> None:
        super().__init__("the stream reported an error")
        self.body = body


@dataclass(slots=True)
class _Call:
    key: str
    id: str = ""
    name: str = ""
    arguments: str = ""
    extra: dict[str, Any] = field(default_factory=dict[str, Any])

    @property
    def whole(self) -> bool:
        """Its arguments are JSON already: nothing can be added to them."""
        try:
            return bool(self.arguments.strip()) and isinstance(json.loads(self.arguments), dict)
        except (ValueError, RecursionError):
            return False


class Parts:
    """One stream so far: what `take` could not pass on yet. `tools`: the names that a call may
    have; `streams`: see `Learnt`."""

    def __init__(
        self, tools: Collection[str] = (), *, vendor: str = "", streams: bool | None = True
    ) -> None:
        self.begun = False
        self.finished = False
        self.cut_off = False
        self.filtered = False
        self.size = 0
        self.usage: Usage | None = None
        self.thoughts = Thoughts(held=not streams, tools=frozenset(tools))
        self._surely_thinks = streams is False
        self._tools = frozenset(tools)
        self._vendor = vendor
        self._calls: list[_Call] = []
        self._wanted_back: dict[str, Any] = {}

    def take(self, chunk: object) -> str:
        """The text in a chunk; calls and counts are kept. `ValueError` for what is no chunk,
        `VendorError` for an error of the vendor's."""
        if isinstance(chunk, dict) and (error := cast("dict[str, Any]", chunk).get("error")):
            raise VendorError(error)
        try:
            return self._take(cast(Any, chunk))
        except (AttributeError, IndexError, KeyError, TypeError) as error:
            raise ValueError(f"no chunk of a chat completion: {error}") from None

    def end(self) -> str:
        """The stream has come to its end: text that was held back."""
        self.finished = True
        said = self.thoughts.flush(whole=not self.cut_off)
        for number, call in enumerate(self.thoughts.calls):
            if call.name in self._tools or not self._tools:
                self._calls.append(_Call(f"text {number}", "", call.name, call.arguments))
        self.thoughts.calls = []
        return said

    def _take(self, chunk: Any) -> str:
        counts = chunk.get("usage")
        if counts:
            details: Any = counts.get("prompt_tokens_details") or {}
            sound = details.get("audio_tokens")
            self.usage = Usage(
                int(counts.get("prompt_tokens") or 0),
                int(counts.get("completion_tokens") or 0),
                int(sound or 0),
            )
        if not chunk.get("choices"):
            return ""
        choice = chunk["choices"][0]
        # A server that does not stream answers with the whole message at once.
        delta = choice.get("delta") or choice.get("message") or cast(dict[str, Any], {})
        for position, piece in enumerate(delta.get("tool_calls") or ()):
            self._take_call(piece, position)
        if legacy := delta.get("function_call"):  # what tool_calls replaced
            self._take_call({"function": legacy}, 0)
        self._keep(delta)
        text = _text(delta.get("content")) or _text(delta.get("refusal"))
        self.size += len(text)
        said = self.thoughts.feed(text) if text else ""
        reason = choice.get("finish_reason")
        self.filtered = reason == "content_filter" and not self.begun
        self.cut_off = self.cut_off or reason == "length"
        self.finished = self.finished or bool(reason)
        # Reasoning that a tag opened is no beginning of an answer.
        waits = self.thoughts.held and not self._surely_thinks and bool(text.strip())
        self.begun = self.begun or bool(said.strip() or reason or waits)
        return said

    def _keep(self, delta: Any) -> None:
        for name in _WANTED_BACK:
            value = delta.get(name)
            if not value:
                continue
            known = self._wanted_back.get(name)
            if isinstance(value, str):
                self._wanted_back[name] = (known or "") + value
            elif isinstance(value, list):
                self._wanted_back[name] = [*(known or ()), *cast("list[Any]", value)]
            self.size += len(value) if isinstance(value, str) else 1

    def _take_call(self, piece: Any, position: int) -> None:
        self.begun = True
        index = piece.get("index")
        key = str(position if index is None else index)
        call_id = piece.get("id") or ""
        function = piece.get("function") or cast(dict[str, Any], {})
        name = function.get("name") or ""
        given = function.get("arguments")
        # Others send the arguments as an object instead of its JSON.
        text = given if isinstance(given, str) else "" if given is None else json.dumps(given)
        known = next((c for c in reversed(self._calls) if c.key == key), None)
        if known is None or self._begins_another(known, call_id, name):
            known = _Call(key)
            self._calls.append(known)
        known.id = known.id or call_id
        if name and name != known.name:
            known.name += name
        known.arguments += text
        extra = piece.get("extra_content") or function.get("extra_content")
        if isinstance(extra, dict):
            known.extra["extra_content"] = extra
        for own in ("thought_signature", "signature"):
            if piece.get(own):
                known.extra[own] = piece[own]
        self.size += len(text) + 1

    def _begins_another(self, known: _Call, call_id: str, name: str) -> bool:
        """Some servers give every call the index 0, or none; what then tells calls apart is a
        name that comes again. An id alone is no sign: there are servers with another in each
        piece. A name may also come in pieces, and some servers repeat it in each."""
        if not name or not known.name:
            return False
        if call_id and known.id and call_id != known.id:
            return name in self._tools or not self._tools or bool(known.arguments)
        if name == known.name:
            return known.whole
        joined = known.name + name
        goes_on = any(tool.startswith(joined) for tool in self._tools)
        if goes_on and not known.arguments:
            return False
        return bool(known.arguments) or name in self._tools

    def take_calls(self) -> list[ToolCall]:
        calls, self._calls = self._calls, []
        message = dict(self._wanted_back)
        found: list[ToolCall] = []
        for call in calls:
            if not call.name:
                continue
            for number, arguments in enumerate(_arguments(call.arguments)):
                echo = Echo(self._vendor, call.extra, message) if call.extra or message else None
                id = call.id if call.id and not number else uuid.uuid4().hex[:9]
                found.append(ToolCall(id, call.name, arguments, echo))
        return found


def _text(content: Any) -> str:
    """Mistral and others send a list of parts, of which those that hold reasoning are not said."""
    if content is None or isinstance(content, str):
        return content or ""
    if isinstance(content, dict):
        content = [content]
    if not isinstance(content, list):
        raise ValueError("a chunk's content is no text")
    said: list[str] = []
    for part in cast("list[Any]", content):
        if isinstance(part, str):
            said.append(part)
        elif isinstance(part, dict):
            each = cast("dict[str, Any]", part)
            if (each.get("type") or "") in _TEXT_PARTS:
                said.append(_text(each.get("text")))
    return "".join(said)


def _arguments(written: str) -> list[str]:
    """The JSON objects that a call was given. Bedrock's gateways send an empty one before the real
    one; two different ones are two calls. What is no JSON is left for the tool to refuse."""
    text = written.strip()
    if text in ("", "null", "None"):
        return ["{}"]
    decoder = json.JSONDecoder()
    objects: list[str] = []
    at = 0
    while at < len(text):
        try:
            value, end = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            return [written]
        if not isinstance(value, dict) and (objects or text[end:].strip()):
            return [written]
        objects.append(text[at:end])
        while end < len(text) and text[end].isspace():
            end += 1
        at = end
    filled = list(dict.fromkeys(each for each in objects if each.replace(" ", "") != "{}"))
    return filled or ["{}"]
