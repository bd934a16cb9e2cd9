"""Two people who speak at once: what is heard, what is kept, and who goes on."""

from __future__ import annotations

from tests.fakes.llm import FakeModel
from tests.fakes.speech import FakeVoice
from tests.fakes.stage import Result, Stage, agent, play

from chorus.lines.loopback.line import Weather

LONG = "First there was nothing at all, then there was something, and after that came us."


def barging_in(after_ms: float, words: str | None = "stop please", ms: float = 800):
    async def scene(stage: Stage) -> None:
        await stage.person.says("tell me everything", 800)
        await stage.until("reply_started")
        await stage.person.waits(after_ms)
        await stage.person.says(words, ms)
        await stage.until("reply_heard", 2)
        await stage.person.waits(200)
        await stage.person.hang_up()

    return scene


def answers() -> FakeModel:
    return FakeModel(lambda p: LONG if p.messages[-1].content == "tell me everything" else "Yes.")


def sounding(result: Result) -> list[tuple[float, float]]:
    """Stretches of sound at the person's side, in seconds of the call."""
    found: list[tuple[float, float]] = []
    for at, loud in result.person.heard:
        if loud > 500:
            begin = at - 1000 - 0.02
            if found and begin - found[-1][1] < 0.001:
                found[-1] = (found[-1][0], at - 1000)
            else:
                found.append((begin, at - 1000))
    return found


def test_the_agent_falls_silent_within_a_tick() -> None:
    result = play(barging_in(2000), model=answers())
    paused_s = result.timeline.of("agent_paused")[0].at_ms / 1000
    [(_, end), _] = sounding(result)
    assert end <= paused_s + 0.02
    # The rule is 128 ms of voice; one frame of it, and the detector, are on top.
    began_s = result.of("speech_started")[1]["onsetMs"] / 1000
    assert paused_s - began_s < 0.128 + 0.06


def test_what_is_recorded_as_heard_is_what_arrived() -> None:
    for after_ms in (300, 777, 1500, 2222):
        result = play(barging_in(after_ms), model=answers())
        first = result.of("reply_heard")[0]
        [(begin, end), _] = sounding(result)
        assert abs(first["heardMs"] - (end - begin) * 1000) <= 20
        # By the voice's word times: 50 ms a character of each clause.
        assert first["interrupted"] is True
        assert first["estimated"] is False
        assert len(first["heard"]) * 50 <= first["heardMs"] + 100
        assert f"{first['heard']} {first['unsaid']}".strip() == LONG


def test_what_was_not_said_is_never_in_a_prompt() -> None:
    result = play(barging_in(2000), model=answers())
    unsaid = result.of("reply_heard")[0]["unsaid"]
    assert unsaid
    last = result.prompts[-1]
    assert last[1] == ("assistant", result.of("reply_heard")[0]["heard"])
    assert unsaid not in str(last)


def test_without_word_times_what_was_heard_is_estimated_and_says_so() -> None:
    result = play(barging_in(2000), model=answers(), voice=FakeVoice(marks=None))
    first = result.of("reply_heard")[0]
    assert first["estimated"] is True
    assert LONG.startswith(first["heard"])
    assert abs(len(first["heard"]) * 50 - first["heardMs"]) < 500


def test_a_reply_of_which_next_to_nothing_was_heard_joins_the_turns() -> None:
    # The pause comes some 170 ms after the voice: it began before the agent could be heard.
    async def scene(stage: Stage) -> None:
        await stage.person.says("tell me everything", 800)
        await stage.until("reply_started")
        await stage.person.says("about bread", 800)
        await stage.until("reply_heard", 2)
        await stage.person.hang_up()

    result = play(scene, model=FakeModel(lambda p: LONG if "bread" not in str(p) else "Yes."))
    first = result.of("reply_heard")[0]
    assert first["heardMs"] < 200
    assert (first["heard"], first["unsaid"]) == ("", LONG)
    assert result.transcript == [("user", "tell me everything about bread"), ("assistant", "Yes.")]
    assert result.outcome.turn_count == 1


def test_after_a_cough_every_word_is_heard_in_full() -> None:
    async def scene(stage: Stage) -> None:
        await stage.person.says("tell me everything", 800)
        await stage.until("reply_started")
        await stage.person.waits(1530)
        await stage.person.says(None, 250)
        await stage.until("agent_resumed")
        await stage.until("reply_heard")
        await stage.person.hang_up()

    result = play(scene, model=answers())
    [(b1, e1), (b2, e2)] = sounding(result)
    whole_ms = len(LONG) * 50 - 50 * 2  # the clauses' own spaces are spoken, the last has none
    first_ms, second_ms = (e1 - b1) * 1000, (e2 - b2) * 1000
    # What is heard twice is the word that was cut, which begins where the last whole one ended.
    again_ms = first_ms + second_ms - result.of("reply_heard")[0]["heardMs"]
    assert -20 <= again_ms <= 50 * len(" something,") + 20
    assert result.of("reply_heard")[0]["heardMs"] >= whole_ms
    assert result.transcript[1] == ("assistant", LONG)
    assert len(result.of("reply_started")) == 1
    assert len(result.of("turn_latency")) == 1


def test_a_noise_that_silenced_the_agent_and_was_nothing_is_asked_about() -> None:
    async def scene(stage: Stage) -> None:
        await stage.person.says("tell me everything", 800)
        await stage.until("reply_started")
        await stage.person.waits(1000)
        await stage.person.says(None, 1600)
        await stage.until("reply_heard", 2, timeout_s=10)
        await stage.person.hang_up()

    result = play(scene, model=answers())
    assert result.of("turn_dropped")[0]["reason"] == "no_words"
    assert result.transcript[-1][1].endswith("Could you say that again?")


