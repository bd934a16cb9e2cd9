"""Something short while the answer is not there yet, where an agent is to say it."""

from __future__ import annotations

import pytest
from tests.fakes.llm import FakeModel, Scripted
from tests.fakes.speech import FakeEndOfTurn
from tests.fakes.stage import Stage, agent, play

from chorus.lines.line import LineMove

FILLING = agent(filler_after_ms=800, fillers=("Let me see.", "One moment."))


async def one_question(stage: Stage) -> None:
    await stage.person.waits(800)  # the sounds are made meanwhile
    await stage.person.says("hello there", 700)
    await stage.until("reply_heard")
    await stage.person.hang_up()


def slow(*texts: str, first_ms: float = 3000) -> FakeModel:
    return FakeModel([Scripted(text, first_ms=first_ms) for text in texts])


def test_it_is_heard_while_the_model_is_slow_and_is_in_the_transcript_as_what_it_is() -> None:
    result = play(one_question, agent=FILLING, model=slow("All right."))
    assert result.transcript[-1] == ("assistant", "[filler: Let me see.] All right.")
    [filler] = result.of("filler")
    assert filler["text"] == "Let me see."
    ended_ms = result.of("turn_latency")[0]["speechEndedAtMs"]
    at_ms = result.timeline.of("filler")[0].at_ms
    assert at_ms - ended_ms == pytest.approx(800, abs=40)
    [heard] = result.of("reply_heard")
    assert (heard["heard"], heard["filler"]) == ("All right.", "Let me see.")
    assert result.person.speech_ms == pytest.approx(50 * len("Let me see.All right."), abs=80)


def test_the_latency_is_that_of_the_answer() -> None:
    silent = play(one_question, model=slow("All right."))
    filled = play(one_question, agent=FILLING, model=slow("All right."))
    [without], [latency] = silent.of("turn_latency"), filled.of("turn_latency")
    assert latency["sentMs"] == pytest.approx(without["sentMs"], abs=60)


def test_it_is_not_heard_when_the_answer_is_there() -> None:
    result = play(one_question, agent=FILLING, model=slow("All right.", first_ms=200))
    assert result.transcript[-1] == ("assistant", "All right.")
    assert result.of("filler") == []


def test_it_is_off_where_nothing_is_set() -> None:
    result = play(one_question, model=slow("All right."))
    assert result.transcript[-1] == ("assistant", "All right.")


def test_it_comes_at_once_where_an_unsure_verdict_has_taken_the_time() -> None:
    unsure = FakeEndOfTurn(*[0.3] * 20)
    result = play(one_question, agent=FILLING, model=slow("All right."), end_of_turn=unsure)
    [committed], [filler] = result.timeline.of("turn_committed"), result.timeline.of("filler")
    assert committed.at_ms - result.of("turn_latency")[0]["speechEndedAtMs"] > 700
    assert filler.at_ms - committed.at_ms <= 120


def test_never_in_two_turns_in_a_row_and_never_the_same_twice() -> None:
    async def scene(stage: Stage) -> None:
        await stage.person.waits(800)
        for count in range(1, 4):
            await stage.person.says(f"question {count}", 700)
            await stage.until("reply_heard", count)
            await stage.person.waits(500)
        await stage.person.hang_up()

    result = play(scene, agent=FILLING, model=slow("One.", "Two.", "Three."))
    assert [line for role, line in result.transcript if role == "assistant"] == [
        "[filler: Let me see.] One.",
        "Two.",
        "[filler: One moment.] Three.",
    ]


def test_no_model_is_shown_it_and_a_caller_may_go_on_over_it() -> None:
    async def scene(stage: Stage) -> None:
        await stage.person.waits(800)
        await stage.person.says("a table for two", 700)
        await stage.until("filler")
        await stage.person.waits(150)
        await stage.person.says("on Friday please", 900)
        await stage.until("reply_heard", 2)
        await stage.person.hang_up()

    result = play(scene, agent=FILLING, model=FakeModel(lambda _: Scripted("Yes.", first_ms=3000)))
    assert [event["by"] for event in result.of("interrupted")] == ["speech"]
    assert result.prompts[-1][-1] == ("user", "a table for two on Friday please")
    assert result.transcript[-1] == ("assistant", "Yes.")
    assert not any("filler" in text for prompt in result.prompts for _, text in prompt)


def test_a_language_has_its_own() -> None:
    german = agent(filler_after_ms=800, language="de")
    result = play(one_question, agent=german, model=slow("Gern."))
    assert result.transcript[-1] == ("assistant", "[filler: Einen Moment.] Gern.")


def test_it_is_not_said_into_a_line_that_is_on_hold() -> None:
    async def scene(stage: Stage) -> None:
        await stage.person.waits(800)
        await stage.person.says("hello there", 700)
        await stage.until("turn_committed")
        stage.person.near.inbox.moved(LineMove.HELD)
        await stage.person.waits(4000)
        stage.person.near.inbox.moved(LineMove.RESUMED)
        await stage.until("reply_heard")
        await stage.person.hang_up()

    result = play(scene, agent=FILLING, model=slow("All right."))
    assert result.of("filler") == []
    assert result.transcript[-1] == ("assistant", "All right.")
