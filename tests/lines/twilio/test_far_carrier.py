"""A carrier at a distance, on virtual time: what it plays has no holes, however long the way."""

from __future__ import annotations

import asyncio
import base64
import json
import random
from collections.abc import Callable

import pytest
from tests.fakes.virtual import run_virtual

from chorus.audio.frame import MULAW_8K
from chorus.audio.mix import Background
from chorus.lines.twilio.stream import TwilioLine
from chorus.speech.engines import Spoken
from chorus.talk.leg import Mouth
from chorus.talk.speaking import Speaking
from chorus.talk.utterance import Utterance

FRAME = MULAW_8K.size(20)


class Carrier:
    """Plays 20 ms every 20 ms from its own buffer. Both ways take `one_way_ms` and up to
    `jitter_ms` more, and keep their order; nothing arrives there while `stuck`."""

    def __init__(self, line: TwilioLine, one_way_ms: float, jitter_ms: float = 0) -> None:
        self.line = line
        self.one_way_ms, self.jitter_ms = one_way_ms, jitter_ms
        self.buffer = bytearray()
        self.played: list[int] = []  # bytes of sound in each frame
        self.longest_ms = 0.0
        self.stuck = False
        self._chance = random.Random(1)
        self._received = self._sounded = 0
        self._marks: list[tuple[int, str]] = []
        self._held: list[str] = []
        self._last_s = [0.0, 0.0]

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._carry())
            group.create_task(self._play())

    async def _carry(self) -> None:
        while True:
            self.line.wake.clear()
            while (text := self.line.next_message()) is not None:
                self._later(0, lambda text=text: self._arrive(text))
            await self.line.wake.wait()

    async def _play(self) -> None:
        loop = asyncio.get_running_loop()
        due_s = loop.time()
        while True:
            due_s += 0.02
            await asyncio.sleep(due_s - loop.time())
            count = len(self.buffer[:FRAME])
            del self.buffer[:FRAME]
            self._sounded += count
            self.played.append(count)
            while self._marks and self._marks[0][0] <= self._sounded:
                name = self._marks.pop(0)[1]
                mark = {"event": "mark", "streamSid": "MZ1", "mark": {"name": name}}
                self._later(1, lambda mark=mark: self.line.take(json.dumps(mark)))

    def _later(self, way: int, act: Callable[[], None]) -> None:
        loop = asyncio.get_running_loop()
        ms = self.one_way_ms + self._chance.uniform(0, self.jitter_ms)
        self._last_s[way] = max(loop.time() + ms / 1000, self._last_s[way] + 1e-6)
        loop.call_at(self._last_s[way], act)

    def _arrive(self, text: str) -> None:
        self._held.append(text)
        if self.stuck:
            return
        for held in self._held:
            message = json.loads(held)
            if message["event"] == "media":
                audio = base64.b64decode(message["media"]["payload"])
                self.buffer += audio
                self._received += len(audio)
            elif message["event"] == "mark":
                self._marks.append((self._received, message["mark"]["name"]))
        self._held.clear()
        self.longest_ms = max(self.longest_ms, MULAW_8K.ms(len(self.buffer)))

    def holes_ms(self) -> float:
        """Silence between the first sound and the last."""
        sound = [n for n, count in enumerate(self.played) if count]
        return sum(20 - MULAW_8K.ms(count) for count in self.played[sound[0] : sound[-1]])


def speech(seconds: float) -> Utterance:
    utterance = Utterance(MULAW_8K)
    utterance.add_clause("Well.")
    utterance.add(Spoken(bytes([1]) * MULAW_8K.size(seconds * 1000), 0, last=True))
    utterance.finished = True
    return utterance


async def spoken(
    one_way_ms: float,
    jitter_ms: float = 0,
    *,
    seconds: float = 10,
    background: bool = False,
    meanwhile: Callable[[Carrier], asyncio.Future[None] | None] = lambda _: None,
) -> tuple[Carrier, Speaking]:
    """Speak for so long, or only have a background for so long, on the beat of a call."""
    loop = asyncio.get_running_loop()
    line = TwilioLine("MZ1", "CA1")
    carrier = Carrier(line, one_way_ms, jitter_ms)
    mouth = Mouth(line)
    speaking = Speaking(mouth, on_first_sent=lambda _: None, on_done=lambda _: None)
    running = asyncio.create_task(carrier.run())
    other = meanwhile(carrier)
    if background:
        mouth.background = Background(bytes([1, 1]) * 8000, 1.0, MULAW_8K)
    else:
        speaking.play(speech(seconds), loop.time() * 1000)
    end_s = loop.time() + (seconds if background else 3 * seconds)
    while loop.time() < end_s and (background or speaking.utterance is not None):
        await asyncio.sleep(0.02)
        speaking.pump(loop.time() * 1000)
    for task in (running, other):
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
    return carrier, speaking


@pytest.mark.parametrize(
    ("one_way_ms", "jitter_ms"), [(0, 0), (40, 20), (60, 30), (100, 0), (150, 40), (300, 0)]
)
def test_speech_has_no_holes(one_way_ms: float, jitter_ms: float) -> None:
    carrier, speaking = run_virtual(spoken(one_way_ms, jitter_ms))
    assert carrier.holes_ms() == 0
    assert speaking.utterance is None  # all was heard, and known to be
    # And an interruption has no more to throw away than elsewhere.
    assert carrier.longest_ms <= TwilioLine.lead_ms + jitter_ms + 20


@pytest.mark.parametrize(("one_way_ms", "jitter_ms"), [(0, 0), (40, 10), (100, 20), (300, 10)])
def test_the_background_has_no_holes(one_way_ms: float, jitter_ms: float) -> None:
    carrier, _ = run_virtual(spoken(one_way_ms, jitter_ms, background=True))
    assert carrier.holes_ms() == 0
    assert carrier.longest_ms <= 100 + jitter_ms + 20


def test_what_piled_up_while_the_network_stood_still_is_worked_off() -> None:
    def meanwhile(carrier: Carrier) -> asyncio.Future[None]:
        async def stand_still() -> None:
            await asyncio.sleep(2)
            carrier.stuck = True
            await asyncio.sleep(4)
            carrier.stuck = False
            await asyncio.sleep(5)
            carrier.longest_ms = 0

        return asyncio.ensure_future(stand_still())

    carrier, _ = run_virtual(spoken(50, seconds=20, meanwhile=meanwhile))
    assert carrier.holes_ms() <= 4000
    assert carrier.longest_ms <= TwilioLine.lead_ms + 1000 + 20
