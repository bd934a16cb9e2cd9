"""The timeline of a call: what happened, when, and how long each stage of a turn took.

`Happening` is one event, with milliseconds since the call was answered. A `TurnClock` is
started for every turn and told as the turn moves from the caller's last sound to the agent's
first; as soon as the caller hears the reply it becomes one happening of kind `turn_latency`, each
stage in milliseconds after the person fell silent, which is not when the detector noticed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
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


def note_hedged(
    note: Callable[..., None], stage: str, vendor: str, by: str, waited_ms: float
) -> None:
    """`vendor` was slower than usual, and `by` was asked beside it."""
    note("engine_hedged", vendor=vendor, stage=stage, by=by, waitedMs=round(waited_ms))


def note_lost(
    note: Callable[..., None],
    *,
    model: str = "",
    voice: str = "",
    input_tokens: int = 0,
    characters: int = 0,
) -> None:
    """What an engine was asked beside or before the one that answered: it is paid for all the
    same. It was stopped before it could say how much, so that is estimated."""
    note(
        "usage",
        model=model,
        voice=voice,
        inputTokens=input_tokens,
        outputTokens=0,
        characters=characters,
        discarded=True,
        estimated=True,
    )


class TurnClock:
    """When one turn reached each stage, in call milliseconds.

    `words`: the transcriber's final words; `verdict`: the end-of-turn model's last answer;
    `committed`: the turn was declared over; `token` and `audio`: the first of the reply that was
    used (a draft's may lie before `committed`); `sent`: the first audio is due to sound.
    """

    __slots__ = ("_at", "_detected_ms", "ended_ms", "turn")

    def __init__(self, turn: int) -> None:
        self.turn = turn
        self.ended_ms: float | None = None
        self._detected_ms = 0.0
        self._at: dict[Stage, float] = {}

    def judged(self, at_ms: float) -> None:
        """The last verdict before the commit counts; one that comes later came too late."""
        if "committed" not in self._at:
            self._at["verdict"] = at_ms

    def committed(
        self, ended_ms: float, detected_ms: float, words_ms: float | None, at_ms: float
    ) -> None:
        """The turn is over; the person fell silent at `ended_ms`, and to the detector at
        `detected_ms`."""
        self.ended_ms = ended_ms
        self._detected_ms = detected_ms
        self._at["committed"] = at_ms
        if words_ms is not None:
            self._at["words"] = words_ms

    def sent(self, reached: Mapping[Stage, float], at_ms: float) -> dict[str, int | None]:
        """The reply sounds. `{"turn", "speechEndedAtMs", "detectorMs", "<stage>Ms": …}`, each
        after the end of speech; what came before it (words, of a caller who trails off) is 0,
        what never came is null."""
        at = {**self._at, **reached, "sent": at_ms}
        ended_ms = at_ms if self.ended_ms is None else self.ended_ms
        data: dict[str, int | None] = {
            "turn": self.turn,
            "speechEndedAtMs": round(ended_ms),
            "detectorMs": max(0, round(self._detected_ms - ended_ms)),
        }
        for stage in STAGES:
            reached_ms = at.get(stage)
            data[f"{stage}Ms"] = (
                None if reached_ms is None else max(0, round(reached_ms - ended_ms))
            )
        return data


class Latencies:
    """The clocks of the turns that are not answered yet; a call has one or two at a time."""

    def __init__(self) -> None:
        self._clocks: dict[int, TurnClock] = {}
        self._words_ms: float | None = None
        self._sent: int | None = None
        self._on_its_way: dict[str, int | None] | None = None
        self._spoiled = 0  # no turn up to this one is counted

    def opened(self, turn: int) -> None:
        """A new turn, or one that was taken back and goes on."""
        self._clocks[turn] = TurnClock(turn)

    def words(self, at_ms: float) -> None:
        """Final words, of whichever turn is committed next: they may be what opens it."""
        self._words_ms = at_ms

    def judged(self, turn: int, at_ms: float) -> None:
        clock = self._clocks.get(turn)
        if clock is not None:
            clock.judged(at_ms)

    def committed(self, turn: int, ended_ms: float, detected_ms: float, at_ms: float) -> None:
        clock = self._clocks.setdefault(turn, TurnClock(turn))
        clock.committed(ended_ms, detected_ms, self._words_ms, at_ms)
        self._words_ms = None

    def dropped(self, turn: int) -> None:
        self._clocks.pop(turn, None)
        self._words_ms = None

    def sent(self, turn: int | None, reached: Mapping[Stage, float], at_ms: float) -> None:
        """The reply to `turn` is on its way; the clocks of it and those before it are forgotten.
        None: it answers nobody. Once a turn; later ones change nothing."""
        if turn is None or (turn == self._sent and turn not in self._clocks):
            return
        self._sent = turn
        latency = self._clocks.get(turn, TurnClock(turn)).sent(reached, at_ms)
        self._on_its_way = None if turn <= self._spoiled else latency
        for over in [t for t in self._clocks if t <= turn]:
            del self._clocks[over]

    def spoil(self) -> None:
        """The line was held: how long the turns that are not answered yet take says nothing."""
        self._on_its_way = None
        self._spoiled = max(self._clocks, default=self._spoiled)

    def take(self) -> dict[str, int | None] | None:
        """The latency of the reply that is on its way, once."""
        latency, self._on_its_way = self._on_its_way, None
        return latency
