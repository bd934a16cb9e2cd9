"""What breaks in a call, what the caller notices of it, and how it ends if it must.

What holds of every end is checked by `stage.play` itself.
"""

from __future__ import annotations

import asyncio

import pytest
from tests.fakes.llm import FakeModel, Scripted
from tests.fakes.speech import FakeDetector, FakeEndOfTurn, FakeSession, FakeTranscriber, FakeVoice
from tests.fakes.stage import LOOK_UP, Stage, Tools, agent, play

from chorus.audio.frame import AudioFormat
from chorus.llm.model import ModelFailed, Prompt, ToolCall
from chorus.outbound import OutboundFailed
from chorus.speech.engines import EngineFailed, VoiceStyle

LONG = "First there was nothing at all, then there was something, and after that came us."


async def three_questions(stage: Stage) -> None:
    for number in range(1, 4):
        await stage.person.waits(300)
        await stage.person.says(f"question {number}", 700)
        await asyncio.wait(
            {
                stage.running,
                waiting := asyncio.ensure_future(stage.until("reply_heard", 2 * number)),
            },
            return_when=asyncio.FIRST_COMPLETED,
        )
        waiting.cancel()
    await asyncio.wait({stage.running}, timeout=5)
    if not stage.running.done():
        await stage.person.hang_up()


def test_a_model_that_fails_three_times_ends_the_call_with_apologies_before() -> None:
    broken = FakeModel(lambda _: Scripted(error=ModelFailed("fake", "overloaded"), error_after=0))
    result = play(three_questions, model=broken, agent=agent(turns_speculative_silence_ms=0))
    assert result.ending == ("failed", "provider_error")
    assert result.outcome.detail == "fake: overloaded"
    apologies = [text for role, text in result.transcript if role == "assistant"]
    assert len(apologies) == 3
    assert apologies[0].startswith("Sorry")
    remedies = [f["remedy"] for f in result.of("engine_failed")]
    assert remedies == ["apology", "apology", "call_ended"]


@pytest.mark.parametrize(
    ("language", "begins"), [("en", "Sorry"), ("ja", "申し訳"), ("ko", "죄송")]
)
def test_a_model_that_says_nothing_twice_is_apologised_for(language: str, begins: str) -> None:
    """Once more is asked; then the caller is told, in the agent's language."""
    silent = FakeModel(lambda _: Scripted())

    async def scene(stage: Stage) -> None:
        await stage.person.says("a question", 700)
        await stage.until("reply_heard", 2)
        await stage.person.hang_up()

    spoken = agent(turns_speculative_silence_ms=0, language=language)
    result = play(scene, model=silent, agent=spoken)
    assert result.ending == ("completed", "customer_ended")
    [failed] = result.of("engine_failed")
    assert (failed["stage"], failed["remedy"]) == ("model", "apology")
    assert failed["detail"] == "the reply held no words, twice"
    assert len(silent.requests) == 2
    [heard] = [text for role, text in result.transcript if role == "assistant"]
    assert heard.startswith(begins)


@pytest.mark.parametrize(
    "nothing",
    ["[](https://x.example)", "<br>", "【4:0†source】", "😊", "...", "**\n---", "```python"],
)
def test_a_reply_of_layout_only_is_asked_for_again(nothing: str) -> None:
    async def scene(stage: Stage) -> None:
        await stage.person.says("a question", 700)
        await stage.until("reply_heard")
        await stage.person.hang_up()

    model = FakeModel([nothing, "We open at nine."])
    result = play(scene, model=model, agent=agent(turns_speculative_silence_ms=0))
    [said] = [text for role, text in result.transcript if role == "assistant"]
    assert said.lstrip(". ") == "We open at nine."
    assert len(model.requests) == 2


