"""What a load run counts, and how it is summed up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

LATE_ANSWER_S = 1.0
"""A caller who waits longer begins to wonder whether anybody is there."""


def percentile(values: Sequence[float], p: float) -> float | None:
    """Linear between neighbours; None of nothing."""
    if not values:
        return None
    ordered = sorted(values)
    position = (len(ordered) - 1) * p / 100
    low = int(position)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (position - low)


def ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 1)


def spread_ms(values: Sequence[float]) -> dict[str, float | int | None]:
    """Seconds in, milliseconds out."""
    return {
        "n": len(values),
        "min": ms(min(values, default=None)),
        "p50": ms(percentile(values, 50)),
        "p95": ms(percentile(values, 95)),
        "p99": ms(percentile(values, 99)),
        "max": ms(max(values, default=None)),
    }


@dataclass(slots=True)
class Tally:
    """Shared by all calls of a run. Only what happens while `measuring` is counted, but for
    `disconnects`, which are never right."""

    measuring: bool = False
    stopping: bool = False
    turns: int = 0
    response_s: list[float] = field(default_factory=list[float])
    by_utterance: dict[str, list[float]] = field(default_factory=dict[str, list[float]])
    cut_ins_in: dict[str, int] = field(default_factory=dict[str, int])
    barge_in_s: list[float] = field(default_factory=list[float])
    unanswered: int = 0
    unheeded: int = 0
    disconnects: int = 0
    frames: int = 0
    late_20ms: int = 0
    late_60ms: int = 0
    longest_gap_s: float = 0.0
    messages: int = 0

    def answered(self, utterance: str, after_s: float) -> None:
        self.response_s.append(after_s)
        self.by_utterance.setdefault(utterance, []).append(after_s)

    def cut_in(self, utterance: str) -> None:
        """The agent began to speak in the middle of it."""
        self.cut_ins_in[utterance] = self.cut_ins_in.get(utterance, 0) + 1

    def audio_came(self, gap_s: float) -> None:
        """A frame inside a response; `gap_s` > 0 is how long the caller heard nothing."""
        self.frames += 1
        if gap_s > 0.020:
            self.late_20ms += 1
        if gap_s > 0.060:
            self.late_60ms += 1
        if gap_s > self.longest_gap_s:
            self.longest_gap_s = gap_s

    def summary(self) -> dict[str, Any]:
        return {
            "response_ms": spread_ms(self.response_s),
            "turns": self.turns,
            "late_answers": sum(s > LATE_ANSWER_S for s in self.response_s),
            "unanswered": self.unanswered,
            "cut_ins": sum(self.cut_ins_in.values()),
            "by_utterance": {
                name: {
                    "n": len(self.by_utterance.get(name, ())),
                    "p50": ms(percentile(self.by_utterance.get(name, ()), 50)),
                    "cut_ins": self.cut_ins_in.get(name, 0),
                }
                for name in sorted({*self.by_utterance, *self.cut_ins_in})
            },
            "barge_in_ms": spread_ms(self.barge_in_s),
            "barge_in_unheeded": self.unheeded,
            "frames": self.frames,
            "late_20ms": self.late_20ms,
            "late_60ms": self.late_60ms,
            "late_pct": round(100 * self.late_20ms / max(1, self.frames), 3),
            "longest_gap_ms": ms(self.longest_gap_s),
            "disconnects": self.disconnects,
        }
