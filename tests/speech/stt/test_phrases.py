from __future__ import annotations

import pytest

from chorus.speech.stt.phrases import grammar, phrasebook, spell


@pytest.mark.parametrize(
    ("phrase", "words"),
    [
        ("A table for 2, please!", "a table for two please"),
        ("I’d like 12", "i'd like twelve"),
        ("20 people", "twenty people"),
        ("345", "three hundred forty five"),
        ("1015", "one thousand fifteen"),
        ("0", "zero"),
        ("007", "zero zero seven"),
        ("5550104", "five five five zero one zero four"),
        ("check-in", "check in"),
        ("  ", ""),
    ],
)
def test_spell(phrase: str, words: str):
    assert " ".join(spell(phrase)) == words


def test_phrases_are_given_back_as_written_and_those_not_in_the_dictionary_left_out():
    known = {"a", "table", "for", "two", "yes"}.__contains__
    book = phrasebook(["A table for 2", "a table for two", "Yes.", "xyzzy", "yes *", "?!"], known)
    assert book.written == {"a table for two": "A table for 2", "yes": "Yes."}
    assert book.left_out == ("xyzzy", "yes *", "?!")
    assert "a table for two | yes ;" in grammar(book.written)
