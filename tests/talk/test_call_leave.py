"""A call that is ended with a word of farewell, whatever is going on in it."""

from __future__ import annotations

import pytest
from tests.fakes.llm import FakeModel
from tests.fakes.speech import FakeVoice
from tests.fakes.stage import Result, Stage, agent, play

from chorus.talk.announcing import SAID_WITHIN_S
from chorus.talk.text.phrases import goodbye

GOODBYE = goodbye("en")
LONG = "First there was nothing at all, then there was something, and after that came us."


async def nothing(stage: Stage) -> None:
    await stage.person.waits(500)


async def caller_talks(stage: Stage) -> None:
    stage.person.begins("and then I said", 30_000)
    await stage.until("speech_started")


async def agent_talks(stage: Stage) -> None:
    await stage.person.says("tell me everything", 700)
    await stage.until("reply_started")


async def agent_thinks(stage: Stage) -> None:
    await stage.person.says("tell me everything", 700)
    await stage.until("turn_committed")


async def operator_waits_to_talk(stage: Stage) -> None:
    stage.person.begins("and then I said", 30_000)
    await stage.until("speech_started")
    stage.call.say("Please hold the line.")


@pytest.mark.parametrize(
    "before", [nothing, caller_talks, agent_talks, agent_thinks, operator_waits_to_talk]
)
def test_the_goodbye_is_heard_and_ends_the_call(before: object) -> None:
    started = 0.0

    async def scene(stage: Stage) -> None:
        nonlocal started
        await before(stage)  # type: ignore[operator] # one of the above
        started = stage.call.call_ms
        stage.call.take_leave(GOODBYE, "insufficient_funds")
        # Talking over it does not help.
        await stage.person.waits(2000)
        stage.person.begins("wait a moment", 1500)
        await stage.until("ended")

    result = play(scene, model=FakeModel(lambda _: LONG))
    assert result.ending == ("completed", "insufficient_funds")
    assert result.transcript[-1] == ("assistant", GOODBYE) or result.transcript[-2:-1] == [
        ("assistant", GOODBYE)
    ]
    assert result.outcome.duration_ms - started <= SAID_WITHIN_S * 1000 + 100


def ended_after_ms(result: Result) -> float:
    return result.timeline.of("ended")[0].at_ms


def test_a_goodbye_that_cannot_be_said_in_time_ends_the_call_all_the_same() -> None:
    async def scene(stage: Stage) -> None:
        stage.call.take_leave(GOODBYE, "insufficient_funds")
        await stage.until("ended")

    result = play(scene, voice=FakeVoice(first_audio_ms=60_000))
    assert result.ending == ("completed", "insufficient_funds")
    assert ended_after_ms(result) <= SAID_WITHIN_S * 1000 + 200


def test_a_goodbye_that_the_voice_cannot_say_ends_the_call_without_an_apology() -> None:
    """ "Could you say that again?" is no last word of a call that is over."""

    async def scene(stage: Stage) -> None:
        stage.call.take_leave(GOODBYE, "insufficient_funds")
        await stage.until("ended")

    result = play(scene, voice=FakeVoice(fail_at=0))
    assert result.ending == ("completed", "insufficient_funds")
    assert ended_after_ms(result) <= 500
    assert [f["remedy"] for f in result.of("engine_failed")] == ["call_ended"]
    assert [u["discarded"] for u in result.of("usage")] == [False]


def test_an_end_that_comes_first_stands() -> None:
    async def scene(stage: Stage) -> None:
        stage.call.take_leave(GOODBYE, "insufficient_funds")
        await stage.person.waits(300)
        await stage.person.hang_up()

    assert play(scene, agent=agent()).ending == ("completed", "customer_ended")


def test_a_call_that_has_not_begun_ends_without_one() -> None:
    async def scene(stage: Stage) -> None:
        stage.call.take_leave(GOODBYE, "insufficient_funds")

    assert play(scene).outcome.reason == "insufficient_funds"


@pytest.mark.parametrize("language", ["de", "pt-BR", "xx", None])
def test_in_the_caller_s_language(language: str | None) -> None:
    assert (goodbye(language) == GOODBYE) is (language in ("xx", None))
