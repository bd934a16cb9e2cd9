"""Templates: `{{name}}` in prompts, greetings, headers and URLs is replaced by a variable.

A name is letters (of any script, with their marks), digits and underscores, and is
case-sensitive; spaces inside the braces do not matter. Strings, numbers and booleans appear as
they are written in JSON, strings without quotes; objects and arrays as JSON. A variable that is
not there, or is null, is left out whole and named in the result. Values are data: one pass, so
braces in a value stay braces.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

# What stands between the braces is short and on one line; `is_name` tells the rest.
_VARIABLE = re.compile(r"\{\{[ \t]*([^{}\n\"':,]{1,100}?)[ \t]*\}\}")
# In a tool's URL: `{name}`, a field that the model fills.
_FIELD = r"(?<!\{)\{([^{}\s\"':,/?#&=]{1,100})\}(?!\})"
PLACE = re.compile(f"{_VARIABLE.pattern}|{_FIELD}")
"""A place in a URL: a variable's name, or a field's."""
_JOINERS = "\u200c\u200d"  # part of words in Persian and in Indic scripts


@dataclass(frozen=True, slots=True)
class Filled:
    """`missing`: names that had no value, each once, in the order of their first appearance."""

    text: str
    missing: tuple[str, ...] = ()


def fill(
    template: str, variables: Mapping[str, Any], escape: Callable[[str], str] | None = None
) -> Filled:
    """Fill a template. `escape` is applied to each value, for places where data must not become
    syntax (a URL, a header). What is meant as a variable and is no name (`{{first-name}}`) is left
    out and named as missing; braces around anything else (JSON, nothing) stay as they are."""
    values = {unicodedata.normalize("NFC", name): value for name, value in variables.items()}
    missing: dict[str, None] = {}

    def value(match: re.Match[str]) -> str:
        name = match.group(1)
        if not name.strip():
            return match.group()
        found = values.get(unicodedata.normalize("NFC", name)) if is_name(name) else None
        if found is None:
            missing[name] = None
            return ""
        text = found if isinstance(found, str) else json_text(found)
        return escape(text) if escape else text

    return Filled(_VARIABLE.sub(value, template), tuple(missing))


def is_name(text: str) -> bool:
    """Whether a variable can be called so."""
    return bool(text) and all(
        char == "_" or char in _JOINERS or unicodedata.category(char)[0] in "LMN" for char in text
    )


def is_field(text: str) -> bool:
    """Whether a field of a tool can be called so: as a variable, or with hyphens."""
    return is_name(text.replace("-", "_"))


def fields_in(url: str) -> tuple[str, ...]:
    """The fields that a URL asks for, each once, in order."""
    return tuple(dict.fromkeys(name for name in re.findall(_FIELD, url) if is_field(name)))


def variables_of(template: str) -> tuple[str, ...]:
    """The names that a template asks for, each once, in order."""
    return tuple(dict.fromkeys(n for n in _VARIABLE.findall(template) if is_name(n)))


def no_names_of(template: str) -> tuple[str, ...]:
    """What stands in a template like a variable and cannot be one, each once, in order."""
    found = (n for n in _VARIABLE.findall(template) if n.strip() and not is_name(n))
    return tuple(dict.fromkeys(found))


def json_text(value: object) -> str:
    """JSON as a person would write it; what JSON has no form for (a date) as its `str`."""
    return json.dumps(value, ensure_ascii=False, default=str)
