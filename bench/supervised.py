"""`python -m bench.supervised`: what a call costs its caller while it is listened to.

The same call with nobody, one and five supervisors who hear both sides, on a virtual clock, in
turns. Stated are when each answer was sent and when the caller heard each frame of it, compared
with the call that nobody supervises, and the processor time of a second of call: that of the whole
process, with simulated vendors and without the models, which no supervisor touches.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time

from tests.fakes.llm import FakeModel
from tests.fakes.stage import Result, Stage, play

from chorus.audio.frame import PCM_16K
from chorus.lines.line import LineEnded, LineMove
from chorus.lines.loopback.line import pair

COUNTS = (0, 1, 5)
TURNS = 10
ANSWER = "All right, let me see about that. We are open every day from nine to half past six."

Moments = tuple[list[int], list[int]]


class Headset:
    """Somebody who listens, and does nothing with what they hear."""

    def __init__(self) -> None:
        self.frames = 0

    def line_audio(self, chunk: bytes, at_ms: float) -> None:
        self.frames += 1

    def line_digit(self, digit: str) -> None: ...

    def line_moved(self, move: LineMove) -> None: ...

    def line_ended(self, ended: LineEnded) -> None: ...


def hold(count: int) -> tuple[Moments, float]:
    """The moments of one call in milliseconds, and the processor's milliseconds for a second."""
    headsets = [Headset() for _ in range(count)]

    async def scene(stage: Stage) -> None:
        await stage.person.waits(500)
        for n, headset in enumerate(headsets):
            near, far = pair(PCM_16K, leg_id=f"s{n}")
            far.start(headset)
            stage.call.supervisors.join(
                f"s{n}", near, "both", "bench", tone=False, announcement=None
            )
        for turn in range(1, TURNS + 1):
            await stage.person.says("when are you open", 1200)
            await stage.until("reply_heard", turn)
        await stage.person.hang_up()
        await asyncio.sleep(1)

    began = time.process_time()
    result: Result = play(scene, model=FakeModel(lambda _: ANSWER))
    took_ms = (time.process_time() - began) * 1000
    assert all(each.frames for each in headsets)
    sent = [each["sentMs"] for each in result.of("turn_latency")]
    heard = [round(at * 1000) for at, loud in result.person.heard if loud > 500]
    return (sent, heard), took_ms / (result.outcome.duration_ms / 1000)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=20, help="with each number of supervisors")
    calls = parser.parse_args().calls
    hold(0)  # what is loaded once
    moments: dict[int, Moments] = {}
    took: dict[int, list[float]] = {count: [] for count in COUNTS}
    for _ in range(calls):
        for count in COUNTS:
            moments[count], took_ms = hold(count)
            took[count].append(took_ms)
    print(
        "| supervisors | answers later by | frames heard later by | processor, a second of call |"
    )
    print("|---" * 4 + "|")
    for count in COUNTS:
        answers, frames = (
            max((b - a for a, b in zip(alone, those, strict=True)), default=0)
            for alone, those in zip(moments[0], moments[count], strict=True)
        )
        spent = statistics.median(took[count])
        print(f"| {count} | {answers} ms | {frames} ms | {spent:.2f} ms |")


if __name__ == "__main__":
    main()
