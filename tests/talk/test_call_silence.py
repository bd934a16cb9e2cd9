"""Nobody is left in silence, and nothing that was said is lost when a call ends."""

from __future__ import annotations

import asyncio

import pytest
from tests.fakes.llm import FakeModel, Scripted
from tests.fakes.speech import FakeTranscriber
from tests.fakes.stage import BOOK, LOOK_UP, Stage, Tools, agent, play

from chorus.llm.model import ModelFailed, Prompt, ToolCall
from chorus.talk.text.phrases import goodbye, still_there

GOODBYE, STILL_THERE = goodbye(None), still_there(None)


async def until_it_ends(stage: Stage) -> None:
    await asyncio.wait({stage.running}, timeout=60)


# --- the agent that opens with a tool -----------------------------------------------------------


def opens_with(*calls: ToolCall):
    def answer(prompt: Prompt) -> Scripted:
        if prompt.messages and prompt.messages[-1].role == "tool":
            return Scripted("Your table is booked.")
        return Scripted(*calls)

    return FakeModel(answer)


@pytest.mark.parametrize("uninterruptible", [False, True])
@pytest.mark.parametrize("names", [("look_up",), ("book",), ("look_up", "book")])
def test_an_agent_that_opens_with_a_tool_acts_and_speaks(
    names: tuple[str, ...], uninterruptible: bool
) -> None:
    async def scene(stage: Stage) -> None:
        await stage.until("reply_heard", timeout_s=9)
        await stage.person.hang_up()

    calls = [ToolCall(str(n), name, "{}") for n, name in enumerate(names)]
    result = play(
        scene,
        agent=agent(
            first_speaker="agent",
            first_message_uninterruptible=uninterruptible,
            tools=(LOOK_UP, BOOK),
        ),
        model=opens_with(*calls),
        tools=Tools().set("book", {"booked": 1}).set("look_up", {"free": 1}),
    )
    assert result.transcript == [("assistant", "Your table is booked.")]
    assert {told["name"] for told in result.of("tool_result")} == set(names)


def test_an_agent_that_opens_by_hanging_up_hangs_up() -> None:
    result = play(
        until_it_ends,
        agent=agent(first_speaker="agent"),
        model=FakeModel([Scripted(ToolCall("1", "end_call", "{}"))]),
    )
    assert result.ending == ("completed", "agent_ended")
    assert result.outcome.duration_ms < 3000


def test_a_tool_of_an_opening_waits_until_the_call_has_begun() -> None:
    async def scene(stage: Stage) -> None:
        await stage.person.waits(1900)
        assert not stage.tools.asked
        await stage.until("reply_heard")
        await stage.person.hang_up()

    play(
        scene,
        agent=agent(first_speaker="agent", first_message_delay_ms=2000, tools=(BOOK,)),
        model=opens_with(ToolCall("1", "book", "{}")),
        tools=Tools().set("book", {"booked": 1}),
    )


# --- a call that cannot go on -------------------------------------------------------------------


def test_a_lost_transcriber_is_no_reason_to_go_without_a_word() -> None:
    result = play(
        until_it_ends,
        agent=agent(first_speaker="agent", greeting="Good day, how can I help you?"),
        transcriber=FakeTranscriber(fail_opens=99),
    )
    assert result.ending == ("failed", "provider_error")
    assert result.transcript == [
        ("assistant", "Good day, how can I help you?"),
        ("assistant", GOODBYE),
    ]


def test_a_model_that_fails_for_good_is_followed_by_a_goodbye() -> None:
    async def scene(stage: Stage) -> None:
        for number in range(1, 4):
            await stage.person.says("hello there", 700)
            await stage.until("engine_failed", number)
            await stage.person.waits(6000)

    broken = FakeModel(lambda _: Scripted(error=ModelFailed("fake", "overloaded"), error_after=0))
    result = play(scene, model=broken, agent=agent(turns_speculative_silence_ms=0))
    assert result.ending == ("failed", "provider_error")
    assert result.transcript[-1] == ("assistant", GOODBYE)


# --- a caller who says nothing ------------------------------------------------------------------


