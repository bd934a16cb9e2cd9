"""The codecs of a stream: payloads to audio in a line's format and back.

G.711 is passed through as it is, since lines carry it; G.722 and Opus are 16 kHz inside, by the
extra `sip`.
"""

from __future__ import annotations

from array import array
from typing import Any, Protocol

from chorus.audio.frame import ALAW_8K, MULAW_8K, PCM_16K, AudioFormat
from chorus.lines.sip.media.opus import Opus
from chorus.lines.sip.sdp import Format


class Codec(Protocol):
    """One direction pair with its own state. `clock_hz` is that of the timestamps."""

    @property
    def format(self) -> AudioFormat: ...

    @property
    def clock_hz(self) -> int: ...

    def decode(self, payload: bytes) -> bytes: ...

    def encode(self, audio: bytes) -> bytes: ...

    def recover(self, payload: bytes, ms: float) -> bytes:
        """What was lost in the `ms` before `payload`, in the codec's format; empty where the codec
        has no means of its own, and what was heard before has to be continued."""
        ...

    def suffers(self, loss: float) -> None:
        """Told with every report what share of our packets is lost, 0 to 1."""
        ...


class _Plain:
    """A codec whose packets know nothing of each other."""

    def recover(self, payload: bytes, ms: float) -> bytes:
        return b""

    def suffers(self, loss: float) -> None:
        """Every packet is the same whatever is lost."""


class G711(_Plain):
    clock_hz = 8000

    def __init__(self, format: AudioFormat) -> None:
        self.format = format

    def decode(self, payload: bytes) -> bytes:
        return payload

    def encode(self, audio: bytes) -> bytes:
        return audio


class Wideband(_Plain):
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
    if name == "OPUS":
        try:
            return Opus(format.fmtp)
        except ImportError as missing:
            raise LookupError(f"Opus is not installed: {missing}") from None
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
