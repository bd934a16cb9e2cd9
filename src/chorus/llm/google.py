"""Google's Gemini API, `streamGenerateContent`: its request, and its answers as chunks of a chat
completion, so that deadlines, failures and tool calls are those of all models (`openai.py`).

By the reference of `models.streamGenerateContent` (v1beta) and the pages on function calling and
thought signatures. A signature that comes with a call is sent back with it, which the models from
3 on insist on. Thoughts are not asked for, and left out if they come.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import quote

from chorus.llm.model import Message, Prompt
from chorus.llm.openai import OpenAIModel
from chorus.llm.openai_request import fitting, heard
from chorus.llm.ordering import UNHEARD
from chorus.llm.refused import Learnt
from chorus.llm.sound import Sound

_ENDS = {"STOP": "stop", "MAX_TOKENS": "length"}
_WITHHELD = frozenset(
    ("SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "LANGUAGE", "IMAGE_SAFETY")
)


def headers_of(api_key: str) -> dict[str, str]:
    return {"x-goog-api-key": api_key}


class GoogleModel(OpenAIModel):
    """One of Google's models. Its endpoint has `headers_of` and no version in its address."""

    separates_reasoning = True

    @property
    def _path(self) -> str:
        return f"/v1beta/models/{quote(self.model)}:streamGenerateContent?alt=sse"

    def _body(self, prompt: Prompt, learnt: Learnt) -> dict[str, Any]:
        options = self.options
        config: dict[str, Any] = {}
        if options.temperature is not None:
            config["temperature"] = options.temperature
        if options.max_tokens is not None:
            config["maxOutputTokens"] = options.max_tokens
        if options.reasoning_effort is not None:
            config["thinkingConfig"] = {"thinkingLevel": options.reasoning_effort}
        if prompt.json_schema is not None:
            config["responseMimeType"] = "application/json"
            config["responseJsonSchema"] = prompt.json_schema
        body: dict[str, Any] = {
            "contents": _contents(
                fitting(prompt, options, learnt),
                self.endpoint.vendor,
                lambda message: heard(message, options, learnt),
            )
        }
        if prompt.whole_system:
            body["systemInstruction"] = {"parts": [{"text": prompt.whole_system}]}
        if prompt.tools:
            declared = [
                {
                    "name": tool.name,
                    "description": tool.description,
                    "parametersJsonSchema": dict(tool.parameters),
                }
                for tool in prompt.tools
            ]
            body["tools"] = [{"functionDeclarations": declared}]
        if config:
            body["generationConfig"] = config
        body |= options.extra_body
        for name in learnt.without:
            body.pop(name, None)
        return body

    def _translation(self) -> Callable[[Any], Sequence[object]]:
        return _Translation()


def _contents(
    messages: Sequence[Message], vendor: str, heard: Callable[[Message], Sound | None]
) -> list[dict[str, Any]]:
    out: list[dict[str, Any]] = []
    names = {call.id: call.name for message in messages for call in message.tool_calls}
    for message in messages:
        parts: list[dict[str, Any]] = []
        if message.role == "tool":
            response = {
                "name": names.get(message.tool_call_id, "unknown"),
                "response": _object(message.content) or {"result": message.content},
            }
            parts.append({"functionResponse": response})
            if out and "functionResponse" in out[-1]["parts"][0]:
                out[-1]["parts"] += parts  # those of one turn belong together
                continue
        elif (sound := heard(message)) is not None:
            before, behind = sound.around(message.content)
            audio = {"mimeType": "audio/wav", "data": sound.wav_base64()}
            parts += [{"text": before}] if before else []
            parts.append({"inlineData": audio})
            parts += [{"text": behind}] if behind else []
        elif message.content.strip() or not message.tool_calls:
            parts.append({"text": message.content.strip() or UNHEARD})
        for call in message.tool_calls:
            part: dict[str, Any] = {
                "functionCall": {"name": call.name, "args": _object(call.arguments)}
            }
            if call.echo is not None and call.echo.vendor == vendor:
                extra: dict[str, Any] = call.echo.call.get("extra_content") or {}
                if signature := extra.get("thoughtSignature"):
                    part["thoughtSignature"] = signature
            parts.append(part)
        out.append({"role": "model" if message.role == "assistant" else "user", "parts": parts})
    return out


def _object(text: str) -> dict[str, Any]:
    try:
        found: Any = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}  # pyright: ignore[reportUnknownVariableType]  any JSON


class _Translation:
    """Of one reply. The counts come with every answer; the last are right."""

    def __init__(self) -> None:
        self._calls = 0

    def __call__(self, event: Any) -> Sequence[object]:
        if error := event.get("error"):
            return ({"error": error},)
        feedback: dict[str, Any] = event.get("promptFeedback") or {}
        if feedback.get("blockReason"):
            return (_ended("content_filter"),)
        out: list[object] = []
        candidates: list[Any] = event.get("candidates") or []
        for candidate in candidates[:1]:
            content: dict[str, Any] = candidate.get("content") or {}
            parts: list[Any] = content.get("parts") or []
            for part in parts:
                out += self._part(part)
            reason = candidate.get("finishReason")
            if reason:
                ended = "content_filter" if reason in _WITHHELD else _ENDS.get(reason, "stop")
                out.append(_ended(ended))
        if counts := event.get("usageMetadata"):
            output = sum(
                int(counts.get(n) or 0) for n in ("candidatesTokenCount", "thoughtsTokenCount")
            )
            by_kind: list[Any] = counts.get("promptTokensDetails") or []
            audio = sum(
                int(each.get("tokenCount") or 0)
                for each in by_kind
                if each.get("modality") == "AUDIO"
            )
            usage = {
                "prompt_tokens": int(counts.get("promptTokenCount") or 0),
                "completion_tokens": output,
                "prompt_tokens_details": {"audio_tokens": audio},
            }
            out.append({"choices": [], "usage": usage})
        return out

    def _part(self, part: Any) -> Sequence[object]:
        if part.get("thought"):
            return ()
        if call := part.get("functionCall"):
            piece: dict[str, Any] = {
                "index": self._calls,
                "id": call.get("id") or f"call_{self._calls}_{id(self):x}",
                "function": {
                    "name": call["name"],
                    "arguments": json.dumps(call.get("args") or {}, ensure_ascii=False),
                },
            }
            if signature := part.get("thoughtSignature"):
                piece["extra_content"] = {"thoughtSignature": signature}
            self._calls += 1
            return ({"choices": [{"delta": {"tool_calls": [piece]}}]},)
        text = part.get("text")
        return ({"choices": [{"delta": {"content": text}}]},) if text else ()


def _ended(reason: str) -> object:
    delta: dict[str, Any] = {}
    return {"choices": [{"delta": delta, "finish_reason": reason}]}
