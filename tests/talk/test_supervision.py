"""Supervisors of a call: whom they hear, who hears them, and that nobody else notices."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.fakes.llm import FakeModel
from tests.fakes.second import FakeExchange
from tests.fakes.speech import tone
from tests.fakes.stage import Result, Stage, agent, play
from tests.talk.test_transfers import assert_connected, hold, target

from chorus.audio.codec import decode, peak
from chorus.audio.frame import MULAW_8K, PCM_16K, AudioFormat
from chorus.lines.line import LineEnded, LineMove
from chorus.lines.loopback.line import pair
from chorus.talk.spec import KeyInput
from chorus.talk.supervision import HANDED_BACK, HANDED_ON, MOST, Hears, NotSupervised
from chorus.talk.transfer import Wish


class Listener:
    """A supervisor with a headset. `heard` is (seconds, peak) of each frame."""

    def __init__(self, stage: Stage, format: AudioFormat = PCM_16K, id: str = "s1") -> None:
        self.near, self.line = pair(format, leg_id=id)
        self.stage = stage
        self.id = id
        self.heard: list[tuple[float, int]] = []
        self.ended: LineEnded | None = None
        self.over: asyncio.Event | None = None
        self.line.start(self)

    def join(self, hears: Hears = "both", **options: Any) -> Listener:
        told = {"tone": False, "announcement": None, **options}
        supervisors = self.stage.call.supervisors
        self.over = supervisors.join(self.id, self.near, hears, "member 1", **told)
        return self

    def speaks(self, ms: float) -> None:
        self.line.play(tone(self.line.format, ms))

    def mode(self, mode: Any) -> None:
        self.stage.call.supervisors.set_mode(self.id, mode)

    def hears_since(self, since_s: float) -> bool:
        return any(at > since_s and loud > 500 for at, loud in self.heard)

    # LineEvents
    def line_audio(self, chunk: bytes, at_ms: float) -> None:
        now = asyncio.get_running_loop().time()
        self.heard.append((now, peak(decode(self.line.format, chunk))))

    def line_digit(self, digit: str) -> None: ...
    def line_moved(self, move: LineMove) -> None: ...
    def line_ended(self, ended: LineEnded) -> None:
        self.ended = ended


def now_s() -> float:
    return asyncio.get_running_loop().time()


def kinds(result: Result) -> list[str]:
    return [h.kind for h in result.timeline.happenings]


@pytest.mark.parametrize("format", [MULAW_8K, PCM_16K])
@pytest.mark.parametrize(
    ("hears", "caller", "speaks"),
    [("both", True, True), ("caller", True, False), ("agent", False, True)],
)
def test_whom_a_supervisor_hears(
    hears: Hears, caller: bool, speaks: bool, format: AudioFormat
) -> None:
    async def scene(stage: Stage) -> None:
        await stage.person.waits(500)
        listener = Listener(stage, format).join(hears)
        await stage.person.waits(300)
        begun = now_s()
        await stage.person.says("hello", 800)
        assert listener.hears_since(begun) == caller
        await stage.until("reply_started")
        begun = now_s() + 0.1
        await stage.until("reply_heard")
        assert listener.hears_since(begun) == speaks
        listener.speaks(1000)  # nobody hears it
        begun = now_s() + 0.1
        await stage.person.waits(1500)
        assert not stage.person.sound_between(begun, now_s())
        await stage.person.hang_up()
        await stage.person.waits(100)
        assert listener.ended is not None
        assert listener.over is not None
        assert listener.over.is_set()

    result = play(scene, model=FakeModel(["Hello to you, and welcome to the shop."]))
    assert ("user", "hello") in result.transcript


def test_a_supervisor_costs_the_caller_no_time() -> None:
    """The same call, to the millisecond, with and without five of them."""
    took: list[tuple[list[int], list[int]]] = []
    for count in (0, MOST):

        async def scene(stage: Stage, count: int = count) -> None:
            await stage.person.waits(500)
            for n in range(count):
                Listener(stage, id=f"s{n}").join()
            await stage.person.says("hello", 700)
            await stage.until("reply_heard")
            await stage.person.says("and then", 700)
            await stage.until("reply_heard", 2)
            await stage.person.hang_up()

        result = play(scene, model=FakeModel(lambda _: "All right, let me see about that."))
        sent = [each["sentMs"] for each in result.of("turn_latency")]
        heard = [round(at * 1000) for at, loud in result.person.heard if loud > 500]
        took.append((sent, heard))
    assert took[0] == took[1]


def test_no_more_than_some() -> None:
    async def scene(stage: Stage) -> None:
        await stage.person.waits(500)
        for n in range(MOST):
            Listener(stage, id=f"s{n}").join()
        with pytest.raises(NotSupervised, match=f"at most {MOST}"):
            Listener(stage, id="more").join()
        await stage.person.hang_up()

    play(scene)


def test_take_over_and_hand_back(tmp_path: Any) -> None:
    async def scene(stage: Stage) -> None:
        await stage.person.says("hello", 600)
        await stage.until("reply_heard")
        listener = Listener(stage).join("agent")
        listener.mode("talk")
        await stage.person.waits(200)
        begun = now_s()
        listener.speaks(800)
        await stage.person.waits(1000)
        assert stage.person.sound_between(begun, now_s())
        begun = now_s()
        await stage.person.says("who are you", 800)
        assert listener.hears_since(begun)  # whom they talk with, whatever they wanted to hear
        await stage.person.waits(3000)
        assert len(stage.timeline.of("reply_heard")) == 1  # the agent is silent
        listener.mode("listen")
        await stage.person.waits(300)
        begun = now_s() + 0.1
        listener.speaks(500)
        await stage.person.waits(800)
        assert not stage.person.sound_between(begun, now_s())
        await stage.person.says("so what now", 800)
        await stage.until("reply_heard", 2)
        await stage.person.hang_up()

    path = tmp_path / "call.wav"
    result = play(scene, recording_path=str(path))
    assert HANDED_BACK in str(result.prompts[-1])
    assert "who are you" in str(result.prompts[-1])
    assert [each["mode"] for each in result.of("supervisor_mode")] == ["talk", "listen"]


def test_who_leaves_while_they_talk_hands_the_caller_back() -> None:
    async def scene(stage: Stage) -> None:
        await stage.person.waits(500)
        listener = Listener(stage).join()
        listener.mode("talk")
        await stage.person.waits(500)
        await listener.line.hang_up()
        await stage.person.waits(300)
        await stage.person.says("are you there", 800)
        await stage.until("reply_heard")
        await stage.person.hang_up()

    result = play(scene)
    assert kinds(result).index("supervisor_left") < kinds(result).index("reply_heard")
    assert result.ending == ("completed", "customer_ended")


def test_one_at_a_time_talks() -> None:
    async def scene(stage: Stage) -> None:
        await stage.person.waits(500)
        one, other = Listener(stage).join(), Listener(stage, id="s2").join()
        one.mode("talk")
        other.mode("talk")
        other.mode("whisper")
        stage.call.supervisors.set_mode("nobody", "talk")
        await stage.person.hang_up()

    result = play(scene)
    refused = [each["detail"] for each in result.of("supervision_refused")]
    assert [why[:20] for why in refused] == [
        "another supervisor t",
        "there is no person t",
        "the supervisor is no",
    ]


def test_the_caller_is_told() -> None:
    async def scene(stage: Stage) -> None:
        await stage.person.waits(500)
        begun = now_s()
        Listener(stage).join(tone=True, announcement="A colleague listens.")
        await stage.person.waits(400)
        assert stage.person.sound_between(begun, begun + 0.4)
        await stage.until("reply_heard")
        await stage.person.hang_up()

    result = play(scene)
    assert result.transcript == [("assistant", "A colleague listens.")]


def test_a_secret_is_heard_by_nobody() -> None:
    async def scene(stage: Stage) -> None:
        await stage.person.waits(500)
        listener = Listener(stage).join()
        stage.call._keypad.begin(KeyInput("pin", max_length=4, secret=True))
        await stage.person.waits(100)
        begun = now_s()
        stage.person.line.play(tone(stage.person.line.format, 600))
        await stage.person.waits(700)
        assert not listener.hears_since(begun)
        stage.person.press("1234")
        await stage.person.waits(2500)
        begun = now_s()
        await stage.person.says("done", 800)
        assert listener.hears_since(begun)
        await stage.person.hang_up()

    play(scene)


def test_a_supervisor_hears_a_transfer_and_whispers_to_the_person() -> None:
    exchange = FakeExchange()
    heard: dict[str, bool] = {}

    async def scene(stage: Stage) -> None:
        listener = Listener(stage).join()
        person = await exchange.answers()
        await stage.until("transfer_connected")
        listener.mode("talk")  # not while somebody else does
        await stage.person.waits(500)
        begun = now_s()
        person.begins(None, 800)
        await stage.person.waits(1000)
        heard["the person"] = listener.hears_since(begun)
        listener.mode("whisper")
        await stage.person.waits(500)
        begun = now_s() + 0.1
        listener.speaks(800)
        await stage.person.waits(1200)
        heard["whisper, person"] = person.sound_between(begun, now_s())
        heard["whisper, caller"] = stage.person.sound_between(begun, now_s())
        await person.hang_up()

    result = hold(scene, exchange, target("cold"))
    assert heard == {"the person": True, "whisper, person": True, "whisper, caller": False}
    assert [each["detail"] for each in result.of("supervision_refused")] == [
        "the caller is being transferred"
    ]


@pytest.mark.parametrize("hears", ["both", "agent"])
def test_a_supervisor_who_has_taken_over_hands_the_caller_to_a_person(hears: Hears) -> None:
    exchange = FakeExchange()

    async def scene(stage: Stage) -> None:
        await stage.person.waits(500)
        listener = Listener(stage).join(hears)
        listener.mode("talk")
        await stage.person.waits(1000)
        stage.call.transfer(Wish(target("warm"), "About a chair.", "api"))
        person = await exchange.answers()
        await exchange.timeline.until("reply_heard")
        begun = now_s() + 0.1
        listener.speaks(800)
        await stage.person.waits(1200)
        assert not stage.person.sound_between(begun, now_s()), "the supervisor is heard on hold"
        person.press("1")
        await stage.until("transfer_connected")
        await assert_connected(stage.person, person)
        await stage.person.hang_up()

    result = play(scene, agent=agent(hold_message="One moment."), exchange=exchange)
    assert [each["mode"] for each in result.of("supervisor_mode")] == ["talk", "listen"]
    assert exchange.statuses == ["initiated", "briefing", "connected", "completed"]
    assert result.of("transfer_refused") == []
    assert ("assistant", "One moment.") in result.transcript


def test_a_transfer_of_a_supervisor_that_fails_gives_the_caller_to_the_agent() -> None:
    exchange = FakeExchange(refuses="no room")

    async def scene(stage: Stage) -> None:
        await stage.person.waits(500)
        Listener(stage).join().mode("talk")
        stage.call.transfer(Wish(target("warm"), "About a chair.", "api"))
        await stage.until("reply_heard")
        await stage.person.says("what now", 800)
        await stage.until("reply_heard", 2)
        await stage.person.hang_up()

    result = play(scene, exchange=exchange)
    assert exchange.statuses == ["initiated", "failed"]
    assert ("user", "what now") in result.transcript
    assert HANDED_ON in str(result.prompts[-1])


def test_an_agent_transfers_nobody_while_a_supervisor_talks() -> None:
    exchange = FakeExchange()

    async def scene(stage: Stage) -> None:
        await stage.person.waits(500)
        Listener(stage).join().mode("talk")
        stage.call.transfer(Wish(target("warm")))
        await stage.until("transfer_refused")
        await stage.person.hang_up()

    play(scene, exchange=exchange)
    assert exchange.statuses == []
