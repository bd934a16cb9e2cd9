"""A call with a language model that hears: each turn goes to it as it sounded, and everything else
stays, the transcript included."""

from __future__ import annotations

from typing import Any

from tests.fakes.llm import FakeModel, Scripted
from tests.fakes.speech import FakeEndOfTurn
from tests.fakes.stage import LOOK_UP, Result, Stage, Tools, agent, play

from chorus.audio.codec import rms
from chorus.llm.model import ModelFailed, Prompt, ToolCall, Usage
from chorus.talk.spec import KeyInput, StandIns


class HearingModel(FakeModel):
    def __init__(self, *replies: Any, longest_ms: int = 30_000) -> None:
        super().__init__(replies, name="ultravox")
        self.longest_sound_ms = longest_ms


async def two_turns(stage: Stage) -> None:
    await stage.person.says("a table please", 900)
    await stage.until("reply_heard")
    await stage.person.waits(600)
    await stage.person.says("for two", 700)
    await stage.until("reply_heard", 2)
    await stage.person.hang_up()


def asked(result: Result) -> list[Prompt]:
    return [request.prompt for request in result.stage.model.requests]


def last(result: Result, number: int) -> Any:
    return asked(result)[number].messages[-1]


def test_each_turn_is_heard_once_and_then_remembered_as_words():
    model = HearingModel("For how many?", "For two, then.")
    result = play(two_turns, model=model)
    first, second = last(result, 0), last(result, 1)
    assert (first.content, first.sound.words) == ("a table please", "a table please")
    assert 900 <= first.sound.ms <= 1600
    assert second.sound.words == "for two"
    assert 700 <= second.sound.ms <= 1400
    assert first.sound.rate_hz == 8000
    assert rms(first.sound.pcm16) > 1000
    assert [m.sound for m in asked(result)[1].messages[:-1]] == [None, None]
    assert [line[1] for line in result.transcript if line[0] == "user"] == [
        "a table please",
        "for two",
    ]


def test_a_draft_hears_what_was_said_and_is_the_answer():
    model = HearingModel("For how many?", "Two.")
    result = play(two_turns, model=model, end_of_turn=FakeEndOfTurn(delay_ms=300))
    assert [turn["drafted"] for turn in result.of("turn_committed")] == [True, True]
    assert len(result.prompts) == 2


def test_tools_are_called_and_the_sound_is_there_in_each_round():
    call = ToolCall("1", "look_up", "{}")
    model = HearingModel(Scripted(call), "Free.", "Bye.")
    tools = Tools().set("look_up", {"free": True})
    result = play(two_turns, model=model, agent=agent(tools=(LOOK_UP,)), tools=tools)
    rounds = [
        next(m for m in prompt.messages if m.role == "user").sound for prompt in asked(result)[:2]
    ]
    assert rounds[0] is not None
    assert rounds[0] is rounds[1]
    assert ("assistant", "Free.") in result.transcript


def test_a_turn_that_is_too_long_to_be_heard_is_read():
    model = HearingModel("For how many?", "Two.", longest_ms=1000)
    result = play(two_turns, model=model)
    assert [last(result, n).sound for n in (0, 1)] == [None, None]


def test_a_long_turn_is_heard_from_its_beginning():
    """Longer than what is kept for a new transcriber."""

    async def scene(stage: Stage) -> None:
        words = ["a", "very", "long", "story", "that", "goes", "on", "until", "the", "end"]
        stage.person.begins(" ".join(words), 12_000)
        for count in range(1, 11):  # words that stand still would be taken for all there are
            await stage.person.waits(1000)
            stage.transcriber.hear(" ".join(words[:count]), final=False)
        await stage.until("reply_heard")
        await stage.person.hang_up()

    result = play(scene, model=HearingModel(*["I see."] * 4))
    assert last(result, -1).sound.ms >= 12_000
    [judged] = result.stage.end_of_turn.heard[:1]
    assert len(judged.pcm16) / 2 / judged.rate_hz <= 8.0


def test_another_model_reads_the_words_when_it_fails():
    broken = HearingModel(Scripted(error=ModelFailed("ultravox", "down"), error_after=0))
    other = FakeModel(["From the second."], name="other")

    async def scene(stage: Stage) -> None:
        await stage.person.says("a table please", 900)
        await stage.until("reply_heard")
        await stage.person.hang_up()

    result = play(scene, model=broken, stand_ins=StandIns(models=(other,)))
    assert result.transcript[-1] == ("assistant", "From the second.")
    assert other.requests[0].prompt.messages[-1].content == "a table please"


def test_keys_that_nobody_may_see_are_not_sent_as_tones():
    pin = KeyInput("pin", min_length=4, max_length=4, secret=True)
    collect = ToolCall("1", "collect_keys", '{"input": "pin"}')
    model = HearingModel(Scripted("Your code?", collect), "Thanks.", "Thanks.", "Bye.")

    async def scene(stage: Stage) -> None:
        await stage.person.says("pay please", 700)
        await stage.until("keys_awaited")
        stage.person.begins("here it is", 900)
        stage.person.press("7394")
        await stage.until("reply_heard", 2)
        await stage.person.waits(4000)
        await stage.person.says("goodbye", 700)
        await stage.until("reply_heard", 3)
        await stage.person.hang_up()

    result = play(scene, model=model, agent=agent(key_inputs=(pin,)))
    sounds = {m.sound.words for prompt in asked(result) for m in prompt.messages if m.sound}
    assert sounds == {"pay please", "goodbye"}
    assert any("here it is" in m.content for m in asked(result)[-1].messages)


def test_sound_is_counted_apart_in_what_the_call_used():
    model = HearingModel(Scripted("Yes.", usage=Usage(100, 4, audio_tokens=30)), "Two.")
    used = play(two_turns, model=model).of("usage")
    assert (used[0]["inputTokens"], used[0]["audioTokens"]) == (100, 30)
    assert "audioTokens" not in used[1]


def test_others_are_shown_words_alone():
    result = play(two_turns, model=FakeModel(["For how many?", "Two."]))
    assert [last(result, n).sound for n in (0, 1)] == [None, None]
