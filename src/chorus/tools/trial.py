"""A tool run once outside of any call, for whoever writes it: what was sent, and what came back.

It is the request of a real call, through the same guarded client and within the same deadline. What
of the tool is secret is masked in what is shown, also where the server sends it back.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from chorus.outbound import Outbound
from chorus.talk.spec import HttpTool
from chorus.talk.tools.arguments import ArgumentsWrong, read_arguments
from chorus.talk.tools.http import request_tools
from chorus.talk.tools.request import ToolRequest, ToolWrong, request_of
from chorus.talk.tools.tool import ToolResult
from chorus.tools import masks


@dataclass(frozen=True, slots=True)
class Ran:
    """`request` as it may be shown; None where the arguments or the tool make none, and nothing was
    sent."""

    request: ToolRequest | None
    result: ToolResult


async def run(
    outbound: Outbound,
    tool: HttpTool,
    hidden: frozenset[str],
    arguments: Mapping[str, Any],
    variables: Mapping[str, Any],
) -> Ran:
    """`hidden`: names of headers, in small letters, whose values are not shown. Never raises for
    what the arguments, the tool or the server do wrong: that is the result."""
    shown = replace(
        tool,
        url=masks.masked_url(tool.url),
        headers=tuple((k, masks.MASK if k.lower() in hidden else v) for k, v in tool.headers),
    )
    written = json.dumps(arguments)
    try:
        request = request_of(shown, read_arguments(tool, written), variables)
    except (ArgumentsWrong, ToolWrong):
        request = None  # the same is the result
    secrets = _Masks(masks.secrets_of(tool.url, tool.headers, hidden))
    (runs,) = request_tools([tool], outbound, variables, secrets=secrets)
    began = time.monotonic()
    result = await runs.send(written)
    return Ran(request, replace(result, elapsed_ms=round((time.monotonic() - began) * 1000)))


class _Masks:
    """Implements `Secrets` of `talk/tools/http.py`: those of the tool itself."""

    def __init__(self, values: tuple[str, ...]) -> None:
        self._values = values

    def unmasked(self, arguments: str) -> str:
        return arguments

    def masked(self, text: str) -> str:
        for value in self._values:
            # An answer is JSON, in which quotes and the like are written otherwise.
            for written in (value, json.dumps(value)[1:-1]):
                text = text.replace(written, masks.MASK)
        return text
