"""Which settings each carrier needs and takes: its `Form` (`lines/carrier.py`), applied to the
whole of a number, on creation and to what a PATCH makes of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chorus.errors import Problem, invalid, label
from chorus.lines.carriers import BY_NAME, CARRIERS

NAMES = frozenset(setting.name for kind in CARRIERS for setting in kind.settings)


def complete(
    provider: str, stored: Mapping[str, Any], sent: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """What a number's settings become when `sent` is laid over `stored`: (plain, secret).

    Null in `sent` takes a setting away. Settings of another carrier or mode that are stored fall
    away; those that are sent are refused. Raises `Error` 400 with a problem for each field.
    """
    merged = {name: value for name, value in {**stored, **sent}.items() if value is not None}
    kind = BY_NAME[provider]
    form = kind.form(merged)
    way = f"provider {provider}" + (f" and {form.by} {form.value}" if form.by else "")
    problems = [
        Problem(name, f"{label(name)} is not used with {way}")
        for name, value in sent.items()
        if value is not None and name not in form.names
    ]
    problems += [
        Problem(name, f"{label(name)} is required with {way}")
        for name in form.required
        if name not in merged
    ]
    if problems:
        raise invalid(*problems)
    settings = {**form.defaults, **{n: v for n, v in merged.items() if n in form.names}}
    plain = {name: value for name, value in settings.items() if name not in kind.secrets}
    return plain, {name: value for name, value in settings.items() if name in kind.secrets}