def test_mm_hm_does_not_take_the_turn() -> None:
    async def scene(stage: Stage) -> None:
        await stage.person.says("tell me everything", 800)
        await stage.until("reply_started")
        await stage.person.waits(1500)
        await stage.person.says("mm-hm", 300)
        await stage.until("agent_resumed")
        await stage.until("reply_heard")
        await stage.person.hang_up()

    result = play(scene, model=answers())
    assert result.transcript == [("user", "tell me everything"), ("assistant", LONG)]


def test_a_question_that_is_answered_before_its_last_word_is_out_is_answered() -> None:
    question = "I have a table at nine. Shall I book it for you now?"

    def scene_with(before_end_ms: float):
        async def scene(stage: Stage) -> None:
            await stage.person.says("a table please", 700)
            await stage.until("reply_started")
            await stage.person.waits(50 * len(question) - before_end_ms)
            await stage.person.says("yes", 300)
            await stage.until("reply_heard", 2, timeout_s=10)
            await stage.person.hang_up()

        return scene

    for before_end_ms in (500, 400, 300, 200, 100, 10):
        model = FakeModel(lambda p: "Done." if p.messages[-1].content == "yes" else question)
        result = play(scene_with(before_end_ms), model=model)
        assert result.transcript[2:] == [("user", "yes"), ("assistant", "Done.")]


def test_mm_hm_in_the_middle_of_a_question_is_none_of_it() -> None:
    question = "Shall I book the table at nine for you and your friends tomorrow?"

    async def scene(stage: Stage) -> None:
        await stage.person.says("a table please", 700)
        await stage.until("reply_started")
        await stage.person.waits(1000)
        await stage.person.says("mm-hm", 300)
        await stage.until("agent_resumed")
        await stage.until("reply_heard")
        await stage.person.hang_up()

    result = play(scene, model=FakeModel([question]))
    assert result.transcript[1:] == [("assistant", question)]


def test_a_key_interrupts_at_once_and_reaches_the_model() -> None:
    async def scene(stage: Stage) -> None:
        await stage.person.says("tell me everything", 800)
        await stage.until("reply_started")
        await stage.person.waits(1000)
        stage.person.press("42#")
        await stage.until("reply_heard", 2)
        await stage.person.hang_up()

    result = play(scene, model=answers())
    assert result.of("interrupted")[0]["by"] == "digit"
    assert result.transcript[2] == ("user", "[pressed 4 2 #]")
    assert result.prompts[-1][-1] == ("user", "[pressed 4 2 #]")
    assert abs(result.of("reply_heard")[0]["heardMs"] - 1000) <= 40


def test_keys_that_the_caller_keys_in_while_nobody_speaks() -> None:
    async def scene(stage: Stage) -> None:
        await stage.person.waits(300)
        stage.person.press("1")
        await stage.person.waits(400)
        stage.person.press("7")
        await stage.until("reply_heard")
        await stage.person.hang_up()

    result = play(scene, model=answers())
    assert result.transcript == [("user", "[pressed 1 7]"), ("assistant", "Yes.")]


def test_a_barge_in_at_the_very_end_loses_nothing() -> None:
    short = "Hello there you."  # 800 ms
    for after_ms in (550, 600, 650, 700, 750, 790):
        model = FakeModel(
            lambda p: short if p.messages[-1].content == "tell me everything" else "Yes."
        )
        result = play(barging_in(after_ms), model=model)
        assert [role for role, _ in result.transcript] == ["user", "assistant"] * 2
        assert short.startswith(result.transcript[1][1])
        assert result.transcript[2][1] == "stop please"


def test_words_of_an_echo_do_not_interrupt() -> None:
    async def scene(stage: Stage) -> None:
        await stage.person.says("tell me everything", 800)
        await stage.until("reply_started")
        await stage.person.waits(2000)
        stage.person.begins(None, 200)
        await stage.person.waits(220)
        stage.transcriber.hear("nothing at all then there")
        await stage.until("agent_resumed")
        await stage.until("reply_heard")
        await stage.person.hang_up()

    result = play(scene, model=answers())
    assert result.transcript == [("user", "tell me everything"), ("assistant", LONG)]
    assert not result.of("interrupted")


def test_a_barge_in_while_the_voice_still_makes_sound() -> None:
    slow = FakeVoice(speed=1.1)
    result = play(barging_in(1500), model=answers(), voice=slow)
    first = result.of("reply_heard")[0]
    assert LONG.startswith(first["heard"])
    assert 1500 <= first["heardMs"] <= 1720
    assert slow.speaking == 0
    assert slow.closed_early == 1


def test_over_a_bad_network_what_was_heard_is_still_right() -> None:
    bad = Weather(latency_ms=120, jitter_ms=30, loss=0.01, seed=3)
    result = play(barging_in(2000), model=answers(), weather=bad)
    first = result.of("reply_heard")[0]
    assert result.of("interrupted")
    assert abs(first["heardMs"] - result.person.speech_ms + 200) <= 80  # "Yes." is 200 ms


def test_the_agent_pauses_for_no_one_shorter_than_the_setting() -> None:
    async def scene(stage: Stage) -> None:
        await stage.person.says("tell me everything", 800)
        await stage.until("reply_started")
        await stage.person.waits(1000)
        await stage.person.says(None, 250)
        await stage.until("reply_heard")
        await stage.person.hang_up()

    patient = agent(turns_min_interruption_duration_ms=600)
    result = play(scene, model=answers(), agent=patient)
    assert not result.of("agent_paused")
