"""The request of a streamed chat completion: a prompt as OpenAI's API reference writes it, less
what the endpoint is known not to take."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from chorus.llm.model import Message, Prompt, ToolCall
from chorus.llm.options import OpenAIOptions
from chorus.llm.ordering import alternating
from chorus.llm.refused import Learnt
from chorus.llm.sound import Sound
from chorus.llm.window import within

_SILENCE = Sound(bytes(3200), 16_000, "")
"""Stands for no words."""


def body_of(
    prompt: Prompt, *, vendor: str, model: str, options: OpenAIOptions, learnt: Learnt
) -> dict[str, Any]:
    messages = fitting(prompt, options, learnt)
    if learnt.wants_sound and not any(heard(m, options, learnt) for m in messages):
        messages = _with_silence(messages)
    body: dict[str, Any] = {
        "model": model,
        "messages": [
            {"role": "system", "content": prompt.whole_system},
            *(_message(message, vendor, options, learnt) for message in messages),
        ],
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    if not prompt.whole_system:
        del body["messages"][0]
    if prompt.tools:
        body["tools"] = [
            {
                "type": "function",
                "function": {
                    "name": tool.name,
                    "description": tool.description,
                    "parameters": dict(tool.parameters),
                },
            }
            for tool in prompt.tools
        ]
    if prompt.json_schema is not None:
        form = {"name": "answer", "schema": prompt.json_schema}
        body["response_format"] = {"type": "json_schema", "json_schema": form}
    for name, value in (
        ("temperature", options.temperature),
        ("max_tokens", options.max_tokens),
        ("reasoning_effort", options.reasoning_effort),
    ):
        if value is not None:
            body[name] = value
    body |= options.extra_body
    if learnt.new_max and "max_tokens" in body:
        body["max_completion_tokens"] = body.pop("max_tokens")
    for name in learnt.without:
        body.pop(name, None)
    return body


def fitting(prompt: Prompt, options: OpenAIOptions, learnt: Learnt) -> Sequence[Message]:
    """The messages that fit into the window, in an order that every vendor takes."""
    known = [w for w in (options.context_window, learnt.window) if w is not None]
    messages: Sequence[Message] = prompt.shown
    if known:
        messages = within(min(known), prompt.whole_system, prompt.tools, messages)
    return alternating(messages)


def heard(message: Message, options: OpenAIOptions, learnt: Learnt) -> Sound | None:
    """The sound of a message, if it is to be sent."""
    sound = message.sound
    if sound is _SILENCE:
        return sound
    if sound is None or not options.hears or learnt.deaf or sound.ms > options.most_sound_ms:
        return None
    size = len(sound.pcm16)
    taken = learnt.least_sound <= size and (learnt.most_sound is None or size <= learnt.most_sound)
    return sound if taken else None


def _with_silence(messages: Sequence[Message]) -> Sequence[Message]:
    """The last message of the user followed by a moment of silence."""
    out = list(messages)
    for place in reversed(range(len(out))):
        if out[place].role == "user":
            out[place] = replace(out[place], sound=_SILENCE)
            break
    return out


def _spoken(message: Message, sound: Sound) -> list[dict[str, Any]]:
    before, behind = sound.around(message.content)
    audio = {"data": sound.wav_base64(), "format": "wav"}
    parts: list[dict[str, Any]] = [{"type": "input_audio", "input_audio": audio}]
    if before:
        parts.insert(0, {"type": "text", "text": before})
    if behind:
        parts.append({"type": "text", "text": behind})
    return parts


def _message(
    message: Message, vendor: str, options: OpenAIOptions, learnt: Learnt
) -> dict[str, Any]:
    if (sound := heard(message, options, learnt)) is not None:
        return {"role": "user", "content": _spoken(message, sound)}
    if message.role == "tool":
        return {
            "role": "tool",
            "tool_call_id": _id(message.tool_call_id, learnt),
            "content": message.content,
        }
    if message.role == "user" or not message.tool_calls:
        return {"role": message.role, "content": message.content}
    echoes = [c.echo for c in message.tool_calls if c.echo and c.echo.vendor == vendor]
    wanted_back = dict(echoes[0].message) if echoes else {}
    return wanted_back | {
        "role": "assistant",
        "content": message.content or ("" if learnt.no_null else None),
        "tool_calls": [_call(call, vendor, learnt) for call in message.tool_calls],
    }


def _call(call: ToolCall, vendor: str, learnt: Learnt) -> dict[str, Any]:
    echo = dict(call.echo.call) if call.echo and call.echo.vendor == vendor else {}
    return echo | {
        "id": _id(call.id, learnt),
        "type": "function",
        "function": {"name": call.name, "arguments": _json_object(call.arguments)},
    }


def _id(id: str, learnt: Learnt) -> str:
    if not learnt.short_ids or (len(id) == 9 and id.isalnum()):
        return id
    return hashlib.sha256(id.encode()).hexdigest()[:9]


def _json_object(arguments: str) -> str:
    """Servers refuse a history in which a model once wrote broken JSON; its tool result says so."""
    try:
        return arguments if isinstance(json.loads(arguments), dict) else "{}"
    except (ValueError, RecursionError):
        return "{}"
