"""Whole calls on virtual time: a person at one end of a loopback line, the agent at the other."""

from __future__ import annotations

import asyncio

from tests.fakes.llm import FakeModel, Scripted
from tests.fakes.speech import FakeEndOfTurn
from tests.fakes.stage import Stage, agent, play

from chorus.llm.model import ToolCall


def test_the_caller_speaks_and_is_answered() -> None:
    async def scene(stage: Stage) -> None:
        await stage.person.waits(300)
        await stage.person.says("hello there", 800)
        await stage.until("reply_heard")
        await stage.person.waits(500)
        await stage.person.hang_up()

    result = play(scene, model=FakeModel(lambda _: "Hi. How can I help you?"))
    assert result.transcript == [("user", "hello there"), ("assistant", "Hi. How can I help you?")]
    assert (result.outcome.status, result.outcome.reason) == ("completed", "customer_ended")
    assert result.outcome.turn_count == 1
    [latency] = result.timeline.of("turn_latency")
    assert 0 < latency.data["sentMs"] < 800


def test_a_barge_in_silences_the_agent_and_keeps_what_was_heard() -> None:
    async def scene(stage: Stage) -> None:
        await stage.person.says("tell me everything", 800)
        await stage.until("reply_started")
        await stage.person.waits(2000)
        await stage.person.says("stop please", 800)
        await stage.until("interrupted")
        await stage.until("reply_heard", 2)
        await stage.person.hang_up()

    long = "First there was nothing at all, then there was something, and after that came us."
    model = FakeModel([Scripted(long), "All right."])
    result = play(scene, model=model)
    roles = [role for role, _ in result.transcript]
    assert roles == ["user", "assistant", "user", "assistant"]
    heard = result.transcript[1][1]
    assert heard
    assert long.startswith(heard)
    assert len(heard) < len(long)
    paused = result.timeline.of("agent_paused")[0].at_ms / 1000 + 1000
    assert not result.person.sound_between(paused + 0.06, paused + 0.7)


def test_a_cough_does_not_stop_the_agent() -> None:
    long = "First there was nothing at all, then there was something, and after that came us."

    async def scene(stage: Stage) -> None:
        await stage.person.says("tell me everything", 800)
        await stage.until("reply_started")
        await stage.person.waits(1500)
        await stage.person.says(None, 250)
        await stage.until("agent_resumed")
        await stage.until("reply_heard")
        await stage.person.hang_up()

    result = play(scene, model=FakeModel([long]))
    assert result.transcript[1] == ("assistant", long)
    assert not result.timeline.of("interrupted")


def test_goodbye_is_heard_before_the_agent_hangs_up() -> None:
    async def scene(stage: Stage) -> None:
        await stage.person.says("that was all", 700)
        await stage.running

    model = FakeModel([Scripted("Thank you, goodbye.", ToolCall("e", "end_call", "{}"))])
    result = play(scene, model=model)
    assert result.outcome.reason == "agent_ended"
    assert result.transcript[-1] == ("assistant", "Thank you, goodbye.")
    [heard] = result.timeline.of("reply_heard")
    assert heard.data["heardMs"] == len("Thank you, goodbye.") * 50


def test_the_draft_is_used_and_the_model_asked_once() -> None:
    async def scene(stage: Stage) -> None:
        await stage.person.says("hello there", 800)
        await stage.until("reply_heard")
        await stage.person.hang_up()

    result = play(scene, model=FakeModel(["Hi."]), end_of_turn=FakeEndOfTurn(delay_ms=300))
    assert len(result.stage.model.requests) == 1
    assert result.timeline.of("turn_committed")[0].data["drafted"] is True


def test_the_call_ends_at_its_longest() -> None:
    async def scene(stage: Stage) -> None:
        await asyncio.sleep(100)

    result = play(scene, agent=agent(max_call_duration_s=30))
    assert result.outcome.reason == "max_duration"
    assert 30_000 <= result.outcome.duration_ms <= 33_000  # with a goodbye
