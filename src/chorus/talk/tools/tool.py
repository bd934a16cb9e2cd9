"""What a model may call: one Protocol for all of it, and the answer that each call gets.

An HTTP request (`http.py`), hanging up (`end_call.py`) and whatever else an agent can do are equals
here; `acting.py` runs them.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from chorus.llm.model import ToolSpec
from chorus.talk.knowledge import Found


@dataclass(frozen=True, slots=True)
class ToolResult:
    """`content` is the text for the model: JSON, an object with `error` and a sentence after a
    failure. `ok`: it did what it was asked. `status`: HTTP's, where one came. `cancelled`: the
    caller took the turn first. `if_cut`: the content that stands instead where the caller took the
    turn before the reply was heard to its end."""

    content: str
    ok: bool
    status: int | None = None
    elapsed_ms: int = 0
    cancelled: bool = False
    if_cut: str | None = None


class CallControl(Protocol):
    """What a tool may do to the call that it is used in."""

    @property
    def speaks(self) -> bool:
        """The reply that uses the tool has said something before."""
        ...

    def end_after_reply(self, reason: str = "agent_ended") -> None:
        """The call ends for `reason` when the reply that uses the tool was heard to its end; the
        model is not asked again. A caller who takes the turn before keeps the call."""
        ...

    def do_after_reply(self, do: Callable[[], None]) -> None:
        """`do` is called when the reply that uses the tool was heard to its end; the model is not
        asked again. It is never called if the caller takes the turn before."""
        ...

    def cite(self, found: Found) -> None:
        """The reply may rest on what was found."""
        ...


class Tool(Protocol):
    @property
    def spec(self) -> ToolSpec:
        """What the model is told. Its name is unique in a call."""
        ...

    @property
    def has_effects(self) -> bool:
        """It changes something: it is run only once the turn is over, and to its end. Any other
        may run in a draft, several times, and be given up."""
        ...

    async def run(self, arguments: str, control: CallControl) -> ToolResult:
        """`arguments` as the model wrote them. Every failure is a result that the model can talk
        about; what is raised all the same is one too, without its text."""
        ...


def failed(sentence: str) -> ToolResult:
    return ToolResult(as_json({"error": sentence}), ok=False)


def as_json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
