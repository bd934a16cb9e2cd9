"""What a conversation itself costs on the event loop, engines and network left out.

    python -m bench.conversation_cost                       microseconds a 20 ms frame and a tick

A whole `Call` is given frames and ticks by hand, on a clock that is set by hand, with engines
that do nothing. In order: a caller who is silent, one who speaks, an agent who speaks, and an
agent who speaks over background noise with the recording running. Each figure is the best of
several rounds of one minute of call, as other processes only ever add to it; `calls` is how
many such calls one core could hold if it did nothing else.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import cast

from chorus.audio import sounds
from chorus.audio.frame import MULAW_8K, AudioFormat
from chorus.audio.pace import Ticker
from chorus.lines.line import Line, LineCause, LineEnded, LineEvents
from chorus.llm.model import ModelItem, Prompt
from chorus.outbound import Outbound
from chorus.speech.engines import (
    Endpointing,
    EngineFailed,
    Heard,
    Hints,
    Spoken,
    VoiceStyle,
    Words,
)
from chorus.talk.call import Call
from chorus.talk.spec import AgentSpec, CallSpec, Engines
from chorus.talk.timeline import Happening

FRAME_MS = 20
FRAMES = 3000


class SetClock(asyncio.SelectorEventLoop):
    """A loop whose time stands still until it is set."""

    now_s = 1000.0

    def time(self) -> float:
        return self.now_s


class NoLine:
    """Hears everything at once; as far ahead as a carrier's buffer."""

    format: AudioFormat = MULAW_8K
    lead_ms = 200
    lossless = True
    takes_keys = True
    provider = "none"
    leg_id = "none"

    def __init__(self, loop: SetClock) -> None:
        self._loop = loop
        self.events: LineEvents | None = None
        self._heard_to_s = 0.0
        self.sent_ms = 0.0

    @property
    def ahead_ms(self) -> float:
        return max(0.0, self._heard_to_s - self._loop.now_s) * 1000

    @property
    def heard_ms(self) -> float:
        return self.sent_ms - self.ahead_ms

    def start(self, events: LineEvents) -> None:
        self.events = events

    def play(self, audio: bytes) -> None:
        ms = self.format.ms(len(audio))
        self._heard_to_s = max(self._heard_to_s, self._loop.now_s) + ms / 1000
        self.sent_ms += ms

    def clear(self) -> None:
        self.sent_ms = self.heard_ms
        self._heard_to_s = self._loop.now_s

    def send_digits(self, digits: str) -> None: ...

    async def hang_up(self) -> None:
        if self.events is not None:
            self.events.line_ended(LineEnded(LineCause.LOCAL))


class NoTranscription:
    """Understands nothing."""

    def feed(self, audio: bytes) -> None: ...

    def speech_started(self, ago_ms: float) -> None: ...

    def finalize(self) -> None: ...

    async def close(self) -> None: ...


class NoVad:
    """Says of every frame what it was told to say."""

    def __init__(self, probability: float, on_probability: Callable[[float], None]) -> None:
        self._probability = probability
        self._on_probability = on_probability

    def feed(self, pcm16: bytes) -> None:
        self._on_probability(self._probability)

    def reset(self) -> None: ...

    def close(self) -> None: ...


@dataclass
class NoSession:
    """A voice's. Speaks longer than the measurement lasts."""

    format: AudioFormat

    async def speak(self, clauses: AsyncIterator[str]) -> AsyncGenerator[Spoken, None]:
        index = 0
        async for _ in clauses:
            yield Spoken(self.format.silence(FRAMES * FRAME_MS * 1.2), index, (), last=True)
            index += 1

    async def aclose(self) -> None: ...


@dataclass
class NoEngines:
    """All five in one. `text` is what the agent says, for as long as anybody listens."""

    probability: float
    name: str = "none"
    threshold: float = 0.5
    deadline_ms: float = 1e9
    endpointing: Endpointing = field(default_factory=Endpointing)

    async def open_transcription(
        self,
        format: AudioFormat,
        hints: Hints,
        on_words: Callable[[Words], None],
        on_failed: Callable[[EngineFailed], None],
    ) -> NoTranscription:
        return NoTranscription()

    async def judge(self, heard: Heard) -> float:
        return 0.0

    def takes(self, line: AudioFormat) -> AudioFormat:
        return line

    def gives(self, line: AudioFormat) -> AudioFormat:
        return line

    async def open_session(self, format: AudioFormat, style: VoiceStyle) -> NoSession:
        return NoSession(format)

    async def reply(self, prompt: Prompt) -> AsyncGenerator[ModelItem, None]:
        for item in ():
            yield item

    def phrases(self, system: str) -> tuple[str, ...]:
        return ()


