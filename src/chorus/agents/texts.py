"""What is wrong in an agent's texts, found when it is saved: names of variables that cannot be
ones, and a script that cannot be read."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from chorus.catalogue.catalogue import Catalogue
from chorus.errors import Problem
from chorus.llm.script_parse import ScriptError, begins_script, parse
from chorus.talk.tools.template import fill, no_names_of, variables_of

Template = tuple[str, str]
"""The field that it stands in, by the API's name, and its text."""

_COLUMNS = (
    ("system_prompt", "systemPrompt"),
    ("agent_greeting", "agentGreeting"),
    ("hold_message", "holdMessage"),
)
_OF_ANSWERING = ("message", "menuGoal", "introduction")
_OF_TARGET = ("briefing", "whenUnavailable")


def problems(
    catalogue: Catalogue,
    model_id: uuid.UUID | None,
    system_prompt: str | None,
    changes: Mapping[str, Any],
) -> list[Problem]:
    """`model_id` and `system_prompt` as they were; `changes` by column."""
    found = _no_variables(templates(changes))
    if "system_prompt" in changes or "slm_model_id" in changes:
        model_id = changes.get("slm_model_id", model_id)
        model = catalogue.model(model_id) if model_id else None
        model = model or catalogue.default_model
        prompt = changes.get("system_prompt", system_prompt) or ""
        if model is not None and model.engine == "script" and begins_script(prompt):
            found += _script_problems(prompt)
    return found


def templates(values: Mapping[str, Any]) -> Iterator[Template]:
    """All of an agent, or of changes to one. `values` are by column, as sent or as stored."""
    for column, field in _COLUMNS:
        yield field, values.get(column) or ""
    answering: Mapping[str, Any] = _as_sent(values.get("answering")) or {}
    for field in _OF_ANSWERING:
        yield f"answering.{field}", answering.get(field) or ""
    targets: Sequence[Any] = values.get("transfer_targets") or ()
    for place, target in enumerate(targets):
        yield from _of_target(_as_sent(target), f"transferTargets.{place}")


def of_target(target: Mapping[str, Any], field: str) -> list[Problem]:
    """What is wrong in the texts of somebody to transfer to, who stands in `field` and is as the
    API has them."""
    return _no_variables(_of_target(target, field))


def _of_target(target: Mapping[str, Any], field: str) -> Iterator[Template]:
    for name in _OF_TARGET:
        yield f"{field}.{name}", target.get(name) or ""
    for place, header in enumerate(target.get("headers") or ()):
        yield f"{field}.headers.{place}.value", header["value"]


def _as_sent(value: Any) -> Any:
    return value.model_dump(mode="json", by_alias=True) if isinstance(value, BaseModel) else value


def _no_variables(of: Iterator[Template]) -> list[Problem]:
    return [_no_variable(field, name) for field, template in of for name in no_names_of(template)]


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
