"""Templates: `{{name}}` in prompts, greetings, headers and URLs is replaced by a variable.

A name is letters, digits and underscores, and is case-sensitive; spaces inside the braces do
not matter. Strings, numbers and booleans appear as they are written in JSON, strings without
quotes; objects and arrays as JSON. A variable that is not there, or is null, is left out whole
and named in the result. Values are data: one pass, so braces in a value stay braces.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

_VARIABLE = re.compile(r"\{\{\s*(\w+)\s*\}\}")


@dataclass(frozen=True, slots=True)
class Filled:
    """`missing`: names that had no value, each once, in the order of their first appearance."""

    text: str
    missing: tuple[str, ...] = ()


def fill(
    template: str, variables: Mapping[str, Any], escape: Callable[[str], str] | None = None
) -> Filled:
    """Fill a template. `escape` is applied to each value, for places where data must not become
    syntax (a URL, a header). Braces around anything that is no name are left as they are."""
    missing: dict[str, None] = {}

    def value(match: re.Match[str]) -> str:
        name = match.group(1)
        found = variables.get(name)
        if found is None:
            missing[name] = None
            return ""
        text = found if isinstance(found, str) else json_text(found)
        return escape(text) if escape else text

    return Filled(_VARIABLE.sub(value, template), tuple(missing))


def variables_of(template: str) -> tuple[str, ...]:
    """The names that a template asks for, each once, in order."""
    return tuple(dict.fromkeys(_VARIABLE.findall(template)))


def json_text(value: object) -> str:
    """JSON as a person would write it; what JSON has no form for (a date) as its `str`."""
    return json.dumps(value, ensure_ascii=False, default=str)
