"""What telemetry costs a call while nothing is exported: `python -m bench.telemetry_cost`.

Processor time of what a turn tells of itself: its happenings to `CallWatch`, and a span each around
a request to a model, a reply at a voice and a tool. The metrics of `/metrics` are counted all the
same; "spans" is what would not be there without OpenTelemetry.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from statistics import median

from chorus.talk.timeline import STAGES, Happening
from chorus.telemetry.instruments import Metrics
from chorus.telemetry.spans import current, span, tool_span
from chorus.telemetry.watch import CallWatch

ROUNDS, TURNS = 9, 2000
TURN_S = 6.0
"""How often a caller takes a turn in the load tests, about."""

_LATENCY = {
    "turn": 1,
    "speechEndedAtMs": 1000,
    **{f"{stage}Ms": 100 * (place + 1) for place, stage in enumerate(STAGES)},
}
_USAGE = {
    "inputTokens": 900,
    "outputTokens": 40,
    "model": "openai/gpt-4.1",
    "characters": 120,
    "voice": "cartesia/anna",
}
TURN = (
    Happening(900, "speech_started", {"turn": 1, "onsetMs": 880}),
    Happening(1200, "turn_committed", {"turn": 1}),
    Happening(1500, "turn_latency", _LATENCY),
    Happening(4000, "usage", _USAGE),
    Happening(4000, "tool_result", {"turn": 1, "elapsedMs": 80, "ok": True}),
    Happening(4000, "reply_heard", {"turn": 1}),
)


def told(watch: CallWatch) -> None:
    for happening in TURN:
        watch.told(happening)


def spans(_: CallWatch) -> None:
    with span("chat openai/gpt-4.1", "client"):
        pass
    with span("speak cartesia/anna", "client"):
        pass
    with tool_span("book_table", "call_1"):
        pass


def cpu_us(turn: Callable[[CallWatch], None], watch: CallWatch) -> float:
    """Of one turn, the median of the rounds."""
    found: list[float] = []
    for _ in range(ROUNDS):
        began = time.process_time()
        for _ in range(TURNS):
            turn(watch)
        found.append((time.process_time() - began) / TURNS * 1e6)
    return median(found)


def main() -> None:
    watch = CallWatch(Metrics(None), "inbound", None)
    current.set(watch)
    counted, traced = cpu_us(told, watch), cpu_us(spans, watch)
    for name, cost in (("metrics", counted), ("spans", traced)):
        share = cost / 1e6 / TURN_S * 100
        print(f"{name}: {cost:.1f} us a turn, {100 * share:.4f} % of a core for 100 calls")
    exporting = sorted(name for name in sys.modules if name.startswith("opentelemetry.sdk"))
    print(f"modules of OpenTelemetry's SDK that are loaded: {len(exporting)}")


if __name__ == "__main__":
    main()
