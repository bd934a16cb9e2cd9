"""The tool with which the agent hands the caller to a person, once its reply was heard."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from chorus.llm.model import ToolSpec
from chorus.talk.spec import TransferTarget
from chorus.talk.tools.tool import CallControl, ToolResult, as_json, failed

TRANSFER_TO = "transfer_to"
NOT_DONE = as_json(
    {
        "cancelled": True,
        "note": "The caller spoke first: nobody was called.",
    }
)
MAX_REASON = 1000


@dataclass(frozen=True, slots=True)
class TransferTo:
    """Implements `Tool`. `begin` starts the transfer; `refuse` says why it cannot be, or None."""

    targets: tuple[TransferTarget, ...]
    begin: Callable[[TransferTarget, str], None]
    refuse: Callable[[], str | None]

    @property
    def spec(self) -> ToolSpec:
        listed = "; ".join(
            f"{target.name}: {target.description}" if target.description else target.name
            for target in self.targets
        )
        return ToolSpec(
            TRANSFER_TO,
            "Hand the caller to a person. Say first that you will, in one short sentence. If "
            f"nobody takes the call you get the caller back. To whom and when: {listed}",
            {
                "type": "object",
                "properties": {
                    "target": {"type": "string", "enum": [t.name for t in self.targets]},
                    "reason": {
                        "type": "string",
                        "description": "For the person: who calls and what they want, in one or "
                        "two sentences.",
                    },
                },
                "required": ["target"],
                "additionalProperties": False,
            },
        )

    @property
    def has_effects(self) -> bool:
        return True

    async def run(self, arguments: str, control: CallControl) -> ToolResult:
        try:
            given: Any = json.loads(arguments or "{}")
            name, reason = str(given["target"]), str(given.get("reason") or "")
        except (ValueError, KeyError, TypeError, AttributeError):
            return failed("The arguments must be an object with the name of a target.")
        target = next((t for t in self.targets if t.name.casefold() == name.casefold()), None)
        if target is None:
            names = ", ".join(t.name for t in self.targets)
            return failed(f"There is no target '{name[:100]}'. Targets: {names}.")
        if (why := self.refuse()) is not None:
            return failed(why)
        control.do_after_reply(lambda: self.begin(target, reason[:MAX_REASON]))
        note = f"The caller is put on hold and {target.name} is called."
        return ToolResult(as_json({"ok": True, "note": note}), ok=True, if_cut=NOT_DONE)
