"""Every way in which a call ends, in every state that it may be in.

What holds of each of them (line down, streams closed, no task left, `ended` noted once) is
checked by `stage.play` itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from tests.fakes.llm import FakeModel, Scripted
from tests.fakes.speech import FakeDetector, FakeEndOfTurn, FakeTranscriber, FakeVoice
from tests.fakes.stage import BOOK, LOOK_UP, Result, Stage, Tools, agent, play

from chorus.lines.line import LineCause, LineEnded
from chorus.llm.model import ModelFailed, ToolCall
from chorus.outbound import OutboundFailed

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
    assert 3000 <= result.outcome.duration_ms <= 3020
    assert result.of("reply_heard")[0]["interrupted"] is True


def test_a_silent_call_goes_on_until_its_longest_time() -> None:
    async def scene(stage: Stage) -> None:
        await asyncio.sleep(590)
        assert stage.call._talk._turns.state == "idle"
        assert stage.detector.streams[0].resets >= 20
        await asyncio.wait({stage.running})

    result = play(scene)
    assert result.ending == ("completed", "max_duration")
    assert result.transcript == []
    assert len(result.stage.model.requests) == 0


# --- what breaks ------------------------------------------------------------------------------


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
    assert len(apologies) == 2
    assert apologies[0].startswith("Sorry")
    remedies = [f["remedy"] for f in result.of("engine_failed")]
    assert remedies == ["apology", "apology", "call_ended"]


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
        def _pieces(self, clause, index, format):
            self.fail_at = self._chunks
            return super()._pieces(clause, index, format)

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
    assert result.outcome.duration_ms < 5000


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


def test_an_end_of_turn_model_that_fails_slows_the_call_and_is_noted() -> None:
    from chorus.speech.engines import EngineFailed

    async def scene(stage: Stage) -> None:
        await stage.person.says("hello there", 700)
        await stage.until("reply_heard")
        await stage.person.hang_up()

    broken = FakeEndOfTurn(EngineFailed("fake", "run", "no memory"))
    result = play(scene, end_of_turn=broken)
    assert result.of("turn_committed")[0]["by"] == "fallback"
    [failed] = result.of("engine_failed")
    assert failed["remedy"] == "fallback_silence"


def test_an_end_of_turn_model_that_hangs_slows_the_call() -> None:
    async def scene(stage: Stage) -> None:
        await stage.person.says("hello there", 700)
        await stage.until("reply_heard")
        await stage.person.hang_up()

    result = play(scene, end_of_turn=FakeEndOfTurn(None))
    assert result.of("turn_committed")[0]["by"] == "fallback"
    assert result.of("engine_failed")[0]["detail"] == "no verdict in time"
