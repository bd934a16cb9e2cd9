"""G.711 to linear samples and back, and how loud linear samples are.

The work is done by `audioop`, in C, in about a microsecond a frame (a numpy table takes
ten). It was in the standard library until Python 3.12 and is the package audioop-lts from
3.13 on, under the same name; this is the one place that imports it.
"""

from __future__ import annotations

import warnings

from chorus.audio.frame import AudioFormat

with warnings.catch_warnings():
    # Deprecated in 3.11 and 3.12 because 3.13 drops it, which audioop-lts makes good.
    warnings.filterwarnings("ignore", message="'audioop' is deprecated")
    import audioop

__all__ = ["decode", "encode", "mixed", "peak", "rms", "scaled"]


def decode(format: AudioFormat, audio: bytes) -> bytes:
    """`audio` in `format` as pcm16 at the same rate. ITU-T G.711, tables 1a and 2a."""
    if format.encoding == "mulaw":
        return audioop.ulaw2lin(audio, 2)
    if format.encoding == "alaw":
        return audioop.alaw2lin(audio, 2)
    return audio


def encode(format: AudioFormat, pcm16: bytes) -> bytes:
    """`pcm16` in `format` at the same rate. `ValueError` for half a sample at the end."""
    _whole(pcm16)
    if format.encoding == "mulaw":
        return audioop.lin2ulaw(pcm16, 2)
    if format.encoding == "alaw":
        return audioop.lin2alaw(pcm16, 2)
    return pcm16


def rms(pcm16: bytes) -> int:
    """Root of the mean square, 0..32768; 0 for nothing. `ValueError` for half a sample."""
    _whole(pcm16)
    return audioop.rms(pcm16, 2)


def peak(pcm16: bytes) -> int:
    """The largest magnitude, 0..32768; 0 for nothing. `ValueError` for half a sample."""
    _whole(pcm16)
    return audioop.max(pcm16, 2)


def scaled(pcm16: bytes, factor: float) -> bytes:
    """Louder or quieter; what would overflow is clipped. `ValueError` for half a sample."""
    _whole(pcm16)
    return audioop.mul(pcm16, 2, factor)


def mixed(one: bytes, other: bytes) -> bytes:
    """The sum of two pcm16 of the same length, clipped. `ValueError` if they do not match."""
    _whole(one)
    if len(one) != len(other):
        raise ValueError(f"cannot mix {len(one)} bytes with {len(other)}")
    return audioop.add(one, other, 2)


def _whole(pcm16: bytes) -> None:
    if len(pcm16) & 1:
        raise ValueError(f"pcm16 of {len(pcm16)} bytes ends in half a sample")
