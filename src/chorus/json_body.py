"""The body of a request, as JSON and nothing else.

In order: the bytes must be UTF-8 and JSON, without a name that stands twice in one object, NaN,
or nesting beyond `MAX_DEPTH` (`invalid_json`); then every text and number in it must be one that
can be stored and given back (`validation_failed`): no control character but tab and line breaks,
no half of a surrogate pair, no number that is infinite or, whole, beyond 64 bits. Each problem
names the field that it is in, as a dotted path.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

from chorus.errors import Error, Problem, invalid

MAX_DEPTH = 64
_MOST_PROBLEMS = 20
_LONGEST_WHOLE = 20  # a sign and the digits of 64 bits
_LONGEST_NAME = 100  # of a name that is told in an error
# C0 without tab, line feed and carriage return; delete; C1.
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
# Without any of these, and with few brackets, what is JSON has no text to be refused. The last is
# how C1 begins in UTF-8.
_SUSPECT = (b"\\u", b"\\b", b"\\f", b"\x7f", b"\xc2")
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_TOKEN = re.compile(r'"((?:[^"\\]|\\.)*)"\s*(:?)|[\[{]|[\]}]', re.DOTALL)


@dataclass(frozen=True, slots=True)
class _Wrong:
    """Stands in the value where something was that cannot be taken. `name`: a member of it."""

    message: str
    malformed: bool = False
    name: str | None = None


# A value, the place of what it is in, and its name there. A tuple: a body may have many.
_Place = tuple[Any, Any, "str | int"]


def _path(place: _Place, name: str | None = None) -> str:
    """Dotted, to the value or to a member of it; "body" for the whole."""
    names = [] if name is None else [_told(name)]
    while place[1] is not None:
        names.append(_told(str(place[2])))
        place = place[1]
    return ".".join(reversed(names)) or "body"


_INFINITE = _Wrong("The number is too large")
_BEYOND = _Wrong("The number is a whole number beyond 64 bits")


def parse(body: bytes) -> Any:
    """The value of `body`. Raises `Error` 400."""
    nesting = body.count(b"[") + body.count(b"{")
    if nesting <= MAX_DEPTH and not any(suspect in body for suspect in _SUSPECT):
        try:
            return _QUICK.decode(body.decode())
        except ValueError:
            pass  # what is wrong, and where, is found below
    return _parse_slowly(body)


def _parse_slowly(body: bytes) -> Any:
    wrong_byte: int | None = None
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        # The wrong bytes become lone surrogates, and are found where they stand.
        text, wrong_byte = body.decode("utf-8", "surrogateescape"), error.start
    try:
        value = _EXACT.decode(text)
    except json.JSONDecodeError as error:
        if wrong_byte is not None:
            raise _malformed("body", _not_utf8(wrong_byte)) from None
        where = f"line {error.lineno}, column {error.colno}"
        raise _malformed("body", f"The body is not valid JSON: {error.msg} ({where})") from None
    except RecursionError:
        raise _too_deep(_nested_member(text)) from None
    _check(value, wrong_byte)
    return value


def _malformed(field: str, message: str) -> Error:
    return Error(400, "invalid_json", "Invalid JSON", details=[Problem(field, message)])


def _too_deep(field: str) -> Error:
    return _malformed(field, f"The body is nested deeper than {MAX_DEPTH} levels")


def _not_utf8(place: int) -> str:
    return f"The body is not valid UTF-8 (byte {place})"


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any] | _Wrong:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))
        return _Wrong(f"The name {_told(twice)!r} stands twice in one object", True, twice)
    return found


def _constant(name: str) -> _Wrong:
    return _Wrong(f"{name} is not a JSON number", True)


def _whole(digits: str) -> int | _Wrong:
    # The interpreter refuses to convert a number of thousands of digits.
    if len(digits) > _LONGEST_WHOLE:
        return _BEYOND
    number = int(digits)
    return number if -(2**63) <= number < 2**63 else _BEYOND


def _number(digits: str) -> float | _Wrong:
    number = float(digits)
    return number if math.isfinite(number) else _INFINITE


def _or_fail(convert: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def converted(given: Any) -> Any:
        value = convert(given)
        if isinstance(value, _Wrong):
            raise ValueError(value.message)
        return value

    return converted


# Both give the same for what is taken; of what is not, the quick one only says so.
_QUICK = json.JSONDecoder(
    object_pairs_hook=_or_fail(_object),
    parse_constant=_or_fail(_constant),
    parse_int=_or_fail(_whole),
    parse_float=_or_fail(_number),
)
_EXACT = json.JSONDecoder(
    object_pairs_hook=_object,
    parse_constant=_constant,
    parse_int=_whole,
    parse_float=_number,
)


def _check(root: Any, wrong_byte: int | None) -> None:
    problems: list[Problem] = []
    level: list[_Place] = [(root, None, "")]
    for _ in range(MAX_DEPTH + 1):
        below: list[_Place] = []
        for place in level:
            value = place[0]
            if isinstance(value, str):
                if (wrong := _wrong(value)) is not None:
                    problems.append(_problem(_path(place), wrong, wrong_byte))
            elif isinstance(value, dict):
                for name, member in cast("dict[str, Any]", value).items():
                    if (wrong := _wrong(name)) is not None:
                        problems.append(_problem(_path(place, name), wrong, wrong_byte))
                    if not _is_fine(member):
                        below.append((member, place, name))
            elif isinstance(value, list):
                for number, item in enumerate(cast("list[Any]", value)):
                    if not _is_fine(item):
                        below.append((item, place, number))
            elif isinstance(value, _Wrong):
                path = _path(place, value.name)
                if value.malformed:
                    raise _malformed(path, value.message)
                problems.append(Problem(path, value.message))
            if len(problems) >= _MOST_PROBLEMS:
                raise invalid(*problems)
        level = below
        if not level:
            break
    if level:
        raise _too_deep(_path(level[0]).partition(".")[0])
    if problems:
        raise invalid(*problems)


def _is_fine(value: Any) -> bool:
    """Whether there is nothing to be looked at: most of what is in a large body."""
    if isinstance(value, str):
        return _wrong(value) is None
    return not isinstance(value, (dict, list, _Wrong))


def _problem(path: str, wrong: str, wrong_byte: int | None) -> Problem:
    if wrong_byte is not None:
        raise _malformed(path, _not_utf8(wrong_byte))
    return Problem(path, wrong)


def _wrong(text: str) -> str | None:
    if (control := _CONTROL.search(text)) is not None:
        if control[0] == "\0":
            return "The text holds a NUL character, which cannot be stored"
        return f"The text holds the control character U+{ord(control[0]):04X}"
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            return "The text holds half a surrogate pair, which is no character"
    return None


def _told(name: str) -> str:
    return _UNPRINTABLE.sub("\ufffd", name[:_LONGEST_NAME])


def _nested_member(text: str) -> str:
    """The member of the outermost object in which the nesting becomes too deep."""
    depth, member = 0, "body"
    for token in _TOKEN.finditer(text):
        if token[2] and depth == 1:
            member = _told(token[1])
        elif token[0] in "[{":
            depth += 1
        elif token[0] in "]}":
            depth -= 1
        if depth > MAX_DEPTH:
            break
    return member
