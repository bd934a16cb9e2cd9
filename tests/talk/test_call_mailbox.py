"""A mailbox answers: the agent waits for the end of its greeting, and then leaves a message."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from tests.fakes.llm import FakeModel
from tests.fakes.stage import AGENT, Result, Stage, agent, play

from chorus.talk.answered.mailbox import GREETING_MS, LEAVE_MESSAGE, QUIET_MS
from chorus.talk.spec import Answering

MESSAGE = "This is the garden shop. Your order is ready."


def model() -> FakeModel:
    """Says the message once it is told to leave one, and something else before."""

    def said(request: object) -> str:
        return MESSAGE if LEAVE_MESSAGE[:60] in str(request) else "Hello, can you hear?"

    return FakeModel(said)


def spoke_s(result: Result, after_s: float) -> float:
    """When the agent's sound began to be heard, after this."""
    return next(at for at, loud in result.person.heard if at >= after_s and loud > 500)


def kinds(result: Result) -> list[str]:
    return [happening.kind for happening in result.timeline.happenings]


def test_the_message_waits_for_the_end_of_the_greeting() -> None:
    marks: dict[str, float] = {}

    async def scene(stage: Stage) -> None:
        stage.call.answered_by("machine_start", "machine")
        await stage.person.says("You have reached the mailbox of Ann", 1500)
        await stage.person.waits(1000)  # a pause is no end
        await stage.person.says("please leave a message after the tone", 1500)
        await stage.person.waits(500)
        marks["end"] = asyncio.get_running_loop().time()
        stage.call.answered_by("machine_end_beep", "machine", message_ended=True)
        await stage.until("reply_heard")
        stage.call.answered_by("machine_end_other", "machine", message_ended=True)
        await stage.person.waits(3000)
        await stage.person.hang_up()

    result = play(
        scene, model=model(), agent=agent(greeting="Good morning!", first_speaker="agent")
    )
    assert marks["end"] <= spoke_s(result, 0) < marks["end"] + 1.0
    assert result.transcript[-1] == ("assistant", MESSAGE)
    assert [role for role, _ in result.transcript].count("assistant") == 1
    assert kinds(result).count("greeting_over") == 1
    assert [each["messageEnded"] for each in result.of("answered_by")] == [False, True, True]


def test_a_carrier_that_tells_of_the_end_alone_stops_what_is_being_said() -> None:
    """As Twilio does: the agent has talked to the greeting until then."""

    async def scene(stage: Stage) -> None:
        await stage.until("reply_started")
        await stage.person.waits(400)
        stage.call.answered_by("machine_end_silence", "machine", message_ended=True)
        await stage.until("reply_heard", 2)
        await stage.person.hang_up()

    greeting = "Good morning, this is the garden shop, and I am calling about your order of roses."
    result = play(scene, model=model(), agent=agent(greeting=greeting, first_speaker="agent"))
    (_, first), (_, last) = result.transcript
    assert greeting.startswith(first.rstrip("…"))
    assert len(first) < len(greeting)
    assert last == MESSAGE


def test_a_carrier_that_never_tells_of_the_end() -> None:
    async def scene(stage: Stage) -> None:
        stage.call.answered_by("machine", "machine")
        await stage.person.says("Leave a message", 3000)
        await stage.until("reply_heard")
        await stage.person.hang_up()

    result = play(scene, model=model())
    [over] = result.timeline.of("greeting_over")
    assert over.at_ms == pytest.approx(3000 + QUIET_MS, abs=300)
    assert result.transcript == [("user", "Leave a message"), ("assistant", MESSAGE)]


def test_a_greeting_without_end_is_spoken_over() -> None:
    async def scene(stage: Stage) -> None:
        stage.call.answered_by("machine", "machine")
        for _ in range(40):
            await stage.person.says(None, 1000)
        await stage.until("reply_heard")
        await stage.person.hang_up()

    result = play(scene, model=model())
    [over] = result.timeline.of("greeting_over")
    assert over.at_ms == pytest.approx(GREETING_MS, abs=300)


def test_a_person_is_told_nothing_of_machines() -> None:
    async def scene(stage: Stage) -> None:
        stage.call.answered_by("human", "person")
        await stage.person.says("hello", 600)
        await stage.until("reply_heard")
        await stage.person.hang_up()

    result = play(scene, model=model(), agent=AGENT)
    assert result.transcript == [("user", "hello"), ("assistant", "Hello, can you hear?")]
    assert "greeting_over" not in kinds(result)


@pytest.mark.parametrize("answering", [None, Answering()])
def test_no_message_is_left_with_a_fax(answering: Answering | None) -> None:
    async def scene(stage: Stage) -> None:
        await stage.until("answered")
        stage.call.answered_by("fax", "fax")
        await stage.person.waits(60_000)

    speaks = agent(greeting="Hello.", first_speaker="agent", first_message_delay_ms=2000)
    result = play(scene, agent=replace(speaks, answering=answering))
    assert result.ending == ("completed", "fax")
    assert result.person.speech_ms == 0


def test_a_carrier_that_is_not_sure_decides_nothing() -> None:
    async def scene(stage: Stage) -> None:
        await stage.until("answered")
        stage.call.answered_by("unknown", None)
        await stage.person.waits(500)
        await stage.person.says("please leave a message after the tone", 2500)
        await stage.person.waits(60_000)

    speaks = agent(greeting="Hello.", first_speaker="agent", answering=Answering(mailbox="hang_up"))
    result = play(scene, agent=speaks)
    assert [each["who"] for each in result.of("who_answered")] == ["mailbox"]