def test_a_silent_caller_is_asked_and_told_goodbye() -> None:
    result = play(until_it_ends, agent=agent(silence_timeout_s=10, silence_reminders=2))
    assert result.ending == ("completed", "silence")
    assert [text for _, text in result.transcript] == [STILL_THERE, STILL_THERE, GOODBYE]
    assert [told["reminder"] for told in result.of("caller_silent")] == [1, 2, None]
    asked = [told.at_ms for told in result.timeline.of("caller_silent")]
    assert 10_000 <= asked[0] <= 10_040
    assert asked[1] - asked[0] >= 10_000


def test_who_answers_has_all_reminders_again_and_who_speaks_is_not_asked() -> None:
    async def scene(stage: Stage) -> None:
        await stage.until("caller_silent")
        await stage.person.says("yes I am here", 700)
        await stage.until("caller_silent", 2)
        await stage.person.waits(3000)
        await stage.person.says("one moment please", 30_000)
        assert len(stage.timeline.of("caller_silent")) == 2
        await stage.person.hang_up()

    result = play(scene, agent=agent(silence_timeout_s=10, silence_reminders=1))
    assert [told["reminder"] for told in result.of("caller_silent")] == [1, 1]


def test_a_slow_tool_is_not_the_caller_s_silence() -> None:
    async def scene(stage: Stage) -> None:
        await stage.person.says("book a table", 700)
        await stage.until("tool_result", timeout_s=30)
        assert not stage.timeline.of("caller_silent")
        await stage.person.hang_up()

    play(
        scene,
        agent=agent(silence_timeout_s=5, tools=(BOOK,)),
        model=opens_with(ToolCall("1", "book", "{}")),
        tools=Tools().set("book", {"booked": 1}, ms=20_000),
    )


# --- the last second ----------------------------------------------------------------------------


@pytest.mark.parametrize("after_ms", [20, 200, 1000])
@pytest.mark.parametrize("ended_by", ["caller", "operator"])
def test_a_key_just_before_the_end_is_in_the_record(after_ms: int, ended_by: str) -> None:
    async def scene(stage: Stage) -> None:
        await stage.until("reply_heard")
        stage.person.press("1")
        await stage.person.waits(after_ms)
        if ended_by == "caller":
            await stage.person.hang_up()
        else:
            stage.call.hang_up()

    greeting = agent(first_speaker="agent", greeting="Press one to confirm.")
    result = play(scene, agent=greeting)
    assert result.transcript[-1] == ("user", "[pressed 1]")
    assert result.outcome.turn_count == 1


@pytest.mark.parametrize("cut_ms", [0, 40, 120, 300])
def test_words_just_before_the_end_are_in_the_record(cut_ms: int) -> None:
    async def scene(stage: Stage) -> None:
        stage.person.press("4")
        await stage.person.says("cancel the order", 900)
        await stage.person.waits(cut_ms)
        await stage.person.hang_up()

    result = play(scene, transcriber=FakeTranscriber(final_after_ms=400))
    assert result.outcome.turn_count == 1
    assert result.transcript[0] == ("user", "cancel the order [pressed 4]")
    assert result.outcome.duration_ms <= 900 + cut_ms + 60


def test_a_transcriber_that_never_answers_delays_the_end_by_little() -> None:
    async def scene(stage: Stage) -> None:
        await stage.person.says("cancel the order", 900)
        await stage.person.hang_up()
        left = asyncio.get_running_loop().time()
        await asyncio.wait({stage.running})
        assert asyncio.get_running_loop().time() - left < 2

    result = play(scene, transcriber=FakeTranscriber(final_after_ms=None))
    assert result.ending == ("completed", "customer_ended")


# --- while somebody else speaks with the caller -------------------------------------------------


def test_a_suspended_agent_is_silent_and_the_caller_s_words_are_kept() -> None:
    async def scene(stage: Stage) -> None:
        talk = stage.call._talk
        assert talk is not None
        await stage.person.waits(300)
        talk.suspend()
        await stage.person.says("good morning doctor", 800)
        await stage.until("turn_committed")
        await stage.person.waits(3000)
        assert not stage.timeline.of("reply_started")
        talk.resume()
        await stage.person.says("are you back", 800)
        await stage.until("reply_heard")
        await stage.person.hang_up()

    result = play(scene, agent=agent(silence_timeout_s=None))
    assert result.transcript[0] == ("user", "good morning doctor are you back")
    assert result.transcript[1] == ("assistant", "All right.")
