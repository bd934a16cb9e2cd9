"""Tools in the middle of a conversation: what they change, and what interrupts them."""

from __future__ import annotations

import json

import pytest
from tests.fakes.llm import FakeModel, Scripted
from tests.fakes.stage import BOOK, LOOK_UP, Result, Stage, Tools, agent, play

from chorus.llm.model import Message, Prompt, ToolCall
from chorus.outbound import OutboundFailed
from chorus.talk.spec import HttpTool, HttpToolField

WITH_TOOLS = agent(tools=(LOOK_UP, BOOK))
LONG = "First there was nothing at all, then there was something, and after that came us."


def call(name: str, id: str = "1", **arguments: object) -> ToolCall:
    return ToolCall(id, name, json.dumps(arguments))


async def ask(stage: Stage) -> None:
    await stage.person.says("do it please", 700)
    await stage.until("reply_heard")
    await stage.person.hang_up()


async def ask_and_go_on(stage: Stage) -> None:
    """Ask; speak again as soon as the tool was called; hear the answer to that."""
    await stage.person.says("do it please", 700)
    await stage.until("tool_called")
    await stage.person.waits(100)
    await stage.person.says("wait what", 700)
    await stage.until("reply_heard", 2)
    await stage.person.waits(300)
    await stage.person.says("and now", 700)
    await stage.until("reply_heard", 3)
    await stage.person.hang_up()


def results(prompt: Prompt) -> list[str]:
    return [m.content for m in prompt.messages if m.role == "tool"]


def each_call_has_its_result(result: Result) -> None:
    """As every vendor demands it: each call is followed by its result, at once."""
    for request in result.stage.model.requests:
        waiting: list[str] = []
        for message in request.prompt.messages:
            if message.role == "tool":
                assert message.tool_call_id in waiting
                waiting.remove(message.tool_call_id)
            else:
                assert not waiting
                waiting = [c.id for c in message.tool_calls]
        assert not waiting


def test_the_result_changes_what_is_said() -> None:
    model = FakeModel(
        lambda p: (
            f"It is {json.loads(p.messages[-1].content)['found']}."
            if p.messages[-1].role == "tool"
            else Scripted("One moment.", call("look_up"))
        )
    )
    result = play(ask, model=model, agent=WITH_TOOLS, tools=Tools().set("look_up", {"found": 42}))
    assert result.transcript[-1] == ("assistant", "One moment. It is 42.")
    assert result.of("tool_called")[0]["name"] == "look_up"
    told = result.of("tool_result")[0]
    assert (told["ok"], told["status"], json.loads(told["result"])) == (True, 200, {"found": 42})
    each_call_has_its_result(result)


def test_tools_of_one_round_run_side_by_side() -> None:
    model = FakeModel(
        lambda p: (
            "Done."
            if p.messages[-1].role == "tool"
            else Scripted(call("look_up", "1"), call("book", "2"))
        )
    )
    tools = Tools().set("look_up", {"a": 1}, ms=1000).set("book", {"b": 2}, ms=1000)
    result = play(ask, model=model, agent=WITH_TOOLS, tools=tools)
    called, done = result.timeline.of("tool_called"), result.timeline.of("tool_result")
    assert called[0].at_ms == called[1].at_ms
    assert done[1].at_ms - called[0].at_ms < 1050
    assert results(result.stage.model.requests[-1].prompt) == ['{"a": 1}', '{"b": 2}']


def test_calls_of_the_same_id_keep_their_own_results() -> None:
    def answer(prompt: Prompt) -> Scripted | str:
        said = results(prompt)
        if len(said) == 3:
            return "Done."
        more = call("look_up", "0")
        return Scripted(more) if said else Scripted(more, call("book", "0"))

    tools = Tools().set("look_up", {"a": 1}).set("book", {"b": 2})
    result = play(ask, model=FakeModel(answer), agent=WITH_TOOLS, tools=tools)
    assert results(result.stage.model.requests[-1].prompt) == ['{"a": 1}', '{"b": 2}', '{"a": 1}']
    assert len({told["id"] for told in result.of("tool_result")}) == 3
    each_call_has_its_result(result)


