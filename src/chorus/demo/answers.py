"""`python -m chorus.demo.answers`: reads an answer of the API on standard input, for people.

    curl … | python -m chorus.demo.answers id      the id of what was made, or of the first listed
    curl … | python -m chorus.demo.answers show    a call with its transcript, a list, events

Where the API refused, its sentence goes to standard error, with each field that is wrong, and the
status is 1. The same goes for no answer at all.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from typing import Any, cast

_SPEAKERS = {"user": "caller", "assistant": "agent"}
_COLUMNS = ("slug", "name", "number", "status", "event", "url", "id")
_LONGEST = 160


class NoAnswer(Exception):
    """What to tell instead, one sentence a line."""


def read(text: str) -> Any:
    """What is in `data`. Raises `NoAnswer` with the API's own words if there is none."""
    if not text.strip():
        raise NoAnswer("There was no answer. Is the server running at this address?")
    try:
        answer = json.loads(text)
    except ValueError:
        raise NoAnswer(f"That is no answer of the API: {text.strip()[:_LONGEST]}") from None
    if not isinstance(answer, dict) or "data" not in answer:
        raise NoAnswer("\n".join(_refusal(cast("Any", answer))))
    return cast("dict[str, Any]", answer)["data"]


def _refusal(answer: Any) -> Iterator[str]:
    if not isinstance(answer, Mapping) or "error" not in answer:
        yield f"That is no answer of the API: {json.dumps(answer)[:_LONGEST]}"
        return
    refusal = cast("Mapping[str, Any]", answer)
    yield str(refusal["error"])
    for detail in refusal.get("details") or ():
        yield f"  {detail['field']}: {detail['message']}"


def id_of(data: Any) -> str:
    """Raises `NoAnswer` for an empty list and for what has no id."""
    if isinstance(data, list):
        if not data:
            raise NoAnswer("The list is empty.")
        data = cast("list[Any]", data)[0]
    if not isinstance(data, Mapping) or "id" not in data:
        raise NoAnswer("The answer has no id.")
    return str(cast("Mapping[str, Any]", data)["id"])


def show(data: Any) -> Iterator[str]:
    """The lines of it."""
    if isinstance(data, Mapping):
        one = cast("Mapping[str, Any]", data)
        return _call(one) if "turnCount" in one else iter([json.dumps(one, indent=2)])
    rows = cast("list[Mapping[str, Any]]", data)
    if not rows:
        return iter(["(none)"])
    return map(_event, rows) if "atMs" in rows[0] else _table(rows)


def _call(call: Mapping[str, Any]) -> Iterator[str]:
    lasted = "" if call["durationSeconds"] is None else f", {call['durationSeconds']} s"
    reason = f": {call['endedReason']}" if call["endedReason"] else ""
    yield f"{call['status']}{reason}{lasted}, {call['turnCount']} turns"
    if call["endedDetail"]:
        yield f"  {call['endedDetail']}"
    yield from _transcript(call["transcript"] or ())
    if call["recordingUrl"]:
        yield f"recording: {call['recordingUrl']}"


def _transcript(entries: Any) -> Iterator[str]:
    for entry in entries:
        yield f"  {_SPEAKERS[entry['role']]:6}  {entry['content']}"


def _event(event: Mapping[str, Any]) -> str:
    data = ", ".join(f"{name}: {_brief(value)}" for name, value in event["data"].items())
    return f"{event['atMs'] / 1000:7.2f} s  {event['kind']:20} {data}"[:_LONGEST].rstrip()


def _brief(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _table(rows: list[Mapping[str, Any]]) -> Iterator[str]:
    names = [name for name in _COLUMNS if name in rows[0]]
    cells = [[str(row[name] if row[name] is not None else "") for name in names] for row in rows]
    wide = [max(len(row[place]) for row in cells) for place in range(len(names))]
    for row in cells:
        yield "  ".join(cell.ljust(wide[place]) for place, cell in enumerate(row)).rstrip()


def main(arguments: list[str], text: str) -> int:
    """The exit status."""
    if arguments not in (["id"], ["show"]):
        print(__doc__, file=sys.stderr)
        return 2
    try:
        data = read(text)
        lines = iter([id_of(data)]) if arguments == ["id"] else show(data)
        for line in lines:
            print(line)
    except NoAnswer as reason:
        print(reason, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], sys.stdin.read()))
