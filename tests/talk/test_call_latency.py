"""How long a turn takes, and where the time goes."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.fakes.llm import FakeModel, Scripted
from tests.fakes.speech import FakeEndOfTurn, FakeTranscriber
from tests.fakes.stage import Result, Stage, play

from chorus.lines.loopback.line import Weather

STAGES = ("words", "verdict", "committed", "token", "audio", "sent")


def one_turn(speech_ms: float = 800, *, start_ms: float = 300, **engines: Any) -> Result:
    """A transcriber that gives final words by itself 100 ms after the end of speech, a first
    token after 200 ms, 40 tokens a second, a voice that takes 100 ms, and default settings."""

    async def scene(stage: Stage) -> None:
        await stage.person.waits(start_ms)
        stage.person.begins(None, speech_ms)
        stage.transcriber.understood.clear()
        await stage.person.waits(speech_ms + 100)
        stage.transcriber.hear("what are your hours", at_ms=start_ms + speech_ms)
        await stage.until("reply_heard")
        await stage.person.hang_up()

    model = FakeModel(lambda _: Scripted("Sure, nine to five.", first_ms=200, item_ms=25))
    return play(scene, **({"model": model} | engines))


@pytest.mark.parametrize("start_ms", [300, 307, 313, 320, 329])
def test_the_answer_is_on_its_way_460_ms_after_the_end_of_speech(start_ms: float) -> None:
    result = one_turn(start_ms=start_ms)
    [latency] = result.of("turn_latency")
    assert latency["sentMs"] <= 460
    assert result.of("turn_committed")[0]["drafted"] is True
    # And that is what the person hears, less the frame in which it arrives.
    spoken = [at for at, loud in result.person.heard if loud > 500]
    assert (spoken[0] - 1000) * 1000 - (start_ms + 800) <= 460 + 40


def test_each_stage_is_there_in_order_and_as_long_as_it_took() -> None:
    [latency] = one_turn().of("turn_latency")
    assert abs(latency["speechEndedAtMs"] - 1100) <= 32
    known = {stage: latency[f"{stage}Ms"] for stage in STAGES}
    assert None not in known.values()
    assert 68 <= known["words"] <= 100
    assert 64 <= known["verdict"] <= 64 + 40 + 40
    assert 128 <= known["committed"] <= 128 + 40
    assert 195 <= known["token"] - known["words"] <= 205
    assert 95 <= known["audio"] - known["token"] <= 105
    assert known["sent"] - known["audio"] <= 1


def test_the_commit_is_what_a_slow_verdict_delays() -> None:
    [latency] = one_turn(end_of_turn=FakeEndOfTurn(delay_ms=500)).of("turn_latency")
    assert latency["committedMs"] == latency["verdictMs"]
    assert latency["sentMs"] - latency["committedMs"] <= 1
    assert latency["audioMs"] < latency["committedMs"]


def test_a_transcriber_that_must_be_asked_costs_its_own_time_and_no_more() -> None:
    async def scene(stage: Stage) -> None:
        await stage.person.waits(300)
        await stage.person.says("what are your hours", 800)
        await stage.until("reply_heard")
        await stage.person.hang_up()

    model = FakeModel(lambda _: Scripted("Sure, nine to five."))
    [latency] = play(scene, model=model).of("turn_latency")
    # 96 ms of silence before it is asked, rounded up to a frame, and 100 ms for its answer.
    assert latency["wordsMs"] <= 96 + 32 + 20 + 100
    assert latency["sentMs"] - latency["wordsMs"] <= 305


def test_words_that_interrupt_have_a_latency_too() -> None:
    async def scene(stage: Stage) -> None:
        await stage.person.says("tell me everything", 800)
        await stage.until("reply_started")
        await stage.person.waits(1000)
        await stage.person.says("stop please", 800)
        await stage.until("reply_heard", 2)
        await stage.person.hang_up()

    model = FakeModel(
        lambda p: (
            "Well, one two three four five six seven eight." if len(p.messages) < 2 else "Yes."
        )
    )
    latencies = play(scene, model=model).of("turn_latency")
    assert len(latencies) == 2
    for latency in latencies:
        assert None not in latency.values()
        assert latency["sentMs"] <= 550


def test_a_turn_that_was_taken_back_is_measured_from_its_last_word() -> None:
    async def scene(stage: Stage) -> None:
        await stage.person.says("I want", 700)
        await stage.until("turn_committed")
        await stage.person.says("some bread", 700)
        await stage.until("reply_heard")
        await stage.person.hang_up()

    result = play(scene, model=FakeModel(lambda _: "Which?"))
    assert len(result.of("turn_committed")) == 2
    [latency] = result.of("turn_latency")
    assert latency["speechEndedAtMs"] > 1400
    assert latency["sentMs"] <= 550


def test_a_reply_taken_back_on_its_way_to_the_caller_answered_nothing() -> None:
    async def scene(stage: Stage) -> None:
        await stage.person.says("I want", 700)
        await stage.until("turn_committed")
        await stage.person.waits(20)
        await stage.person.says("some bread", 700)
        await stage.until("reply_heard")
        await stage.person.hang_up()

    far = Weather(latency_ms=200)
    result = play(scene, model=FakeModel(lambda _: Scripted("Which?", first_ms=50)), weather=far)
    assert len(result.of("reply_started")) == 2
    assert len(result.of("retracted")) == 1
    [latency] = result.of("turn_latency")
    assert latency["speechEndedAtMs"] > 1400


@given(
    speech_ms=st.integers(200, 3000),
    words_ms=st.integers(10, 400),
    verdict_ms=st.integers(0, 400),
    token_ms=st.integers(10, 500),
)
@settings(max_examples=25, deadline=None)
def test_nothing_is_lost_between_the_stages(
    speech_ms: int, words_ms: int, verdict_ms: int, token_ms: int
) -> None:
    """The answer is there when the slower of two ways is: words, token, voice; or the verdict."""
    result = one_turn(
        speech_ms,
        model=FakeModel(lambda _: Scripted("Sure, nine to five.", first_ms=token_ms)),
        end_of_turn=FakeEndOfTurn(delay_ms=verdict_ms),
        transcriber=FakeTranscriber(final_after_ms=words_ms),
    )
    [latency] = result.of("turn_latency")
    made = latency["wordsMs"] + token_ms + 100
    assert latency["sentMs"] <= max(made, latency["committedMs"]) + 2
