"""A whole call on virtual time: a person on one end of a loopback line, an agent on the other.

    async def scene(stage):
        await stage.person.says("hello", 600)
        await stage.until("reply_heard")
        await stage.person.hang_up()
    result = play(scene, model=FakeModel(["Hi there."]))

The person makes loud sound for as long as asked, which the detector hears as speech, and the
transcriber is told the words. `result` is the outcome, the timeline, and what the person heard.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, cast

from tests.fakes.llm import FakeModel
from tests.fakes.speech import FakeDetector, FakeEndOfTurn, FakeTranscriber, FakeVoice, tone
from tests.fakes.virtual import run_virtual

from chorus.audio.codec import decode, peak
from chorus.audio.frame import MULAW_8K, AudioFormat
from chorus.audio.pace import Ticker
from chorus.lines.line import LineEnded, LineMove
from chorus.lines.loopback.line import FAIR, LoopbackLine, Weather, pair
from chorus.outbound import Outbound, OutboundAnswer
from chorus.talk.call import Call, Outcome
from chorus.talk.knowledge import Knowledge
from chorus.talk.spec import AgentSpec, CallSpec, Engines, HttpTool, StandIns
from chorus.talk.timeline import Happening

if TYPE_CHECKING:
    from tests.fakes.second import FakeExchange

AGENT = AgentSpec(agent_id="a", name="Test", system_prompt="You are a test.")
LOOK_UP = HttpTool("look_up", "Reads.", "https://tools.example/look_up", method="GET")
BOOK = HttpTool("book", "Changes something.", "https://tools.example/book")


class Tools:
    """Stands in for the client of the tools: answers each path after `ms`, or raises."""

    def __init__(self) -> None:
        self.answers: dict[str, tuple[float, int, Any]] = {}
        self.asked: list[tuple[str, str]] = []
        self.done: list[str] = []
        self.cancelled: list[str] = []

    def set(self, name: str, body: Any, *, ms: float = 50, status: int = 200) -> Tools:
        self.answers[name] = (ms, status, body)
        return self

    async def send(self, method: str, url: str, **_: Any) -> OutboundAnswer:
        name = url.rsplit("/", 1)[1].partition("?")[0]
        self.asked.append((method, name))
        ms, status, body = self.answers[name]
        try:
            await asyncio.sleep(ms / 1000)
        except asyncio.CancelledError:
            self.cancelled.append(name)
            raise
        self.done.append(name)
        if isinstance(body, Exception):
            raise body
        kind = (("content-type", "application/json"),)
        return OutboundAnswer(status, kind, json.dumps(body).encode(), url)

    async def aclose(self) -> None: ...


class Inline(Executor):
    """Writes recordings at once, on the loop."""

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_result(fn(*args, **kwargs))
        return future


class Timeline:
    """A Journal that keeps everything and lets a test wait for something."""

    def __init__(self) -> None:
        self.happenings: list[Happening] = []
        self._news = asyncio.Event()

    def note(self, happening: Happening) -> None:
        self.happenings.append(happening)
        self._news.set()

    def of(self, kind: str) -> list[Happening]:
        return [h for h in self.happenings if h.kind == kind]

    async def until(self, kind: str, count: int = 1, timeout_s: float = 60.0) -> Happening:
        async with asyncio.timeout(timeout_s):
            while len(self.of(kind)) < count:
                self._news.clear()
                await self._news.wait()
        return self.of(kind)[count - 1]


class _Late:
    """Keeps what a way carries while it stalls."""

    def __init__(self) -> None:
        self.chunks: list[tuple[bytes, float]] = []

    def audio(self, chunk: bytes, at_ms: float) -> None:
        self.chunks.append((chunk, at_ms))


@dataclass
class Person:
    """The far end. `heard` is everything that arrived, as (seconds, peak) a frame."""

    line: LoopbackLine
    transcriber: FakeTranscriber
    near: LoopbackLine
    heard: list[tuple[float, int]] = field(default_factory=list)
    ended: LineEnded | None = None
    sound: bytearray = field(default_factory=bytearray)
    pressed: str = ""
    """The keys that the agent has pressed."""

    def begins(self, words: str | None, ms: float = 600) -> None:
        """Speak for `ms`; `words` None is a noise that nobody understands."""
        self.transcriber.understands(words or "")
        self.line.play(tone(self.line.format, ms))

    async def says(self, words: str | None, ms: float = 600) -> None:
        """As `begins`, and wait until it is said."""
        self.begins(words, ms)
        await asyncio.sleep(ms / 1000)

    async def waits(self, ms: float) -> None:
        await asyncio.sleep(ms / 1000)

    async def stalls(self, ms: float) -> None:
        """Nothing that was sent arrives for `ms`, and then all of it at once."""
        way, late = self.line._out, _Late()
        inbox, way._inbox = way._inbox, cast("Any", late)
        try:
            await asyncio.sleep(ms / 1000)
        finally:
            way._inbox = inbox
        for chunk, at_ms in late.chunks:
            inbox.audio(chunk, at_ms)

    async def hang_up(self) -> None:
        await self.line.hang_up()

    def press(self, digits: str) -> None:
        self.line.send_digits(digits)

    def sound_between(self, start_s: float, end_s: float) -> bool:
        return any(start_s <= at < end_s and loud > 500 for at, loud in self.heard)

    # LineEvents
    def line_audio(self, chunk: bytes, at_ms: float) -> None:
        now = asyncio.get_running_loop().time()
        self.sound += chunk
        self.heard.append((now, peak(decode(self.line.format, chunk))))

    @property
    def speech_ms(self) -> float:
        """How much that was not silence has arrived, in frames of 20 ms."""
        return 20 * sum(loud > 500 for _, loud in self.heard)

    def line_digit(self, digit: str) -> None:
        self.pressed += digit

    def line_moved(self, move: LineMove) -> None: ...

    def line_ended(self, ended: LineEnded) -> None:
        self.ended = ended


@dataclass
class Stage:
    person: Person
    call: Call
    timeline: Timeline
    model: FakeModel
    voice: FakeVoice
    transcriber: FakeTranscriber
    detector: FakeDetector
    end_of_turn: FakeEndOfTurn
    running: asyncio.Task[Outcome]
    tools: Tools

    async def until(self, kind: str, count: int = 1, timeout_s: float = 60.0) -> Happening:
        return await self.timeline.until(kind, count, timeout_s)


@dataclass
class Result:
    outcome: Outcome
    timeline: Timeline
    person: Person
    stage: Stage

    @property
    def transcript(self) -> list[tuple[str, str]]:
        return [(line.role, line.content) for line in self.outcome.transcript]

    @property
    def ending(self) -> tuple[str, str]:
        return self.outcome.status, self.outcome.reason

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [dict(h.data) for h in self.timeline.of(kind)]

    @property
    def prompts(self) -> list[list[tuple[str, str]]]:
        """What the model was shown, a list of (role, content) each time."""
        requests = self.stage.model.requests
        return [[(m.role, m.content) for m in r.prompt.messages] for r in requests]


def play(
    scene: Callable[[Stage], Awaitable[None]],
    *,
    agent: AgentSpec = AGENT,
    model: FakeModel | None = None,
    voice: FakeVoice | None = None,
    transcriber: FakeTranscriber | None = None,
    detector: FakeDetector | None = None,
    end_of_turn: FakeEndOfTurn | None = None,
    weather: Weather = FAIR,
    format: AudioFormat | None = None,
    variables: dict[str, Any] | None = None,
    recording_path: str | None = None,
    tools: Tools | None = None,
    sound: bool = True,
    stand_ins: StandIns | None = None,
    lossless: bool = False,
    exchange: FakeExchange | None = None,
    knowledge: Knowledge | None = None,
) -> Result:
    """Hold one call; returns when it is over. A scene that ends without the call ending fails
    after the agent's maximum duration. Whatever happened, the call must have ended as a call
    does: see `check`. `sound` False: nothing at all comes from the caller's side."""

    async def main() -> Result:
        near, far = pair(format or MULAW_8K, weather, lossless=lossless)
        engines = Engines(
            transcriber=transcriber or FakeTranscriber(),
            voice=voice or FakeVoice(),
            model=model or FakeModel(lambda _: "All right."),
            detector=detector or FakeDetector(),
            end_of_turn=end_of_turn or FakeEndOfTurn(),
            stand_ins=stand_ins or StandIns(),
        )
        timeline, ticker = Timeline(), Ticker()
        ticker.start()
        client = tools or Tools()
        spec = CallSpec(
            call_id="call",
            direction="inbound",
            customer_number="+15551230000",
            agent=agent,
            variables=variables or {},
            recording_path=recording_path,
        )
        person = Person(far, engines.transcriber, near)
        call = Call(
            spec,
            near,
            engines,
            timeline,
            ticker,
            cast("Outbound", client),
            exchange=exchange,
            knowledge=knowledge,
            recording_writer=Inline(),
        )
        if exchange is not None:
            exchange.ticker = ticker
        far.start(person)
        if not sound:
            far._out.close()  # the network carries nothing from here to there
        running = asyncio.create_task(call.run())
        stage = Stage(
            person,
            call,
            timeline,
            engines.model,
            engines.voice,
            engines.transcriber,
            engines.detector,
            engines.end_of_turn,
            running,
            client,
        )
        acting = asyncio.ensure_future(scene(stage))
        try:
            await asyncio.wait({acting, running}, return_when=asyncio.FIRST_COMPLETED)
            if acting.done():
                await acting  # a failed assertion of the scene comes first
            outcome = await running
            if not acting.done():
                await asyncio.wait({acting}, timeout=5)
            if exchange is not None and exchange.running is not None:
                await exchange.over()
            acting.cancel() if not acting.done() else acting.result()
        finally:
            second = exchange.running if exchange is not None else None
            tasks: list[asyncio.Future[Any]] = [acting, running]
            tasks += [] if second is None else [second]
            for task in tasks:
                if not task.done():
                    task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            ticker.stop()
        check(stage, outcome, ticker)
        return Result(outcome, timeline, person, stage)

    return run_virtual(main())


