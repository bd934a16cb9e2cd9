"""The tool with which the agent hangs up, after its goodbye was heard."""

from __future__ import annotations

from dataclasses import dataclass

from chorus.llm.model import ToolSpec
from chorus.talk.tools.tool import CallControl, ToolResult, as_json

END_CALL = "end_call"
NOT_ENDED = as_json({"cancelled": True, "note": "The caller spoke before the goodbye was heard."})
NOT_ALLOWED = as_json({"error": "You cannot hang up in this call. The caller will."})


@dataclass(frozen=True, slots=True)
class EndCall:
    """Implements `Tool`. Where it is not `allowed` it should not be offered; a model that calls it
    all the same is told so."""

    allowed: bool = True

    @property
    def spec(self) -> ToolSpec:
        return ToolSpec(
            END_CALL,
            "Hang up. Call it when the conversation is over, after saying goodbye.",
            {"type": "object", "properties": {}, "additionalProperties": False},
        )

    @property
    def has_effects(self) -> bool:
        return self.allowed

    async def run(self, arguments: str, control: CallControl) -> ToolResult:
        if not self.allowed:
            return ToolResult(NOT_ALLOWED, ok=False)
        control.end_after_reply()
        return ToolResult(as_json({"ok": True}), ok=True, if_cut=NOT_ENDED)
