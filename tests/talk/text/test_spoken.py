"""How texts are split and spoken: the table `spoken.toml`, and what holds for any text."""

from __future__ import annotations

import re
import time
import tomllib
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fakes.speech import FakeVoice

from chorus.audio.frame import MULAW_8K
from chorus.speech.engines import EngineFailed, Spoken, Voice, VoiceStyle
from chorus.speech.ranking import Ranking, Rests
from chorus.speech.tts.elevenlabs import ElevenLabsVoice
from chorus.speech.tts.espeak import EspeakVoice
from chorus.speech.vendor.net import Net
from chorus.speech.vendor.options import SpeakingOptions
from chorus.talk.text.clauses import Clauses
from chorus.talk.text.reading.reading import Reading, reader_of
from chorus.talk.utterance import Utterance
from chorus.talk.voicing import Script, Voicing

TABLE: dict[str, list[dict[str, Any]]] = tomllib.loads(
    Path(__file__).with_name("spoken.toml").read_text("utf-8")
)
TEXTS = [(language, row) for language, rows in TABLE.items() for row in rows]
# As language models cut them: a word with the space before it, a mark, white space.
TOKEN = re.compile(r" ?\w+|[^\w\s]+|\s")


def split(language: str, *pieces: str) -> list[str]:
    clauses = Clauses(language)
    return [c for piece in pieces for c in clauses.feed(piece)] + clauses.flush()


def test_the_table_is_long_and_in_six_languages() -> None:
    assert len(TEXTS) >= 150
    assert sum(len(rows) >= 15 for rows in TABLE.values()) >= 6


@pytest.mark.parametrize(
    ("language", "row"), TEXTS, ids=[f"{language}-{row['written'][:30]}" for language, row in TEXTS]
)
def test_a_text(language: str, row: dict[str, Any]) -> None:
    written: str = row["written"]
    clauses = split(language, written)
    assert clauses == row["clauses"]
    assert split(language, *TOKEN.findall(written)) == clauses
    assert split(language, *written) == clauses
    reader = reader_of(language)
    readings = [reader.read(clause) for clause in clauses]
    assert [reading.spoken for reading in readings] == row.get("spoken", clauses)
    for clause, reading in zip(clauses, readings, strict=True):
        maps_back(clause, reading)


def maps_back(clause: str, reading: Reading) -> None:
    """What was said of a clause grows with the sound, from nothing to all of it."""
    said = [reading.written_at(chars) for chars in range(len(reading.spoken) + 1)]
    assert all(a <= b for a, b in pairwise(said))
    assert said[0] == 0 or not reading.spoken
    assert said[-1] == len(clause)


FIGURES = st.text(alphabet="0123456789 .,:-/+*#$€%°hkmMaistr()@\n½", max_size=60)
LANGUAGES = st.sampled_from([*TABLE, None, "ja", "tr", "xx", "pt-BR", "zh-Hant-TW", "cmn", "en-GB"])


@given(st.one_of(FIGURES, st.text(max_size=60)), LANGUAGES)
def test_any_text_can_be_read_and_found_again(text: str, language: str | None) -> None:
    maps_back(text, reader_of(language).read(text))


@given(st.lists(st.sampled_from(["the", "order", "is", "a", "fine", "day", "we", "go"])))
def test_plain_words_are_left_alone(words: list[str]) -> None:
    text = " ".join(words)
    assert reader_of("en").read(text).spoken == text


