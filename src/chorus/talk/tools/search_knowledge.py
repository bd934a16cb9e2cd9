"""The tool with which a model looks something up, where it is the model that decides when."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from chorus.llm.model import ToolSpec
from chorus.talk.knowledge import LookUps, tool_answer
from chorus.talk.tools.tool import CallControl, ToolResult, as_json, failed

SEARCH_KNOWLEDGE = "search_knowledge"
_LONGEST = 500


@dataclass(frozen=True, slots=True)
class SearchKnowledge:
    """Implements `Tool`."""

    look_ups: LookUps

    @property
    def spec(self) -> ToolSpec:
        when = self.look_ups.knowledge.instructions or ""
        return ToolSpec(
            SEARCH_KNOWLEDGE,
            f"Look something up in the company's documents. When to use it: {when}",
            {
                "type": "object",
                "properties": {
                    "query": {
                        "type": "string",
                        "description": "What to look for, as a whole question that is understood "
                        "without the conversation.",
                    }
                },
                "required": ["query"],
                "additionalProperties": False,
            },
        )

    @property
    def has_effects(self) -> bool:
        return False

    async def run(self, arguments: str, control: CallControl) -> ToolResult:
        try:
            given: Any = json.loads(arguments or "{}")
            query = str(given["query"]).strip()[:_LONGEST]
        except (ValueError, KeyError, TypeError):
            query = ""
        if not query:
            return failed("The arguments must be an object with a query.")
        found = await self.look_ups.by_request(query)
        control.cite(found)
        answer = tool_answer(found)
        return ToolResult(as_json(answer), ok="error" not in answer)
