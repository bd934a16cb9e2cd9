"""Whisper on people's recorded speech in the telephone band, and on what is no speech."""

from __future__ import annotations

import numpy as np
import pytest
from bench.prompts import prompts, silence, to_16k, word_errors
from scripts.material import MODELS
from tests.material import needs_model, needs_speech

from chorus.speech.engines import EngineFailed
from chorus.speech.stt.whisper_model import WhisperModel, features, without_loop


@pytest.fixture(scope="module")
def tiny() -> WhisperModel:
    return WhisperModel(MODELS / "whisper-tiny.en")


def test_a_folder_without_a_model(tmp_path):
    with pytest.raises(EngineFailed, match="load"):
        WhisperModel(tmp_path)


def test_features_of_silence_behind_speech_are_those_of_the_whole():
    audio = np.random.default_rng(1).normal(0, 0.1, 16000).astype(np.float32)
    short = features(audio, 80)
    padded = np.zeros(13 * 16000, np.float32)
    padded[: len(audio)] = audio
    whole = features(padded, 80)
    assert short.shape == whole.shape == (80, 1500)
    np.testing.assert_allclose(short, whole, atol=1e-4)
    assert features(np.zeros(25 * 16000, np.float32), 80).shape == (80, 2700)


@needs_model("whisper-tiny.en")
@needs_speech("en")
def test_few_words_are_wrong(tiny):
    said = prompts("en", count=10)
    wrong, words = word_errors([(p.text, tiny.decode(to_16k(p.audio)).text) for p in said])
    assert words > 60
    assert wrong / words <= 0.08


@needs_model("whisper-tiny.en")
@pytest.mark.parametrize("kind", ["silence", "noise", "beep"])
def test_nothing_is_heard_where_nobody_speaks(tiny, kind: str):
    time_s = np.arange(16000) / 16000
    audio = {
        "silence": np.zeros(16000),
        "noise": np.random.default_rng(3).normal(0, 0.02, 16000),
        "beep": 0.2 * np.sin(2 * np.pi * 1000 * time_s) * (time_s < 0.4),
    }[kind]
    assert tiny.decode(audio.astype(np.float32)).text == ""


@needs_model("whisper-tiny.en")
@needs_speech("en")
def test_the_second_half_is_heard_with_the_first(tiny):
    [said] = [p for p in prompts("en") if p.name == "conf-extended"]
    middle = len(said.audio) // 2
    first = tiny.decode(to_16k(said.audio[:middle]))
    whole = to_16k(np.concatenate([said.audio[:middle], silence(300), said.audio[middle:]]))
    second = tiny.decode(whole, said=tiny.open_end(first.tokens))
    assert second.text.endswith("extended.")
    assert not second.text.lower().startswith("the conference")


def test_a_loop_is_its_phrase_and_people_may_repeat_themselves():
    assert without_loop("thank you. " * 20, 1.0) == "thank you."
    assert without_loop("I said go on and go on and go on and go on and go on", 1.0) == (
        "I said go on and"
    )
    assert without_loop("no no no", 1.0) == "no no no"
    assert without_loop("five five five five one two", 3.0) == "five five five five one two"
