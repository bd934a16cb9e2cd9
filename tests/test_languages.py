"""The files of languages: each is whole, and works for the words of its own language."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

import chorus.languages as module
from chorus.languages import LanguageWrong, code_of, languages
from chorus.talk.text import phrases
from chorus.talk.text.backchannel import is_backchannel
from chorus.talk.turns.words import tokens

ALL = sorted(languages())


def test_there_are_many():
    assert len(ALL) >= 30


@pytest.mark.parametrize("code", ALL)
def test_a_file(code: str):
    language = languages()[code]
    assert len(language.backchannels) >= 9
    for text in language.backchannels:
        assert tokens(text), text
        assert unicodedata.is_normalized("NFC", text), text
        assert is_backchannel(text, code), text
        # As another keyboard writes it, and in capitals.
        assert is_backchannel(unicodedata.normalize("NFD", text), code), text
        if text.upper().casefold() == text.casefold():
            assert is_backchannel(text.upper(), code), text
    texts = language.phrases
    assert len(set(texts.values())) == len(module.PHRASES)
    for name, text in texts.items():
        assert text == text.strip(), name
        assert unicodedata.is_normalized("NFC", text), name
        assert not is_backchannel(text, code), name


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("はい", "ja"),
        ("はい、はい。", "ja-JP"),
        ("嗯，好的。", "zh-CN"),
        ("好的", "cmn"),
        ("네, 알겠습니다.", "ko"),
        ("نعم", "ar-EG"),
        ("जी हाँ", "hi"),
        ("ครับ", "th"),
        ("হ্যাঁ", "bn"),
        ("ΝΑΙ", "el"),
        ("joo joo", "fi"),
        ("dạ vâng", "vi"),
        ("ja", "no"),
        ("igen, értem", "hu"),
        ("כן, בסדר", "iw"),
    ],
)
def test_words_of_a_listener(text: str, language: str):
    assert is_backchannel(text, language)


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("いいえ", "ja"),
        ("不好", "zh"),
        ("아니요", "ko"),
        ("لا", "ar"),
        ("नहीं", "hi"),
        ("ไม่", "th"),
        ("no", None),
        ("just", None),
        ("no", "en"),
        ("όχι", "el"),
        ("nem", "hu"),
    ],
)
def test_an_objection_is_none(text: str, language: str | None):
    assert not is_backchannel(text, language)


def test_what_is_said_is_in_the_callers_language():
    assert phrases.apology("ja").startswith("申し訳")
    assert phrases.ask_again("pt_BR") == phrases.ask_again("pt")
    assert phrases.goodbye("zh-Hant-TW") == phrases.goodbye("zh")
    assert phrases.still_there("xx") == phrases.still_there(None) == phrases.still_there("en")
    assert code_of("nn-NO") == "nb"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("backchannels = [", "xx.toml cannot be read"),
        ('backchannels = ["ja"]', "xx.toml lacks 'phrases'"),
        (
            'backchannels = []\nonly_here = ["ja"]\n[phrases]\nask_again = "a"\napology = "b"\n'
            'goodbye = "c"\nstill_there = "d"',
            "only_here holds what is no back-channel",
        ),
    ],
)
def test_a_file_that_is_wrong_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, says: str
):
    (tmp_path / "xx.toml").write_text(text)
    monkeypatch.setattr(module, "FOLDER", tmp_path)
    with pytest.raises(LanguageWrong, match=says):
        languages.__wrapped__()
