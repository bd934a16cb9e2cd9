"""How a call's sound arrived, as its record tells it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Quality:
    """How the call arrived, for its record. `loss` of 1; `remote_*` is what the other side
    reports of our stream."""

    packets_received: int
    packets_sent: int
    loss: float
    late: int
    concealed_ms: float
    jitter_ms: float
    round_trip_ms: float | None
    remote_loss: float
    remote_jitter_ms: float
    refused: int
    mos: float
    codec: str
    encrypted: bool

    @property
    def told(self) -> dict[str, Any]:
        """By the API's names."""
        return {
            "codec": self.codec,
            "encrypted": self.encrypted,
            "packetsReceived": self.packets_received,
            "packetsSent": self.packets_sent,
            "loss": self.loss,
            "latePackets": self.late,
            "concealedMs": self.concealed_ms,
            "jitterMs": self.jitter_ms,
            "roundTripMs": self.round_trip_ms,
            "remoteLoss": self.remote_loss,
            "remoteJitterMs": self.remote_jitter_ms,
            "packetsRefused": self.refused,
            "mos": self.mos,
        }
