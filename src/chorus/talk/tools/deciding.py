"""What an agent that briefs a person may do: take their word for yes or no.

Both act at once. Whoever says yes hears the caller, not the rest of a sentence.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from chorus.llm.model import ToolSpec
from chorus.talk.tools.tool import CallControl, ToolResult, as_json

ACCEPT = "accept_transfer"
DECLINE = "decline_transfer"


@dataclass(frozen=True, slots=True)
class Accept:
    """Implements `Tool`. `decide` is told "accepted"."""

    decide: Callable[[Literal["accepted"], str], None]

    @property
    def spec(self) -> ToolSpec:
        return ToolSpec(
            ACCEPT,
            "Connect the caller now. Call it as soon as the person says that they take the call.",
            {"type": "object", "properties": {}, "additionalProperties": False},
        )

    @property
    def has_effects(self) -> bool:
        return True

    async def run(self, arguments: str, control: CallControl) -> ToolResult:
        self.decide("accepted", "by voice")
        return ToolResult(as_json({"ok": True}), ok=True)


@dataclass(frozen=True, slots=True)
class Decline:
    """Implements `Tool`. `decide` is told "declined" or "mailbox", and the person's reason."""

    decide: Callable[[Literal["declined", "mailbox"], str], None]

    @property
    def spec(self) -> ToolSpec:
        return ToolSpec(
            DECLINE,
            "Do not connect the caller; a goodbye is said for you and the call ends. Call it when "
            "the person does not take the call, or when no person answered.",
            {
                "type": "object",
                "properties": {
                    "reason": {"type": "string", "description": "Why not, in a few words."},
                    "answered_by": {
                        "type": "string",
                        "enum": ["person", "mailbox"],
                        "description": "mailbox: voicemail, a menu or any other machine.",
                    },
                },
                "additionalProperties": False,
            },
        )

    @property
    def has_effects(self) -> bool:
        return True

    async def run(self, arguments: str, control: CallControl) -> ToolResult:
        given = _object(arguments)
        reason = str(given.get("reason") or "")[:500]
        mailbox = given.get("answered_by") == "mailbox"
        self.decide("mailbox" if mailbox else "declined", reason)
        return ToolResult(as_json({"ok": True}), ok=True)


def _object(arguments: str) -> dict[str, Any]:
    """Empty for what is no JSON object: a person who declines is not asked again for that."""
    try:
        given = json.loads(arguments or "{}")
    except ValueError:
        return {}
    return given if isinstance(given, dict) else {}  # pyright: ignore[reportUnknownVariableType]
