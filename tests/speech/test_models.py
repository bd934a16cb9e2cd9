from __future__ import annotations

import importlib.util
import subprocess
import sys

import pytest

from chorus.extras import how_to_install
from chorus.speech import models
from chorus.speech.eot.silence import SilenceEndOfTurn
from chorus.speech.local import local_detector, local_end_of_turn
from chorus.speech.models import find_model, model_states
from chorus.speech.vad.webrtc import WebRtcDetector


def test_both_models_are_found_without_importing_the_package_that_holds_them():
    code = (
        "import sys\n"
        "from chorus.speech.models import find_model\n"
        "assert find_model('silero_vad').is_file() and find_model('smart_turn').is_file()\n"
        "assert 'pipecat' not in sys.modules and 'onnxruntime' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30)


def test_what_is_there_needs_no_advice():
    assert [(s.name, s.advice) for s in model_states()] == [
        ("silero_vad", None),
        ("smart_turn", None),
    ]


def test_what_is_missing_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch):
    found = importlib.util.find_spec

    def without(name: str):
        return None if name == "pipecat" else found(name)

    monkeypatch.setattr(models, "find_spec", without)
    assert find_model("silero_vad") is None
    states = model_states()
    advice = how_to_install("local")
    assert all(s.path is None and advice in (s.advice or "") for s in states)
    # and the engines that need none take their place
    assert isinstance(local_detector(), WebRtcDetector)
    assert isinstance(local_end_of_turn(), SilenceEndOfTurn)


def test_an_unknown_model_is_an_error():
    with pytest.raises(KeyError):
        find_model("whisper")  # type: ignore[arg-type]  # what a typo does