@pytest.mark.parametrize(
    "part", ["a.", "1,", "a-", "a@", "1-", "A1-", "$1-", "a.b@c.", "5 Mar ", "("]
)
def test_no_text_takes_long(part: str) -> None:
    reader = reader_of("en")
    began = time.process_time()
    reader.read(part * (4000 // len(part)))
    assert time.process_time() - began < 0.5


def test_what_the_language_decides() -> None:
    assert reader_of("en-US").read("on 3/5/2026").spoken == "on March fifth, 2026"
    assert reader_of("en-GB").read("on 3/5/2026").spoken == "on third of May 2026"
    assert reader_of("de").read("1.234 €").spoken == "1234 Euro"
    assert reader_of("en").read("€1.234").spoken == "1.234 euros"
    assert reader_of("cmn").read("20 °C").spoken == reader_of("zh").read("20 °C").spoken
    # No words are known of it: CLDR's names, and nothing else.
    assert reader_of("sv").read("5 km, 50%, a@b.example").spoken == "5 kilometer, 50%, a@b.example"


class PlainVoice(FakeVoice):
    def plain_language(self, style: VoiceStyle) -> str | None:
        return style.language


def voicing(*voices: Voice, language: str | None = "en") -> Voicing:
    def failed(_: EngineFailed) -> None: ...

    styles = tuple(VoiceStyle(language=language) for _ in voices)
    return Voicing(Ranking(voices, Rests()), styles, MULAW_8K, on_failed=failed)


async def say(made: Voicing, *clauses: str) -> tuple[Utterance, list[Spoken]]:
    script, utterance = Script(), Utterance(MULAW_8K)
    for clause in clauses:
        script.put(clause)
        utterance.add_clause(clause)
    script.put(None)
    pieces = [piece async for piece in made.speak(script)]
    for piece in pieces:
        utterance.add(piece)
    return utterance, pieces


async def test_a_plain_voice_is_given_words_and_the_record_keeps_figures() -> None:
    voice = PlainVoice(first_audio_ms=0, speed=1000)
    utterance, _ = await say(voicing(voice), "It is $3.50", " each.")
    assert voice.clauses == ["It is 3 dollars and 50 cents", " each."]
    # 50 ms a character: cut within "dollars", the price was not heard; after "cents" it was.
    assert utterance.split(50 * len("It is 3 dol")).text == "It is"
    assert utterance.split(50 * len("It is 3 dollars and 50 cents") + 1).text == "It is $3.50"
    assert utterance.split(10_000).text == "It is $3.50 each."


async def test_a_voice_that_reads_by_itself_is_given_the_text_as_it_stands() -> None:
    voice = FakeVoice(first_audio_ms=0, speed=1000)
    await say(voicing(voice, language="de"), "Am 3. Mai: 3,50 €.")
    assert voice.clauses == ["Am 3. Mai: 3,50 €."]


async def test_another_voice_reads_on_where_a_plain_one_broke_off() -> None:
    # A piece is two characters; it breaks off within "dollars".
    first = PlainVoice(name="a", first_audio_ms=0, speed=1000, fail_at=6)
    second = FakeVoice(name="b", first_audio_ms=0, speed=1000)
    utterance, _ = await say(voicing(first, second), "It is $3.50 each.")
    assert first.clauses == ["It is 3 dollars and 50 cents each."]
    assert second.clauses == [" $3.50 each."]
    assert utterance.split(60_000).text == "It is $3.50 each."


async def test_where_the_language_is_not_known_the_text_stays() -> None:
    voice = PlainVoice(first_audio_ms=0, speed=1000)
    await say(voicing(voice, language=None), "Am 3. Mai: 3,50 €.")
    assert voice.clauses == ["Am 3. Mai: 3,50 €."]


def test_which_voices_of_elevenlabs_are_plain() -> None:
    def language(model: str, spoken: str | None) -> str | None:
        voice = ElevenLabsVoice("key", SpeakingOptions(model=model), net=cast("Net", None))
        return voice.plain_language(VoiceStyle(language=spoken))

    assert language("eleven_flash_v2_5", "de") == "de"
    assert language("eleven_flash_v2_5", None) is None
    assert language("eleven_multilingual_v2", "de") is None


async def test_in_the_language_of_the_voice() -> None:
    voice = PlainVoice(first_audio_ms=0, speed=1000)
    await say(voicing(voice, language="de"), "Am 3. Mai: 3,50 €.")
    assert voice.clauses == ["Am dritten Mai: 3 Euro 50 Cent."]


async def test_espeak_says_the_day_and_the_price_and_tells_how_far_it_is() -> None:
    voice = EspeakVoice()
    clause = "Am 3. Mai kostet es 3,50 €."
    try:
        utterance, pieces = await say(voicing(voice, language="de"), clause)
        as_written, as_read = [
            await voice.phonemes("de", [text])
            for text in ("am 3. Mai", reader_of("de").read("am 3. Mai").spoken)
        ]
    finally:
        await voice.aclose()
    marks = [mark.chars_end for piece in pieces for mark in piece.marks]
    assert marks == sorted(marks)
    assert marks[-1] in (len(clause), len(clause) - 1)
    assert utterance.split(utterance.length_ms).text == clause
    assert "dɾˈɪtən" not in as_written[0].replace("ː", "")
    assert "dɾˈɪtən" in as_read[0].replace("ː", "")
