"""What a small model writes, and what it means."""

from __future__ import annotations

from typing import Any

import pytest

from chorus.llm.lenient import allowed, read


@pytest.mark.parametrize(
    ("kind", "written", "means"),
    [
        ("integer", "4", 4),
        ("integer", "+4", 4),
        ("integer", "4.0", 4),
        ("integer", "٤٢", 42),
        ("integer", "४२", 42),
        ("number", "٣٫٥", 3.5),
        ("boolean", "True", True),
        ("boolean", "yes", True),
        ("boolean", "No", False),
        ("array", '["a"]', ["a"]),
        ("string", 4, "4"),
    ],
)
def test_a_plain_meaning(kind: str, written: Any, means: Any) -> None:
    found = read(kind, written)
    assert (found, type(found)) == (means, type(means))


@pytest.mark.parametrize(
    ("kind", "written"),
    [
        ("integer", "four"),
        ("integer", "²"),
        ("integer", "1,000"),  # a thousand, or one
        ("integer", True),
        ("number", "NaN"),
        ("boolean", 1),
        ("boolean", "maybe"),
        ("array", "a, b"),
        ("string", ["a"]),
    ],
)
def test_what_could_be_something_else(kind: str, written: Any) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  its text is nobody's
        read(kind, written)


def test_an_allowed_value_in_another_form() -> None:
    assert allowed(" CAFE\u0301 ", ["tea", "Caf\u00e9"]) == "Caf\u00e9"
    with pytest.raises(ValueError, match="not allowed"):
        allowed("cafe", ["Caf\u00e9"])