def test_nothing_after_a_tool_is_apologised_for() -> None:
    def answer(prompt: Prompt) -> Scripted:
        if prompt.messages[-1].role == "tool":
            return Scripted()
        return Scripted("One moment.", ToolCall("1", "look_up", "{}"))

    async def scene(stage: Stage) -> None:
        await stage.person.says("a question", 700)
        await stage.until("reply_heard", 2)
        await stage.person.hang_up()

    model = FakeModel(answer)
    tools = Tools().set("look_up", {"ok": 1})
    spoken = agent(turns_speculative_silence_ms=0, tools=(LOOK_UP,))
    result = play(scene, model=model, agent=spoken, tools=tools)
    said = [text for role, text in result.transcript if role == "assistant"]
    assert said[0] == "One moment."
    assert said[1].startswith("Sorry")
    assert len(model.requests) == 3


def test_a_model_that_recovers_is_forgiven() -> None:
    failure = ModelFailed("fake", "overloaded")
    answers = [Scripted(error=failure), Scripted(error=failure), "Fine.", Scripted(error=failure)]

    async def scene(stage: Stage) -> None:
        for number in range(1, 5):
            await stage.person.says(f"question {number}", 700)
            await stage.until("turn_committed", number)
            await stage.person.waits(8000)
        await stage.person.hang_up()

    result = play(scene, model=FakeModel(answers), agent=agent(turns_speculative_silence_ms=0))
    assert result.ending == ("completed", "customer_ended")


def test_a_model_that_fails_in_mid_sentence_is_heard_so_far_and_apologised_for() -> None:
    error = ModelFailed("fake", "dropped")

    async def scene(stage: Stage) -> None:
        await stage.person.says("hello there", 700)
        await stage.until("reply_heard", 2)
        await stage.person.hang_up()

    # The clause that was broken off is not spoken.
    model = FakeModel([Scripted("One moment, it was going to", error=error, error_after=4)])
    result = play(scene, model=model, agent=agent(turns_speculative_silence_ms=0))
    assert result.transcript[1] == ("assistant", "One moment,")
    assert result.transcript[2][1].startswith("Sorry, something went wrong")
    assert result.ending == ("completed", "customer_ended")


def test_a_voice_that_fails_in_mid_clause_said_only_what_was_heard() -> None:
    async def scene(stage: Stage) -> None:
        await stage.person.says("hello there", 700)
        await stage.until("reply_heard", 2)
        await stage.person.hang_up()

    # Ten chunks of 100 ms are twenty letters at 50 ms each.
    result = play(scene, model=FakeModel([LONG]), voice=FakeVoice(fail_at=10))
    [first, second] = result.of("reply_heard")
    assert first["heard"] == "First there was"
    assert f"{first['heard']} {first['unsaid']}" in LONG
    assert abs(first["heardMs"] - 1000) <= 20
    assert second["heard"].startswith("Sorry")
    failed = result.of("engine_failed")[0]
    assert (failed["vendor"], failed["stage"], failed["remedy"]) == ("fake", "speak", "apology")


def test_a_voice_that_never_speaks_ends_the_call() -> None:
    class Mute(FakeVoice):
        async def open(self, format: AudioFormat, style: VoiceStyle) -> FakeSession:
            raise EngineFailed("fake", "open", "scripted")

    async def scene(stage: Stage) -> None:
        await stage.person.says("hello there", 700)
        await asyncio.wait({stage.running})

    result = play(scene, voice=Mute())
    assert result.ending == ("failed", "provider_error")
    assert [role for role, _ in result.transcript] == ["user"]


def test_a_transcriber_that_opens_at_the_third_try_has_missed_nothing() -> None:
    async def scene(stage: Stage) -> None:
        stage.person.transcriber.understands("hello there")
        await stage.person.says(None, 700)
        await stage.until("reply_heard")
        await stage.person.hang_up()

    result = play(scene, transcriber=FakeTranscriber(fail_opens=2))
    assert result.transcript[0] == ("user", "hello there")
    assert [f["remedy"] for f in result.of("engine_failed")] == ["reopened"] * 2


