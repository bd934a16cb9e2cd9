"""Understanding callers: what a transcriber wrote down against what a script expects."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chorus.llm.script_match import match, pattern_of, words_of


def captured(pattern: str, text: str) -> Any:
    found = match(pattern_of(pattern), words_of(text))
    return None if found is None else dict(found.captured)


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("book a table", "BOOK A TABLE!"),
        ("book a table", "um, I'd like to book, uh, a table, please"),
        ("book a table", "book table"),
        ("book a table", "could you book us a nice table"),
        ("book a table", "book a tabel"),
        ("don't know", "I dont know"),
        ("reservation", "a resevation, please"),
        ("table for 4", "a table for four"),
        ("table for four", "a table for 4"),
        ("what are your opening hours", "what your opening hours"),
        ("where is my order right now", "where is my order now"),
        ("please", "yes please"),
        ("Straße", "strasse"),
    ],
)
def test_what_matches(pattern: str, text: str) -> None:
    assert captured(pattern, text) is not None


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("no", "I know"),
        ("yes", ""),
        ("book a table", "book"),
        ("book a table", "table book"),
        ("book a table", "book this lovely and very large table"),
        ("bye", "buy"),
        ("seventeen", "seventy"),
        ("four", "for"),
        ("{number}", "a lot"),
        ("{day}", "someday"),
        ("please", "yes"),
    ],
)
def test_what_does_not_match(pattern: str, text: str) -> None:
    assert captured(pattern, text) is None


@pytest.mark.parametrize(
    ("pattern", "text", "values"),
    [
        ("{number}", "twenty five", {"number": 25}),
        ("{number}", "there are two hundred and five of us", {"number": 205}),
        ("{number}", "three thousand four hundred", {"number": 3400}),
        ("{number}", "1,250 dollars", {"number": 1250}),
        ("from {a:number} to {b:number}", "from five to ten", {"a": 5, "b": 10}),
        ("{digits}", "five five five, oh one double two", {"digits": "5550122"}),
        ("{digits}", "it is 555 0122", {"digits": "5550122"}),
        ("on {day}", "on Teusday", {"day": "tuesday"}),
        ("at {time}", "at seven thirty p.m.", {"time": "7:30 pm"}),
        ("at {time}", "at 19:15", {"time": "19:15"}),
        ("at {time}", "at eight o'clock", {"time": "8:00"}),
        ("at {time}", "at half past six", {"time": "6:30"}),
        ("my name is {word}", "my name is, uh, Zoë", {"word": "zoë"}),
        ("my name is {name:words}", "Hi, my name is Anna Maria please", {"name": "anna maria"}),
        (
            "send {what:words} to {who:words}",
            "send two big roses to my mother thanks",
            {"what": "two big roses", "who": "my mother"},
        ),
    ],
)
def test_what_is_captured(pattern: str, text: str, values: dict[str, Any]) -> None:
    assert captured(pattern, text) == values


def spell(n: int) -> str:
    ones = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten",
            "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen",
            "eighteen", "nineteen"]  # fmt: skip
    tens = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
    if n < 20:
        return ones[n]
    if n < 100:
        return tens[n // 10 - 2] + (f" {ones[n % 10]}" if n % 10 else "")
    if n < 1000:
        return f"{ones[n // 100]} hundred" + (f" and {spell(n % 100)}" if n % 100 else "")
    return f"{spell(n // 1000)} thousand" + (f" {spell(n % 1000)}" if n % 1000 else "")


@given(st.integers(0, 999_999))
def test_numbers_in_words_and_in_digits_are_the_same(n: int) -> None:
    assert captured("{number}", spell(n)) == {"number": n}
    assert captured("{number}", f"{n:,}") == {"number": n}


WORDS = st.sampled_from(["book", "cancel", "table", "window", "refund", "agent", "monday", "bill"])


@given(st.lists(WORDS, min_size=1, max_size=6), st.randoms(use_true_random=False))
def test_a_pattern_is_understood_however_it_is_written_down(
    words: list[str], chance: random.Random
) -> None:
    heard: list[str] = []
    for word in words:
        heard += [chance.choice(["um", "uh", "well"])] * chance.randint(0, 2)
        heard.append(chance.choice([str.upper, str.title, str.lower])(word) + chance.choice(",. !"))
    text = " ".join(heard)
    found = match(pattern_of(" ".join(words)), words_of(text))
    assert found is not None
    assert found.score == pytest.approx(len(words), abs=0.5)


@given(
    st.text(max_size=300), st.sampled_from(["{words} a {word}", "{number}", "a {time} b", "yes"])
)
def test_no_words_of_a_caller_break_it(text: str, pattern: str) -> None:
    captured(pattern, text)


def test_a_long_speech_is_judged_quickly() -> None:
    speech = "a b x please " * 2000
    for pattern in ("{a:words} a {b:words} b {c:words} c {d:words} d {e:words}", "please a b " * 9):
        found = match(pattern_of(pattern), words_of(speech))
        assert found is None or found.score > 0
