"""The music that a caller on hold hears where none was chosen: slow chords, made of arithmetic.

Four chords of four seconds each, plucked softly and left to ring. It is the same on every machine,
nobody's work but this file's, and ends as it begins, so that it can be played for ever.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

CHORD_S = 4.0
NOTE_S = 0.5
_LEVEL = 0.12  # of full scale, root mean square: as loud as a quiet voice
# C, A minor, F, G, as notes of the piano (60 is the middle C); all within what a telephone carries.
_CHORDS = ((60, 64, 67, 72), (57, 64, 69, 72), (65, 69, 72, 77), (62, 67, 71, 74))
_ORDER = (0, 1, 2, 3, 2, 1, 2, 3)  # of a chord's notes, two a second


@lru_cache(maxsize=4)
def piece(rate_hz: int) -> bytes:
    """16 s of mono pcm16, kept from then on. The first time takes some 50 ms: call it in a
    thread."""
    count = round(CHORD_S * rate_hz) * len(_CHORDS)
    sound = np.zeros(count)
    for index, chord in enumerate(_CHORDS):
        for beat, which in enumerate(_ORDER):
            start = round((index * CHORD_S + beat * NOTE_S) * rate_hz)
            note = _note(440.0 * 2 ** ((chord[which] - 69) / 12), rate_hz)
            # What rings beyond the end goes on at the beginning.
            at = (start + np.arange(len(note))) % count
            np.add.at(sound, at, note)
    sound *= _LEVEL / np.sqrt(np.mean(sound**2))
    return (np.clip(sound, -1, 1) * 32767).astype("<i2").tobytes()


def _note(hz: float, rate_hz: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    at = np.arange(round(2.0 * rate_hz)) / rate_hz
    wave = np.sin(2 * np.pi * hz * at) + 0.3 * np.sin(4 * np.pi * hz * at)
    rise = np.minimum(at / 0.02, 1.0)
    return wave * rise * np.exp(-2.2 * at)
