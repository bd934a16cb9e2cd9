"""Smart Turn's file for a shorter window, and files that are another model's."""

from __future__ import annotations

import numpy as np

from chorus.speech.engines import Heard
from chorus.speech.eot.float_softmax import with_float_softmax
from chorus.speech.eot.short_window import with_window
from chorus.speech.eot.smart_turn_model import SmartTurnModel, end_of
from chorus.speech.eot.whisper_mel import SAMPLES, log_mel
from chorus.speech.models import find_model
from chorus.speech.onnx import open_session


def test_a_file_for_four_seconds_takes_four_seconds():
    path = find_model("smart_turn")
    assert path is not None

    def short(model: bytes) -> bytes:
        changed = with_window(model, 400)
        assert changed is not None
        assert len(changed) < len(model)
        return with_float_softmax(changed)

    session = open_session(path, "test", rewrite=short)
    audio = np.random.default_rng(1).normal(0, 0.1, SAMPLES).astype(np.float32)
    features = {"input_features": log_mel(audio, 400)[None]}
    assert 0 <= session.run(["logits"], features)[0].reshape(-1)[0] <= 1


def test_the_question_ends_with_200_ms_of_silence_and_is_eight_seconds_at_most():
    path = find_model("smart_turn")
    assert path is not None
    model = SmartTurnModel(path)
    noise = np.random.default_rng(1).normal(0, 3000, 8000 * 10).astype("<i2").tobytes()
    probability = model.completeness(end_of(Heard(noise, 8000, "", 200)), 8000)
    assert 0 <= probability <= 1
    waited = noise + bytes(2 * 8 * 600)
    question = end_of(Heard(waited, 8000, "", 600))
    assert len(question) == 2 * 8 * 8000
    assert question == waited[-2 * 8 * 400 - len(question) : -2 * 8 * 400]
    assert model.completeness(question, 8000) != probability
    assert end_of(Heard(bytes(100), 8000, "", 900)) == b""


def test_another_model_is_left_alone():
    assert with_window(b"", 400) is None
    path = find_model("silero_vad")
    assert path is not None
    assert with_window(path.read_bytes(), 400) is None


def test_the_end_of_the_features_is_the_same_or_nearly():
    audio = np.random.default_rng(2).normal(0, 0.1, SAMPLES).astype(np.float32)
    np.testing.assert_allclose(log_mel(audio, 400), log_mel(audio)[:, -400:], atol=1e-5)
    audio[: SAMPLES - 16000] = 0.0
    assert log_mel(audio, 400).shape == (80, 400)
