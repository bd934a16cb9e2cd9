"""How long a silence ends a turn: by how sure the model is, and by the words."""

from __future__ import annotations

from typing import Any

import pytest

from chorus.talk.turns.enough import SURE, enough_ms, sureness


def enough(sure: float, text: str, *, forced: bool = False, **known: Any) -> int:
    return round(enough_ms(sure, text, "en", forced=forced, **known))


@pytest.mark.parametrize("threshold", [0.1, 0.5, 0.9])
def test_the_threshold_of_any_model_is_one_half(threshold: float) -> None:
    assert sureness(threshold, threshold) == 0.5
    assert sureness(0.0, threshold) == 0.0
    assert sureness(1.0, threshold) == 1.0
    assert sureness(threshold / 2, threshold) == pytest.approx(0.25)


@pytest.mark.parametrize(
    ("text", "no", "no_opinion", "yes"),
    [
        pytest.param("I am done.", 500, 250, 0, id="a sentence"),
        pytest.param("I am done", 1100, 550, 0, id="words without a mark"),
        pytest.param("I would like to", 3000, 1500, 750, id="words that cannot be the last"),
        pytest.param("Well, on Thursday,", 3000, 1500, 750, id="a comma"),
        pytest.param("five five five", 1900, 1900, 475, id="figures"),
        pytest.param("five five five.", 1200, 1200, 300, id="figures with a full stop"),
        pytest.param("", 1800, 900, 0, id="no words"),
    ],
)
def test_the_surer_the_shorter_and_the_words_say_of_what(
    text: str, no: int, no_opinion: int, yes: int
) -> None:
    assert [enough(sure, text) for sure in (0.0, 0.5, 1.0)] == [no, no_opinion, yes]


def test_a_transcribers_own_yes_is_final() -> None:
    assert enough(SURE, "I would like to") == 0


def test_a_full_stop_that_was_asked_for_is_worth_little() -> None:
    assert enough(0.5, "I am done.", forced=True) == 400
    assert enough(0.5, "I would like to.", forced=True) == enough(0.5, "I would like to")
    assert enough(0.5, "Are you there?", forced=True) == 250  # nobody asks without meaning it
    assert enough(0.5, "I am done", forced=True) == enough(0.5, "I am done")


def test_words_that_are_open_in_another_language_do_not_outdo_a_sure_model() -> None:
    assert enough_ms(1.0, "that is what I want", None, forced=False) == 0
    assert enough_ms(1.0, "well, on Thursday,", None, forced=False) == 750


def test_a_number_of_as_many_digits_as_were_asked_for_is_whole() -> None:
    assert [enough(sure, "4 7 1 1", digits=4) for sure in (0.0, 0.5, 1.0)] == [400, 200, 0]
    assert [enough(sure, "4 7 1", digits=4) for sure in (0.0, 0.5, 1.0)] == [3000, 2000, 1000]
    assert enough(0.0, "4711.", forced=True, digits=4) == 400
    assert enough(0.0, "471.", forced=True, digits=4) == 3000


def test_a_full_stop_that_was_asked_for_closes_no_number() -> None:
    assert enough(0.5, "five five five.", forced=True) == enough(0.5, "five five five")


def test_where_each_sentence_has_a_mark_one_without_is_not_over() -> None:
    said = [enough(sure, "I would like a table", marked=True) for sure in (0.0, 0.5, 1.0)]
    assert said == [1400, 1400, 1120]
    assert enough(1.0, "A table, please.", marked=True) == 0
