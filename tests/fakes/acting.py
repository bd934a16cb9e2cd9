"""Tools of a call without the call."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from chorus.llm.model import ToolCall
from chorus.outbound import Outbound
from chorus.talk.knowledge import Found
from chorus.talk.spec import HttpTool
from chorus.talk.tools import acting as running
from chorus.talk.tools.acting import ToolRun
from chorus.talk.tools.http import request_tools
from chorus.talk.tools.tool import ToolResult


class NoCall:
    speaks = False

    def end_after_reply(self, reason: str = "agent_ended") -> None:
        raise AssertionError("a request does not act on the call")

    def do_after_reply(self, do: Callable[[], None]) -> None:
        raise AssertionError("a request does not act on the call")

    def cite(self, found: Found) -> None:
        raise AssertionError("a request does not act on the call")


class Acting(running.Acting):
    """The tools of one call, all of them HTTP requests, none of which acts on the call."""

    def __init__(
        self,
        tools: Sequence[HttpTool],
        client: Outbound,
        variables: Mapping[str, Any] | None = None,
        on_result: Callable[[ToolRun], None] | None = None,
    ) -> None:
        super().__init__(request_tools(tools, client, variables or {}), on_result=on_result)

    async def run(self, call: ToolCall) -> ToolResult:
        action = self.begin(call, NoCall())
        try:
            return await action.wait()
        except asyncio.CancelledError:
            action.interrupt()
            raise

    def interrupt(self) -> None:
        for action in self.running:
            action.interrupt()
