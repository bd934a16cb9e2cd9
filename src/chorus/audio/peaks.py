"""The shape of a recording, to be drawn: the loudest sample of each fiftieth of a second, by side.

One byte a peak, 0 for silence and 255 for the loudest that 16 bits can hold, on a scale of decibels
(`FLOOR_DB` is 0): speech over a telephone fills a few hundredths of a linear scale, and would look
like silence. Read in pieces, so that a long call needs no more memory than a short one.
"""

from __future__ import annotations

import wave
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

PER_SECOND = 50
FLOOR_DB = -54.0
_PIECE_S = 30


class NoSound(Exception):
    """The file is not a stereo WAV of 16 bits."""


@dataclass(frozen=True, slots=True)
class Peaks:
    """`left` is the caller and `right` the agent, as in the recording; one byte for each
    1/`PER_SECOND` s."""

    duration_ms: int
    left: bytes
    right: bytes


def peaks(source: Path | BinaryIO) -> Peaks:
    """Raises `NoSound`, `OSError`. Reads the whole file: not for the event loop."""
    try:
        with wave.open(str(source) if isinstance(source, Path) else source, "rb") as file:
            if file.getnchannels() != 2 or file.getsampwidth() != 2:
                raise NoSound("the recording is not stereo of 16 bits")
            rate_hz = file.getframerate()
            step = rate_hz // PER_SECOND
            sides: list[list[np.ndarray]] = [[], []]
            samples = 0
            while piece := file.readframes(step * PER_SECOND * _PIECE_S):
                both = np.frombuffer(piece, dtype="<i2").reshape(-1, 2)
                samples += len(both)
                for side, found in enumerate(sides):
                    found.append(_loudest(both[:, side], step))
    except (wave.Error, EOFError) as wrong:
        raise NoSound(f"the recording cannot be read: {wrong}") from None
    left, right = (np.concatenate(side) if side else np.empty(0, np.uint8) for side in sides)
    return Peaks(round(1000 * samples / rate_hz), left.tobytes(), right.tobytes())


def _loudest(side: np.ndarray, step: int) -> np.ndarray:
    short = -len(side) % step
    padded = np.pad(np.abs(side.astype(np.int32)), (0, short))
    loudest = padded.reshape(-1, step).max(axis=1)
    db = 20 * np.log10(np.maximum(loudest, 1) / 32_768)
    return np.clip(255 * (1 - db / FLOOR_DB), 0, 255).astype(np.uint8)
