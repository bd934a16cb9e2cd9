"""Smart Turn v3 itself: the end of what was heard in, a probability out. Blocks.

The model (pipecat-ai/smart-turn, BSD-2): `input_features` float32 [N, 80, frames]; its output,
though called `logits`, is a probability [N, 1] that the turn is complete. It is run on the last
four seconds (`short_window.py`), 17 ms of a quiet core.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from chorus.audio.resample import Resampler
from chorus.speech.engines import Heard
from chorus.speech.eot.float_softmax import with_float_softmax
from chorus.speech.eot.short_window import FULL_FRAMES, with_window
from chorus.speech.eot.whisper_mel import RATE_HZ, last_eight_seconds, log_mel
from chorus.speech.onnx import open_session

NAME = "smart-turn"
RATES_HZ = (8000, 16000)
_SECONDS = 8  # what its features are normalised over
_FRAMES = 400
_SILENCE_MS = 200.0


def end_of(heard: Heard) -> bytes:
    """What the model is asked about: the end of speech and 200 ms of silence, whatever the silence
    is by now. The longer the silence, the more often this model says yes to half a sentence."""
    too_long_ms = max(0.0, heard.silence_ms - _SILENCE_MS)
    end = max(0, len(heard.pcm16) - int(too_long_ms * heard.rate_hz / 1000) * 2)
    return heard.pcm16[max(0, end - _SECONDS * heard.rate_hz * 2) : end]


class SmartTurnModel:
    """Raises `EngineFailed` (stage `load`) if the file cannot be opened."""

    def __init__(self, path: Path) -> None:
        self._frames = FULL_FRAMES

        def rewrite(file: bytes) -> bytes:
            short = with_window(file, _FRAMES)
            if short is not None:
                self._frames = _FRAMES
            return with_float_softmax(short or file)

        self._session = open_session(path, NAME, rewrite=rewrite)

    def completeness(self, pcm16: bytes, rate_hz: int) -> float:
        """The probability that the turn is complete, for what `end_of` leaves of it, mono, at one
        of `RATES_HZ`. Raises what numpy or onnxruntime raises."""
        if rate_hz != RATE_HZ:
            resampler = Resampler(rate_hz, RATE_HZ)
            pcm16 = resampler.feed(pcm16) + resampler.flush()
        audio = np.frombuffer(pcm16, "<i2").astype(np.float32) * np.float32(1 / 32768)
        features = log_mel(last_eight_seconds(audio), self._frames)
        output = self._session.run(["logits"], {"input_features": features[None]})[0]
        return float(np.clip(output.reshape(-1)[0], 0.0, 1.0))
