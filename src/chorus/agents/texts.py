"""What is wrong in an agent's texts, found when it is saved: names of variables that cannot be
ones, and a script that cannot be read."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

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
        _no_variable(field, name)
        for column, field in (
            ("system_prompt", "systemPrompt"),
            ("agent_greeting", "agentGreeting"),
            ("hold_message", "holdMessage"),
        )
        for name in no_names_of(changes.get(column) or "")
    ]
    targets: Sequence[HasTexts] = changes.get("transfer_targets") or ()
    for place, target in enumerate(targets):
        found += of_target(target, f"transferTargets.{place}")
    if "system_prompt" in changes or "slm_model_id" in changes:
        model_id = changes.get("slm_model_id", model_id)
        model = catalogue.model(model_id) if model_id else None
        model = model or catalogue.default_model
        prompt = changes.get("system_prompt", system_prompt) or ""
        if model is not None and model.engine == "script" and begins_script(prompt):
            found += _script_problems(prompt)
    return found


class HasTexts(Protocol):
    """Somebody to transfer to, as it is sent or as a call has it."""

    @property
    def briefing(self) -> str | None: ...
    @property
    def when_unavailable(self) -> str | None: ...


def of_target(target: HasTexts, place: str) -> list[Problem]:
    """`place` is the field that it stands in."""
    return [
        _no_variable(f"{place}.{field}", name)
        for field, template in (
            ("briefing", target.briefing),
            ("whenUnavailable", target.when_unavailable),
        )
        for name in no_names_of(template or "")
    ]


def _no_variable(field: str, name: str) -> Problem:
    told = f"{{{{{name}}}}} is no variable: a name is letters, digits and underscores"
    return Problem(field, told)


def _script_problems(prompt: str) -> list[Problem]:
    # A value may stand for a number or inside quotation marks: a digit is right in both.
    filled = fill(prompt, dict.fromkeys(variables_of(prompt), "1")).text
    try:
        parse(filled)
    except ScriptError as error:
        return [Problem("systemPrompt", f"Line {error.line} of the script: {error.sentence}")]
    return []