def check(stage: Stage, outcome: Outcome, ticker: Ticker) -> None:
    """What holds of every call when it is over."""
    kinds = [h.kind for h in stage.timeline.happenings]
    assert kinds.count("ended") == 1
    assert kinds[0] == "answered"
    times = [h.at_ms for h in stage.timeline.happenings]
    assert times == sorted(times)
    assert dict(stage.timeline.of("ended")[0].data)["reason"] == outcome.reason
    assert len(ticker) == 0
    assert stage.person.near.inbox.ended is not None
    assert stage.model.open == 0
    assert stage.voice.speaking == 0
    assert all(stream.closed for stream in stage.transcriber.streams)
    assert all(stream.closed for stream in stage.detector.streams)
    begun = [h.data["turn"] for h in stage.timeline.of("turn_latency")]
    assert len(begun) == len(set(begun)), "one latency for each answered turn"
    for latency in stage.timeline.of("turn_latency"):
        stages = dict(latency.data)
        known = [
            stages[f"{s}Ms"] for s in ("token", "audio", "sent") if stages[f"{s}Ms"] is not None
        ]
        assert known == sorted(known)
        assert all(ms >= 0 for ms in known)
        for earlier in ("words", "verdict"):
            if stages[f"{earlier}Ms"] is not None:
                assert 0 <= stages[f"{earlier}Ms"] <= stages["committedMs"]
        assert stages["committedMs"] <= stages["sentMs"]
    for line in outcome.transcript:
        assert line.content


def agent(**fields: Any) -> AgentSpec:
    """The test agent with some fields changed; `turns_…` reach into the turn settings."""
    turns = {k[6:]: v for k, v in fields.items() if k.startswith("turns_")}
    rest = {k: v for k, v in fields.items() if not k.startswith("turns_")}
    return replace(AGENT, **rest, turns=replace(AGENT.turns, **turns))
