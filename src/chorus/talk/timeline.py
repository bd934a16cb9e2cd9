"""The timeline of a call: what happened, when, and how long each stage of a turn took.

`Happening` is one event, with milliseconds since the call was answered. A `TurnClock` is
started for every turn and stamped as the turn moves from the caller's last sound to the
agent's first; when the first audio has been handed to the line it becomes one happening of
kind `turn_latency`, each stage in milliseconds after the end of the caller's speech.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Stage = Literal["words", "verdict", "committed", "token", "audio", "sent"]

STAGES: tuple[Stage, ...] = ("words", "verdict", "committed", "token", "audio", "sent")


@dataclass(frozen=True, slots=True)
class Happening:
    """`kind` is snake_case; `data` is JSON-ready and holds no secrets."""

    at_ms: int
    kind: str
    data: Mapping[str, Any] = field(default_factory=dict[str, Any])


class TurnClock:
    """When one turn reached each stage, in call milliseconds.

    `words`: the transcriber's final words; `verdict`: the end-of-turn model's yes; `committed`:
    the turn was declared over; `token` and `audio`: the first of the reply that was used (a
    draft's may lie before `committed`); `sent`: first audio handed to the line.
    """

    __slots__ = ("_at", "ended_ms", "turn")

    def __init__(self, turn: int) -> None:
        self.turn = turn
        self.ended_ms: float | None = None
        self._at: dict[Stage, float] = {}

    def speech_ended(self, at_ms: float) -> None:
        """The caller went silent at `at_ms`; what was stamped for an earlier pause is void."""
        self.ended_ms = at_ms
        self._at.clear()

    def stamp(self, stage: Stage, at_ms: float) -> None:
        """The latest `words`, `verdict` and `committed` count; of the reply, the first."""
        if stage in ("token", "audio", "sent"):
            self._at.setdefault(stage, at_ms)
        else:
            self._at[stage] = at_ms

    def as_data(self) -> dict[str, Any]:
        """`{"turn", "speechEndedAtMs", "<stage>Ms": …}`; a stage not reached is null."""
        ended = self.ended_ms
        data: dict[str, Any] = {
            "turn": self.turn,
            "speechEndedAtMs": None if ended is None else round(ended),
        }
        for stage in STAGES:
            at = self._at.get(stage)
            known = at is not None and ended is not None
            data[f"{stage}Ms"] = round(at - ended) if known else None  # type: ignore[operator] # both known
        return data


class Latencies:
    """The clocks of the turns under way; a call has one or two at a time."""

    def __init__(self) -> None:
        self._clocks: dict[int, TurnClock] = {}

    def of(self, turn: int) -> TurnClock:
        return self._clocks.setdefault(turn, TurnClock(turn))

    def words_final(self, turn: int, at_ms: float) -> None:
        """Final words count for a turn whose speech has ended; earlier ones were for a pause."""
        clock = self._clocks.get(turn)
        if clock is not None and clock.ended_ms is not None:
            clock.stamp("words", at_ms)

    def sent(self, turn: int, reached: Mapping[Stage, float], at_ms: float) -> Mapping[str, Any]:
        """The reply to `turn` sounds: its latency, and no clock is kept any longer."""
        clock = self.of(turn)
        for stage, reached_ms in reached.items():
            clock.stamp(stage, reached_ms)
        clock.stamp("sent", at_ms)
        for over in [t for t in self._clocks if t <= turn]:
            del self._clocks[over]
        return clock.as_data()
