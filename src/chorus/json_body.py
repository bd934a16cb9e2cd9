"""The body of a request, as JSON and nothing else.

What JSON leaves open is refused with a sentence that says what is wrong: bytes that are not
UTF-8, a name that stands twice in one object, NaN and infinite numbers, whole numbers beyond
64 bits, NUL characters and lone surrogates (no database stores them), and nesting beyond
`MAX_DEPTH`.
"""

from __future__ import annotations

import json
import math
from typing import Any

from chorus.errors import Error, Problem

MAX_DEPTH = 64


class _Refused(Exception):
    pass


def parse(body: bytes) -> Any:
    """The value of `body`. Raises `Error` 400."""
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _malformed(f"The body is not valid UTF-8 (byte {error.start})") from None
    try:
        value = json.loads(text, object_pairs_hook=_object, parse_constant=_constant)
        _check(value)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise _malformed(f"The body is not valid JSON: {error.msg} ({where})") from None
    except RecursionError:
        raise _malformed(f"The body is nested deeper than {MAX_DEPTH} levels") from None
    except _Refused as refused:
        raise _malformed(str(refused)) from None
    except ValueError:
        # The interpreter refuses to convert a number of thousands of digits.
        raise _malformed("The body holds a number that is too large") from None
    return value


def _malformed(message: str) -> Error:
    return Error(400, "invalid_json", "Invalid JSON", details=[Problem("body", message)])


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))
        raise _Refused(f"The name {twice!r} stands twice in one object")
    return found


def _constant(name: str) -> Any:
    raise _Refused(f"{name} is not a JSON number")


def _check(root: Any) -> None:
    level = [root]
    for depth in range(MAX_DEPTH + 2):
        if not level:
            return
        if depth > MAX_DEPTH:
            raise _Refused(f"The body is nested deeper than {MAX_DEPTH} levels")
        below: list[Any] = []
        for value in level:
            if isinstance(value, str):
                _check_text(value)
            elif isinstance(value, dict):
                for name, member in value.items():  # pyright: ignore[reportUnknownVariableType]  any JSON
                    _check_text(name)  # pyright: ignore[reportUnknownArgumentType]  names are strings
                    below.append(member)
            elif isinstance(value, list):
                below.extend(value)  # pyright: ignore[reportUnknownArgumentType]  any JSON
            elif isinstance(value, float):
                if not math.isfinite(value):
                    raise _Refused("The body holds a number that is too large")
            elif isinstance(value, int) and not -(2**63) <= value < 2**63:
                raise _Refused("The body holds a whole number beyond 64 bits")
        level = below


def _check_text(text: str) -> None:
    if "\0" in text:
        raise _Refused("The body holds a NUL character, which cannot be stored")
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise _Refused("The body holds half a surrogate pair, which is no character") from None
