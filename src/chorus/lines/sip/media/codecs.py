"""The codecs of a stream: payloads to audio in a line's format and back.

G.711 is passed through as it is, since lines carry it; G.722 is 16 kHz inside, by the extra `sip`.
"""

from __future__ import annotations

from array import array
from typing import Any, Protocol

from chorus.audio.frame import ALAW_8K, MULAW_8K, PCM_16K, AudioFormat
from chorus.lines.sip.sdp import Format


class Codec(Protocol):
    """One direction pair with its own state. `clock_hz` is that of the timestamps."""

    @property
    def format(self) -> AudioFormat: ...

    @property
    def clock_hz(self) -> int: ...

    def decode(self, payload: bytes) -> bytes: ...

    def encode(self, audio: bytes) -> bytes: ...


class G711:
    clock_hz = 8000

    def __init__(self, format: AudioFormat) -> None:
        self.format = format

    def decode(self, payload: bytes) -> bytes:
        return payload

    def encode(self, audio: bytes) -> bytes:
        return audio


class Wideband:
    """G.722 at 64 kbit/s. Its clock is 8000 Hz by an old mistake (RFC 3551 §4.5.2)."""

    clock_hz = 8000
    format = PCM_16K

    def __init__(self) -> None:
        import G722  # pyright: ignore[reportMissingModuleSource]

        module: Any = G722
        self._encoder: Any = module.G722(16000, 64000)
        self._decoder: Any = module.G722(16000, 64000)

    def decode(self, payload: bytes) -> bytes:
        samples: array[int] = self._decoder.decode(payload)
        return samples.tobytes()

    def encode(self, audio: bytes) -> bytes:
        return bytes(self._encoder.encode(array("h", audio)))


def open_codec(format: Format) -> Codec:
    """Raises `LookupError` for a codec that is not known or not installed."""
    name = format.name.upper()
    if name == "PCMU":
        return G711(MULAW_8K)
    if name == "PCMA":
        return G711(ALAW_8K)
    if name == "G722":
        try:
            return Wideband()
        except ImportError:
            raise LookupError("G.722 is not installed: the extra 'sip'") from None
    raise LookupError(f"the codec {name} is not known")


def usable(names: tuple[str, ...]) -> tuple[str, ...]:
    """Those of `names` that can be opened here."""
    found: list[str] = []
    for name in names:
        try:
            open_codec(Format(0, name, 8000))
        except LookupError:
            continue
        found.append(name)
    return tuple(found)