def test_a_transcriber_that_never_opens_ends_the_call() -> None:
    async def scene(stage: Stage) -> None:
        await asyncio.wait({stage.running})

    result = play(scene, transcriber=FakeTranscriber(fail_opens=99))
    assert result.ending == ("failed", "provider_error")
    assert result.of("engine_failed")[-1]["remedy"] == "call_ended"
    assert result.outcome.duration_ms < 5000


def test_a_transcriber_that_hangs_when_opened_does_not_hang_the_call() -> None:
    class Hung(FakeTranscriber):
        async def open(self, *_):
            await asyncio.sleep(86_400)

    async def scene(stage: Stage) -> None:
        await asyncio.wait({stage.running})

    result = play(scene, transcriber=Hung())
    assert result.ending == ("failed", "provider_error")
    assert result.of("engine_failed")[0]["detail"] == "no stream in time"


def test_the_caller_may_hang_up_while_the_transcriber_opens() -> None:
    class Hung(FakeTranscriber):
        async def open(self, *_):
            await asyncio.sleep(86_400)

    async def scene(stage: Stage) -> None:
        await stage.person.waits(1000)
        await stage.person.hang_up()

    result = play(scene, transcriber=Hung())
    assert result.ending == ("completed", "customer_ended")
    assert result.outcome.duration_ms < 1100


def test_a_lost_stream_is_opened_anew_with_the_words_kept() -> None:
    async def scene(stage: Stage) -> None:
        await stage.person.waits(500)
        stage.person.begins("my number is seven", 1500)
        await stage.person.waits(800)
        stage.transcriber.fail()
        await stage.until("reply_heard")
        await stage.person.hang_up()

    result = play(scene)
    assert result.transcript[0] == ("user", "my number is seven")
    first, second = result.stage.transcriber.streams
    assert first.closed
    # The new stream was given everything, and told where speech began.
    assert abs(first.started_ms[0] - second.started_ms[0]) <= 1
    assert second.fed_ms > 2500
    [told] = result.of("words")
    # The words lie on the call's clock: they ended when the caller did, and were final later.
    assert 2000 <= told["spokenAtMs"] <= 2350


def test_a_lost_stream_that_owed_final_words_is_replaced_by_one_that_gives_them() -> None:
    async def scene(stage: Stage) -> None:
        stage.transcriber.final_after_ms = None
        await stage.person.says(None, 700)
        await stage.person.waits(200)
        stage.transcriber.final_after_ms = 100
        stage.transcriber.understood.clear()
        stage.transcriber.understands("hello there")
        stage.transcriber.fail()
        committed = await stage.until("turn_committed")
        assert committed.at_ms < 1300
        await stage.until("reply_heard")
        await stage.person.hang_up()

    result = play(scene)
    assert result.transcript[0] == ("user", "hello there")
    assert result.of("turn_committed")[0]["by"] == "eot"


def test_a_stream_that_recovered_by_itself_goes_on() -> None:
    async def scene(stage: Stage) -> None:
        await stage.person.waits(300)
        stage.transcriber.fail("socket", "reconnected")
        await stage.person.says("hello there", 700)
        await stage.until("reply_heard")
        await stage.person.hang_up()

    result = play(scene)
    assert len(result.stage.transcriber.streams) == 1
    assert [f["remedy"] for f in result.of("engine_failed")] == ["recovered"]


def test_a_transcriber_that_is_lost_for_good_ends_the_call() -> None:
    async def scene(stage: Stage) -> None:
        for _ in range(4):
            await stage.person.waits(3000)
            stage.transcriber.fail()
        await asyncio.wait({stage.running})

    result = play(scene)
    assert result.ending == ("failed", "provider_error")
    assert result.outcome.detail == "fake lost: scripted"
    assert [f["remedy"] for f in result.of("engine_failed")] == ["reopened"] * 3 + ["call_ended"]


