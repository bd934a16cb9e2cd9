"""What can be learned from the audio of a call: who was audible when, and what was recorded."""

from __future__ import annotations

import sys
import wave
from array import array
from dataclasses import dataclass
from pathlib import Path

from chorus.demo.carrier.sound import FRAME, SILENCE, audible

FRAME_MS = 20
# A sample of a recording that is clearly a sound (full scale 32767).
LOUD = 500


@dataclass(frozen=True, slots=True)
class Recorded:
    """A stereo file: the caller left, the agent right; `_loud` is how many milliseconds of a
    side hold a sound."""

    path: Path
    channels: int
    duration_ms: float
    caller_loud_ms: float
    agent_loud_ms: float


def read_recording(path: Path) -> Recorded:
    """Raises `OSError`, `wave.Error` or `EOFError` for what is no recording."""
    with wave.open(str(path)) as file:
        channels, width, rate_hz = file.getnchannels(), file.getsampwidth(), file.getframerate()
        frames = file.getnframes()
        raw = file.readframes(frames)
    if channels != 2 or width != 2:
        raise wave.Error(f"{channels} channels of {8 * width} bits are no recording of a call")
    samples = array("h", raw)
    if sys.byteorder == "big":
        samples.byteswap()
    return Recorded(
        path,
        channels,
        frames * 1000 / rate_hz,
        _loud_ms(samples[0::2], rate_hz),
        _loud_ms(samples[1::2], rate_hz),
    )


def _loud_ms(samples: array[int], rate_hz: int) -> float:
    size = rate_hz * FRAME_MS // 1000
    frames = (samples[at : at + size] for at in range(0, len(samples), size))
    return float(sum(max(map(abs, frame)) >= LOUD for frame in frames) * FRAME_MS)


def audible_ms(mulaw: bytes) -> int:
    """How much of 8 kHz µ-law can be heard."""
    return sum(_audible_frames(mulaw)) * FRAME_MS


def onset_ms(mulaw: bytes) -> int:
    """The silence at its beginning."""
    frames = _audible_frames(mulaw)
    return (frames.index(True) if True in frames else len(frames)) * FRAME_MS


def quiet_after_ms(mulaw: bytes, gap_ms: int) -> int | None:
    """When the first silence of at least `gap_ms` begins; None if there is none."""
    frames = _audible_frames(mulaw)
    needed = gap_ms // FRAME_MS
    silent = 0
    for number, sounds in enumerate(frames):
        silent = 0 if sounds else silent + 1
        if silent >= needed:
            return (number + 1 - needed) * FRAME_MS
    return None


def find(said: bytes, part: bytes) -> int | None:
    """Where a part, as it was given to the carrier, begins in what the person said: bytes."""
    sounding = part.rstrip(SILENCE[:1])
    at = said.rfind(sounding)
    return at if sounding and at >= 0 else None


def _audible_frames(mulaw: bytes) -> list[bool]:
    return [audible(mulaw[at : at + FRAME]) for at in range(0, len(mulaw), FRAME)]
