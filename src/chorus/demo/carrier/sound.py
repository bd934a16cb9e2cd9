"""Sounds that a person makes, and whether something can be heard; 8 kHz µ-law.

The carrier's own reading of G.711, apart from Chorus's.
"""

from __future__ import annotations

import base64
import math
import random
import wave

from chorus.demo.carrier.person import Say

FRAME = 160
SILENCE = b"\xff" * FRAME
# A linear magnitude that is clearly a sound and not the noise of a line (full scale 32124).
AUDIBLE = 200


def _linear(code: int) -> int:
    code = ~code & 0xFF
    magnitude = (((code & 0x0F) << 3) + 0x84 << ((code & 0x70) >> 4)) - 0x84
    return -magnitude if code & 0x80 else magnitude


_LINEAR = [_linear(code) for code in range(256)]
_LOUD = bytes(1 if abs(value) >= AUDIBLE else 0 for value in _LINEAR)


def audible(mulaw: bytes) -> bool:
    return 1 in mulaw.translate(_LOUD)


def encode(samples: list[int]) -> bytes:
    """Linear 16-bit samples to µ-law."""
    return bytes(map(_encode, samples))


def _encode(sample: int) -> int:
    sign = 0x80 if sample < 0 else 0
    magnitude = min(abs(sample), 32635) + 0x84
    exponent = magnitude.bit_length() - 8
    return ~(sign | exponent << 4 | (magnitude >> (exponent + 3)) & 0x0F) & 0xFF


def said(step: Say) -> bytes:
    """The audio of a step. Raises `ValueError` for a step or a file that holds none."""
    if step.audio is not None:
        return base64.b64decode(step.audio, validate=True)
    if step.wav is not None:
        return _read_wav(step.wav)
    samples = step.ms * 8
    match step.sound:
        case "tone":
            return encode([int(9000 * math.sin(0.2513 * n)) for n in range(samples)])
        case "cough":
            chance = random.Random(samples)  # noqa: S311 - the same cough every time
            return encode(
                [int(chance.gauss(0, 7000) * math.exp(-3 * n / samples)) for n in range(samples)]
            )
        case "silence":
            return b"\xff" * samples
        case None:
            raise ValueError("say needs one of text, audio, wav and sound")


def _read_wav(path: str) -> bytes:
    with wave.open(path) as file:
        shape = (file.getnchannels(), file.getsampwidth(), file.getframerate())
        if shape != (1, 2, 8000):
            raise ValueError(f"{path} is not 16-bit mono at 8000 Hz: {shape}")
        raw = file.readframes(file.getnframes())
    return encode(list(memoryview(raw).cast("h")))
