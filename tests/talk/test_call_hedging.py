"""A vendor that is slower than usual: the next one is asked beside it, and who begins first is
heard, once."""

from __future__ import annotations

from typing import Any

import pytest
from tests.fakes.llm import FakeModel, Scripted
from tests.fakes.speech import FakeVoice
from tests.fakes.stage import Result, Stage, agent, play

from chorus.llm.model import ModelFailed
from chorus.talk.spec import StandIns

HEDGED = agent(hedging="all")


async def one_question(stage: Stage) -> None:
    await stage.person.says("hello there", 700)
    await stage.until("reply_heard")
    await stage.person.hang_up()


def waited_ms(result: Result) -> int:
    return result.of("turn_latency")[0]["sentMs"]


def discarded(result: Result) -> list[dict[str, Any]]:
    return [usage for usage in result.of("usage") if usage["discarded"]]


@pytest.mark.parametrize("first", [Scripted("Late.", hang_after=0), Scripted("L", first_ms=4900)])
def test_a_model_that_stalls_is_overtaken_by_the_next(first: Scripted) -> None:
    slow, other = FakeModel(lambda _: first, name="slow"), FakeModel(["All right."], name="other")
    result = play(one_question, agent=HEDGED, model=slow, stand_ins=StandIns(models=(other,)))
    assert result.transcript[-1] == ("assistant", "All right.")
    assert 1500 <= waited_ms(result) < 2500
    assert [request.ended for request in slow.requests] == ["closed"]
    [hedged] = result.of("engine_hedged")
    assert (hedged["vendor"], hedged["stage"], hedged["by"]) == ("slow", "model", "other")
    assert hedged["waitedMs"] == 1500
    [lost] = discarded(result)
    assert (lost["model"], lost["estimated"]) == ("slow", True)
    assert lost["inputTokens"] > 0
    [said] = [usage for usage in result.of("usage") if not usage["discarded"]]
    assert said["model"] == "other"
    assert result.of("engine_failed") == []


def test_the_first_is_heard_if_it_begins_before_the_other() -> None:
    slow = FakeModel([Scripted("From the first.", first_ms=2000)], name="slow")
    other = FakeModel([Scripted("From the second.", first_ms=2000)], name="other")
    result = play(one_question, agent=HEDGED, model=slow, stand_ins=StandIns(models=(other,)))
    assert result.transcript[-1] == ("assistant", "From the first.")
    assert [request.ended for request in other.requests] == ["closed"]
    assert [usage["model"] for usage in discarded(result)] == ["other"]
    assert result.of("usage")[-1]["model"] == "slow"


def test_nobody_is_asked_beside_a_model_where_that_is_off() -> None:
    slow = FakeModel([Scripted("From the first.", first_ms=3000)], name="slow")
    other = FakeModel(name="other")
    stand_ins = StandIns(models=(other,))
    result = play(one_question, agent=agent(hedging="off"), model=slow, stand_ins=stand_ins)
    assert result.transcript[-1] == ("assistant", "From the first.")
    assert other.requests == []


def test_nobody_is_asked_beside_a_model_that_has_begun() -> None:
    """Words that were heard are not said again by another."""
    slow = FakeModel([Scripted("One two. Three four.", item_ms=2500)], name="slow")
    other = FakeModel(name="other")
    result = play(one_question, agent=HEDGED, model=slow, stand_ins=StandIns(models=(other,)))
    assert result.transcript[-1] == ("assistant", "One two. Three four.")
    assert other.requests == []


def test_a_third_takes_over_when_the_one_that_was_asked_beside_fails() -> None:
    down = Scripted(error=ModelFailed("down", "overloaded"), error_after=0)
    second = FakeModel([down], name="second")
    hung = Scripted(error=ModelFailed("slow", "no answer within 5000 ms"), error_after=0)
    hung.first_ms = 5000
    slow = FakeModel([hung], name="slow")
    third = FakeModel(["From the third."], name="third")
    stand_ins = StandIns(models=(second, third))
    result = play(one_question, agent=HEDGED, model=slow, stand_ins=stand_ins)
    assert result.transcript[-1] == ("assistant", "From the third.")
    assert [failed["vendor"] for failed in result.of("engine_failed")] == ["down", "slow"]


def test_the_slow_one_is_paid_for_when_the_one_beside_it_failed() -> None:
    down = Scripted(error=ModelFailed("down", "overloaded"), error_after=0)
    slow = FakeModel([Scripted("From the first.", first_ms=3000)], name="slow")
    stand_ins = StandIns(models=(FakeModel([down], name="second"),))
    result = play(one_question, agent=HEDGED, model=slow, stand_ins=stand_ins)
    assert result.transcript[-1] == ("assistant", "From the first.")
    assert result.of("usage")[-1]["model"] == "slow"


def test_a_voice_that_stalls_is_overtaken_and_nothing_is_said_twice() -> None:
    hung, other = FakeVoice(name="hung", first_audio_ms=60_000), FakeVoice(name="other")
    hung.deadline_ms = 2500
    result = play(one_question, agent=HEDGED, voice=hung, stand_ins=StandIns(voices=((other, ""),)))
    assert result.transcript[-1] == ("assistant", "All right.")
    assert "".join(other.clauses) == "All right."
    assert result.person.speech_ms == pytest.approx(50 * len("All right."), abs=40)
    assert waited_ms(result) < 2000
    assert hung.closed_early == 1
    [hedged] = result.of("engine_hedged")
    assert (hedged["vendor"], hedged["stage"], hedged["by"]) == ("hung", "speak", "other")
    [lost] = discarded(result)
    assert (lost["voice"], lost["characters"], lost["inputTokens"]) == ("hung", 10, 0)


def test_a_voice_that_waits_for_the_models_words_is_not_slow() -> None:
    first, other = FakeVoice(name="first"), FakeVoice(name="other")
    model = FakeModel([Scripted("All right.", first_ms=4000)])
    stand_ins = StandIns(voices=((other, ""),))
    result = play(one_question, agent=HEDGED, voice=first, model=model, stand_ins=stand_ins)
    assert result.transcript[-1] == ("assistant", "All right.")
    assert other.clauses == []


def test_a_voice_stays_alone_where_only_models_are_asked_beside() -> None:
    slow = FakeVoice(name="slow", first_audio_ms=1500, deadline_ms=2500)
    other = FakeVoice(name="other")
    stand_ins = StandIns(voices=((other, ""),))
    result = play(one_question, agent=agent(hedging="model"), voice=slow, stand_ins=stand_ins)
    assert result.transcript[-1] == ("assistant", "All right.")
    assert other.clauses == []


def test_the_caller_who_interrupts_stops_both() -> None:
    slow = FakeModel(lambda _: Scripted("x", hang_after=0), name="slow")
    other = FakeModel(lambda _: Scripted("x", hang_after=0), name="other")

    async def scene(stage: Stage) -> None:
        await stage.person.says("hello there", 700)
        await stage.until("engine_hedged")
        await stage.person.hang_up()

    result = play(scene, agent=HEDGED, model=slow, stand_ins=StandIns(models=(other,)))
    assert slow.open == other.open == 0
    assert {request.ended for request in other.requests} == {"closed"}
    # Both were asked, so both are paid for, though neither has said how much.
    usages = result.of("usage")
    assert sorted(usage["model"] for usage in usages) == ["other", "slow"]
    assert all(usage["estimated"] and usage["inputTokens"] > 0 for usage in usages)