def test_what_fails_is_told_to_the_model() -> None:
    model = FakeModel(
        lambda p: (
            "I am sorry."
            if p.messages[-1].role == "tool"
            else Scripted(call("look_up", "1"), call("book", "2"), call("dance", "3"))
        )
    )
    tools = Tools().set("look_up", OutboundFailed("no answer in 5 s")).set("book", {}, status=500)
    result = play(ask, model=model, agent=WITH_TOOLS, tools=tools)
    failed, refused, unknown = results(result.stage.model.requests[-1].prompt)
    assert "no answer in 5 s" in failed
    assert "HTTP 500" in refused
    assert "no tool 'dance'" in unknown
    assert result.transcript[-1] == ("assistant", "I am sorry.")
    each_call_has_its_result(result)


def test_bad_arguments_are_told_to_the_model_which_tries_again() -> None:
    strict = HttpTool(
        "book",
        "Books.",
        "https://tools.example/book",
        fields=(HttpToolField("party", "integer", required=True),),
    )

    def answer(prompt: Prompt) -> Scripted | str:
        said = results(prompt)
        if not said:
            return Scripted(call("book", "1", party="many"))
        return Scripted(call("book", "2", party=2)) if len(said) == 1 else "Booked."

    tools = Tools().set("book", {"ok": 1})
    result = play(ask, model=FakeModel(answer), agent=agent(tools=(strict,)), tools=tools)
    assert "party" in results(result.stage.model.requests[-1].prompt)[0]
    assert tools.asked == [("POST", "book")]
    assert result.transcript[-1] == ("assistant", "Booked.")


def test_a_model_that_only_ever_calls_tools_is_stopped_and_apologises() -> None:
    async def scene(stage: Stage) -> None:
        await stage.person.says("do it please", 700)
        await stage.until("reply_heard", 2)
        await stage.person.hang_up()

    model = FakeModel(lambda _: Scripted(call("look_up")))
    tools = Tools().set("look_up", {})
    result = play(scene, model=model, agent=WITH_TOOLS, tools=tools)
    assert len(model.requests) == 8
    assert result.of("engine_failed")[0]["detail"] == "called tools 8 times over"
    assert result.transcript[-1][1].startswith("Sorry")


def test_going_on_before_a_booking_takes_the_turn_back() -> None:
    async def scene(stage: Stage) -> None:
        await stage.person.says("book a table", 700)
        await stage.until("turn_committed")
        await stage.person.waits(40)
        await stage.person.says("for two", 700)
        await stage.until("reply_heard")
        await stage.person.hang_up()

    def answer(prompt: Prompt) -> Scripted | str:
        if prompt.messages[-1].role == "tool":
            return "Booked."
        return Scripted(call("book"), first_ms=400)

    tools = Tools().set("book", {"ok": 1})
    result = play(scene, model=FakeModel(answer), agent=WITH_TOOLS, tools=tools)
    assert result.of("retracted")
    assert tools.asked == [("POST", "book")]
    assert result.transcript == [("user", "book a table for two"), ("assistant", "Booked.")]
    assert result.outcome.turn_count == 1


def answer_each(prompt: Prompt, first: Scripted) -> Scripted | str:
    """`first` to the first request, "Well." to what comes after a tool, else "Yes."."""
    last: Message = prompt.messages[-1]
    if last.role == "tool":
        return "Well."
    return first if not any(m.tool_calls for m in prompt.messages) else "Yes."


def test_going_on_after_a_booking_began_is_a_turn_of_its_own() -> None:
    first = Scripted(call("book"))
    tools = Tools().set("book", {"ok": 1}, ms=2500)
    model = FakeModel(lambda p: answer_each(p, first))
    result = play(ask_and_go_on, model=model, agent=WITH_TOOLS, tools=tools)
    assert not result.of("retracted")
    assert tools.done == ["book"]
    users = [text for role, text in result.transcript if role == "user"]
    assert users == ["do it please wait what", "and now"]
    shown = [results(r.prompt) for r in model.requests]
    # Pending while it ran, and the true result in the next prompt.
    assert any("pending" in s[0] for s in shown if s)
    assert shown[-1] == ['{"ok": 1}']
    each_call_has_its_result(result)


@pytest.mark.parametrize("words", [None, "okay"])
def test_a_cough_or_an_okay_during_a_booking_costs_neither_it_nor_its_answer(
    words: str | None,
) -> None:
    async def scene(stage: Stage) -> None:
        await stage.person.says("book it", 700)
        await stage.until("tool_called")
        await stage.person.waits(200)
        await stage.person.says(words, 250)
        await stage.until("reply_heard", timeout_s=10)
        await stage.person.hang_up()

    first = Scripted(call("book"))
    tools = Tools().set("book", {"ok": 1}, ms=2500)
    model = FakeModel(lambda p: answer_each(p, first))
    result = play(scene, model=model, agent=WITH_TOOLS, tools=tools)
    assert result.transcript == [("user", "book it"), ("assistant", "Well.")]
    assert tools.asked == [("POST", "book")]
    assert not result.of("interrupted")


