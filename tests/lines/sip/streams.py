"""A stream without sockets and with a clock that is turned by hand, for tests of sound."""

from __future__ import annotations

import numpy as np

from chorus.audio import codec as samples
from chorus.lines.sip.media.stream import MediaStream
from chorus.lines.sip.negotiate import Agreed
from chorus.lines.sip.sdp import Format

PCMU = Format(0, "PCMU", 8000)
G722 = Format(9, "G722", 8000)
THERE = ("192.0.2.2", 5000)


def agreed(codec: Format = PCMU, direction: str = "sendrecv", **more: object) -> Agreed:
    values = {
        "codec": codec, "events": 101, "host": THERE[0], "port": THERE[1],
        "rtcp_port": THERE[1] + 1, "direction": direction, "ptime_ms": 20,
    }  # fmt: skip
    return Agreed(**{**values, **more})  # type: ignore[arg-type]


class End:
    """A stream, what it sent, and what it heard."""

    def __init__(self, both: Agreed | None = None) -> None:
        self.sent: list[bytes] = []
        self.reports: list[bytes] = []
        self.heard: list[tuple[bytes, float]] = []
        self.keys: list[str] = []
        self.wall_s = 1_700_000_000.0
        self.stream = MediaStream(
            lambda data, place: self.sent.append(data),
            lambda data, place: self.reports.append(data),
            lambda audio, at_ms: self.heard.append((audio, at_ms)),
            self.keys.append,
            lambda: self.wall_s,
        )
        self.stream.agree(both or agreed(), THERE[0])

    def run(self, seconds: float, at_s: float = 0.0) -> float:
        for _ in range(round(seconds / 0.02)):
            self.stream.tick(at_s)
            at_s += 0.02
        return at_s

    def take(self, packets: list[bytes], at_s: float = 0.0, step_s: float = 0.02) -> float:
        for packet in packets:
            self.stream.received(packet, THERE, at_s)
            at_s += step_s
        return at_s

    @property
    def audio(self) -> bytes:
        return b"".join(audio for audio, _ in self.heard)


def voice(ms: int = 1000, rate_hz: int = 8000) -> bytes:
    at = np.arange(ms * rate_hz // 1000) / rate_hz
    wave = 8000 * np.sin(2 * np.pi * 200 * at) * (1 + 0.3 * np.sin(2 * np.pi * 3 * at))
    return wave.astype("<i2").tobytes()


def spoken(codec: Format = PCMU, ms: int = 1000) -> list[bytes]:
    end = End(agreed(codec))
    format = end.stream.format
    end.stream.play(samples.encode(format, voice(ms, format.rate_hz)))
    end.run(ms / 1000)
    return end.sent
