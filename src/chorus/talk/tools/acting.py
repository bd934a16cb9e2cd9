"""Runs the tools that a model asks for. Whatever happens, each call of a tool gets one result.

`begin` starts a call and returns at once, so that several run in parallel: the name is looked
up, the arguments are checked, the request is made within the tool's deadline, the answer is cut
to what a model can use. Every failure on the way is a result that the model can talk about.

When the caller takes the turn, a tool that only reads is cancelled; one with effects runs to its
end, since half of it may be done, and its result still counts. At the end of a call those are
given a grace period; what is not done by then has the result that its outcome is unknown.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from chorus.llm.model import ToolCall, ToolSpec
from chorus.outbound import Outbound, OutboundAnswer, OutboundFailed, OutboundRefused
from chorus.talk.spec import HttpTool
from chorus.talk.tools.arguments import ArgumentsWrong, read_arguments, specs_of
from chorus.talk.tools.request import ToolRequest, ToolWrong, request_of

log = logging.getLogger(__name__)

RESULT_BYTES = 16 * 1024
_ERROR_CHARS = 2000


@dataclass(frozen=True, slots=True)
class ToolResult:
    """`content` is the text for the model: the answer's own where it is JSON, else a JSON object
    (`result`, or `error` with a sentence). `ok`: a 2xx answer. `status`: HTTP's, where one came.
    `cancelled`: the caller took the turn first."""

    content: str
    ok: bool
    status: int | None = None
    elapsed_ms: int = 0
    cancelled: bool = False


class Action:
    """One call of a tool, under way or done."""

    def __init__(
        self, call: ToolCall, has_effects: bool, on_result: Callable[[Action], None] | None
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
            self.finish(ToolResult(_json(content), ok=False, cancelled=cancelled))
            if self._task is not None:
                self._task.cancel()

    def start(self, work: asyncio.Task[None]) -> None:
        self._task = work

    def finish(self, result: ToolResult) -> None:
        """The first result stands."""
        if self.result is not None:
            return
        elapsed = round((self._loop.time() - self._started_s) * 1000)
        self.result = ToolResult(
            result.content, result.ok, result.status, elapsed, result.cancelled
        )
        self._done.set()
        if self._on_result is not None:
            self._on_result(self)


class Acting:
    """One conversation's tools. `variables` fill `{{name}}` in URLs and headers; `reserved` are
    names that the conversation's own tools have; `on_result` is told of every action once, when
    its result is there, also of those that outlive the turn that asked for them."""

    def __init__(
        self,
        tools: Sequence[HttpTool],
        client: Outbound,
        variables: Mapping[str, Any] | None = None,
        *,
        reserved: Iterable[str] = (),
        on_result: Callable[[Action], None] | None = None,
    ) -> None:
        specs = specs_of(tools, reserved)
        self._specs = tuple(specs.values())
        self._tools = dict(zip(specs, tools, strict=True))
        self._client = client
        self._variables = variables or {}
        self._on_result = on_result
        self._tasks: dict[asyncio.Task[None], Action] = {}

    @property
    def specs(self) -> tuple[ToolSpec, ...]:
        return self._specs

    @property
    def running(self) -> tuple[Action, ...]:
        return tuple(action for action in self._tasks.values() if action.result is None)

    def has_effects(self, name: str) -> bool:
        """False for a tool that does not exist: calling it does nothing."""
        tool = self._tools.get(name)
        return tool is not None and tool.has_effects

    def begin(self, call: ToolCall) -> Action:
        """Start a call. Never raises."""
        action = Action(call, self.has_effects(call.name), self._on_result)
        task = asyncio.create_task(self._run(action), name=f"tool {call.name}")
        action.start(task)
        self._tasks[task] = action
        task.add_done_callback(self._ended)
        return action

    async def run(self, call: ToolCall) -> ToolResult:
        """Start a call and wait. If the wait is cancelled, that is an interruption."""
        action = self.begin(call)
        try:
            return await action.wait()
        except asyncio.CancelledError:
            action.interrupt()
            raise

    def interrupt(self) -> None:
        """The caller took the turn; see `Action.interrupt`."""
        for action in self.running:
            action.interrupt()

    async def finish(self, grace_ms: int = 5000) -> None:
        """The call is over: reads are cancelled, effects have `grace_ms` to end. Afterwards every
        action has its result and no task is left."""
        self.interrupt()
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
            action.finish(_failed("The tool failed for an unexpected reason."))

    async def _run(self, action: Action) -> None:
        call = action.call
        tool = self._tools.get(call.name)
        if tool is None:
            known = ", ".join(self._tools) or "none"
            action.finish(_failed(f"There is no tool '{call.name}'. Tools: {known}."))
            return
        try:
            values = read_arguments(tool, call.arguments)
            request = request_of(tool, values, self._variables)
            answer = await self._send(tool, request)
        except (ArgumentsWrong, ToolWrong, OutboundFailed, OutboundRefused) as error:
            if isinstance(error, (ToolWrong, OutboundRefused)):
                log.warning("tool %s cannot be called: %s", tool.name, error)
            action.finish(_failed(str(error)))
        else:
            action.finish(_result(answer))

    async def _send(self, tool: HttpTool, request: ToolRequest) -> OutboundAnswer:
        return await self._client.send(
            request.method,
            request.url,
            headers=request.headers,
            content=request.content,
            timeout_ms=tool.timeout_ms,
            max_bytes=RESULT_BYTES,
            truncate=True,
        )


def _failed(sentence: str) -> ToolResult:
    return ToolResult(_json({"error": sentence}), ok=False)


def _result(answer: OutboundAnswer) -> ToolResult:
    """An HTTP answer as a model can use it."""
    ok = 200 <= answer.status < 300
    text, parsed = _text_of(answer)
    if not ok:
        content: dict[str, Any] = {
            "error": f"The tool answered HTTP {answer.status}.",
            "status": answer.status,
        }
        if text and len(text) <= _ERROR_CHARS and parsed is not None:
            content["body"] = parsed
        elif text:
            content["body"] = text[:_ERROR_CHARS]
        return ToolResult(_json(content), ok=False, status=answer.status)
    if answer.truncated:
        note = f"The answer was cut after {RESULT_BYTES} bytes."
        return ToolResult(_json({"note": note, "result": text}), ok=True, status=answer.status)
    if parsed is not None:
        return ToolResult(text.strip(), ok=True, status=answer.status)
    if not text.strip():
        return ToolResult(_json({"ok": True, "status": answer.status}), True, answer.status)
    return ToolResult(_json({"result": text}), ok=True, status=answer.status)


def _text_of(answer: OutboundAnswer) -> tuple[str, Any]:
    """The body as text, and parsed where it is whole and JSON (null counts as text)."""
    kind, _, parameters = (answer.header("content-type") or "").partition(";")
    kind = kind.strip().lower()
    if kind.startswith(("image/", "audio/", "video/", "font/")) or b"\0" in answer.body:
        return f"(binary content, {kind or 'unknown type'}, {len(answer.body)} bytes)", None
    charset = parameters.partition("charset=")[2].split(";")[0].strip(" \"'") or "utf-8"
    try:
        text = answer.body.decode(charset, "replace").removeprefix("\ufeff")
    except LookupError:
        text = answer.body.decode("utf-8", "replace")
    if answer.truncated:
        return text, None
    try:
        return text, json.loads(text)
    except (ValueError, RecursionError):
        return text, None


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
