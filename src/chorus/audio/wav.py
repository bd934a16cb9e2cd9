"""WAV files in memory: the header of one to be sent, and one that arrives in pieces."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from chorus.audio.frame import AudioFormat

if TYPE_CHECKING:
    from chorus.audio.resample import Converter

_MOST_HEADER = 4096


def wav_file(pcm16: bytes, rate_hz: int) -> bytes:
    """Mono."""
    head = struct.pack(
        "<4sI4s4sIHHIIHH4sI",
        *(b"RIFF", 36 + len(pcm16), b"WAVE", b"fmt ", 16, 1, 1),
        *(rate_hz, rate_hz * 2, 2, 16, b"data", len(pcm16)),
    )
    return head + pcm16


class WavReader:
    """Samples in `to` of a mono WAV file of 16 bits whose pieces are given in order. What it says
    of its own length is not believed: a file that is sent as it is made cannot know it. Raises
    `ValueError` for anything else."""

    def __init__(self, to: AudioFormat) -> None:
        self._to = to
        self._head = b""
        self._converter: Converter | None = None
        self._begun = False

    def __call__(self, piece: bytes) -> bytes:
        if not self._begun:
            self._head += piece
            if (begin := self._parse()) is None:
                if len(self._head) > _MOST_HEADER:
                    raise ValueError("the header of the WAV file does not end")
                return b""
            self._begun = True
            piece, self._head = self._head[begin:], b""
        return self._converter.feed(piece) if self._converter else piece

    def _parse(self) -> int | None:
        """Where the samples begin; None while that has not come."""
        head = self._head
        if len(head) < 12:
            return None
        if head[:4] != b"RIFF" or head[8:12] != b"WAVE":
            raise ValueError("it is no WAV file")
        at = 12
        while len(head) >= at + 8:
            kind, size = struct.unpack_from("<4sI", head, at)
            if kind == b"data":
                return at + 8
            if kind == b"fmt ":
                if len(head) < at + 24:
                    return None
                code, channels, rate_hz = struct.unpack_from("<HHI", head, at + 8)
                (bits,) = struct.unpack_from("<H", head, at + 22)
                if (channels, bits) != (1, 16) or code not in (1, 0xFFFE):
                    raise ValueError("the WAV file is not mono of 16 bits")
                own = AudioFormat("pcm16", rate_hz)
                if own != self._to:
                    # Here: the settings know of `wav_file`, and `chorus --help` reads no numpy.
                    from chorus.audio.resample import Converter

                    self._converter = Converter(own, self._to)
            at += 8 + size + size % 2
        return None
