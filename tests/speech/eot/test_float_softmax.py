"""The rewritten model says what the model says, and onnxruntime runs no table of a softmax."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from chorus.speech.eot.float_softmax import with_float_softmax
from chorus.speech.models import find_model

_FOUND = find_model("smart_turn")
assert _FOUND is not None, "the local extra is part of the development environment"
MODEL = _FOUND.read_bytes()


def session(model: bytes, profile: Path | None = None) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    if profile is not None:
        options.enable_profiling = True
        options.profile_file_prefix = str(profile)
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def features(seed: int) -> dict[str, Any]:
    random = np.random.default_rng(seed)
    loudness = np.repeat(random.uniform(-1, 1, (1, 1, 40)), 20, axis=2)
    return {"input_features": (loudness + random.normal(0, 0.3, (1, 80, 800))).astype(np.float32)}


def test_the_verdict_is_the_same_but_for_rounding():
    before, after = session(MODEL), session(with_float_softmax(MODEL))
    for seed in range(8):
        inputs = features(seed)
        was, now = (float(it.run(["logits"], inputs)[0].item()) for it in (before, after))
        assert now == pytest.approx(was, abs=0.05)


@pytest.mark.parametrize("rewrite", [bytes, with_float_softmax])
def test_the_softmax_is_no_table(rewrite: Any, tmp_path: Path):
    profiled = session(rewrite(MODEL), tmp_path / "profile")
    profiled.run(["logits"], features(1))
    events = json.loads(Path(profiled.end_profiling()).read_text())
    kinds = {event.get("args", {}).get("op_name") for event in events}
    # A version of onnxruntime that has no table any more makes all of this needless.
    assert ("QLinearSoftmax" in kinds) is (rewrite is bytes)
    assert "QLinearMatMul" in kinds


def test_a_model_without_a_softmax_stays_as_it_is():
    silero = find_model("silero_vad")
    assert silero is not None
    model = silero.read_bytes()
    assert with_float_softmax(model) == model


@pytest.mark.parametrize("junk", [b"\x3a\x7f\x00", b"\xff" * 30, b"\x3f", b"\x3a"])
def test_what_is_no_protocol_buffer_is_refused(junk: bytes):
    with pytest.raises(ValueError, match=r"field|number|wire type"):
        with_float_softmax(junk)
