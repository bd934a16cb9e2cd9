"""How soon the agent answers, and whom it cuts short, whatever else the machine does.

    python -m bench.replies                               a minute and a half of processor time
    python -m bench.replies --vendors prompt,asked --worst 10

A caller says each of the utterances of `utterances.py` on a real `Call`, on a virtual clock, with
the real detector and the real end-of-turn model; transcriber, language model and voice stand for
vendors, with the standard delays. Each is said whole, and again with a pause of 300 to 1200 ms at
the quietest place near its middle, as somebody does who thinks. The same seed gives the same
figures on every machine.

With `--before 2` the caller has said "Yes please." twice before, and was answered: what a call
learns of its transcriber is known then. `--model-ms 1500 --filler 800` is a slow model, and an
agent that says something short when nothing else was heard for so long.

Rules are made with two thirds of the utterances; `held out` is the last third.

response   from the last of the caller's speech to the first sound on its way, of the answer or of
           a filler, ms
cut in     the agent began while the caller had more to say
requests   to the language model for each answer: what drafts cost
asked      verdicts for each answer
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from tests.fakes.virtual import run_virtual

from bench.replies_engines import (
    CountedModel,
    InlineSilero,
    RememberedJudge,
    TimedTranscriber,
    Vendor,
)
from bench.replies_words import text_of, timed
from bench.tally import percentile
from bench.utterances import mixed
from chorus.audio import codec
from chorus.audio.frame import MULAW_8K
from chorus.audio.pace import Ticker
from chorus.lines.line import LineEnded, LineMove
from chorus.lines.loopback.line import FRAME_MS, LoopbackLine, pair
from chorus.outbound import Outbound
from chorus.speech.models import find_model
from chorus.speech.stt.simulated import SimulatedTranscriber
from chorus.speech.tts.simulated import SimulatedVoice
from chorus.talk.call import Call
from chorus.talk.spec import AgentSpec, CallSpec, Engines
from chorus.talk.timeline import Happening

VENDORS = (
    Vendor("bench", 0, 100),
    Vendor("prompt", shows_ms=0, final_ms=100),
    Vendor("bare", shows_ms=0, final_ms=100, marks="none"),
    Vendor("slow", shows_ms=100, final_ms=100),
    Vendor("asked", shows_ms=200, final_ms=150, asked=True, marks="always"),
)
"""`bench` is what `make bench` uses: the same few words whatever is said."""
MEMORY = Path(__file__).with_name(".results") / "replies.json"
VERDICT_MS = 40.0
PATIENCE_S = 5.0
LOUD = 500
BEFORE = "en-us+f5: Yes please."
BEFORE_MS = 10_000  # from one to the next: the answer has been heard
AGENT = AgentSpec(agent_id="bench", name="Bench", system_prompt="")


@dataclass(frozen=True, slots=True)
class Said:
    """`frames`: µ-law of 20 ms each; `words`: each with its end in milliseconds of it."""

    name: str
    language: str
    frames: tuple[bytes, ...]
    words: tuple[tuple[str, float], ...]
    held_out: bool
    pause_ms: int = 0


@dataclass(frozen=True, slots=True)
class Answer:
    """`response_ms` None: cut in, or not answered at all."""

    said: Said
    response_ms: float | None
    cut_in: bool
    requests: int
    verdicts: tuple[float, ...]
    by: str


class Person:
    """The far end of the line: hears when the agent begins."""

    def __init__(self, line: LoopbackLine) -> None:
        self.line = line
        self.heard_s: float | None = None
        self.hears = asyncio.Event()

    def line_audio(self, chunk: bytes, at_ms: float) -> None:
        if self.heard_s is None:
            loud = np.abs(np.frombuffer(codec.decode(MULAW_8K, chunk), "<i2")) > LOUD
            if loud.any():
                self.heard_s = asyncio.get_running_loop().time() + int(loud.argmax()) / 8000
                self.hears.set()

    def line_digit(self, digit: str) -> None: ...

    def line_moved(self, move: LineMove) -> None: ...

    def line_ended(self, ended: LineEnded) -> None: ...


class Notes:
    """The call's journal."""

    def __init__(self) -> None:
        self.committed: list[dict[str, Any]] = []
        self.started_s = 0.0  # when the last reply was handed to the line

    def note(self, happening: Happening) -> None:
        if happening.kind == "turn_committed":
            self.committed.append(dict(happening.data))
        elif happening.kind == "reply_started":
            self.started_s = asyncio.get_running_loop().time()


