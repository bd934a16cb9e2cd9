"""The timeline of a call: what happened, when, and how long each stage of a turn took.

`Happening` is one event, with milliseconds since the call was answered. `TurnLatency` is filled
in as a turn moves from the caller's last sound to the agent's first, and becomes one happening
of kind `turn_latency`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Happening:
    """`kind` is snake_case; `data` is JSON-ready and holds no secrets."""

    at_ms: int
    kind: str
    data: Mapping[str, Any] = field(default_factory=dict[str, Any])
