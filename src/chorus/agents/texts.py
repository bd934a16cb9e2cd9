"""What is wrong in an agent's texts, found when it is saved: names of variables that cannot be
ones, and a script that cannot be read."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from chorus.catalogue.catalogue import Catalogue
from chorus.errors import Problem
from chorus.llm.script_parse import ScriptError, begins_script, parse
from chorus.talk.tools.template import fill, no_names_of, variables_of


def problems(
    catalogue: Catalogue,
    model_id: uuid.UUID | None,
    system_prompt: str | None,
    changes: Mapping[str, Any],
) -> list[Problem]:
    """`model_id` and `system_prompt` as they were; `changes` by column."""
    found = [
        Problem(field, f"{{{{{name}}}}} is no variable: a name is letters, digits and underscores")
        for column, field in (
            ("system_prompt", "systemPrompt"),
            ("agent_greeting", "agentGreeting"),
        )
        for name in no_names_of(changes.get(column) or "")
    ]
    if "system_prompt" in changes or "slm_model_id" in changes:
        model_id = changes.get("slm_model_id", model_id)
        model = catalogue.model(model_id) if model_id else None
        model = model or catalogue.default_model
        prompt = changes.get("system_prompt", system_prompt) or ""
        if model is not None and model.engine == "script" and begins_script(prompt):
            found += _script_problems(prompt)
    return found


def _script_problems(prompt: str) -> list[Problem]:
    # A value may stand for a number or inside quotation marks: a digit is right in both.
    filled = fill(prompt, dict.fromkeys(variables_of(prompt), "1")).text
    try:
        parse(filled)
    except ScriptError as error:
        return [Problem("systemPrompt", f"Line {error.line} of the script: {error.sentence}")]
    return []
