"""Replies that are made before the turn is over."""

from __future__ import annotations

from tests.fakes.llm import FakeModel, Scripted
from tests.fakes.speech import FakeEndOfTurn, FakeTranscriber
from tests.fakes.stage import BOOK, LOOK_UP, Stage, Tools, agent, play

from chorus.llm.model import ModelFailed, ToolCall, Usage


async def hello(stage: Stage) -> None:
    await stage.person.says("hello there", 800)
    await stage.until("reply_heard")
    await stage.person.hang_up()


def test_nothing_of_a_draft_is_heard_before_the_turn_is_over() -> None:
    result = play(hello, model=FakeModel(["Hi."]), end_of_turn=FakeEndOfTurn(0.0, 0.0, 0.0))
    committed_s = 1000 + result.timeline.of("turn_committed")[0].at_ms / 1000
    started_s = 1000 + result.timeline.of("draft_started")[0].at_ms / 1000
    assert committed_s - started_s > 0.5  # it was long ready
    assert not result.person.sound_between(0, committed_s)
    assert result.person.sound_between(committed_s, committed_s + 0.06)
    latency = result.of("turn_latency")[0]
    assert latency["audioMs"] < latency["committedMs"] <= latency["sentMs"]


def test_a_draft_of_other_words_is_thrown_away() -> None:
    async def scene(stage: Stage) -> None:
        stage.person.begins(None, 800)
        await stage.person.waits(700)
        stage.transcriber.hear("hello", final=False)
        stage.transcriber.understood.clear()
        stage.transcriber.understands("hello there")
        await stage.until("reply_heard")
        await stage.person.hang_up()

    slow = FakeTranscriber(final_after_ms=300)
    result = play(scene, model=FakeModel(lambda _: "Hi."), transcriber=slow)
    assert result.transcript[0] == ("user", "hello there")
    assert result.of("usage")[0]["discarded"] is True
    assert result.prompts[0] == [("user", "hello")]
    assert result.prompts[-1] == [("user", "hello there")]


def test_a_caller_who_goes_on_has_the_draft_thrown_away_and_nothing_said() -> None:
    async def scene(stage: Stage) -> None:
        await stage.person.says("I want", 600)
        await stage.until("draft_started")
        await stage.person.says("some bread", 600)
        await stage.until("reply_heard")
        await stage.person.hang_up()

    verdicts = FakeEndOfTurn(0.0)
    result = play(
        scene, model=FakeModel(lambda _: Scripted("Which?", first_ms=700)), end_of_turn=verdicts
    )
    assert result.transcript == [("user", "I want some bread"), ("assistant", "Which?")]
    assert [u["discarded"] for u in result.of("usage")].count(False) == 1
    assert result.stage.model.requests[0].ended == "closed"
    wasted = [u for u in result.of("usage") if u["discarded"]]
    # They were stopped before they could say what they cost.
    assert all(u["estimated"] and u["inputTokens"] > 0 for u in wasted)


def test_a_breath_in_the_pause_leaves_the_draft() -> None:
    async def scene(stage: Stage) -> None:
        await stage.person.says("I want some bread", 600)
        await stage.until("draft_started")
        await stage.person.says(None, 80)
        await stage.until("reply_heard")
        await stage.person.hang_up()

    result = play(scene, model=FakeModel(["Which?"]), end_of_turn=FakeEndOfTurn(0.0))
    assert len(result.of("draft_started")) == 1
    assert result.of("turn_committed")[0]["drafted"] is True
    assert result.transcript == [("user", "I want some bread"), ("assistant", "Which?")]


def test_a_sentence_that_has_ended_is_drafted_before_the_caller_is_silent() -> None:
    async def scene(stage: Stage) -> None:
        stage.person.begins("Hello there.", 800)
        await stage.person.waits(700)
        stage.transcriber.hear("Hello there.", final=False)
        await stage.until("reply_heard")
        await stage.person.hang_up()

    result = play(scene, model=FakeModel([Scripted("Hi.", first_ms=200)]))
    [latency] = result.of("turn_latency")
    assert result.timeline.of("draft_started")[0].at_ms <= 720
    assert latency["tokenMs"] <= 120
    assert latency["sentMs"] == latency["committedMs"]  # the vendors' 300 ms are over by then
    assert [usage["discarded"] for usage in result.of("usage")] == [False]


def test_a_draft_of_words_that_were_changed_and_changed_back_is_used() -> None:
    async def scene(stage: Stage) -> None:
        stage.person.begins("a table for two", 800)
        await stage.person.waits(700)
        stage.transcriber.hear("a table for two.", final=False)
        stage.transcriber.hear("a table for too.", final=False)
        await stage.until("reply_heard")
        await stage.person.hang_up()

    result = play(scene, model=FakeModel(lambda _: "For whom?"))
    assert len(result.of("draft_started")) == 2
    assert result.of("turn_committed")[0]["drafted"] is True
    assert sorted(usage["discarded"] for usage in result.of("usage")) == [False, True]
    assert [p[-1][1] for p in result.prompts] == ["a table for two.", "a table for too."]


