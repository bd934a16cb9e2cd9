"""A streamed chat completion, put together from its chunks.

Text is handed on as it comes; the pieces of tool calls are kept until the vendor says that the
reply is finished, and the token counts come last. Known dialects of compatible servers are
allowed for where they are read.
"""

from __future__ import annotations

import json
import uuid
from typing import Any, cast

from chorus.llm.model import ToolCall, Usage


class Parts:
    """One stream so far: what `take` could not pass on yet."""

    def __init__(self) -> None:
        self.begun = False
        self.finished = False
        self.filtered = False
        self.size = 0
        self.usage: Usage | None = None
        self._calls: list[dict[str, str]] = []

    def take(self, chunk: object) -> str:
        """The text in a chunk; calls and counts are kept. `ValueError` for what is no chunk."""
        try:
            return self._take(cast(Any, chunk))
        except (AttributeError, IndexError, KeyError, TypeError) as error:
            raise ValueError(f"no chunk of a chat completion: {error}") from None

    def _take(self, chunk: Any) -> str:
        counts = chunk.get("usage")
        if counts:
            self.usage = Usage(
                int(counts.get("prompt_tokens") or 0), int(counts.get("completion_tokens") or 0)
            )
        if not chunk.get("choices"):
            return ""
        choice = chunk["choices"][0]
        delta = choice.get("delta") or cast(dict[str, Any], {})
        for position, piece in enumerate(delta.get("tool_calls") or ()):
            self._take_call(piece, position)
        text = delta.get("content") or delta.get("refusal") or ""
        if not isinstance(text, str):
            raise ValueError("a chunk's content is no text")
        reason = choice.get("finish_reason")
        self.filtered = reason == "content_filter" and not self.begun
        self.finished = self.finished or bool(reason)
        self.begun = self.begun or bool(text or reason)
        self.size += len(text)
        return text

    def _take_call(self, piece: Any, position: int) -> None:
        self.begun = True
        index = piece.get("index")
        key = str(position if index is None else index)
        call_id = piece.get("id") or ""
        function = piece.get("function") or cast(dict[str, Any], {})
        known = next((c for c in reversed(self._calls) if c["key"] == key), None)
        # Some servers give every call the index 0, each whole and with an id of its own.
        if known is None or (call_id and known["id"] and call_id != known["id"]):
            known = {"key": key, "id": "", "name": "", "arguments": ""}
            self._calls.append(known)
        known["id"] = known["id"] or call_id
        known["name"] = known["name"] or function.get("name") or ""
        arguments = function.get("arguments") or ""
        # Others send the arguments as an object instead of its JSON.
        text = arguments if isinstance(arguments, str) else json.dumps(arguments)
        known["arguments"] += text
        self.size += len(text) + 1

    def take_calls(self) -> list[ToolCall]:
        calls, self._calls = self._calls, []
        return [
            ToolCall(c["id"] or f"call_{uuid.uuid4().hex[:16]}", c["name"], c["arguments"] or "{}")
            for c in calls
            if c["name"]
        ]