def test_streams_lost_now_and_then_do_not_add_up() -> None:
    async def scene(stage: Stage) -> None:
        for number in range(1, 6):
            await stage.person.waits(500)
            stage.transcriber.fail()
            await stage.person.says(f"question {number}", 700)
            await stage.until("reply_heard", number)
        await stage.person.hang_up()

    result = play(scene)
    assert result.ending == ("completed", "customer_ended")
    assert result.outcome.turn_count == 5


def test_a_detector_that_stops_ends_the_call_instead_of_hanging_it() -> None:
    async def scene(stage: Stage) -> None:
        await stage.person.waits(1000)
        stage.detector.streams[0].closed = True
        await asyncio.wait({stage.running})

    result = play(scene)
    assert result.ending == ("failed", "provider_error")
    assert "does not answer" in result.outcome.detail
    assert result.outcome.duration_ms < 10_000


def test_a_detector_that_raises_ends_this_call() -> None:
    class Broken(FakeDetector):
        def judge(self, pcm16):
            if self.streams[0].frames > 20:
                raise RuntimeError("no such tensor")
            return super().judge(pcm16)

    async def scene(stage: Stage) -> None:
        await asyncio.wait({stage.running})

    result = play(scene, detector=Broken())
    assert result.ending == ("failed", "internal_error")
    assert result.outcome.detail == "RuntimeError"


def test_a_fault_of_ours_ends_this_call_and_nobody_elses(monkeypatch: pytest.MonkeyPatch) -> None:
    from chorus.talk.conversation import Conversation

    def broken(*_: object) -> None:
        raise KeyError("secret")

    async def scene(stage: Stage) -> None:
        await stage.person.waits(500)
        monkeypatch.setattr(Conversation, "_decided", broken)
        await stage.person.says("hello there", 700)
        await asyncio.wait({stage.running})

    result = play(scene)
    assert result.ending == ("failed", "internal_error")
    assert result.outcome.detail == "KeyError"


@pytest.mark.parametrize("callback", ["words", "digit", "tick", "tool_done", "close"])
def test_whatever_callback_breaks_the_call_ends(
    callback: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from chorus.talk.conversation import Conversation

    def broken(*_: object) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr(Conversation, callback, broken)

    async def scene(stage: Stage) -> None:
        await stage.person.waits(500)
        if callback == "digit":
            stage.person.press("1")
        await stage.person.says("look it up", 700)
        await asyncio.wait({stage.running}, timeout=20)
        if not stage.running.done():
            await stage.person.hang_up()

    model = FakeModel(lambda _: Scripted(ToolCall("1", "look_up", "{}")))
    tools = Tools().set("look_up", OutboundFailed("gone"))
    result = play(scene, model=model, agent=agent(tools=(LOOK_UP,)), tools=tools)
    if callback == "close":
        assert result.ending == ("completed", "customer_ended")
    else:
        assert result.ending == ("failed", "internal_error")


def test_where_the_end_of_turn_model_fails_silence_decides_and_it_is_noted() -> None:
    async def scene(stage: Stage) -> None:
        await stage.person.says("hello there", 700)
        await stage.until("reply_heard")
        await stage.person.hang_up()

    broken = FakeEndOfTurn(*[EngineFailed("fake", "run", "no memory")] * 9)
    result = play(scene, end_of_turn=broken)
    assert result.of("turn_committed")[0]["by"] == "eot"
    assert {failed["remedy"] for failed in result.of("engine_failed")} == {"silence"}
    [latency] = result.of("turn_latency")
    assert latency["sentMs"] < 1500  # half the fallback


def test_an_end_of_turn_model_that_hangs_slows_the_call() -> None:
    async def scene(stage: Stage) -> None:
        await stage.person.says("hello there", 700)
        await stage.until("reply_heard")
        await stage.person.hang_up()

    result = play(scene, end_of_turn=FakeEndOfTurn(None))
    assert result.of("turn_committed")[0]["by"] == "eot"
    assert result.of("engine_failed")[0]["detail"] == "no verdict in time"
