"""The far end puts the line on hold: the agent waits without a word, and goes on afterwards."""

from __future__ import annotations

import asyncio

from tests.fakes.llm import FakeModel
from tests.fakes.speech import tone
from tests.fakes.stage import Stage, agent, play

from chorus.lines.line import LineMove

GREETING = "Good day, this is the office. We are open from nine to five, and closed on Sunday."


def held(stage: Stage) -> None:
    """As a line tells it that can be held."""
    stage.person.near.inbox.moved(LineMove.HELD)


def resumed(stage: Stage) -> None:
    stage.person.near.inbox.moved(LineMove.RESUMED)


async def away(stage: Stage, ms: float) -> tuple[float, float]:
    """On hold for so long; from when to when nothing may be heard, in seconds of the clock."""
    begun = asyncio.get_running_loop().time()
    held(stage)
    await stage.person.waits(ms)
    resumed(stage)
    return begun + 0.02, asyncio.get_running_loop().time()


def test_what_the_agent_says_stops_and_goes_on_with_the_clause_that_was_cut() -> None:
    quiet: list[tuple[float, float]] = []

    async def scene(stage: Stage) -> None:
        await stage.until("reply_started")
        await stage.person.waits(2500)
        quiet.append(await away(stage, 15_000))
        await stage.until("reply_heard")
        await stage.person.hang_up()

    result = play(scene, agent=agent(first_speaker="agent", greeting=GREETING))
    assert not result.person.sound_between(*quiet[0])
    [said] = result.of("reply_heard")
    assert (said["heard"], said.get("unsaid", "")) == (GREETING, "")
    assert result.transcript[0] == ("assistant", GREETING)
    # 50 ms a character: all of it once, and no more than a clause of it twice.
    whole_ms = 50 * len(GREETING)
    assert whole_ms - 100 <= result.person.speech_ms <= whole_ms + 2500
    assert [told["leg"] for told in result.of("leg_held")] == ["caller"]
    assert len(result.of("leg_resumed")) == 1


def test_music_is_no_turn_and_an_answer_waits() -> None:
    quiet: list[tuple[float, float]] = []

    async def scene(stage: Stage) -> None:
        await stage.person.says("when do you open", 800)
        held(stage)
        quiet.append((asyncio.get_running_loop().time() + 0.02, 0.0))
        stage.person.line.play(tone(stage.person.line.format, 12_000))  # the music of the PBX
        await stage.person.waits(12_000)
        quiet[0] = (quiet[0][0], asyncio.get_running_loop().time())
        resumed(stage)
        await stage.until("reply_heard")
        await stage.person.says("thank you", 600)
        await stage.until("reply_heard", 2)
        await stage.person.hang_up()

    result = play(scene, model=FakeModel(["At nine.", "You are welcome."]))
    assert result.transcript == [
        ("user", "when do you open"),
        ("assistant", "At nine."),
        ("user", "thank you"),
        ("assistant", "You are welcome."),
    ]
    assert not result.person.sound_between(*quiet[0])
    assert len(result.of("speech_started")) == 2
    # A while on hold is no slow answer.
    assert [told["turn"] for told in result.of("turn_latency")] == [2]
    assert result.of("ended")[0]["lostMs"] == 0
    # The model knows where the caller has been.
    assert any("on hold for 12 seconds" in text for _, text in result.prompts[1])


def test_the_caller_s_silence_does_not_count() -> None:
    async def scene(stage: Stage) -> None:
        await stage.person.waits(6000)
        await away(stage, 15_000)
        assert not stage.timeline.of("caller_silent")
        await stage.until("caller_silent", timeout_s=11)
        await stage.person.hang_up()

    result = play(scene, agent=agent(silence_timeout_s=10, silence_reminders=1))
    resumed_ms = result.timeline.of("leg_resumed")[0].at_ms
    assert result.timeline.of("caller_silent")[0].at_ms >= resumed_ms + 10_000


def test_a_line_that_is_held_from_the_first_moment_is_greeted_when_it_is_there() -> None:
    async def scene(stage: Stage) -> None:
        held(stage)
        await stage.person.waits(8000)
        assert not stage.timeline.of("reply_started")
        resumed(stage)
        await stage.until("reply_heard")
        await stage.person.hang_up()

    result = play(scene, agent=agent(first_speaker="agent", greeting=GREETING))
    assert result.transcript == [("assistant", GREETING)]


def test_a_hold_is_no_longer_than_a_call_may_be() -> None:
    async def scene(stage: Stage) -> None:
        await stage.until("reply_heard")
        held(stage)
        await asyncio.wait({stage.running}, timeout=120)

    result = play(
        scene, agent=agent(first_speaker="agent", greeting="Hello.", max_call_duration_s=20)
    )
    assert result.ending == ("completed", "max_duration")
    assert 20_000 <= result.outcome.duration_ms <= 40_000
    assert result.transcript[0] == ("assistant", "Hello.")


def test_a_caller_who_hangs_up_on_hold_has_heard_what_was_heard() -> None:
    async def scene(stage: Stage) -> None:
        await stage.until("reply_started")
        await stage.person.waits(1500)
        held(stage)
        await stage.person.waits(5000)
        await stage.person.hang_up()

    result = play(scene, agent=agent(first_speaker="agent", greeting=GREETING))
    assert result.ending == ("completed", "customer_ended")
    [said] = result.of("reply_heard")
    assert GREETING.startswith(said["heard"])
    assert 0 < len(said["heard"]) < 40
    assert said["heardMs"] <= 1600


def test_who_goes_on_speaking_afterwards_is_answered_once() -> None:
    """The reply to half a sentence is taken back, as it was not heard."""

    async def scene(stage: Stage) -> None:
        await stage.person.says("I would like", 700)
        await away(stage, 15_000)
        await stage.person.says("a table for two", 900)
        await stage.until("reply_heard")
        await stage.person.waits(500)
        await stage.person.hang_up()

    result = play(scene)
    users = " ".join(text for who, text in result.transcript if who == "user")
    assert users == "I would like a table for two"


def test_it_may_be_said_twice_and_without_a_beginning() -> None:
    async def scene(stage: Stage) -> None:
        resumed(stage)
        held(stage)
        held(stage)
        await stage.person.waits(500)
        resumed(stage)
        resumed(stage)
        await stage.person.says("hello", 600)
        await stage.until("reply_heard")
        await stage.person.hang_up()

    assert play(scene).transcript[-1] == ("assistant", "All right.")