def test_a_draft_that_failed_is_asked_again_and_the_caller_hears_nothing_of_it() -> None:
    model = FakeModel([Scripted(error=ModelFailed("fake", "overloaded"), first_ms=50), "Hi."])
    result = play(hello, model=model, end_of_turn=FakeEndOfTurn(delay_ms=400))
    assert result.transcript[1:] == [("assistant", "Hi.")]
    assert result.of("engine_failed")[0]["remedy"] == "asked_again"
    assert result.of("turn_committed")[0]["drafted"] is False


def test_who_wants_drafts_later_has_them_later() -> None:
    verdicts = [0.0] * 5
    sooner = play(hello, end_of_turn=FakeEndOfTurn(*verdicts))
    later = play(
        hello,
        agent=agent(turns_speculative_silence_ms=1000),
        end_of_turn=FakeEndOfTurn(*verdicts),
    )
    began = [r.timeline.of("draft_started")[0].at_ms for r in (sooner, later)]
    assert began[0] < 800 + 250
    assert 800 + 1000 - 160 <= began[1] <= 800 + 1000 + 40


def test_there_are_at_most_three_drafts_in_a_turn() -> None:
    async def scene(stage: Stage) -> None:
        for word in ("one", "two", "three", "four", "five"):
            await stage.person.says(word, 500)
            await stage.person.waits(400)
        await stage.until("reply_heard")
        await stage.person.hang_up()

    result = play(scene, model=FakeModel(lambda _: "Six."), end_of_turn=FakeEndOfTurn(*[0.0] * 9))
    assert len(result.of("draft_started")) == 3
    assert result.transcript == [("user", "one two three four five"), ("assistant", "Six.")]
    assert [u["discarded"] for u in result.of("usage")] == [True] * 3 + [False]


def test_what_a_reply_has_cost_is_noted_once() -> None:
    model = FakeModel([Scripted("Hi there.", usage=Usage(100, 3))])
    result = play(hello, model=model)
    [cost] = result.of("usage")
    assert cost == {
        "model": "fake",
        "voice": "fake",
        "inputTokens": 100,
        "outputTokens": 3,
        "characters": 9,
        "discarded": False,
    }


def test_a_draft_runs_no_tool_with_effects() -> None:
    model = FakeModel(
        lambda prompt: (
            Scripted(ToolCall("1", "book", "{}"))
            if prompt.messages[-1].role == "user"
            else "Booked."
        )
    )
    late = FakeEndOfTurn(0.0, 0.0, 0.0)
    tools = Tools().set("book", {"ok": 1})
    result = play(hello, model=model, tools=tools, agent=agent(tools=(BOOK,)), end_of_turn=late)
    assert result.of("turn_committed")[0]["drafted"] is True
    assert tools.asked == [("POST", "book")]
    committed = result.timeline.of("turn_committed")[0].at_ms
    assert result.timeline.of("tool_called")[0].at_ms >= committed
    assert result.transcript[-1] == ("assistant", "Booked.")


def test_a_draft_thrown_away_with_a_booking_in_mind_never_books() -> None:
    async def scene(stage: Stage) -> None:
        await stage.person.says("book a table", 600)
        await stage.until("draft_started")
        await stage.person.waits(600)
        await stage.person.says("no wait do not", 800)
        await stage.until("reply_heard")
        await stage.person.hang_up()

    model = FakeModel(
        lambda prompt: (
            "All right."
            if prompt.messages[-1].content.endswith("not")
            else Scripted(ToolCall("1", "book", "{}"))
        )
    )
    tools = Tools().set("book", {"ok": 1})
    verdicts = FakeEndOfTurn(0.0, 0.0, 0.0, 0.0)
    result = play(scene, model=model, tools=tools, agent=agent(tools=(BOOK,)), end_of_turn=verdicts)
    assert tools.asked == []
    assert result.transcript[-1] == ("assistant", "All right.")


def test_a_look_up_of_a_draft_is_made_once_and_used() -> None:
    model = FakeModel(
        lambda prompt: (
            Scripted(ToolCall("1", "look_up", "{}"))
            if prompt.messages[-1].role == "user"
            else "Found."
        )
    )
    tools = Tools().set("look_up", {"found": 1})
    late = FakeEndOfTurn(0.0, 0.0, 0.0)
    result = play(hello, model=model, tools=tools, agent=agent(tools=(LOOK_UP,)), end_of_turn=late)
    assert tools.asked == [("GET", "look_up")]
    assert result.of("turn_committed")[0]["drafted"] is True
    assert (
        result.timeline.of("tool_called")[0].at_ms < result.timeline.of("turn_committed")[0].at_ms
    )
    assert result.transcript[-1] == ("assistant", "Found.")
