"""Smart Turn's file for a shorter window, and files that are another model's."""

from __future__ import annotations

import numpy as np

from chorus.speech.engines import Heard
from chorus.speech.eot.float_softmax import with_float_softmax
from chorus.speech.eot.short_window import with_window
from chorus.speech.eot.smart_turn import completeness
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
    noise = np.random.default_rng(1).normal(0, 3000, 8000 * 3).astype("<i2").tobytes()
    probability = completeness(session, Heard(noise, 8000, "", 200), 400)
    assert 0 <= probability <= 1
    # More silence than 200 ms is not part of the question.
    waited = noise + bytes(2 * 8 * 600)
    assert completeness(session, Heard(waited, 8000, "", 600), 400) == completeness(
        session, Heard(waited[: len(noise) + 2 * 8 * 200], 8000, "", 200), 400
    )


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
