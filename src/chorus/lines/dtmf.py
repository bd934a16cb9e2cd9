"""Keys of the telephone as sound: dual tones (ITU-T Q.23) for lines that carry only audio.

A key is 100 ms of its two tones and 100 ms of silence, at least the 65 ms and 65 ms that
ETSI ES 201 235-2 asks of a sender, each tone at about -10 dBm0, with 2 dB of twist.
"""

from __future__ import annotations

import numpy as np

from chorus.audio.codec import encode
from chorus.audio.frame import AudioFormat

KEYS = "123A456B789C*0#D"
LOW_HZ = (697, 770, 852, 941)
HIGH_HZ = (1209, 1336, 1477, 1633)
TONE_MS = 100
GAP_MS = 100
KEY_MS = 250
"""How long a carrier presses a key, or less."""
# A pause that a dial string may hold, as carriers write it: w is half a second, W a whole one.
PAUSES_MS = {"w": 500, "W": 1000}
# Of full scale: the louder, higher tone is 2 dB above the lower one (line loss grows with
# frequency), and both together stay clear of clipping.
LOW_LEVEL = 0.20
HIGH_LEVEL = 0.25


def check_digits(digits: str) -> None:
    """Raise `ValueError` unless every character is a key, `0`-`9`, `*`, `#`, `A`-`D`, or a pause,
    `w` or `W`."""
    for digit in digits:
        if digit not in KEYS and digit not in PAUSES_MS:
            raise ValueError(f"{digit!r} is no key of a telephone (0-9, *, #, A-D)")


def pressing_ms(digits: str) -> int:
    """How long it takes at most to press `digits`, whoever presses them."""
    return sum(PAUSES_MS.get(digit, KEY_MS + GAP_MS) for digit in digits)


def tones(digits: str, format: AudioFormat) -> bytes:
    """The sound of `digits` in `format`, with a silence after each key; `w` and `W` are pauses.

    Raises `ValueError` for any other character.
    """
    check_digits(digits)
    return b"".join(
        format.silence(PAUSES_MS[digit])
        if digit in PAUSES_MS
        else _key(digit, format) + format.silence(GAP_MS)
        for digit in digits
    )


def _key(digit: str, format: AudioFormat) -> bytes:
    row, column = divmod(KEYS.index(digit), 4)
    at = np.arange(TONE_MS * format.rate_hz // 1000) * (2 * np.pi / format.rate_hz)
    wave = LOW_LEVEL * np.sin(at * LOW_HZ[row]) + HIGH_LEVEL * np.sin(at * HIGH_HZ[column])
    pcm = (wave * 32767).astype("<i2").tobytes()
    return encode(format, pcm)
