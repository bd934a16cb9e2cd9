"""The JSON object in what a model wrote, wherever it is.

Models that were asked for JSON and nothing else still put it in a fence, or between sentences.
Of several objects the one counts that has most of the wanted members, among equals the last: a
model that corrects itself does so at the end.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from typing import Any, NoReturn, cast

_MOST_TRIES = 200


def find_object(text: str, wanted: Collection[str]) -> dict[str, Any] | None:
    """None if there is no object with at least one of the members `wanted`."""
    best: dict[str, Any] | None = None
    most = 1
    for found in _objects(text):
        has = sum(name in found for name in wanted)
        if has >= most:
            best, most = found, has
    return best


def _objects(text: str) -> Iterator[dict[str, Any]]:
    decoder = json.JSONDecoder(parse_constant=_refuse)
    at = text.find("{")
    for _ in range(_MOST_TRIES):
        if at < 0:
            return
        try:
            found, end = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            # ValueError is also what Python says of a number with thousands of digits.
            at = text.find("{", at + 1)
            continue
        yield cast("dict[str, Any]", found)
        at = text.find("{", end)


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")
