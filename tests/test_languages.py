"""The files of languages: each is whole, and works for the words of its own language."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from pathlib import Path

import pytest

import chorus.languages as module
from chorus.languages import LanguageWrong, code_of, languages
from chorus.process import Process
from chorus.settings import Settings, SettingsError
from chorus.talk.text import phrases
from chorus.talk.text.backchannel import is_backchannel
from chorus.talk.text.clauses import Clauses
from chorus.talk.text.endings import OPEN_MS, silence_needed_ms
from chorus.talk.text.reading.reading import reader_of
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


WHOLE = """
backchannels = ["bai"]
[phrases]
ask_again = "Barkatu?"
apology = "Barkatu."
goodbye = "Agur."
still_there = "Hor zaude?"
nobody_free = "Sentitzen dut, ezin izan dut inor aurkitu. Beste zerbaitetan lagun zaitzaket?"
caller_left = "Deitzaileak eskegi du. Agur."
caller_waits = "Dei bat zure zain dago."
take_or_leave = "Deia hartzeko, sakatu bat. Baztertzeko, sakatu bi."
not_connected = "Ados, ez dut konektatuko. Agur."
"""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder of the server's own, in use."""
    module.use(tmp_path)
    yield tmp_path
    module.use(None)
    module.languages_with.cache_clear()


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("xx.toml", "backchannels = [", "xx.toml cannot be read"),
        ("xx.toml", 'backchannels = ["ja"]', "xx.toml lacks phrases.ask_again"),
        ("xx.toml", "", "xx.toml lacks backchannels"),
        ("xx.toml", WHOLE.replace('"Agur."', '" "'), "xx.toml: phrases.goodbye must be a text"),
        ("xx.toml", WHOLE.replace("goodbye", "godbye"), "phrases.godbye is no name that is known"),
        ("xx.toml", 'only_here = ["ja"]\n' + WHOLE, "only_here holds what is no back-channel"),
        ("xx.toml", 'backchannel = ["x"]', "xx.toml: backchannel is no name that is known"),
        ("de.toml", 'backchannels = "ja"', "de.toml: backchannels must be a list of texts"),
        ("de.toml", "phrases = 3", "de.toml: phrases must be a table"),
        ("de.toml", "[reading]\ntim = 'x'", "de.toml: reading.tim is no name that is known"),
        ("de.toml", "[reading]\ntime = '{x}'", r"de.toml: reading.time may hold \{h\}, \{m\} only"),
        ("de.toml", "[reading]\nat = 3", "de.toml: reading.at must be a text"),
        ("de.toml", "[reading]\nscales = []", "de.toml: reading.scales must be a list of texts"),
        ("de.toml", "[reading]\nmarks = 'x'", "de.toml: reading.marks must be a table"),
        (
            "de.toml",
            "[reading.currencies]\nEUR = {one = 'x'}",
            "reading.currencies.EUR lacks its plural category other",
        ),
        ("german.toml", WHOLE, "german.toml is not named by a language's code"),
        ("no.toml", WHOLE, "no.toml: this language's file is nb.toml"),
        ("xx.toml", "# " + "x" * 300_000, "xx.toml is larger than 256 KB"),
    ],
)
def test_a_file_that_is_wrong_is_named(folder: Path, name: str, text: str, says: str):
    (folder / name).write_text(text)
    with pytest.raises(LanguageWrong, match=says):
        languages()
    with pytest.raises(SettingsError, match=f"CHORUS_LANGUAGES_DIR names a folder.*{says}"):
        Settings.read({"CHORUS_LANGUAGES_DIR": str(folder)})


def test_a_folder_that_is_not_there_is_named(tmp_path: Path):
    with pytest.raises(SettingsError, match="none cannot be read: No such file"):
        Settings.read({"CHORUS_LANGUAGES_DIR": str(tmp_path / "none")})


def test_a_new_language_is_a_file(folder: Path):
    (folder / "eu.toml").write_text('open_words = ["eta"]\n' + WHOLE)
    (folder / "README.md").write_text("no language")
    assert languages().keys() == {*ALL, "eu"}
    assert phrases.goodbye("eu-ES") == "Agur."
    assert is_backchannel("Bai!", "eu")
    assert silence_needed_ms("kafea eta", "eu") == OPEN_MS
    assert not is_backchannel("ja", "eu")


def test_the_file_in_the_documentation_works(folder: Path):
    page = Path(__file__).parent.parent / "docs" / "guides" / "languages.md"
    example = page.read_text("utf-8").partition("```toml\n")[2].partition("```")[0]
    (folder / "eu.toml").write_text(example, "utf-8")
    assert reader_of("eu").read("adib. 50%").spoken == "adibidez ehuneko 50"


def test_a_file_is_laid_over_the_one_of_chorus(folder: Path):
    (folder / "de.toml").write_text(
        """
        backchannels = ["passt"]
        [phrases]
        goodbye = "Servus!"
        [reading]
        dot = "dot"
        [reading.abbreviations]
        "Wg." = "Weg"
        """
    )
    assert is_backchannel("passt", "de")
    assert not is_backchannel("genau", "de")
    assert (phrases.goodbye("de"), phrases.still_there("de")) == ("Servus!", "Sind Sie noch da?")
    spoken = reader_of("de").read("a.b@c.de, Am Wg. 3, Dr. Meier").spoken
    assert spoken == "a dot b ät c dot de, Am Weg 3, Doktor Meier"
    assert Clauses("de").feed("Am Wg. 3 ist es. Gut") == ["Am Wg. 3 ist es."]
    assert Clauses("en").feed("Am Wg. 3 ist es. Gut") != ["Am Wg. 3 ist es."]


def test_a_server_uses_the_folder_that_it_is_given(tmp_path: Path):
    (tmp_path / "eu.toml").write_text(WHOLE)
    try:
        Process.of(Settings.read({"CHORUS_LANGUAGES_DIR": str(tmp_path)}))
        assert phrases.goodbye("eu") == "Agur."
        Process.of(Settings.read({}))
        assert phrases.goodbye("eu") == phrases.goodbye("en")
    finally:
        module.use(None)
