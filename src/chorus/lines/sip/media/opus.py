"""Opus at 16 kHz inside (RFC 6716, RFC 7587), by libopus of the extra `sip`.

Its RTP clock is 48000 Hz whatever is inside. What the other side's `fmtp` asks of our stream is
kept: no redundancy where it takes none, a constant or a lower bitrate. A lost frame is taken from
the redundancy in the packet after it (in-band FEC), where there is some, and is continued by
the decoder where not. We send through pauses: firewalls forget a stream that stops, and telephones
cut the beginnings of words off.
"""

from __future__ import annotations

from typing import Any

from chorus.audio.frame import PCM_16K

BITRATE = 24_000
"""Wideband speech with redundancy (RFC 7587 §3.1.1 names 16 to 20 kbit/s without)."""
LEAST_BITRATE = 6000
COMPLEXITY = 5
"""Of 10; what it costs: docs/performance.md."""
LEAST_LOSS_PERCENT = 5
"""What the encoder reckons with while no loss is reported: from here on it sends redundancy."""
_MOST_MS = 120  # the longest packet (RFC 6716 §3.2.5)
_RATE_HZ = PCM_16K.rate_hz
_STEP = _RATE_HZ * 5 // 2000  # 2.5 ms, which all durations are multiples of


class Opus:
    """Both directions, each with its own state. `fmtp` is the other side's. Raises `ImportError`
    without the package or the library."""

    clock_hz = 48_000
    format = PCM_16K

    def __init__(self, fmtp: str = "") -> None:
        try:
            import opuslib_next
        except ImportError:
            raise
        except Exception as failure:  # the package raises a plain one where libopus is missing
            raise ImportError(str(failure)) from failure
        library: Any = opuslib_next
        wishes = _parameters(fmtp)
        self._error: type[Exception] = library.OpusError
        self._decoder: Any = library.Decoder(_RATE_HZ, 1)
        self._encoder: Any = library.Encoder(_RATE_HZ, 1, "voip")
        self._encoder.complexity = COMPLEXITY
        most = _number(wishes.get("maxaveragebitrate", ""), BITRATE)
        self._encoder.bitrate = max(min(most, BITRATE), LEAST_BITRATE)
        self._encoder.vbr = int(wishes.get("cbr") != "1")
        self._redundant = wishes.get("useinbandfec") == "1"
        self._encoder.inband_fec = int(self._redundant)
        self._encoder.packet_loss_perc = LEAST_LOSS_PERCENT

    def decode(self, payload: bytes) -> bytes:
        """Empty for what is no Opus."""
        return self._decode(payload, _RATE_HZ * _MOST_MS // 1000, redundant=False)

    def encode(self, audio: bytes) -> bytes:
        """One packet; `audio` lasts 10, 20, 40 or 60 ms."""
        return self._encoder.encode(audio, len(audio) // 2)

    def recover(self, payload: bytes, ms: float) -> bytes:
        """The `ms` that are missing before `payload`, which is decoded after this."""
        samples = int(ms * _RATE_HZ / 1000) // _STEP * _STEP
        return self._decode(payload, samples, redundant=True) if samples else b""

    def suffers(self, loss: float) -> None:
        """What share of our packets the other side reports as lost, 0 to 1."""
        if self._redundant:
            percent = min(round(loss * 100), 30)
            self._encoder.packet_loss_perc = max(percent, LEAST_LOSS_PERCENT)

    def _decode(self, payload: bytes, samples: int, *, redundant: bool) -> bytes:
        try:
            return self._decoder.decode(payload, samples, redundant)
        except self._error:
            return b""


def _parameters(fmtp: str) -> dict[str, str]:
    """`a=1; b=2`, names in lower case. What cannot be read is left out."""
    pairs = (each.partition("=") for each in fmtp.split(";")[:32])
    return {name.strip().lower(): value.strip() for name, _, value in pairs}


def _number(text: str, otherwise: int) -> int:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 9 else otherwise