def test_interrupting_a_look_up_cancels_it_with_a_result_that_says_so() -> None:
    first = Scripted("One moment, let me see.", call("look_up"))
    tools = Tools().set("look_up", {"found": 1}, ms=4000)
    model = FakeModel(lambda p: answer_each(p, first))
    result = play(ask_and_go_on, model=model, agent=WITH_TOOLS, tools=tools)
    assert result.of("interrupted")
    assert tools.cancelled == ["look_up"]
    shown = [results(r.prompt) for r in model.requests]
    assert "cancelled" in shown[-1][0]
    each_call_has_its_result(result)


def test_interrupting_a_booking_lets_it_finish_and_its_result_counts() -> None:
    first = Scripted("One moment, let me see.", call("book"))
    tools = Tools().set("book", {"ok": 1}, ms=2000)
    model = FakeModel(lambda p: answer_each(p, first))
    result = play(ask_and_go_on, model=model, agent=WITH_TOOLS, tools=tools)
    assert result.of("interrupted")
    assert tools.done == ["book"]
    shown = [results(r.prompt) for r in model.requests]
    assert "pending" in shown[1][0]
    assert shown[-1] == ['{"ok": 1}']
    each_call_has_its_result(result)


def test_a_caller_who_takes_back_a_look_up_has_it_cancelled() -> None:
    first = Scripted(call("look_up"))
    tools = Tools().set("look_up", {"found": 1}, ms=4000)

    async def scene(stage: Stage) -> None:
        await stage.person.says("do it please", 700)
        await stage.until("tool_called")
        await stage.person.waits(100)
        await stage.person.says("wait what", 700)
        await stage.until("reply_heard")
        await stage.person.hang_up()

    model = FakeModel(lambda p: answer_each(p, first))
    result = play(scene, model=model, agent=WITH_TOOLS, tools=tools)
    assert result.of("retracted")
    assert tools.cancelled == ["look_up"]
    assert result.transcript == [("user", "do it please wait what"), ("assistant", "Yes.")]
    each_call_has_its_result(result)


# --- hanging up -------------------------------------------------------------------------------


async def until_it_ends(stage: Stage) -> None:
    await stage.person.says("that was all", 700)
    await stage.running


def test_an_agent_may_hang_up_without_a_word() -> None:
    result = play(until_it_ends, model=FakeModel([Scripted(call("end_call"))]))
    assert result.ending == ("completed", "agent_ended")
    assert result.transcript == [("user", "that was all")]


def test_a_goodbye_that_is_interrupted_does_not_end_the_call() -> None:
    async def scene(stage: Stage) -> None:
        await stage.person.says("that was all", 700)
        await stage.until("reply_started")
        await stage.person.waits(1500)
        await stage.person.says("no one more thing", 800)
        await stage.until("reply_heard", 2)
        await stage.person.hang_up()

    model = FakeModel([Scripted(LONG, call("end_call")), "Yes?"])
    result = play(scene, model=model)
    assert result.ending == ("completed", "customer_ended")
    [told] = results(model.requests[-1].prompt)
    assert "before the goodbye was heard" in told
    each_call_has_its_result(result)


def test_an_agent_that_may_not_hang_up_is_not_offered_it_and_refused_it() -> None:
    model = FakeModel(
        lambda p: "As you like." if p.messages[-1].role == "tool" else Scripted(call("end_call"))
    )
    result = play(ask, model=model, agent=agent(allow_end_call=False))
    assert model.requests[0].prompt.tools == ()
    assert "cannot hang up" in results(model.requests[-1].prompt)[0]
    assert result.transcript[-1] == ("assistant", "As you like.")
    assert result.ending == ("completed", "customer_ended")


def test_hanging_up_beside_another_tool_waits_for_its_result() -> None:
    model = FakeModel([Scripted("Bye.", call("book", "1"), call("end_call", "2"))])
    tools = Tools().set("book", {"ok": 1}, ms=1500)
    result = play(until_it_ends, model=model, agent=WITH_TOOLS, tools=tools)
    assert result.ending == ("completed", "agent_ended")
    assert tools.done == ["book"]
    assert result.transcript[-1] == ("assistant", "Bye.")
