"""The tools with which the agent has the caller enter keys, and presses keys itself."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, Protocol, cast

from chorus.llm.model import ToolSpec
from chorus.talk.spec import AgentSpec, KeyInput
from chorus.talk.tools.tool import CallControl, ToolResult, as_json, failed

COLLECT_KEYS = "collect_keys"
PRESS_KEYS = "press_keys"
SAY_TO_MENU = "say_to_menu"
MAX_KEYS = 32
MAX_WORDS = 200
_KEYS = re.compile(rf"[0-9A-D*#wW]{{1,{MAX_KEYS}}}")
NOT_PRESSED = as_json(
    {"cancelled": True, "note": "The other side spoke first: nothing was pressed."}
)


@dataclass(frozen=True, slots=True)
class CollectKeys:
    """Implements `Tool`. `begin` makes the keys of the caller's next turn the value of an input."""

    inputs: tuple[KeyInput, ...]
    begin: Callable[[KeyInput], None]

    @property
    def spec(self) -> ToolSpec:
        listed = "; ".join(_told(each) for each in self.inputs)
        return ToolSpec(
            COLLECT_KEYS,
            "Have the caller enter something with the keys of their telephone. Say what to enter "
            "in the same reply. What they enter comes as their next message, [pressed 1 2 3]; "
            f"secret keys are shown as dots. What there is to enter: {listed}",
            {
                "type": "object",
                "properties": {
                    "input": {"type": "string", "enum": [each.name for each in self.inputs]}
                },
                "required": ["input"],
                "additionalProperties": False,
            },
        )

    @property
    def has_effects(self) -> bool:
        return True

    async def run(self, arguments: str, control: CallControl) -> ToolResult:
        name = _text(arguments, "input")
        wanted = next((each for each in self.inputs if each.name == name), None)
        if wanted is None:
            names = ", ".join(each.name for each in self.inputs)
            return failed(f"There is no input '{name[:64]}'. Inputs: {names}.")
        self.begin(wanted)
        if control.speaks:
            control.do_after_reply(_nothing)  # it is the caller's turn
            return ToolResult(as_json({"ok": True}), ok=True)
        return ToolResult(as_json({"ok": True, "note": "Say now what to enter."}), ok=True)


@dataclass(frozen=True, slots=True)
class PressKeys:
    """Implements `Tool`. `press` sends the keys; `refuse` says why they cannot be, or None."""

    press: Callable[[str], None]
    refuse: Callable[[], str | None]

    @property
    def spec(self) -> ToolSpec:
        return ToolSpec(
            PRESS_KEYS,
            "Press keys of the telephone, to choose from an automatic menu or to dial an "
            "extension. Wait until you have heard all options. Say nothing in the same reply.",
            {
                "type": "object",
                "properties": {
                    "keys": {
                        "type": "string",
                        "description": "0-9, * and #, all at once; w waits half a second.",
                    }
                },
                "required": ["keys"],
                "additionalProperties": False,
            },
        )

    @property
    def has_effects(self) -> bool:
        return True

    async def run(self, arguments: str, control: CallControl) -> ToolResult:
        keys = re.sub(r"[\s,.-]", "", _text(arguments, "keys"))
        if not _KEYS.fullmatch(keys):
            return failed(f"keys must be 1 to {MAX_KEYS} of 0-9, *, #, A-D and w for a pause.")
        if (why := self.refuse()) is not None:
            return failed(why)
        if control.speaks:
            control.do_after_reply(lambda: self.press(keys))
            return ToolResult(as_json({"ok": True}), ok=True, if_cut=NOT_PRESSED)
        self.press(keys)
        control.do_after_reply(_nothing)  # what it led to is heard
        return ToolResult(as_json({"ok": True}), ok=True)


@dataclass(frozen=True, slots=True)
class SayToMenu:
    """Implements `Tool`. `say` speaks to a menu that wants to hear a word."""

    say: Callable[[str], None]

    @property
    def spec(self) -> ToolSpec:
        return ToolSpec(
            SAY_TO_MENU,
            "Say a word or two to an automatic menu that asks for words and takes no keys.",
            {
                "type": "object",
                "properties": {"words": {"type": "string", "description": "As it wants them."}},
                "required": ["words"],
                "additionalProperties": False,
            },
        )

    @property
    def has_effects(self) -> bool:
        return True

    async def run(self, arguments: str, control: CallControl) -> ToolResult:
        words = _text(arguments, "words").strip()
        if not words or len(words) > MAX_WORDS:
            return failed(f"words must be a text of 1 to {MAX_WORDS} characters.")
        self.say(words)
        control.do_after_reply(_nothing)
        return ToolResult(as_json({"ok": True}), ok=True)


class Presses(Protocol):
    """The call, as far as keys go."""

    def press_keys(self, keys: str, *, by: Literal["agent", "api"] = "api") -> None: ...
    def no_keys(self) -> str | None: ...
    def say(self, text: str) -> None: ...


def key_tools(
    agent: AgentSpec, begin: Callable[[KeyInput], None], call: Presses
) -> tuple[CollectKeys | PressKeys | SayToMenu, ...]:
    """Those that the agent has."""
    tools: list[CollectKeys | PressKeys | SayToMenu] = []
    if agent.key_inputs:
        tools.append(CollectKeys(agent.key_inputs, begin))
    navigates = agent.answering is not None and agent.answering.menu == "navigate"
    if agent.allow_press_keys or navigates:
        tools.append(PressKeys(lambda keys: call.press_keys(keys, by="agent"), call.no_keys))
    if navigates:
        tools.append(SayToMenu(call.say))
    return tuple(tools)


def _told(wanted: KeyInput) -> str:
    told = f"{wanted.name}: {wanted.description}" if wanted.description else wanted.name
    if wanted.max_length is not None:
        least = wanted.min_length
        count = f"{least} to {wanted.max_length}" if least < wanted.max_length else f"{least}"
        told += f" ({count} keys)"
    if wanted.terminator:
        told += f" (ended by {wanted.terminator})"
    if wanted.secret:
        told += f" (secret: to hand it to another tool write {{{{{wanted.name}}}}} as its argument)"
    return told


def _text(arguments: str, field: str) -> str:
    """Empty for what is no JSON object with such a text or number."""
    try:
        given: Any = json.loads(arguments or "{}")
    except ValueError:
        return ""
    value = cast("dict[str, Any]", given).get(field) if isinstance(given, dict) else None
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""


def _nothing() -> None:
    return
