"""The same dialects where a server sends a letter at a time: of text, and of arguments."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from tests.fakes.openai_server import OpenAIServer
from tests.llm.dialects import DIALECTS, Dialect
from tests.llm.test_dialects import ask_as_said

from chorus.llm.openai import Endpoint


def is_chunk(event: Any) -> bool:
    """Else it is a frame as it stands, or a chunk without choices."""
    return not isinstance(event, str) and bool(event["choices"])


def letters(event: Any) -> Iterator[Any]:
    delta: Any = event["choices"][0].get("delta") if is_chunk(event) else None
    content: Any = delta and delta.get("content")
    calls: Any = delta and delta.get("tool_calls")
    arguments: Any = calls and calls[0]["function"].get("arguments")
    if isinstance(arguments, str) and len(calls) == 1:
        for at, char in enumerate(arguments or " "):
            piece = copy.deepcopy(event)
            function = piece["choices"][0]["delta"]["tool_calls"][0]["function"]
            function["arguments"] = char
            if at:
                function.pop("name", None)
            yield piece
    elif isinstance(content, str):
        for char in content or " ":
            piece = copy.deepcopy(event)
            piece["choices"][0]["delta"]["content"] = char
            yield piece
    else:
        yield event


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda d: d.report)
async def test_by_letter(server: OpenAIServer, endpoint: Endpoint, dialect: Dialect) -> None:
    events = [piece for event in dialect.events for piece in letters(event)]
    await ask_as_said(server, endpoint, replace(dialect, events=events))