@dataclass(slots=True)
class Bench:
    detector: InlineSilero
    judge: RememberedJudge
    ticker: Ticker
    outbound: Outbound
    before: tuple[Said, ...] = ()
    model_ms: float = 200.0
    filler_ms: int | None = None

    async def call(self, said: Said, vendor: Vendor, wait_frames: int) -> Answer:
        """One call, in which `said` is said after so many frames, and after what is said before."""
        words, sound = list[tuple[str, float]](), b""
        begins = at = wait_frames
        for each in (*self.before, said):
            begins = at
            words += [(word, end_ms + at * FRAME_MS) for word, end_ms in each.words]
            sound += b"".join(each.frames)
            at += len(each.frames)
            if each is not said:
                sound += MULAW_8K.silence(BEFORE_MS)
                at += BEFORE_MS // FRAME_MS
        transcriber = SimulatedTranscriber()
        if vendor.name != "bench":
            transcriber = TimedTranscriber(vendor, words)
        model = CountedModel(self.model_ms)
        engines = Engines(transcriber, SimulatedVoice(), model, self.detector, self.judge)
        near, far = pair(MULAW_8K, lossless=True)
        agent = replace(AGENT, language=said.language, filler_after_ms=self.filler_ms)
        spec = CallSpec(call_id="bench", direction="inbound", customer_number="", agent=agent)
        notes, person = Notes(), Person(far)
        self.judge.asked = []
        call = Call(spec, near, engines, notes, self.ticker, self.outbound)
        far.start(person)
        began_s = asyncio.get_running_loop().time()
        running = asyncio.create_task(call.run())
        await asyncio.sleep((wait_frames + 0.5) * FRAME_MS / 1000)
        far.play(sound)
        await asyncio.sleep((begins - wait_frames) * FRAME_MS / 1000)
        person.heard_s, model.asked, self.judge.asked = None, 0, []
        person.hears.clear()
        # Each frame arrives when it is over.
        ends_s = began_s + at * FRAME_MS / 1000
        left_s = ends_s - asyncio.get_running_loop().time() + PATIENCE_S
        try:
            async with asyncio.timeout(left_s):
                await person.hears.wait()
        except TimeoutError:
            pass
        heard_s = person.heard_s
        cut_in = heard_s is not None and heard_s < ends_s - 0.001
        verdicts, requests = tuple(self.judge.asked), model.asked
        call.hang_up()
        await running
        return Answer(
            said,
            None if heard_s is None or cut_in else round((notes.started_s - ends_s) * 1000, 1),
            cut_in,
            requests,
            verdicts,
            str(notes.committed[-1]["by"]) if notes.committed else "never",
        )


def whole() -> list[Said]:
    """What is said, in the order of `utterances.mixed`; every third is held out."""
    found: list[Said] = []
    for n, utterance in enumerate(mixed()):
        language, text = text_of(utterance.name)
        frames = tuple(base64.b64decode(frame) for frame in utterance.frames)
        words = timed(text, len(frames) * FRAME_MS)
        found.append(Said(utterance.name, language, frames, words, n % 3 == 2))
    return found


def hesitating(said: Said, pause_ms: int) -> Said | None:
    """The same with a pause inside; None for what is too short to have one."""
    if len(said.words) < 4:
        return None
    level = [
        float(np.abs(np.frombuffer(codec.decode(MULAW_8K, f), "<i2")).mean()) for f in said.frames
    ]
    low, high = int(len(level) * 0.4), int(len(level) * 0.7)
    at = min(range(low, high), key=lambda n: sum(level[n - 1 : n + 2]))
    count = pause_ms // FRAME_MS
    frames = (*said.frames[:at], *(MULAW_8K.silence(FRAME_MS),) * count, *said.frames[at:])
    # A word that is more than half said is said before the pause.
    cut_ms, words, begun = at * FRAME_MS, list[tuple[str, float]](), 0.0
    for word, end_ms in said.words:
        before = (begun + end_ms) / 2 <= cut_ms
        words.append((word, min(end_ms, cut_ms) if before else end_ms + count * FRAME_MS))
        begun = end_ms
    return replace(said, frames=frames, words=tuple(words), pause_ms=count * FRAME_MS)


