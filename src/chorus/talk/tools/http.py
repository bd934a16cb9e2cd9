"""A tool that makes an HTTP request.

The arguments are checked, the request is made within the tool's deadline, the answer is cut to
what a model can use. Every failure on the way is a result that the model can talk about.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

from chorus.llm.model import ToolSpec
from chorus.outbound import Outbound, OutboundAnswer, OutboundFailed, OutboundRefused
from chorus.talk.spec import HttpTool
from chorus.talk.tools.arguments import ArgumentsWrong, read_arguments, specs_of
from chorus.talk.tools.request import ToolWrong, request_of
from chorus.talk.tools.tool import CallControl, ToolResult, as_json, failed
from chorus.telemetry.spans import trace_headers

log = logging.getLogger(__name__)

RESULT_BYTES = 16 * 1024
_ERROR_CHARS = 2000


class Secrets(Protocol):
    """What the caller has keyed in and nobody may see."""

    def unmasked(self, arguments: str) -> str: ...
    def masked(self, text: str) -> str: ...


class NoSecrets:
    """Implements `Secrets`."""

    def unmasked(self, arguments: str) -> str:
        return arguments

    def masked(self, text: str) -> str:
        return text


class RequestTool:
    """Implements `Tool`. `variables` fill `{{name}}` in the URL and the headers; `secrets` those
    in the arguments, and they are in no result."""

    def __init__(
        self,
        tool: HttpTool,
        spec: ToolSpec,
        client: Outbound,
        variables: Mapping[str, Any],
        secrets: Secrets,
    ) -> None:
        self._tool = tool
        self._spec = spec
        self._client = client
        self._variables = variables
        self._secrets = secrets

    @property
    def spec(self) -> ToolSpec:
        return self._spec

    @property
    def has_effects(self) -> bool:
        return self._tool.has_effects

    async def run(self, arguments: str, control: CallControl) -> ToolResult:
        return await self.send(arguments)

    async def send(self, arguments: str) -> ToolResult:
        """As `run`: a request does nothing to the call."""
        tool = self._tool
        try:
            given = read_arguments(tool, self._secrets.unmasked(arguments))
            request = request_of(tool, given, self._variables)
            answer = await self._client.send(
                request.method,
                request.url,
                headers=_traced(request.headers),
                content=request.content,
                timeout_ms=tool.timeout_ms,
                max_bytes=RESULT_BYTES,
                truncate=True,
            )
        except (ArgumentsWrong, ToolWrong, OutboundFailed, OutboundRefused) as error:
            sentence = self._secrets.masked(str(error))
            if isinstance(error, (ToolWrong, OutboundRefused)):
                log.warning("tool %s cannot be called: %s", tool.name, sentence)
            return failed(sentence)
        result = _result(answer)
        return replace(result, content=self._secrets.masked(result.content))


def request_tools(
    tools: Sequence[HttpTool],
    client: Outbound,
    variables: Mapping[str, Any],
    reserved: Iterable[str] = (),
    secrets: Secrets | None = None,
) -> tuple[RequestTool, ...]:
    """In their order, under names that every vendor takes and none of which is `reserved`."""
    specs = specs_of(tools, reserved).values()
    known = secrets or NoSecrets()
    return tuple(
        RequestTool(tool, spec, client, variables, known)
        for tool, spec in zip(tools, specs, strict=True)
    )


def _traced(headers: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """With the trace that the call is part of, unless the tool's own headers name one."""
    given = list(headers)
    names = {name.lower() for name, _ in given}
    return [*given, *(each for each in trace_headers() if each[0] not in names)]


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
        return ToolResult(as_json(content), ok=False, status=answer.status)
    if answer.truncated:
        note = f"The answer was cut after {RESULT_BYTES} bytes."
        return ToolResult(as_json({"note": note, "result": text}), ok=True, status=answer.status)
    if parsed is not None:
        return ToolResult(text.strip(), ok=True, status=answer.status)
    if not text.strip():
        return ToolResult(as_json({"ok": True, "status": answer.status}), True, answer.status)
    return ToolResult(as_json({"result": text}), ok=True, status=answer.status)


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
