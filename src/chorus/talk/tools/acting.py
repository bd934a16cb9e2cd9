"""Runs the tools that a model asks for. Whatever happens, each call of a tool gets one result.

`begin` starts a call and returns at once, so that several run in parallel. When the caller takes
the turn, a tool that only reads is cancelled; one with effects runs to its end, since half of it
may be done, and its result still counts. At the end of a call those are given a grace period; what
is not done by then has the result that its outcome is unknown.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from chorus.llm.model import ToolCall, ToolSpec
from chorus.talk.tools.tool import CallControl, Tool, ToolResult, as_json, failed
from chorus.telemetry.spans import tool_span

log = logging.getLogger(__name__)


class ToolRun:
    """One call of a tool, under way or done."""

    def __init__(
        self, call: ToolCall, has_effects: bool, on_result: Callable[[ToolRun], None] | None
    ) -> None:
        self.call = call
        self.has_effects = has_effects
        self.result: ToolResult | None = None
        self._done = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._loop = asyncio.get_running_loop()
        self._started_s = self._loop.time()
        self._on_result = on_result

    async def wait(self) -> ToolResult:
        """The result. Cancelling the wait does not cancel the action."""
        await self._done.wait()
        assert self.result is not None
        return self.result

    def interrupt(self) -> None:
        """The caller took the turn: a tool that only reads is cancelled, and its result says so
        at once; one with effects goes on."""
        if not self.has_effects:
            self._stop(
                {"cancelled": True, "note": "The caller spoke before this look-up was done."},
                cancelled=True,
            )

    def give_up(self) -> None:
        """Waits no longer, effects or not."""
        self._stop(
            {"error": "The call ended before the tool answered. Its outcome is unknown."}
            if self.has_effects
            else {"cancelled": True, "note": "The call ended."},
            cancelled=True,
        )

    def _stop(self, content: dict[str, Any], *, cancelled: bool) -> None:
        if self.result is None:
            self.finish(ToolResult(as_json(content), ok=False, cancelled=cancelled))
            if self._task is not None:
                self._task.cancel()

    def start(self, work: asyncio.Task[None]) -> None:
        self._task = work

    def finish(self, result: ToolResult) -> None:
        """The first result stands."""
        if self.result is not None:
            return
        elapsed = round((self._loop.time() - self._started_s) * 1000)
        self.result = replace(result, elapsed_ms=elapsed)
        self._done.set()
        if self._on_result is not None:
            self._on_result(self)


class Acting:
    """One call's tools. `tools` are offered to the model; `unoffered` are not, but have an answer
    for a model that calls them all the same. `on_result` is told of every action once, when its
    result is there, also of those that outlive the turn that asked for them."""

    def __init__(
        self,
        tools: Sequence[Tool],
        *,
        unoffered: Sequence[Tool] = (),
        on_result: Callable[[ToolRun], None] | None = None,
    ) -> None:
        self._specs = tuple(tool.spec for tool in tools)
        self._tools = {tool.spec.name: tool for tool in (*tools, *unoffered)}
        self._on_result = on_result
        self._tasks: dict[asyncio.Task[None], ToolRun] = {}

    @property
    def specs(self) -> tuple[ToolSpec, ...]:
        return self._specs

    @property
    def running(self) -> tuple[ToolRun, ...]:
        return tuple(action for action in self._tasks.values() if action.result is None)

    def has_effects(self, name: str) -> bool:
        """False for a tool that does not exist: calling it does nothing."""
        tool = self._tools.get(name)
        return tool is not None and tool.has_effects

    def begin(self, call: ToolCall, control: CallControl) -> ToolRun:
        """Start a call. Never raises."""
        action = ToolRun(call, self.has_effects(call.name), self._on_result)
        task = asyncio.create_task(self._run(action, control), name=f"tool {call.name}")
        action.start(task)
        self._tasks[task] = action
        task.add_done_callback(self._ended)
        return action

    async def finish(self, grace_ms: int = 5000) -> None:
        """The call is over: reads are cancelled, effects have `grace_ms` to end. Afterwards every
        action has its result and no task is left."""
        for action in self.running:
            action.interrupt()
        try:
            if self._tasks:
                await asyncio.wait(tuple(self._tasks), timeout=grace_ms / 1000)
        finally:
            for action in self.running:
                log.warning("tool %s did not end before the call did", action.call.name)
                action.give_up()
            if self._tasks:
                await asyncio.wait(tuple(self._tasks))

    def _ended(self, task: asyncio.Task[None]) -> None:
        action = self._tasks.pop(task)
        if task.cancelled():
            action.give_up()  # whoever cancelled it, a result is owed
        elif (error := task.exception()) is not None:
            log.error("tool %s failed unexpectedly", action.call.name, exc_info=error)
            action.finish(failed("The tool failed for an unexpected reason."))

    async def _run(self, action: ToolRun, control: CallControl) -> None:
        call = action.call
        tool = self._tools.get(call.name)
        if tool is None:
            known = ", ".join(spec.name for spec in self._specs) or "none"
            action.finish(failed(f"There is no tool '{call.name}'. Tools: {known}."))
        else:
            with tool_span(call.name, call.id) as running:
                result = await tool.run(call.arguments, control)
                if not result.ok:
                    status = result.status
                    if status is None:
                        running.failed("the tool failed", "_OTHER")
                    else:
                        running.failed(f"the tool failed HTTP {status}", str(status))
            action.finish(result)
