"""A transcript as a model is shown it: a line for each that was said, cut if it is too long.

Of a long call the beginning tells who calls and what for, and the end what came of it, so the
middle is what is left out, in whole lines where that is possible.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_SPEAKERS = {
    "assistant": "Agent",
    "user": "Customer",
    "person": "Colleague",
}
_HEAD = 0.4


def lines_of(transcript: Sequence[Mapping[str, Any]]) -> list[str]:
    return [
        f"{_SPEAKERS.get(entry['role'], entry['role'])}: {' '.join(entry['content'].split())}"
        for entry in transcript
        if entry["content"].strip()
    ]


def shown(lines: Sequence[str], most_characters: int) -> str:
    """At most about `most_characters`, with a note where something was left out."""
    whole = "\n".join(lines)
    if len(whole) <= most_characters:
        return whole
    head_size = int(most_characters * _HEAD)
    head = _whole_lines(lines, head_size)
    tail = _whole_lines(lines[::-1], most_characters - head_size)[::-1]
    left_out = len(lines) - len(head) - len(tail)
    if not head or not tail or left_out < 1:
        # A line is longer than its part.
        return (
            f"{whole[:head_size]}\n[… {len(whole) - most_characters} characters left out …]\n"
            f"{whole[len(whole) - (most_characters - head_size) :]}"
        )
    return "\n".join([*head, f"[… {left_out} lines left out …]", *tail])


def _whole_lines(lines: Sequence[str], size: int) -> list[str]:
    taken: list[str] = []
    for line in lines:
        size -= len(line) + 1
        if size < 0:
            break
        taken.append(line)
    return taken
