"""A voice in Piper's format: pieces that are the whole, and files that are none."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scripts.material import MODELS
from tests.material import needs_model

from chorus.speech.engines import EngineFailed
from chorus.speech.tts.piper_files import PiperConfig, voices_in
from chorus.speech.tts.piper_model import PiperModel

JOE = MODELS / "piper-en_US-joe-medium" / "en_US-joe-medium.onnx"
PHONEMES = ["həlˈoʊ,", "ðɪs", "ɪz", "ɐ", "tˈɛst."]


@pytest.fixture(scope="module")
def joe() -> PiperModel:
    return PiperModel(JOE)


@needs_model("piper-en_US-joe-medium")
def test_pieces_are_the_whole(joe):
    assert joe.in_pieces
    drawn = joe.draw(PHONEMES, 1.0)
    count = drawn.frames.shape[2]
    assert len(drawn.ends) == len(PHONEMES)
    assert list(drawn.ends) == sorted(drawn.ends)
    assert 0.8 * count < drawn.ends[-1] <= count
    whole = joe.samples(drawn, 0, count)
    assert len(whole) == count * joe.hop
    pieces = [joe.samples(drawn, at, min(count, at + 40)) for at in range(0, count, 40)]
    error = np.concatenate(pieces) - whole
    assert (error**2).mean() < 1e-10 * (whole**2).mean()


@needs_model("piper-en_US-joe-medium")
def test_what_the_voice_does_not_know_is_left_out_and_speed_is_heard(joe):
    assert joe.ids(["a\u2603b"]) == joe.ids(["ab"])
    slow, fast = (joe.draw(PHONEMES, speed).frames.shape[2] for speed in (0.7, 1.4))
    assert slow > 1.5 * fast


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", json.dumps({"phoneme_type": "text", "espeak": {"voice": "en"}})],
)
def test_settings_that_are_none(tmp_path, text: str):
    path = tmp_path / "x.onnx.json"
    path.write_text(text)
    with pytest.raises(EngineFailed, match=r"x\.onnx\.json"):
        PiperConfig.read(path)


def test_voices_are_files_with_their_settings_beside_them(tmp_path):
    for name in ("b.onnx", "b.onnx.json", "a.onnx", "sub/c.onnx", "sub/c.onnx.json"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"")
    assert [path.stem for path in voices_in(tmp_path)] == ["b", "c"]
    (tmp_path / "b.onnx.json").write_text(
        json.dumps(
            {"espeak": {"voice": "de"}, "audio": {"sample_rate": 16000}, "phoneme_id_map": {}}
        )
    )
    with pytest.raises(EngineFailed, match="load"):
        PiperModel(tmp_path / "b.onnx")
