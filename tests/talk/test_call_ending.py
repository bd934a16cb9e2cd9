"""Every way in which a call ends, in every state that it may be in.

What holds of each of them (line down, streams closed, no task left, `ended` noted once) is
checked by `stage.play` itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from tests.fakes.llm import FakeModel, Scripted
from tests.fakes.speech import FakeEndOfTurn, FakeVoice
from tests.fakes.stage import BOOK, LOOK_UP, Result, Stage, Tools, agent, play

from chorus.lines.line import LineCause, LineEnded
from chorus.llm.model import Prompt, ToolCall
from chorus.talk.announcing import SAID_WITHIN_S
from chorus.talk.text import phrases

LONG = "First there was nothing at all, then there was something, and after that came us."
Scene = Callable[[Stage], Awaitable[None]]


async def idle(stage: Stage) -> None:
    await stage.person.waits(500)


async def user(stage: Stage) -> None:
    await stage.person.waits(200)
    stage.person.begins("I want", 2000)
    await stage.until("speech_started")
    await stage.person.waits(200)


async def pause(stage: Stage) -> None:
    await stage.person.says("I would like", 700)
    await stage.until("words")
    await stage.person.waits(10)


async def reply(stage: Stage) -> None:
    await stage.person.says("tell me everything", 700)
    await stage.until("turn_committed")
    await stage.person.waits(30)


async def speaking(stage: Stage) -> None:
    await stage.person.says("tell me everything", 700)
    await stage.until("reply_started")
    await stage.person.waits(1000)


async def held(stage: Stage) -> None:
    await speaking(stage)
    await stage.person.says(None, 250)
    await stage.until("agent_paused")
    await stage.person.waits(100)


async def tool(stage: Stage) -> None:
    await stage.person.says("look it up", 700)
    await stage.until("tool_called")
    await stage.person.waits(100)


async def goodbye(stage: Stage) -> None:
    await stage.person.says("that is all", 700)
    await stage.until("reply_started")
    await stage.person.waits(300)


STATES: dict[str, tuple[Scene, dict[str, object]]] = {
    "idle": (idle, {}),
    "user": (user, {}),
    "pause": (pause, {"end_of_turn": lambda: FakeEndOfTurn(default=0.0)}),
    "reply": (reply, {"voice": lambda: FakeVoice(first_audio_ms=900)}),
    "agent": (speaking, {}),
    "held": (held, {}),
    "greeting": (
        idle,
        {
            "agent": lambda: agent(first_speaker="agent", greeting="Good day."),
            "voice": lambda: FakeVoice(first_audio_ms=3000),
        },
    ),
    "read tool": (
        tool,
        {"model": lambda: FakeModel(lambda _: Scripted(ToolCall("1", "look_up", "{}")))},
    ),
    "effect tool": (
        tool,
        {"model": lambda: FakeModel(lambda _: Scripted(ToolCall("1", "book", "{}")))},
    ),
    "goodbye": (
        goodbye,
        {"model": lambda: FakeModel(lambda _: Scripted(LONG, ToolCall("1", "end_call", "{}")))},
    ),
}


def hold(state: str, end: Scene) -> Result:
    scene, fields = STATES[state]
    made = {name: make() for name, make in fields.items()}  # type: ignore[operator] # all are calls
    made.setdefault("model", FakeModel(lambda _: LONG))
    made.setdefault("agent", agent(tools=(LOOK_UP, BOOK)))

    async def whole(stage: Stage) -> None:
        await scene(stage)
        await end(stage)
        await asyncio.wait({stage.running})

    tools = Tools().set("look_up", {"found": 1}, ms=2000).set("book", {"booked": 1}, ms=2000)
    return play(whole, tools=tools, **made)  # type: ignore[arg-type] # as play wants them


async def caller_hangs_up(stage: Stage) -> None:
    await stage.person.hang_up()


async def operator_hangs_up(stage: Stage) -> None:
    stage.call.hang_up()


async def line_drops(stage: Stage) -> None:
    stage.person.line.drop()


ENDS = {
    caller_hangs_up: ("completed", "customer_ended"),
    operator_hangs_up: ("completed", "operator_ended"),
    line_drops: ("failed", "provider_error"),
}


@pytest.mark.parametrize("end", ENDS, ids=lambda end: end.__name__)
@pytest.mark.parametrize("state", STATES)
def test_it_ends_as_it_was_ended(state: str, end: Scene) -> None:
    result = hold(state, end)
    assert result.ending == ENDS[end]
    # What was sent and not heard is not in the record.
    for heard in result.of("reply_heard"):
        assert heard["heardMs"] <= result.person.speech_ms + 20
    cost = result.of("usage")
    assert len(cost) == len(result.of("draft_started")) + (
        len([c for c in result.of("turn_committed") if not c["drafted"]])
    ) + (state == "greeting")


@pytest.mark.parametrize("state", STATES)
def test_a_worker_that_is_stopped_leaves_a_whole_record(state: str) -> None:
    async def stop(stage: Stage) -> None:
        stage.running.cancel()

    with pytest.raises(asyncio.CancelledError):
        hold(state, stop)


def test_a_cancelled_call_is_settled_before_it_is_gone() -> None:
    calls: list[Stage] = []

    async def scene(stage: Stage) -> None:
        calls.append(stage)
        await speaking(stage)
        stage.running.cancel()
        await asyncio.wait({stage.running})
        outcome = stage.call.outcome
        assert outcome is not None
        assert (outcome.status, outcome.reason) == ("failed", "worker_lost")
        assert [line.role for line in outcome.transcript] == ["user", "assistant"]
        assert stage.person.near.inbox.ended is not None
        assert stage.model.open == stage.voice.speaking == 0

    with pytest.raises(asyncio.CancelledError):
        play(scene, model=FakeModel([LONG]))
    assert calls


def test_cancelled_twice_it_still_ends_in_order() -> None:
    async def scene(stage: Stage) -> None:
        await tool(stage)
        stage.running.cancel()
        await stage.person.waits(100)  # it waits for the booking
        stage.running.cancel()
        await asyncio.wait({stage.running})
        assert stage.call.outcome is not None
        assert len(stage.timeline.of("ended")) == 1

    with pytest.raises(asyncio.CancelledError):
        play(
            scene,
            agent=agent(tools=(BOOK,)),
            model=FakeModel([Scripted(ToolCall("1", "book", "{}"))]),
            tools=Tools().set("book", {}, ms=5000),
        )


def test_what_the_caller_had_begun_to_say_is_in_the_record() -> None:
    result = hold("pause", caller_hangs_up)
    assert result.transcript == [("user", "I would like")]
    assert result.of("turn_unanswered") == [{"text": "I would like"}]


def test_a_reply_that_is_cut_by_the_end_is_recorded_as_heard() -> None:
    result = hold("agent", caller_hangs_up)
    [heard] = result.of("reply_heard")
    assert heard["interrupted"] is True
    assert f"{heard['heard']} {heard['unsaid']}" == LONG
    assert abs(heard["heardMs"] - result.person.speech_ms) <= 20
    assert result.transcript[-1] == ("assistant", heard["heard"])


def test_a_booking_under_way_is_finished_after_the_caller_hung_up() -> None:
    result = hold("effect tool", caller_hangs_up)
    assert result.stage.tools.done == ["book"]
    [told] = result.of("tool_result")
    assert told["ok"] is True
    kinds = [h.kind for h in result.timeline.happenings]
    assert kinds.index("tool_result") < kinds.index("ended")


def test_a_look_up_under_way_is_given_up_when_the_caller_hangs_up() -> None:
    result = hold("read tool", caller_hangs_up)
    assert result.stage.tools.cancelled == ["look_up"]
    [told] = result.of("tool_result")
    assert told["ok"] is False


def test_the_caller_does_not_wait_for_a_booking_to_be_hung_up_on() -> None:
    result = hold("effect tool", operator_hangs_up)
    ended = result.timeline.of("ended")[0].at_ms
    assert ended - result.outcome.duration_ms > 1500  # the booking was waited for
    assert 1000 + result.outcome.duration_ms / 1000 >= result.person.heard[-1][0] - 0.03


def test_a_line_that_failed_before_it_began_is_a_failed_call() -> None:
    async def scene(stage: Stage) -> None:
        stage.person.near.inbox.end(LineEnded(LineCause.FAILED, "codec refused"))
        await asyncio.wait({stage.running})

    result = play(scene)
    assert result.ending == ("failed", "provider_error")
    assert result.outcome.detail == "codec refused"
    assert result.outcome.duration_ms < 100


def test_the_longest_time_ends_a_call_also_while_the_agent_speaks() -> None:
    async def scene(stage: Stage) -> None:
        await stage.person.says("tell me everything", 700)
        await asyncio.wait({stage.running})

    result = play(scene, agent=agent(max_call_duration_s=3), model=FakeModel([LONG]))
    assert result.ending == ("completed", "max_duration")
    assert 3000 <= result.outcome.duration_ms <= 3000 + SAID_WITHIN_S * 1000
    assert result.transcript[-2:] == [("assistant", LONG), ("assistant", phrases.goodbye(None))]


@pytest.mark.parametrize("limit_s", [1, 2, 3])
@pytest.mark.parametrize("start_ms", [0, 250, 500, 750])
def test_the_longest_time_may_be_over_in_the_middle_of_anything(
    limit_s: int, start_ms: int
) -> None:
    """A question, a tool that changes something, an answer, a cough, a goodbye: cut anywhere."""

    async def scene(stage: Stage) -> None:
        await stage.person.waits(start_ms)
        await stage.person.says("book a table", 500)
        await stage.person.waits(700)
        await stage.person.says(None, 250)
        await asyncio.wait({stage.running})

    def answer(prompt: Prompt) -> Scripted:
        if prompt.messages[-1].role == "tool":
            return Scripted(LONG, ToolCall("2", "end_call", "{}"))
        return Scripted("One moment.", ToolCall("1", "book", "{}"), first_ms=50)

    result = play(
        scene,
        agent=agent(tools=(BOOK,), max_call_duration_s=limit_s),
        model=FakeModel(answer),
        tools=Tools().set("book", {"booked": 1}, ms=600),
    )
    # An agent that is saying goodbye by itself when the time is over has ended the call.
    assert result.ending in [("completed", "max_duration"), ("completed", "agent_ended")]
    assert limit_s * 1000 <= result.outcome.duration_ms <= (limit_s + SAID_WITHIN_S) * 1000 + 40
    last = LONG if result.ending[1] == "agent_ended" else phrases.goodbye(None)
    assert any(said.endswith(last) for role, said in result.transcript if role == "assistant")
    assert len(result.of("tool_result")) == len(result.of("tool_called"))
    assert all(told["ok"] for told in result.of("tool_result"))
    heard_ms = sum(heard["heardMs"] for heard in result.of("reply_heard"))
    again_ms = 300 if result.of("agent_resumed") else 0  # the word that was cut is heard twice
    assert -20 <= result.person.speech_ms - heard_ms <= again_ms + 40


def test_a_silent_call_goes_on_until_its_longest_time() -> None:
    async def scene(stage: Stage) -> None:
        await asyncio.sleep(590)
        assert stage.call._talk._conversation._turns.state == "idle"
        assert stage.detector.streams[0].resets >= 20
        await asyncio.wait({stage.running})

    result = play(scene)
    assert result.ending == ("completed", "max_duration")
    assert result.transcript == [("assistant", phrases.goodbye(None))]
    assert len(result.stage.model.requests) == 0
