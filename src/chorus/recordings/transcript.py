"""A transcript as a file: JSON for programs, text for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_SPEAKERS = {"assistant": "Agent", "user": "Customer"}


def as_json(call: Mapping[str, Any]) -> dict[str, Any]:
    """`call`: id, agent_id, answered_at, ended_at and transcript of its row."""
    return {
        "callId": str(call["id"]),
        "agentId": str(call["agent_id"]),
        "answeredAt": _time(call["answered_at"]),
        "endedAt": _time(call["ended_at"]),
        "transcript": [
            {name: entry[name] for name in ("role", "content", "sources") if name in entry}
            for entry in call["transcript"]
        ],
    }


def as_text(call: Mapping[str, Any]) -> str:
    """A line for each that was said."""
    return "".join(
        f"{_SPEAKERS.get(entry['role'], entry['role'])}: {' '.join(entry['content'].split())}\n"
        for entry in call["transcript"]
    )


def _time(value: Any) -> str | None:
    if value is None:
        return None
    return value.isoformat(timespec="milliseconds").replace("+00:00", "Z")
