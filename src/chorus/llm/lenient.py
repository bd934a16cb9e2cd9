"""Values that a model wrote, read leniently where their meaning is beyond doubt.

One reader for the arguments of tools and for what is taken out of a call: "2" is an integer where
one is wanted, in the figures of any script, "True" and "yes" a boolean, JSON inside a text an array
or an object, and a value that is allowed may be written in other case.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable
from typing import Any, NoReturn

_BOOLEANS = {"true": True, "yes": True, "false": False, "no": False}
KINDS = ("string", "number", "integer", "boolean", "array", "object")


def read(kind: str, value: Any) -> Any:
    """`ValueError` (or `RecursionError`) unless `value` is, or plainly means, a `kind`, one of
    `KINDS`."""
    if kind == "string":
        if isinstance(value, (bool, int, float)):
            return json.dumps(value)
        good = isinstance(value, str)
    elif kind == "boolean":
        if isinstance(value, str) and value.strip().lower() in _BOOLEANS:
            return _BOOLEANS[value.strip().lower()]
        good = isinstance(value, bool)
    elif kind in ("integer", "number"):
        if isinstance(value, str):
            figures = _ascii(value.strip().lstrip("+"))
            value = json.loads(figures or "x", parse_constant=no_number)
        if kind == "integer" and isinstance(value, float) and value.is_integer():
            value = int(value)
        kinds = (int,) if kind == "integer" else (int, float)
        good = isinstance(value, kinds) and not isinstance(value, bool)
    else:
        wanted = list if kind == "array" else dict
        if isinstance(value, str):  # a model that wrote JSON inside JSON
            value = json.loads(value, parse_constant=no_number)
        good = isinstance(value, wanted)
    if not good:
        raise ValueError(kind)
    return value


def _ascii(figures: str) -> str:
    """The figures of other scripts as 0 to 9, the Arabic decimal sign as a dot."""
    if figures.isascii():
        return figures
    plain = (str(int(char)) if char.isdecimal() else char for char in figures)
    return "".join(plain).replace("٫", ".")


def _folded(text: str) -> str:
    return unicodedata.normalize("NFC", text.strip().casefold())


def allowed(value: Any, choices: Iterable[Any]) -> Any:
    """The one of `choices` that `value` is; a text also in other case or between spaces.
    `ValueError` if there is none. As JSON compares: true is not 1, and 5.0 is 5."""
    choices = list(choices)
    for choice in choices:
        if isinstance(value, bool) == isinstance(choice, bool) and value == choice:
            return choice
    if isinstance(value, str):
        for choice in choices:
            if isinstance(choice, str) and _folded(choice) == _folded(value):
                return choice
    raise ValueError("not allowed")


def no_number(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")