class Transcribers(NoEngines):
    open = NoEngines.open_transcription


class Voices(NoEngines):
    open = NoEngines.open_session


class Detectors(NoEngines):
    def open(self, rate_hz: int, on_probability: Callable[[float], None]) -> NoVad:
        return NoVad(self.probability, on_probability)


class NoJournal:
    def note(self, happening: Happening) -> None: ...


AGENT = AgentSpec(agent_id="bench", name="Bench", system_prompt="", max_call_duration_s=100_000)
SPEAKING = replace(AGENT, first_speaker="agent", greeting="Hello.")
SCENES: dict[str, tuple[AgentSpec, float, bool]] = {
    "caller silent": (AGENT, 0.02, False),
    "caller speaks": (AGENT, 0.95, False),
    "agent speaks": (SPEAKING, 0.02, False),
    "agent, background, recording": (
        replace(SPEAKING, background_sound=str(sounds.OFFICE.id)),
        0.02,
        True,
    ),
}


async def measure(loop: SetClock, scene: str, folder: Path) -> tuple[float, float]:
    """Microseconds an inbound frame and a tick, over one minute of call."""
    agent, probability, record = SCENES[scene]
    engines = NoEngines(probability)
    call = Call(
        CallSpec(
            call_id="bench",
            direction="inbound",
            customer_number="",
            agent=agent,
            recording_path=str(folder / f"{time.time_ns()}.wav") if record else None,
        ),
        cast("Line", line := NoLine(loop)),
        Engines(
            transcriber=Transcribers(probability),
            voice=Voices(probability),
            model=engines,
            detector=Detectors(probability),
            end_of_turn=engines,
        ),
        NoJournal(),
        ticker := Ticker(),
        outbound := Outbound(),
    )
    running = asyncio.create_task(call.run())
    frame = MULAW_8K.silence(FRAME_MS)
    frames_ns = ticks_ns = 0
    for n in range(FRAMES):
        loop.now_s += FRAME_MS / 1000
        begin = time.perf_counter_ns()
        if line.events is not None:  # from the first turn of the loop on
            line.events.line_audio(frame, n * FRAME_MS)
        between = time.perf_counter_ns()
        call._tick(loop.now_s)  # pyright: ignore[reportPrivateUsage] - what is measured
        end = time.perf_counter_ns()
        if n >= 100:  # the beginning, which is other work, has settled by then
            frames_ns += between - begin
            ticks_ns += end - between
        else:
            await asyncio.sleep(0)
            if n < 5:
                await asyncio.to_thread(lambda: None)  # the sound is loaded in a thread
    call.hang_up()
    while not running.done():  # it waits for the last words, by the clock
        loop.now_s += FRAME_MS / 1000
        await asyncio.to_thread(lambda: None)
    await running
    ticker.stop()
    await outbound.aclose()
    return frames_ns / 1000 / (FRAMES - 100), ticks_ns / 1000 / (FRAMES - 100)


def main() -> None:
    parser = argparse.ArgumentParser(description="the cost of a conversation itself")
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    sounds.load(str(sounds.OFFICE.id), MULAW_8K.rate_hz)
    loop = SetClock()
    print(f"{'':30}{'frame':>10}{'tick':>10}{'core':>9}{'calls':>8}")
    with tempfile.TemporaryDirectory() as folder:
        loop.run_until_complete(measure(loop, "agent speaks", Path(folder)))  # to warm up
        for scene in SCENES:
            took = [
                loop.run_until_complete(measure(loop, scene, Path(folder))) for _ in range(rounds)
            ]
            frame_us, tick_us = (min(x) for x in zip(*took, strict=True))
            share = (frame_us + tick_us) / (FRAME_MS * 1000)
            print(
                f"{scene:30}{frame_us:7.1f} µs{tick_us:7.1f} µs{100 * share:7.2f} %{1 / share:8.0f}"
            )
    loop.close()


if __name__ == "__main__":
    main()