async def measured(
    vendors: Sequence[Vendor], options: argparse.Namespace
) -> dict[tuple[str, str, bool], list[Answer]]:
    path = find_model("silero_vad")
    assert path is not None, "the model of Silero is missing: make setup-dev"
    judge = RememberedJudge(MEMORY, takes_ms=VERDICT_MS)
    ticker, outbound = Ticker(), Outbound()
    ticker.start()
    first = next(said for said in whole() if said.name == BEFORE)
    before = (first,) * int(options.before)
    bench = Bench(InlineSilero(path), judge, ticker, outbound, before)
    bench.model_ms, bench.filler_ms = options.model_ms, options.filler
    answers: dict[tuple[str, str, bool], list[Answer]] = {}
    for vendor in vendors:
        chance = random.Random(options.seed)  # the same for each vendor
        for said in whole() * options.rounds:
            paused = hesitating(said, chance.randrange(300, 1200))
            wait_frames = 20 + chance.randrange(16)
            for kind, what in (("whole", said), ("with a pause", paused)):
                if what is not None:
                    answer = await bench.call(what, vendor, wait_frames)
                    answers.setdefault((vendor.name, kind, said.held_out), []).append(answer)
    judge.keep()
    ticker.stop()
    await outbound.aclose()
    return answers


def row(key: tuple[str, str, bool], answers: Sequence[Answer]) -> str:
    vendor, kind, held_out = key
    took = [a.response_ms for a in answers if a.response_ms is not None]
    count = len(answers)
    late = sum(ms > 1000 for ms in took)
    never = sum(a.response_ms is None and not a.cut_in for a in answers)
    cut = sum(a.cut_in for a in answers)
    return (
        f"| {vendor} | {kind} | {'held out' if held_out else 'made with'} | {count} "
        f"| {percentile(took, 50):.0f} / {percentile(took, 95):.0f} | {late + never} "
        f"| {cut} ({cut / count:.1%}) | {sum(a.requests for a in answers) / count:.2f} "
        f"| {sum(len(a.verdicts) for a in answers) / count:.2f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="how soon the agent answers")
    parser.add_argument("--vendors", default=",".join(vendor.name for vendor in VENDORS))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3, help="times that each is said")
    parser.add_argument("--before", type=int, default=0, help="turns before it in the call")
    parser.add_argument("--model-ms", type=float, default=200, help="to the model's first word")
    parser.add_argument("--filler", type=int, help="ms after which one is said; none without it")
    parser.add_argument(
        "--worst", type=int, default=0, help="show so many of the latest, and cut-ins"
    )
    options = parser.parse_args()
    wanted = options.vendors.split(",")
    vendors = [vendor for vendor in VENDORS if vendor.name in wanted]
    answers = run_virtual(measured(vendors, options))
    print(
        "| vendor | said | utterances | calls | response p50 / p95 ms | later than 1 s "
        "| cut in | requests | asked |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for key in sorted(answers, key=lambda key: (wanted.index(key[0]), key[1] != "whole", key[2])):
        print(row(key, answers[key]))
    for key, found in answers.items() if options.worst else ():
        print(f"\n{key}")
        found.sort(key=lambda a: (not a.cut_in, -(a.response_ms or 0)))
        for a in found[: options.worst]:
            verdicts = " ".join(f"{p:.2f}" for p in a.verdicts[:4])
            print(
                f"  {'cut in' if a.cut_in else f'{a.response_ms or -1:6.0f}'} {a.by:8} "
                f"pause {a.said.pause_ms:4} [{verdicts}] {a.said.name}"
            )


if __name__ == "__main__":
    main()
