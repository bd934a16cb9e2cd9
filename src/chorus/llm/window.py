"""A history that fits into a model's context window.

Tokens are estimated, rather too many than too few: a tokenizer for each vendor would be exact and
heavy. The oldest turns are left out first, a tool call always together with its results; the
system prompt, the tools and the caller's last turn stay.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from chorus.llm.model import Message, Prompt, ToolSpec

_BYTES_PER_TOKEN = 3
"""English has about four letters a token; other scripts have fewer letters of more bytes."""
_PER_MESSAGE = 8
_PER_SECOND = 25
"""Of sound: what Qwen-Omni takes, the most of those that are known."""
ANSWER_TOKENS = 1024
"""Room that is kept for the reply."""


def tokens(text: str) -> int:
    return len(text.encode("utf-8", "replace")) // _BYTES_PER_TOKEN + 1


def message_tokens(message: Message) -> int:
    calls = sum(tokens(c.name) + tokens(c.arguments) + _PER_MESSAGE for c in message.tool_calls)
    sound = round(message.sound.ms / 1000 * _PER_SECOND) if message.sound is not None else 0
    return tokens(message.content) + sound + calls + _PER_MESSAGE


def size_of(prompt: Prompt) -> int:
    """Of everything but the tools."""
    return tokens(prompt.whole_system) + sum(map(message_tokens, prompt.shown))


def within(
    window: int, system: str, tools: Sequence[ToolSpec], messages: Sequence[Message]
) -> list[Message]:
    """The newest of `messages` that fit into `window` tokens with everything else."""
    answer = min(ANSWER_TOKENS, window // 4)
    left = window - answer - tokens(system)
    left -= sum(
        tokens(t.name) + tokens(t.description) + tokens(json.dumps(dict(t.parameters)))
        for t in tools
    )
    groups = _groups(messages)
    kept: list[Message] = []
    for number, group in enumerate(reversed(groups)):
        left -= sum(map(message_tokens, group))
        if left < 0 and number > 0 and any(m.role == "user" for m in kept):
            break
        kept[:0] = group
    return kept


def _groups(messages: Sequence[Message]) -> list[list[Message]]:
    """An assistant's message with tool calls and the results that follow it belong together."""
    groups: list[list[Message]] = []
    for message in messages:
        if message.role == "tool" and groups:
            groups[-1].append(message)
        else:
            groups.append([message])
    return groups
