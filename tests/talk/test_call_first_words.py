"""What the agent says on its own account: its first message, the operator's words, apologies."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.fakes.llm import FakeModel
from tests.fakes.speech import FakeEndOfTurn, FakeVoice
from tests.fakes.stage import Result, Stage, agent, play

from chorus.lines.loopback.line import Weather

GREETING = "Good day, this is the bakery. How can I help you?"
LONG = "First there was nothing at all, then there was something, and after that came us."


def greeting(**fields: Any):
    return agent(first_speaker="agent", **({"greeting": GREETING} | fields))


def first_sound_ms(result: Result) -> float:
    return next((at - 1000) * 1000 for at, loud in result.person.heard if loud > 500)


async def hear_the_greeting(stage: Stage) -> None:
    await stage.until("reply_heard")
    await stage.person.waits(300)
    await stage.person.hang_up()


def test_the_agent_greets_once() -> None:
    async def scene(stage: Stage) -> None:
        await stage.until("reply_heard")
        await stage.person.waits(5000)
        await stage.person.hang_up()

    result = play(scene, agent=greeting())
    assert result.transcript == [("assistant", GREETING)]
    assert result.stage.voice.clauses == [
        "Good day,",
        " this is the bakery.",
        " How can I help you?",
    ]
    assert len(result.stage.model.requests) == 0
    assert result.outcome.turn_count == 0
    assert not result.of("turn_latency")


def test_the_greeting_is_heard_as_soon_as_it_is_made() -> None:
    result = play(hear_the_greeting, agent=greeting())
    assert first_sound_ms(result) <= 100 + 40


def test_a_greeting_made_while_waiting_costs_no_time() -> None:
    slow = FakeVoice(first_audio_ms=900)
    result = play(hear_the_greeting, agent=greeting(first_message_delay_ms=1000), voice=slow)
    assert 1000 <= first_sound_ms(result) <= 1060


def test_the_delay_counts_from_the_first_packet() -> None:
    async def scene(stage: Stage) -> None:
        way = stage.person.line._out
        way._next.cancel()  # the network holds everything back for two seconds
        await stage.person.waits(2000)
        way._tick()
        await hear_the_greeting(stage)

    result = play(scene, agent=greeting(first_message_delay_ms=500))
    assert 2500 <= first_sound_ms(result) <= 2580


def test_a_line_that_sends_nothing_is_greeted_all_the_same() -> None:
    result = play(hear_the_greeting, agent=greeting(), sound=False)
    assert 5000 <= first_sound_ms(result) <= 5080
    assert result.of("no_audio_yet") == [{"waitedMs": 5000}]


def test_without_a_greeting_the_model_begins() -> None:
    model = FakeModel(["Hello, who is there?"])
    result = play(hear_the_greeting, agent=greeting(greeting=None), model=model)
    assert result.transcript == [("assistant", "Hello, who is there?")]
    assert result.prompts == [[]]


def test_variables_fill_the_prompt_and_the_greeting() -> None:
    async def scene(stage: Stage) -> None:
        await stage.until("reply_heard")
        await stage.person.says("who are you", 700)
        await stage.until("reply_heard", 2)
        await stage.person.hang_up()

    spoken = greeting(system_prompt="You speak to {{name}}.", greeting="Hello {{ name }}, fine?")
    result = play(scene, agent=spoken, variables={"name": "Ada"})
    assert result.transcript[0] == ("assistant", "Hello Ada, fine?")
    assert result.stage.model.requests[0].prompt.system == "You speak to Ada."
    assert not result.of("variables_missing")


def test_missing_variables_are_noted_and_left_out() -> None:
    spoken = greeting(system_prompt="You speak to {{name}}.", greeting="Hello {{who}}there.")
    result = play(hear_the_greeting, agent=spoken)
    assert result.transcript == [("assistant", "Hello there.")]
    assert sorted(n for m in result.of("variables_missing") for n in m["names"]) == ["name", "who"]


def test_an_uninterruptible_greeting_is_heard_whole_and_the_caller_answered_afterwards() -> None:
    async def scene(stage: Stage) -> None:
        await stage.until("reply_started")
        await stage.person.waits(500)
        await stage.person.says("what are your hours", 900)
        await stage.until("reply_heard", 2)
        await stage.person.hang_up()

    uninterruptible = greeting(first_message_uninterruptible=True)
    result = play(scene, agent=uninterruptible, model=FakeModel(lambda _: "Nine to five."))
    assert result.transcript == [
        ("assistant", GREETING),
        ("user", "what are your hours"),
        ("assistant", "Nine to five."),
    ]
    assert not result.of("agent_paused")
    # Nothing of the answer before the greeting was over.
    heard = [h.at_ms for h in result.timeline.of("reply_heard")]
    assert result.timeline.of("turn_committed")[0].at_ms >= heard[0]


def test_an_uninterruptible_greeting_is_heard_over_a_caller_who_spoke_first() -> None:
    async def scene(stage: Stage) -> None:
        await stage.person.says("hello", 600)
        await stage.until("reply_heard", 2)
        await stage.person.hang_up()

    spoken = greeting(first_message_uninterruptible=True, first_message_delay_ms=500)
    result = play(scene, agent=spoken, model=FakeModel(lambda _: "Nine to five."))
    assert [text for _, text in result.transcript] == [GREETING, "hello", "Nine to five."]


def test_an_uninterruptible_greeting_is_not_lost_to_a_caller_who_was_answered_first() -> None:
    async def scene(stage: Stage) -> None:
        await stage.person.says("hello", 600)
        await stage.until("reply_heard", 2)
        await stage.person.hang_up()

    spoken = greeting(first_message_uninterruptible=True, first_message_delay_ms=1500)
    result = play(scene, agent=spoken, model=FakeModel(lambda _: "Nine to five."))
    assert [text for _, text in result.transcript] == ["hello", "Nine to five.", GREETING]


def test_an_interruptible_greeting_can_be_barged_into() -> None:
    async def scene(stage: Stage) -> None:
        await stage.until("reply_started")
        await stage.person.waits(1000)
        await stage.person.says("I want bread", 800)
        await stage.until("reply_heard", 2)
        await stage.person.hang_up()

    result = play(scene, agent=greeting(), model=FakeModel(lambda _: "Which?"))
    assert [role for role, _ in result.transcript] == ["assistant", "user", "assistant"]
    assert GREETING.startswith(result.transcript[0][1])
    assert result.of("interrupted")


def test_a_caller_who_is_faster_than_the_greeting_is_answered_instead() -> None:
    async def scene(stage: Stage) -> None:
        await stage.person.says("I want bread", 600)
        await stage.until("reply_heard")
        await stage.person.waits(6000)
        await stage.person.hang_up()

    spoken = greeting(first_message_delay_ms=500)
    result = play(scene, agent=spoken, model=FakeModel(lambda _: "Which?"))
    assert result.transcript == [("user", "I want bread"), ("assistant", "Which?")]
    wasted = [u for u in result.of("usage") if u["discarded"]]
    assert [u["characters"] for u in wasted] == [len(GREETING) - 2]


def test_a_noise_does_not_cost_the_greeting() -> None:
    async def scene(stage: Stage) -> None:
        await stage.person.says(None, 300)
        await stage.until("turn_dropped")
        await stage.until("reply_heard")
        await stage.person.hang_up()

    result = play(scene, agent=greeting(first_message_delay_ms=500))
    assert result.transcript == [("assistant", GREETING)]


def test_a_noise_while_the_greeting_is_on_its_way_does_not_cost_it() -> None:
    async def scene(stage: Stage) -> None:
        await stage.until("reply_started")
        await stage.person.says(None, 250)
        await stage.until("reply_heard", timeout_s=10)
        await stage.person.waits(300)
        await stage.person.hang_up()

    far = Weather(latency_ms=150)
    result = play(scene, agent=greeting(first_message_delay_ms=500), weather=far)
    assert result.transcript == [("assistant", GREETING)]


def test_a_note_before_the_greeting_does_not_cost_it() -> None:
    async def scene(stage: Stage) -> None:
        await stage.person.waits(100)
        stage.call.advise("be brief")
        await hear_the_greeting(stage)

    result = play(scene, agent=greeting(first_message_delay_ms=500))
    assert result.transcript == [("assistant", GREETING)]


# --- the operator -----------------------------------------------------------------------------


def test_the_operators_words_are_said_when_nobody_speaks() -> None:
    async def scene(stage: Stage) -> None:
        await stage.person.waits(500)
        stage.call.say("Please hold the line.")
        await stage.until("reply_heard")
        await stage.person.waits(100)
        await stage.person.hang_up()

    result = play(scene)
    assert result.transcript == [("assistant", "Please hold the line.")]
    assert first_sound_ms(result) <= 500 + 100 + 40


def test_the_operators_words_wait_until_the_agent_has_spoken() -> None:
    async def scene(stage: Stage) -> None:
        await stage.person.says("tell me everything", 700)
        await stage.until("reply_started")
        stage.call.say("Please hold the line.")
        await stage.until("reply_heard", 2)
        await stage.person.hang_up()

    result = play(scene, model=FakeModel([LONG]))
    assert [text for _, text in result.transcript] == [
        "tell me everything",
        LONG,
        "Please hold the line.",
    ]


def test_the_operators_words_wait_until_the_caller_was_answered() -> None:
    async def scene(stage: Stage) -> None:
        await stage.person.waits(100)
        stage.person.begins("I want bread", 900)
        await stage.person.waits(400)
        stage.call.say("Please hold the line.")
        await stage.until("reply_heard", 2)
        await stage.person.hang_up()

    result = play(scene, model=FakeModel(["Which?"]))
    assert [text for _, text in result.transcript] == [
        "I want bread",
        "Which?",
        "Please hold the line.",
    ]


def test_the_operators_words_that_next_to_nobody_heard_are_said_again() -> None:
    async def scene(stage: Stage) -> None:
        await stage.person.waits(500)
        stage.call.say("Please hold the line.")
        await stage.person.waits(90)
        await stage.person.says("I want bread", 700)
        await stage.until("reply_heard", 3)
        await stage.person.hang_up()

    result = play(scene, model=FakeModel(lambda _: "Which?"), weather=Weather(latency_ms=150))
    assert result.of("interrupted")
    assert [text for _, text in result.transcript] == [
        "I want bread",
        "Which?",
        "Please hold the line.",
    ]


def test_a_note_is_shown_to_the_model_and_to_nobody_else() -> None:
    async def scene(stage: Stage) -> None:
        stage.call.advise("The caller is a dentist.")
        await stage.person.says("hello there", 700)
        await stage.until("reply_heard")
        await stage.person.hang_up()

    result = play(scene, model=FakeModel(["Hi."]))
    [[(role, shown)]] = result.prompts
    assert role == "user"
    assert "The caller is a dentist." in shown
    assert shown.endswith("hello there")
    assert result.transcript == [("user", "hello there"), ("assistant", "Hi.")]


def test_a_note_in_mid_draft_makes_the_draft_stale() -> None:
    async def scene(stage: Stage) -> None:
        await stage.person.says("hello there", 700)
        await stage.until("draft_started")
        stage.call.advise("The caller is a dentist.")
        await stage.until("reply_heard")
        await stage.person.hang_up()

    late = FakeEndOfTurn(delay_ms=400)
    result = play(scene, model=FakeModel(lambda _: "Hi."), end_of_turn=late)
    assert result.of("turn_committed")[0]["drafted"] is False
    assert "dentist" in result.prompts[-1][0][1]
    assert [u["discarded"] for u in result.of("usage")] == [True, False]


def test_the_operators_verbs_do_nothing_after_the_end() -> None:
    async def scene(stage: Stage) -> None:
        await stage.person.hang_up()
        await asyncio.wait({stage.running})
        stage.call.say("Hello?")
        stage.call.advise("Hm.")
        stage.call.hang_up()

    result = play(scene)
    assert result.ending == ("completed", "customer_ended")
    assert not result.of("operator_said")


def test_three_turns_without_words_and_the_agent_asks_to_repeat() -> None:
    async def scene(stage: Stage) -> None:
        for number in range(1, 4):
            await stage.person.says(None, 500)
            await stage.until("turn_dropped", number)
        await stage.until("reply_heard")
        await stage.person.says("I want bread", 600)
        await stage.until("reply_heard", 2)
        await stage.person.hang_up()

    result = play(scene, model=FakeModel(["Which?"]), agent=agent(language="de"))
    assert result.transcript[0][1].startswith("Entschuldigung, ich habe Sie nicht verstanden")
    assert result.transcript[1:] == [("user", "I want bread"), ("assistant", "Which?")]
