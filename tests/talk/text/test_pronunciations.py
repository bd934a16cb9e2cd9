"""A dictionary changes what the voice is given, and counts its marks back to what was written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chorus.talk.text.pronunciations import Pronunciations

ENTRIES = [("SQL", "sequel"), ("Dr. Ng", "Doctor Ing"), ("Ng", "Ing"), ("C++", "C plus plus")]


@pytest.mark.parametrize(
    ("written", "spoken"),
    [
        ("We use SQL.", "We use sequel."),
        ("sql and SQL", "sequel and sequel"),
        ("MySQL stays", "MySQL stays"),
        ("See Dr. Ng or Ng today", "See Doctor Ing or Ing today"),  # the longest that fits
        ("Ngo is no Ng", "Ngo is no Ing"),
        ("C++, then C++x", "C plus plus, then C plus plusx"),
        ("nothing", "nothing"),
        ("", ""),
    ],
)
def test_whole_words_are_replaced(written: str, spoken: str):
    assert Pronunciations(ENTRIES).read(written).spoken == spoken


def test_a_replaced_word_counts_when_it_was_said_whole():
    said = Pronunciations(ENTRIES).read("We use SQL now")
    assert said.spoken == "We use sequel now"
    counted = [said.written_at(chars) for chars in range(len(said.spoken) + 1)]
    assert counted == [0, 1, 2, 3, 4, 5, 6, 7, 7, 7, 7, 7, 7, 10, 11, 12, 13, 14]


@given(st.text("SQLng .C+Dr", max_size=40))
def test_marks_rise_and_end_with_the_text(written: str):
    said = Pronunciations(ENTRIES).read(written)
    counted = [said.written_at(chars) for chars in range(len(said.spoken) + 1)]
    assert counted == sorted(counted)
    assert counted[0] == 0
    assert counted[-1] == len(written)


def test_without_entries_nothing_changes():
    assert Pronunciations([]).read("SQL").spoken == "SQL"
