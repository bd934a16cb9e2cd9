"""A history in an order that every server takes.

Strict chat templates (Mistral, Gemma, many on vLLM) and Gemini refuse what OpenAI allows: no user
message at all, an assistant's message first or last, two in a row of one role, a user's right
after a tool's result. Where one is missing, a neutral line stands in, marked as a note.
"""

from __future__ import annotations

from collections.abc import Iterable

from chorus.llm.model import Message

BEGIN = "[The call is connected. The caller has not spoken yet.]"
GO_ON = "[The caller is silent. Go on.]"
UNHEARD = "…"
"""For what the agent would have said after a tool's result, of which nothing was heard."""


def alternating(messages: Iterable[Message]) -> list[Message]:
    """The first and the last message are the user's (or the last a tool's result), and roles
    alternate."""
    out: list[Message] = []
    for message in messages:
        last = out[-1] if out else None
        if last is None and message.role != "user":
            out.append(Message("user", BEGIN))
        elif last is not None and last.role == "tool" and message.role == "user":
            out.append(Message("assistant", UNHEARD))
        elif last is not None and last.role == message.role == "user":
            joined = _joined(last.content, message.content)
            out[-1] = Message("user", joined, sound=message.sound)
            continue
        elif last is not None and last.role == message.role == "assistant" and not last.tool_calls:
            joined = _joined(last.content, message.content)
            out[-1] = Message("assistant", joined, message.tool_calls)
            continue
        out.append(message)
    if not out:
        out.append(Message("user", BEGIN))
    elif out[-1].role == "assistant":
        out.append(Message("user", GO_ON))
    return out


def _joined(one: str, other: str) -> str:
    return f"{one} {other}".strip()
