"""Three background sounds that come with Chorus, made of noise and arithmetic.

Each is a loop of 30 seconds, drawn from a fixed seed, so that it is the same on every
machine and no recording has to be shipped or licensed. Everything is made to be periodic:
noise is shaped in the frequency domain of the whole loop, and what rings beyond the end
goes on at the beginning. So is the change of rate, which cuts or extends the spectrum of
the loop. Nothing is heard where it starts over.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from uuid import UUID, uuid5

import numpy as np
import numpy.typing as npt

from chorus.audio.frame import RATES_HZ

log = logging.getLogger(__name__)

LOOP_S = 30

_NAMESPACE = UUID("5b0c6f0e-6a0f-5d2b-9a41-2f6b6b1d7c11")
_RATE_HZ = 16000  # at which they are made
_COUNT = LOOP_S * _RATE_HZ
_LOUDNESS = 0.1  # root mean square, of full scale: 20 dB below it
_PEAK = 0.9
_EDITION = 1  # part of the file name in a cache folder: raise it when a sound changes

_Wave = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Sound:
    """A background sound to choose. `id` is the same in every installation, for ever."""

    id: UUID
    name: str
    description: str


def _sound(name: str, description: str) -> Sound:
    return Sound(uuid5(_NAMESPACE, name), name, description)


OFFICE = _sound("office", "An open-plan office: murmur, typing and the air conditioning.")
CAFE = _sound("cafe", "A café: many voices at once, cups and cutlery.")
RAIN = _sound("rain", "Steady rain on a window.")
SOUNDS: tuple[Sound, ...] = (OFFICE, CAFE, RAIN)


def load(sound_id: UUID | str, rate_hz: int, folder: Path | None = None) -> bytes:
    """The loop as mono pcm16 at `rate_hz`, 30 s long, kept in memory from then on.

    The first time in a process takes up to a second of computing, or a read where `folder`
    has it from an earlier time: call it in a thread. Raises `LookupError` for an unknown
    sound and `ValueError` for a rate that `AudioFormat` does not know.
    """
    known = {sound.id: sound for sound in SOUNDS}
    try:
        sound = known[sound_id if isinstance(sound_id, UUID) else UUID(sound_id)]
    except (KeyError, ValueError):
        raise LookupError(f"unknown background sound {sound_id}") from None
    if rate_hz not in RATES_HZ:
        raise ValueError(f"unsupported sample rate {rate_hz} Hz")
    with _lock:  # many calls may begin at once, and one of them does the work
        return _loaded(sound, rate_hz, folder)


_lock = threading.Lock()


@lru_cache(maxsize=32)
def _loaded(sound: Sound, rate_hz: int, folder: Path | None) -> bytes:
    if folder is None:
        return _made(sound, rate_hz)
    path = folder / f"{sound.name}-{_EDITION}-{rate_hz}.pcm"
    try:
        stored = path.read_bytes()
        if len(stored) == LOOP_S * rate_hz * 2:
            return stored
        log.warning("%s has %d bytes and is made anew", path, len(stored))
    except FileNotFoundError:
        pass
    except OSError as error:
        log.warning("%s cannot be read and is made anew: %s", path, error)
    pcm16 = _made(sound, rate_hz)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        part.write_bytes(pcm16)
        part.replace(path)
    except OSError as error:
        log.warning("%s cannot be kept for the next start: %s", path, error)
        with suppress(OSError):
            part.unlink(missing_ok=True)
    return pcm16


def _made(sound: Sound, rate_hz: int) -> bytes:
    make: dict[UUID, Callable[[np.random.Generator], _Wave]] = {
        OFFICE.id: _office,
        CAFE.id: _cafe,
        RAIN.id: _rain,
    }
    random = np.random.default_rng(sound.id.int & 0xFFFF_FFFF)
    wave = _level(_at_rate(make[sound.id](random), rate_hz), _LOUDNESS)
    # Rare peaks are bent rather than the whole loop made quieter for their sake.
    wave = _PEAK * np.tanh(wave / _PEAK)
    return np.rint(wave * 32767).astype("<i2").tobytes()


def _office(random: np.random.Generator) -> _Wave:
    air = _noise(random, 60, 500) + 0.3 * _noise(random, 500, 3000)
    murmur = _crowd(random, 5)
    keys = np.zeros(_COUNT)
    for _ in range(12):  # bursts of typing
        at, loud = random.uniform(0, LOOP_S), random.uniform(0.3, 1.0)
        for _ in range(int(random.integers(6, 30))):
            at += random.uniform(0.07, 0.22)
            _ring(
                keys, at, random.uniform(1500, 4500), 0.006, loud * random.uniform(0.5, 1), random
            )
    return _level(air, 0.5) + _level(murmur, 0.35) + 1.6 * keys


def _cafe(random: np.random.Generator) -> _Wave:
    room = _noise(random, 80, 1200) + 0.2 * _noise(random, 1200, 5000)
    babble = _crowd(random, 8)
    clinks = np.zeros(_COUNT)
    for _ in range(22):
        at, pitch = random.uniform(0, LOOP_S), random.uniform(2200, 3600)
        for partial in (1.0, 1.53, 2.02):  # inharmonic, as of a struck cup
            loud = random.uniform(0.2, 0.6) / partial
            _ring(clinks, at, pitch * partial, 0.05 / partial, loud)
    return _level(room, 0.25) + _level(babble, 0.8) + 1.2 * clinks


def _rain(random: np.random.Generator) -> _Wave:
    swell = 1 + 0.15 * _level(_noise(random, 0.03, 0.3), 1.0)
    fall = _noise(random, 400, 7000) + 0.5 * _noise(random, 80, 400)
    drops = np.zeros(_COUNT)
    for _ in range(350):
        pitch, loud = random.uniform(900, 3500), random.uniform(0.05, 0.6) ** 2
        _ring(drops, random.uniform(0, LOOP_S), pitch, 0.008, loud, random)
    return _level(fall, 0.6) * swell + 2.0 * drops


def _crowd(random: np.random.Generator, voices: int) -> _Wave:
    crowd = np.zeros(_COUNT)
    for _ in range(voices):
        crowd += _voice(random)
    return crowd


def _voice(random: np.random.Generator) -> _Wave:
    """Somebody far away whose words are not to be understood: buzz and breath in the band of
    speech, in syllables of about four a second, with pauses."""
    pitch = random.uniform(90, 230) * 2 ** (0.15 * _level(_noise(random, 0.2, 3), 1.0))
    phase = np.cumsum(pitch) / _RATE_HZ
    phase *= round(phase[-1]) / phase[-1]  # a whole number of periods, to meet itself
    buzz = 2 * ((phase + random.uniform()) % 1.0) - 1
    centre = random.uniform(350, 900)
    spectrum = np.fft.rfft(buzz + 0.3 * random.standard_normal(_COUNT))
    spectrum *= _band(centre * 0.6, centre * 1.6) + 0.25 * _band(1200, 2600)
    syllables = np.clip(_level(_noise(random, 1, 6), 1.0), 0, None)
    phrases = np.clip(_level(_noise(random, 0.05, 0.5), 1.0) + 0.3, 0, 1)
    voice: _Wave = np.fft.irfft(spectrum, _COUNT) * syllables * phrases
    return _level(voice, random.uniform(0.4, 1.0))


def _noise(random: np.random.Generator, low_hz: float, high_hz: float) -> _Wave:
    """Periodic noise between two frequencies."""
    low, high = max(1, int(low_hz * LOOP_S)), min(_COUNT // 2, int(high_hz * LOOP_S) + 1)
    spectrum = np.zeros(_COUNT // 2 + 1, np.complex128)
    parts = random.standard_normal((2, high - low))
    spectrum[low:high] = parts[0] + 1j * parts[1]
    # Falls with frequency as sounds of rooms and weather do.
    spectrum[low:high] /= np.sqrt(np.arange(low, high))
    return np.fft.irfft(spectrum, _COUNT)


def _band(low_hz: float, high_hz: float) -> _Wave:
    """How much of each frequency of the loop is let through, with soft edges."""
    octaves = np.log2(np.maximum(np.fft.rfftfreq(_COUNT, 1 / _RATE_HZ), 1.0))
    middle, width = np.log2(low_hz * high_hz) / 2, np.log2(high_hz / low_hz) / 2
    return np.exp(-0.5 * np.square((octaves - middle) / width))


def _ring(
    wave: _Wave,
    at_s: float,
    pitch_hz: float,
    decay_s: float,
    loud: float,
    noise: np.random.Generator | None = None,
) -> None:
    """Add something struck: a tone that dies away, rough where `noise` is given."""
    t = np.arange(int(8 * decay_s * _RATE_HZ)) / _RATE_HZ
    tone = np.sin(2 * np.pi * pitch_hz * t)
    if noise is not None:
        tone += noise.standard_normal(len(t))
    where = (int(at_s * _RATE_HZ) + np.arange(len(t))) % _COUNT
    wave[where] += loud * np.exp(-t / decay_s) * tone


def _level(wave: _Wave, loud: float) -> _Wave:
    return wave * (loud / np.sqrt(np.mean(np.square(wave))))


def _at_rate(wave: _Wave, rate_hz: int) -> _Wave:
    """The loop as a loop at another rate, without its mean."""
    count = LOOP_S * rate_hz
    spectrum = np.fft.rfft(wave)
    kept = spectrum[: count // 2 + 1].copy()
    kept[0] = 0
    if len(kept) < len(spectrum):
        kept[-1] = 0  # half of what was there belongs to a frequency that is gone
    return np.fft.irfft(kept, count) * (count / len(wave))
