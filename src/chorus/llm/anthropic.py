"""Anthropic's Messages API: the request as it is documented, and its events as chunks of a chat
completion, so that deadlines, failures and tool calls are those of all models (`openai.py`).

By Anthropic's reference of `POST /v1/messages` and its page on streaming. Without the vendor's
SDK, which takes a second to import and does nothing that is needed here. The system prompt and the
tools are marked for the vendor's cache: they are the same in every turn of a call.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Sequence
from typing import Any

from chorus.llm.model import Message, Prompt
from chorus.llm.openai import OpenAIModel
from chorus.llm.openai_request import fitting
from chorus.llm.ordering import UNHEARD
from chorus.llm.refused import Learnt

VERSION = "2023-06-01"
_MAX_TOKENS = 1024
"""The vendor wants a limit. Nobody listens to a longer reply; a summary may ask for more."""
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_ENDS = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "tool_use": "tool_calls",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "refusal": "content_filter",
}


def headers_of(api_key: str) -> dict[str, str]:
    return {"x-api-key": api_key, "anthropic-version": VERSION}


class AnthropicModel(OpenAIModel):
    """One of Anthropic's models. Its endpoint has `headers_of` and no `/v1` in its address."""

    separates_reasoning = True

    @property
    def longest_sound_ms(self) -> int:
        return 0  # its API takes none

    @property
    def _path(self) -> str:
        return "/v1/messages"

    def _body(self, prompt: Prompt, learnt: Learnt) -> dict[str, Any]:
        options = self.options
        body: dict[str, Any] = {
            "model": self.model,
            "max_tokens": options.max_tokens or _MAX_TOKENS,
            "messages": _messages(fitting(prompt, options, learnt)),
            "stream": True,
        }
        if prompt.whole_system:
            body["system"] = [{"type": "text", "text": prompt.whole_system, **_CACHED}]
        if prompt.tools:
            body["tools"] = [
                {
                    "name": tool.name,
                    "description": tool.description,
                    "input_schema": dict(tool.parameters),
                }
                for tool in prompt.tools
            ]
        output: dict[str, Any] = {}
        if options.reasoning_effort is not None:
            output["effort"] = options.reasoning_effort
        if prompt.json_schema is not None:
            output["format"] = {"type": "json_schema", "schema": prompt.json_schema}
        if output:
            body["output_config"] = output
        if options.temperature is not None:
            body["temperature"] = min(options.temperature, 1)  # the vendor's scale ends there
        body |= options.extra_body
        for name in learnt.without:
            if name != "max_tokens":
                body.pop(name, None)
        return body

    def _translation(self) -> Callable[[Any], Sequence[object]]:
        return _Translation()


_CACHED = {"cache_control": {"type": "ephemeral"}}


def _messages(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """Results of tools are blocks of one user's message."""
    out: list[dict[str, Any]] = []
    results: list[dict[str, Any]] | None = None
    for message in messages:
        if message.role == "tool":
            block = {
                "type": "tool_result",
                "tool_use_id": _id(message.tool_call_id),
                "content": message.content or "{}",
            }
            if results is None:
                results = []
                out.append({"role": "user", "content": results})
            results.append(block)
            continue
        results = None
        if message.tool_calls:
            said = [{"type": "text", "text": message.content}] if message.content.strip() else []
            calls = [
                {"type": "tool_use", "id": _id(c.id), "name": c.name, "input": _object(c.arguments)}
                for c in message.tool_calls
            ]
            out.append({"role": "assistant", "content": [*said, *calls]})
        else:
            # An empty text is refused, and so is white space at the end of an assistant's.
            out.append({"role": message.role, "content": message.content.strip() or UNHEARD})
    return out


def _id(id: str) -> str:
    """Ids of other vendors may hold what this one refuses."""
    return id if _ID.fullmatch(id) else hashlib.sha256(id.encode()).hexdigest()[:32]


def _object(arguments: str) -> dict[str, Any]:
    try:
        found: Any = json.loads(arguments)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}  # pyright: ignore[reportUnknownVariableType]  any JSON


class _Translation:
    """Of one reply. Blocks of reasoning are left out."""

    def __init__(self) -> None:
        self._input = self._output = 0
        self._tools: set[int] = set()

    def __call__(self, event: Any) -> Sequence[object]:
        match event.get("type"):
            case "message_start":
                self._count(event["message"].get("usage") or {})
            case "content_block_start":
                return self._begin(event["index"], event["content_block"])
            case "content_block_delta":
                delta = event["delta"]
                if delta["type"] == "text_delta":
                    return (_chunk({"content": delta["text"]}),)
                if delta["type"] == "input_json_delta" and event["index"] in self._tools:
                    function = {"arguments": delta["partial_json"]}
                    call = {"index": event["index"], "function": function}
                    return (_chunk({"tool_calls": [call]}),)
            case "message_delta":
                self._count(event.get("usage") or {})
                reason = event["delta"].get("stop_reason")
                if reason:
                    counts = {"prompt_tokens": self._input, "completion_tokens": self._output}
                    none: dict[str, Any] = {}
                    ended = {"delta": none, "finish_reason": _ENDS.get(reason, "stop")}
                    return ({"choices": [ended]}, {"choices": [], "usage": counts})
            case "error":
                return ({"error": event["error"]},)
            case _:  # `ping`, and what is new
                pass
        return ()

    def _begin(self, index: int, block: Any) -> Sequence[object]:
        if block["type"] == "text" and block.get("text"):
            return (_chunk({"content": block["text"]}),)
        if block["type"] != "tool_use":
            return ()
        self._tools.add(index)
        function = {"name": block["name"], "arguments": ""}
        return (
            _chunk({"tool_calls": [{"index": index, "id": block["id"], "function": function}]}),
        )

    def _count(self, usage: Any) -> None:
        """What was read from the cache or written to it was sent as well."""
        names = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
        self._input = sum(int(usage.get(name) or 0) for name in names) or self._input
        self._output = int(usage.get("output_tokens") or 0) or self._output


def _chunk(delta: dict[str, Any]) -> object:
    return {"choices": [{"delta": delta}]}
