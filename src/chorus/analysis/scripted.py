"""The analysis of a call whose agent follows a script: what its `after call` rules say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from chorus.analysis.ask import SUMMARY, Answer, Problem
from chorus.analysis.fields import Field, Invalid, checked, clean
from chorus.llm.model import Message
from chorus.llm.script import ScriptModel
from chorus.llm.script_parse import ScriptError


def follow(
    model: ScriptModel,
    script: str,
    transcript: Sequence[Mapping[str, Any]],
    fields: Sequence[Field],
    *,
    summary: bool,
) -> Answer:
    """`script` is the agent's system prompt with its variables filled in."""
    answer = Answer(extractions={field.name: None for field in fields})
    messages = tuple(
        Message("user" if each["role"] == "user" else "assistant", each["content"])
        for each in transcript
        if each["role"] != "person"  # no rule is about what somebody else said
    )
    try:
        found = model.conclude(script, messages)
    except ScriptError as mistake:
        wanted = [SUMMARY] * summary + [field.name for field in fields]
        answer.problems = [Problem(name, str(mistake)) for name in wanted]
        return answer
    if summary:
        try:
            if not found.summary:
                raise Invalid("is given by no rule of the script")
            answer.summary = str(clean(found.summary))
        except Invalid as problem:
            answer.problems.append(Problem(SUMMARY, str(problem)))
    for field in fields:
        try:
            answer.extractions[field.name] = checked(field, found.values.get(field.name))
        except Invalid as problem:
            answer.problems.append(Problem(field.name, str(problem)))
    return answer
