"""The person whom a caller is transferred to: the second call of a transfer, on virtual time.

    exchange = FakeExchange()
    async def scene(stage):
        ...                                # the agent calls transfer_to
        person = await exchange.answers()  # after whatever the test lets pass
        person.press("1")
    play(scene, exchange=exchange, agent=...)

It is a whole `Call` of its own, with engines of its own, as `calls/` would hold it.
"""

from __future__ import annotations

import asyncio
from typing import Any, cast

from tests.fakes import stage as stages
from tests.fakes.llm import FakeModel
from tests.fakes.speech import FakeDetector, FakeEndOfTurn, FakeTranscriber, FakeVoice, tone

from chorus.audio.frame import MULAW_8K, AudioFormat
from chorus.audio.pace import Ticker
from chorus.lines.line import LineCause
from chorus.lines.loopback.line import pair
from chorus.outbound import Outbound
from chorus.talk.call import Call, Outcome
from chorus.talk.repeating import Repeating
from chorus.talk.second_leg import SecondLeg
from chorus.talk.spec import CallSpec, Engines
from chorus.talk.transfer import NotPlaced, Status, Wish


class FakeExchange:
    """`refuses`: nothing is placed, for this sentence. `model` briefs the person."""

    def __init__(
        self, *, refuses: str | None = None, model: FakeModel | None = None, music: bytes = b""
    ) -> None:
        self.refuses = refuses
        self.model = model or FakeModel(lambda _: "Anna is on the line. Do you take her?")
        self.hold_music = music
        self.music_problem: str | None = None
        self.wishes: list[Wish] = []
        self.moves: list[tuple[Status, str]] = []
        self.withdrawn = 0
        self.withdraw_s = 0.0
        self.ticker: Ticker | None = None
        self.timeline = stages.Timeline()
        self.recording_path: str | None = None
        self.running: asyncio.Task[Outcome] | None = None
        self.call: Call | None = None
        self._leg: SecondLeg | None = None
        self._placed = asyncio.Event()

    @property
    def statuses(self) -> list[Status]:
        return [status for status, _ in self.moves]

    # Exchange

    def begin(self, wish: Wish, leg: SecondLeg) -> None:
        self.wishes.append(wish)
        self.moves.append(("initiated", ""))

    async def place(self, wish: Wish, leg: SecondLeg) -> None:
        if self.refuses is not None:
            raise NotPlaced(self.refuses)
        self._leg = leg
        self._placed.set()

    async def withdraw(self, leg: SecondLeg, cause: LineCause) -> None:
        self.withdrawn += 1
        await asyncio.sleep(self.withdraw_s)
        if self.running is None:
            leg.has_ended("no_answer")

    def moved(self, leg: SecondLeg, status: Status, detail: str) -> None:
        self.moves.append((status, detail))

    async def music(self, url: str | None, format: AudioFormat) -> tuple[bytes, str | None]:
        return self.hold_music, self.music_problem

    # What the carrier and the person do

    async def placed(self) -> SecondLeg:
        async with asyncio.timeout(30):
            await self._placed.wait()
        self._placed.clear()
        assert self._leg is not None
        return self._leg

    async def answers(self) -> stages.Person:
        """Somebody picks up now."""
        leg = self._leg or await self.placed()
        assert self.ticker is not None
        near, far = pair(MULAW_8K, leg_id="second")
        transcriber = FakeTranscriber()
        engines = Engines(
            transcriber=transcriber,
            voice=FakeVoice(),
            model=Repeating(leg.repeats) if leg.repeats else self.model,
            detector=FakeDetector(),
            end_of_turn=FakeEndOfTurn(),
        )
        spec = CallSpec(
            call_id="second",
            direction="outbound",
            customer_number="+15557654321",
            agent=leg.agent,
            recording_path=self.recording_path,
        )
        call = self.call = Call(
            spec,
            near,
            engines,
            self.timeline,
            self.ticker,
            cast("Outbound", stages.Tools()),
            second=leg,
            recording_writer=stages.Inline(),
        )
        person = stages.Person(far, cast("Any", transcriber), near)
        far.start(person)
        self.running = asyncio.create_task(call.run())
        return person

    async def over(self) -> Outcome:
        """How the second call ended."""
        assert self.running is not None
        async with asyncio.timeout(60):
            return await self.running


def music(ms: float = 4000) -> bytes:
    """A loud tone, for what is heard on hold."""
    return tone(AudioFormat("pcm16", 8000), ms)
