"""What a model is shown of a long call."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from chorus.analysis.transcript import lines_of, shown


def test_lines():
    said = [
        {"role": "assistant", "content": "Good\n evening."},
        {"role": "user", "content": " "},
        {"role": "user", "content": "Hi."},
    ]
    assert lines_of(said) == ["Agent: Good evening.", "Customer: Hi."]


def test_the_middle_of_a_long_call_is_left_out():
    lines = [f"Customer: {n}" for n in range(100)]
    text = shown(lines, 200).split("\n")
    assert text[0] == "Customer: 0"
    assert text[-1] == "Customer: 99"
    [note] = [line for line in text if "left out" in line]
    assert note == f"[… {100 - len(text) + 1} lines left out …]"


@given(st.lists(st.text(max_size=300), max_size=40), st.integers(10, 2000))
def test_it_is_never_much_longer_than_wanted(lines: list[str], most: int):
    text = shown(lines, most)
    assert len(text) <= most + 60
    if "left out" not in text:
        assert text == "\n".join(lines)
