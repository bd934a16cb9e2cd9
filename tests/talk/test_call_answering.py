"""Who answers a call that was placed, and what the agent does about it."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import numpy as np
import pytest
from tests.fakes.llm import FakeModel, Scripted
from tests.fakes.stage import Result, Stage, agent, play

from chorus.audio.codec import encode
from chorus.audio.frame import MULAW_8K
from chorus.llm.model import Prompt, ToolCall
from chorus.talk.answered.mailbox import LEAVE_MESSAGE
from chorus.talk.answered.reception import KNOWS_WHY, SAY_WHO_CALLS
from chorus.talk.spec import AgentSpec, Answering

GREETING = "Good morning, this is the garden shop."
MESSAGE = "This is the garden shop. Your order is ready."


def calls(greeting: str | None = GREETING, **answering: Any) -> AgentSpec:
    """An agent that speaks first."""
    return agent(greeting=greeting, first_speaker="agent", answering=Answering(**answering))


def beep(ms: float = 500) -> bytes:
    at = np.arange(int(8 * ms)) / 8000
    return encode(MULAW_8K, (9000 * np.sin(2 * np.pi * 1000 * at)).astype("<i2").tobytes())


def now_s() -> float:
    return asyncio.get_running_loop().time()


def who(result: Result) -> list[str]:
    return [each["who"] for each in result.of("who_answered")]


def first_sound_s(result: Result, after_s: float = 0.0) -> float:
    return next(at for at, loud in result.person.heard if at >= after_s and loud > 500)


def answers(prompt: Prompt) -> str:
    """Says the message, or who calls, or the rest, as it is told to."""
    told = str(prompt.messages[-3:])
    if LEAVE_MESSAGE[:60] in told:
        return MESSAGE
    if SAY_WHO_CALLS[:60] in told:
        return "The garden shop, about the order."
    return "How may I help?"


def model() -> FakeModel:
    return FakeModel(answers)


def began_s(result: Result) -> float:
    return result.person.heard[0][0]


def test_a_person_who_says_hello_hears_the_first_message_at_once() -> None:
    marks: dict[str, float] = {}

    async def scene(stage: Stage) -> None:
        await stage.person.waits(800)
        await stage.person.says("hello", 500)
        marks["end"] = now_s()
        await stage.until("reply_heard")
        await stage.person.hang_up()

    result = play(scene, agent=calls(), model=model())
    assert who(result) == ["person"]
    assert first_sound_s(result) - marks["end"] < 0.8
    assert result.transcript == [("user", "hello"), ("assistant", GREETING)]
    verdict = result.outcome.answered_by
    assert verdict is not None
    assert (verdict.who, verdict.confidence >= 0.8) == ("person", True)


def test_a_person_is_answered_no_later_than_by_an_agent_that_does_not_listen() -> None:
    """One who waits to be spoken to: the same words, the same moment."""
    times: list[float] = []
    for answering in (None, Answering()):
        marks: dict[str, float] = {}

        async def scene(stage: Stage, marks: dict[str, float] = marks) -> None:
            await stage.person.says("hello", 500)
            marks["end"] = now_s()
            await stage.until("reply_heard")
            await stage.person.hang_up()

        result = play(scene, agent=agent(answering=answering), model=model())
        times.append(first_sound_s(result) - marks["end"])
    assert times[1] == pytest.approx(times[0], abs=0.001)


def test_somebody_who_says_nothing_hears_the_first_message_all_the_same() -> None:
    async def scene(stage: Stage) -> None:
        await stage.until("reply_heard")
        await stage.person.hang_up()

    result = play(scene, agent=calls(), model=model())
    assert 2.4 < first_sound_s(result) - began_s(result) < 3.2
    assert result.transcript == [("assistant", GREETING)]


def test_nobody_hears_a_word_where_silence_ends_the_call() -> None:
    async def scene(stage: Stage) -> None:
        await stage.person.waits(20_000)

    result = play(scene, agent=calls(silence="hang_up"), model=model())
    assert result.ending == ("completed", "silence")
    assert result.person.speech_ms == 0


@pytest.mark.parametrize("message", [None, "Hello {{name}}, your order is ready."])
def test_a_mailbox_gets_its_message_after_the_beep(message: str | None) -> None:
    marks: dict[str, float] = {}

    async def scene(stage: Stage) -> None:
        await stage.person.waits(500)
        await stage.person.says("you have reached the mailbox of ann", 2000)
        await stage.person.waits(900)
        await stage.person.says("please leave a message", 1500)
        await stage.person.waits(500)
        stage.person.line.play(beep())
        await stage.person.waits(500)
        marks["beep"] = now_s()
        await stage.person.waits(60_000)

    result = play(scene, agent=calls(message=message), model=model(), variables={"name": "Ann"})
    assert who(result) == ["mailbox"]
    assert 0 <= first_sound_s(result) - marks["beep"] < 1.0
    left = "Hello Ann, your order is ready." if message else MESSAGE
    assert [text for role, text in result.transcript if role == "assistant"] == [left]
    assert result.ending == ("completed", "voicemail")


def test_a_mailbox_without_a_beep_gets_it_after_its_greeting() -> None:
    async def scene(stage: Stage) -> None:
        await stage.person.says("please leave a message", 2500)
        await stage.person.waits(60_000)

    result = play(scene, agent=calls(message=MESSAGE), model=model())
    assert 4.4 < first_sound_s(result) - began_s(result) < 5.2
    assert result.ending == ("completed", "voicemail")


def test_a_mailbox_that_pauses_cuts_off_the_first_message() -> None:
    async def scene(stage: Stage) -> None:
        await stage.person.says("hi this is ann", 900)
        await stage.until("who_answered")
        await stage.person.waits(300)
        await stage.person.says("leave a message after the tone", 2500)
        stage.person.line.play(beep())
        await stage.person.waits(60_000)

    result = play(scene, agent=calls(message=MESSAGE), model=model())
    assert who(result) == ["person", "mailbox"]
    assert result.transcript[-1] == ("assistant", MESSAGE)
    assert result.ending == ("completed", "voicemail")


def test_a_mailbox_is_hung_up_on_where_nothing_is_to_be_left() -> None:
    async def scene(stage: Stage) -> None:
        await stage.person.says("please leave a message after the tone", 2500)
        await stage.person.waits(60_000)

    result = play(scene, agent=calls(mailbox="hang_up"), model=model())
    assert result.ending == ("completed", "voicemail")
    assert result.person.speech_ms == 0
    assert result.outcome.duration_ms < 4000


def test_a_long_message_is_not_cut_off() -> None:
    long = " ".join(["All of this is part of the message that you asked for."] * 12)

    async def scene(stage: Stage) -> None:
        await stage.person.says("please leave a message after the tone", 2500)
        stage.person.line.play(beep())
        await stage.person.waits(120_000)

    result = play(scene, agent=calls(message=long), model=model())
    assert result.transcript[-1] == ("assistant", long)


def test_who_hangs_up_before_the_beep_was_a_mailbox() -> None:
    async def scene(stage: Stage) -> None:
        await stage.person.says("please leave a message after the tone", 2500)
        await stage.person.waits(300)
        await stage.person.hang_up()

    result = play(scene, agent=calls(), model=model())
    assert result.ending == ("completed", "voicemail")


def test_somebody_picks_up_in_mid_greeting() -> None:
    async def scene(stage: Stage) -> None:
        await stage.person.says("you have reached ann leave a message", 2500)
        await stage.person.waits(900)
        await stage.person.says("hello", 500)
        await stage.until("reply_heard")
        await stage.person.waits(3000)
        await stage.person.hang_up()

    result = play(scene, agent=calls(), model=model())
    assert who(result) == ["mailbox", "person"]
    assert result.transcript[-1] == ("assistant", GREETING)
    assert result.ending == ("completed", "customer_ended")


def test_a_number_that_is_no_more() -> None:
    async def scene(stage: Stage) -> None:
        await stage.person.says("the number you have dialed is not in service", 2500)
        await stage.person.waits(60_000)

    result = play(scene, agent=calls(), model=model())
    assert result.ending == ("completed", "unavailable")
    assert result.person.speech_ms == 0


# --- screening -------------------------------------------------------------------------------

ASKS = "please state your name and why you are calling"


@pytest.mark.parametrize("introduction", [None, "{{shop}}, about an order."])
def test_a_screening_is_told_who_calls_and_the_person_is_greeted(introduction: str | None) -> None:
    async def scene(stage: Stage) -> None:
        await stage.person.says(ASKS, 3000)
        await stage.until("screening_answered")
        await stage.person.waits(6000)
        await stage.person.says("hello", 500)
        await stage.until("reply_heard", 2)
        await stage.person.hang_up()

    result = play(
        scene,
        agent=calls(introduction=introduction),
        model=model(),
        variables={"shop": "Garden shop"},
    )
    assert who(result) == ["screening", "person"]
    told = "Garden shop, about an order." if introduction else "The garden shop, about the order."
    assert result.transcript == [
        ("user", ASKS),
        ("assistant", told),
        ("user", "hello"),
        ("assistant", GREETING),
    ]
    assert result.ending == ("completed", "customer_ended")


def test_the_model_knows_what_the_person_was_told() -> None:
    async def scene(stage: Stage) -> None:
        await stage.person.says(ASKS, 3000)
        await stage.until("screening_answered")
        await stage.person.waits(3000)
        await stage.person.says("hello", 500)
        await stage.until("reply_heard", 2)
        await stage.person.says("what do you want", 900)
        await stage.until("reply_heard", 3)
        await stage.person.hang_up()

    result = play(scene, agent=calls(introduction="The shop."), model=model())
    assert KNOWS_WHY in str(result.prompts[-1])


@pytest.mark.parametrize("hangs_up", [True, False])
def test_who_is_screened_out(hangs_up: bool) -> None:
    async def scene(stage: Stage) -> None:
        await stage.person.says(ASKS, 3000)
        await stage.until("screening_answered")
        await stage.person.waits(5000)
        if hangs_up:
            await stage.person.hang_up()
        await stage.person.waits(60_000)

    agent = calls(introduction="The shop.", screening_wait_s=20)
    result = play(scene, agent=agent, model=model())
    assert result.ending == ("completed", "screened_out")
    assert result.outcome.duration_ms < 32_000


def test_a_mailbox_after_a_screening_gets_the_message() -> None:
    async def scene(stage: Stage) -> None:
        await stage.person.says(ASKS, 3000)
        await stage.until("screening_answered")
        await stage.person.waits(4000)
        await stage.person.says("leave a message after the tone", 2500)
        stage.person.line.play(beep())
        await stage.person.waits(60_000)

    result = play(scene, agent=calls(introduction="The shop.", message=MESSAGE), model=model())
    assert who(result) == ["screening", "mailbox"]
    assert result.transcript[-1] == ("assistant", MESSAGE)
    assert result.ending == ("completed", "voicemail")


# --- menus -----------------------------------------------------------------------------------

OPTIONS = "for sales press one for support press two"


def navigates(prompt: Prompt) -> Scripted:
    heard = prompt.messages[-1].content
    if "press one" in heard:
        return Scripted("Sales.", ToolCall("k", "press_keys", json.dumps({"keys": "1"})))
    if "say your department" in heard or "say or press" in heard:
        return Scripted(ToolCall("s", "say_to_menu", json.dumps({"words": "Sales"})))
    return Scripted("This is the garden shop.")


def test_a_menu_is_gone_through_without_a_word_and_the_person_behind_it_is_talked_to() -> None:
    keys: list[str] = []

    async def scene(stage: Stage) -> None:
        stage.person.line_digit = keys.append  # type: ignore[method-assign]
        await stage.person.says("thank you for calling press zero for help", 2000)
        await stage.person.waits(900)  # between two options: no turn of ours
        await stage.person.says(OPTIONS, 2500)
        await stage.until("keys_pressed")
        assert stage.person.speech_ms == 0
        await stage.person.waits(1500)
        await stage.person.says("sales this is tom how can i help", 2000)
        await stage.until("reply_heard", 2)
        await stage.person.hang_up()

    result = play(
        scene, agent=calls(menu="navigate", menu_goal="Sales"), model=FakeModel(navigates)
    )
    assert keys == ["1"]
    assert who(result) == ["menu", "person"]
    assert [text for role, text in result.transcript if role == "assistant"][-1] == GREETING
    assert "What you want to reach: Sales." in str(result.prompts[0])


def test_a_menu_that_wants_words_gets_them() -> None:
    async def scene(stage: Stage) -> None:
        await stage.person.says("say or press one for english", 2500)
        await stage.until("reply_heard", 2)
        await stage.person.hang_up()

    def says(prompt: Prompt) -> Scripted:
        return Scripted("Hm.", ToolCall("s", "say_to_menu", json.dumps({"words": "English"})))

    result = play(scene, agent=calls(menu="navigate"), model=FakeModel(says))
    assert [text for role, text in result.transcript if role == "assistant"] == ["English"]


def test_a_menu_that_goes_round_in_circles_is_left() -> None:
    async def scene(stage: Stage) -> None:
        for _ in range(10):
            await stage.person.says(OPTIONS, 2500)
            await stage.person.waits(3500)

    result = play(scene, agent=calls(menu="navigate"), model=FakeModel(navigates))
    assert result.ending == ("completed", "menu")
    assert "again and again" in result.outcome.detail
    assert "heard this prompt three times" in str(result.prompts[-1])


def test_a_menu_that_takes_too_long_is_left() -> None:
    async def scene(stage: Stage) -> None:
        await stage.person.says(OPTIONS, 2500)
        await stage.person.waits(60_000)

    result = play(scene, agent=calls(menu="navigate", menu_limit_s=10), model=FakeModel(navigates))
    assert result.ending == ("completed", "menu")
    assert "too long" in result.outcome.detail


def test_a_menu_is_hung_up_on_by_default() -> None:
    async def scene(stage: Stage) -> None:
        await stage.person.says(OPTIONS, 2500)
        await stage.person.waits(60_000)

    result = play(scene, agent=calls(), model=model())
    assert result.ending == ("completed", "menu")
    assert result.person.speech_ms == 0


def test_a_fax_is_left_alone() -> None:
    async def scene(stage: Stage) -> None:
        at = np.arange(8 * 3000) / 8000
        ced = (9000 * np.sin(2 * np.pi * 2100 * at)).astype("<i2").tobytes()
        stage.person.line.play(encode(MULAW_8K, ced))
        await stage.person.waits(60_000)

    result = play(scene, agent=calls(), model=model())
    assert result.ending == ("completed", "fax")
    assert result.person.speech_ms == 0


def test_what_a_carrier_says_counts_too() -> None:
    async def scene(stage: Stage) -> None:
        stage.call.answered_by("machine_start", "machine")
        await stage.person.says(None, 1500)
        stage.call.answered_by("machine_end_beep", "machine", message_ended=True)
        await stage.person.waits(60_000)

    result = play(scene, agent=calls(message=MESSAGE), model=model())
    assert result.of("who_answered")[0] == {"who": "mailbox", "confidence": 0.8, "why": "carrier"}
    assert result.transcript[-1] == ("assistant", MESSAGE)


# --- what is no mailbox any more -------------------------------------------------------------


def test_a_mailbox_that_turns_out_to_be_a_menu_gets_no_message() -> None:
    async def scene(stage: Stage) -> None:
        await stage.person.says("leave a message after the tone", 2500)
        await stage.person.waits(500)
        await stage.person.says("or " + OPTIONS, 2500)
        await stage.until("keys_pressed")
        await stage.person.waits(40_000)
        await stage.person.hang_up()

    wants = calls(menu="navigate", message=MESSAGE)
    result = play(scene, agent=wants, model=FakeModel(navigates))
    assert who(result) == ["mailbox", "menu"]
    assert result.ending == ("completed", "customer_ended")
    assert MESSAGE not in str(result.transcript)


def test_a_mailbox_that_turns_out_to_be_a_screening_is_told_who_calls() -> None:
    async def scene(stage: Stage) -> None:
        await stage.person.says("please leave a message", 1500)
        await stage.person.waits(500)
        await stage.person.says(ASKS, 3000)
        await stage.until("screening_answered")
        await stage.person.waits(20_000)
        await stage.person.hang_up()

    result = play(scene, agent=calls(introduction="The shop.", message=MESSAGE), model=model())
    assert who(result)[:2] == ["mailbox", "screening"]
    assert [text for role, text in result.transcript if role == "assistant"] == ["The shop."]
    assert result.ending == ("completed", "screened_out")


@pytest.mark.parametrize("state", ["leaving", "over"])
def test_what_a_carrier_says_too_late_changes_nothing(state: str) -> None:
    """While a message is left, and once somebody else has the caller."""
    wants = calls(message=MESSAGE, mailbox="leave_message" if state == "leaving" else "hang_up")

    async def scene(stage: Stage) -> None:
        if state == "leaving":
            await stage.person.says("hello please leave a message", 1500)
            stage.person.line.play(beep())
            await stage.until("greeting_over")
        else:
            await stage.person.says(None, 500)
            await stage.until("reply_heard")
            stage.call.suspend()
        stage.call.answered_by("machine_end_beep", "machine", message_ended=True)
        await stage.person.waits(30_000)
        await stage.person.hang_up()

    result = play(scene, agent=wants, model=model())
    left = [text for role, text in result.transcript if role == "assistant"]
    assert left == ([MESSAGE] if state == "leaving" else [GREETING])
    assert result.ending == ("completed", "voicemail" if state == "leaving" else "customer_ended")
    assert who(result) == (["mailbox"] if state == "leaving" else ["person"])


def test_tones_are_listened_to_no_longer_than_they_may_matter() -> None:
    heard: list[bool] = []

    async def scene(stage: Stage) -> None:
        await stage.person.says("hello", 500)
        await stage.until("reply_heard")
        heard.append(any("hear_tones" in str(each) for each in stage.call.caller.ears))
        await stage.person.waits(20_000)
        heard.append(any("hear_tones" in str(each) for each in stage.call.caller.ears))
        await stage.person.hang_up()

    play(scene, agent=calls(), model=model())
    assert heard == [True, False]
