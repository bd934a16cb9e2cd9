"""Words that do not take the turn, and words that are the agent's own."""

from __future__ import annotations

import pytest

from chorus.talk.text.backchannel import is_backchannel, is_echo, is_question


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Mm-hm.", "en"),
        ("mhm", "en"),
        ("Uh-huh, okay", "en"),
        ("Yeah, yeah. I see.", "en-GB"),
        ("Ja, genau", "de"),
        ("D’accord", "fr"),
        ("Sí, claro", "es"),
        ("va bene", "it"),
        ("tá bom", "pt_BR"),
        ("ja precies", "nl"),
        ("No tak", "pl"),
        ("evet tamam", "tr"),
        ("Угу, понятно", "ru"),
        ("genau", None),
        ("mm-hm", "xx"),
    ],
)
def test_backchannels(text: str, language: str | None) -> None:
    assert is_backchannel(text, language)


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("", "en"),
        ("...", "en"),
        ("no", "en"),
        ("No", None),
        ("wait", "en"),
        ("okay but wait", "en"),
        ("I", "en"),
        ("genau", "en"),
        ("stop", "nl"),
        ("nein", "de"),
        ("нет", "ru"),
    ],
)
def test_what_takes_the_turn(text: str, language: str | None) -> None:
    assert not is_backchannel(text, language)


def test_an_interim_may_break_off_within_one() -> None:
    assert is_backchannel("I", "en", final=False)
    assert is_backchannel("okay I", "en", final=False)
    assert not is_backchannel("I want", "en", final=False)


AGENT = "Thank you for calling. Your flight to Rome leaves at nine. Shall I book the seat?"


@pytest.mark.parametrize(
    "text",
    ["the seat", "seat", "Book the seat.", "leaves at nine shall I book", "leaves at five shall I"],
)
def test_echoes(text: str) -> None:
    assert is_echo(text, AGENT)


@pytest.mark.parametrize(
    "text", ["", "yes", "thank you", "book the other", "the seat please", "seat book", "five"]
)
def test_no_echoes(text: str) -> None:
    assert not is_echo(text, AGENT)


def test_nothing_echoes_silence() -> None:
    assert not is_echo("yes", "")


def test_questions() -> None:
    assert is_question('He asked: "Shall I?" ')
    assert is_question("いいですか？")
    assert is_question("Er fragte: „Soll ich?“")
    assert not is_question("Shall I? Fine.")
    assert not is_question("")
