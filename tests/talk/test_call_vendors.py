"""What a vendor's way of transcribing and speaking leads to in a call: finals that nobody asked
for, a changed spelling, its own verdict, a failure with another engine there."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from tests.fakes.llm import FakeModel, Scripted
from tests.fakes.speech import FakeEndOfTurn, FakeTranscriber, FakeVoice
from tests.fakes.stage import Stage, agent, play

from chorus.audio.frame import AudioFormat
from chorus.llm.model import ModelFailed
from chorus.speech.engines import Endpointing
from chorus.talk.spec import StandIns


@pytest.mark.parametrize("late_ms", [250, 400])
def test_a_final_that_nobody_asked_for_does_not_cut_the_sentence(late_ms: int) -> None:
    """The segment ends 1400 ms into the speech, is told after its end, and says nothing of what
    came behind it."""
    transcriber = FakeTranscriber(
        final_after_ms=400, segments=[("please cancel everything on Monday", 1400, late_ms)]
    )

    async def scene(stage: Stage) -> None:
        await stage.person.says("except lunch", 1500)
        await stage.until("reply_heard")
        await stage.person.hang_up()

    result = play(scene, transcriber=transcriber)
    committed = [turn["text"] for turn in result.of("turn_committed")]
    assert committed == ["please cancel everything on Monday except lunch"]


def test_a_draft_survives_capitals_and_full_stops() -> None:
    async def scene(stage: Stage) -> None:
        stage.person.begins("I want a table.", 700)
        await stage.person.waits(600)
        stage.transcriber.hear("i want a table", final=False)
        await stage.until("reply_heard")
        await stage.person.hang_up()

    result = play(
        scene,
        transcriber=FakeTranscriber(final_after_ms=250),
        end_of_turn=FakeEndOfTurn(delay_ms=300),
    )
    [turn] = result.of("turn_committed")
    assert turn["drafted"] is True
    assert len(result.prompts) == 1


def test_a_vendors_own_verdict_ends_the_turn_and_no_model_is_asked() -> None:
    endpointing = Endpointing(finalize_after_ms=None, judges_turns=True)

    async def scene(stage: Stage) -> None:
        await stage.person.says(None, 700)
        await stage.person.waits(150)
        stage.transcriber.hear("a table for two", turn_over=0.9)
        await stage.until("reply_heard")
        await stage.person.hang_up()

    result = play(scene, transcriber=FakeTranscriber(endpointing=endpointing))
    [turn] = result.of("turn_committed")
    assert (turn["by"], turn["text"]) == ("eot", "a table for two")
    assert result.stage.end_of_turn.heard == []
    assert result.stage.transcriber.stream.finalized_ms == []


def test_the_judge_is_told_what_the_agent_said_last() -> None:
    async def scene(stage: Stage) -> None:
        await stage.until("reply_heard")
        await stage.person.says("for two", 700)
        await stage.until("reply_heard", 2)
        await stage.person.hang_up()

    greeting = agent(first_speaker="agent", greeting="For how many?")
    result = play(scene, agent=greeting)
    assert result.stage.end_of_turn.heard[0].context == "For how many?"


async def one_question(stage: Stage) -> None:
    await stage.person.says("hello there", 700)
    await stage.until("reply_heard")
    await stage.person.hang_up()


def test_another_voice_goes_on_at_the_next_word() -> None:
    other = FakeVoice(name="other")
    first = FakeVoice(name="first", fail_at=4)
    model = FakeModel(["Hm. one two three. That is the end of it."])
    result = play(one_question, voice=first, model=model, stand_ins=StandIns(voices=((other, ""),)))
    # "Hm." is two pieces, then 200 ms of the second clause: " one" and no more
    assert "".join(other.clauses) == " two three. That is the end of it."
    assert result.transcript[-1][1] == "Hm. one two three. That is the end of it."
    [failed] = result.of("engine_failed")
    assert (failed["vendor"], failed["remedy"]) == ("first", "replaced")
    assert len(other.sessions) == 1
    assert other.sessions[0].closed
    assert first.sessions[0].closed


def test_a_voice_that_hangs_is_replaced_at_its_deadline() -> None:
    other = FakeVoice(name="other")
    hung = FakeVoice(name="hung", first_audio_ms=60_000, deadline_ms=800)
    result = play(one_question, voice=hung, stand_ins=StandIns(voices=((other, "b"),)))
    assert result.transcript[-1] == ("assistant", "All right.")
    assert other.styles[0].voice == "b"
    assert hung.closed_early == 1


def test_the_apology_is_not_spoken_by_a_voice_that_fails() -> None:
    other = FakeVoice(name="other")
    broken = FakeVoice(name="broken", fail_opens=99)
    model = FakeModel([Scripted(error=ModelFailed("fake", "overloaded"), error_after=0)])

    async def scene(stage: Stage) -> None:
        await stage.person.says("hello there", 700)
        await stage.until("reply_heard", 2)
        await stage.person.hang_up()

    result = play(scene, voice=broken, model=model, stand_ins=StandIns(voices=((other, ""),)))
    assert result.transcript[-1] == ("assistant", "".join(other.clauses).strip())


def test_another_model_answers_when_the_first_fails_before_its_first_word() -> None:
    other = FakeModel(["From the second."], name="other")
    broken = FakeModel(lambda _: Scripted(error=ModelFailed("fake", "down"), error_after=0))
    result = play(one_question, model=broken, stand_ins=StandIns(models=(other,)))
    assert result.transcript[-1] == ("assistant", "From the second.")
    assert "apology" not in [f["remedy"] for f in result.of("engine_failed")]


def test_a_sentence_that_a_model_has_begun_is_not_ended_by_another_which_has_the_next_turn() -> (
    None
):
    dropped = ModelFailed("fake", "dropped")
    first = FakeModel([Scripted("One moment, it was going to", error=dropped, error_after=4)])
    other = FakeModel(["From the second."], name="other")

    async def scene(stage: Stage) -> None:
        await stage.person.says("hello there", 700)
        await stage.until("reply_heard", 2)
        assert other.requests == []
        await stage.person.says("are you there", 700)
        await stage.until("reply_heard", 3)
        await stage.person.hang_up()

    still = agent(turns_speculative_silence_ms=0)
    result = play(scene, model=first, agent=still, stand_ins=StandIns(models=(other,)))
    said = [text for role, text in result.transcript if role == "assistant"]
    assert said[0] == "One moment,"
    assert said[1].startswith("Sorry, something went wrong")
    assert said[2:] == ["From the second."]
    assert [failed["remedy"] for failed in result.of("engine_failed")] == ["apology"]


def test_another_transcriber_takes_over_and_hears_what_was_not_understood() -> None:
    first = FakeTranscriber(name="first", final_after_ms=None)
    other = FakeTranscriber(name="other")
    other.understands("a table for two")
    result = play(one_question, transcriber=first, stand_ins=StandIns(transcribers=(other,)))
    assert result.of("turn_committed")[0]["text"] == "a table for two"
    failed = result.of("engine_failed")[0]
    assert (failed["vendor"], failed["stage"], failed["remedy"]) == (
        "first",
        "deadline",
        "replaced",
    )
    assert other.stream.started_ms == [0] or other.stream.started_ms[0] < 700


def test_a_lost_stream_goes_to_another_transcriber_at_once() -> None:
    other = FakeTranscriber(name="other")
    other.understands("for two")

    async def scene(stage: Stage) -> None:
        stage.person.begins("never told", 900)
        await stage.person.waits(400)
        stage.transcriber.fail("lost", "the socket closed")
        await stage.until("reply_heard")
        await stage.person.hang_up()

    result = play(scene, stand_ins=StandIns(transcribers=(other,)))
    assert result.of("turn_committed")[0]["text"] == "for two"
    assert [f["remedy"] for f in result.of("engine_failed")] == ["replaced"]


@pytest.mark.parametrize("rate_hz", [22_050, 24_000, 44_100, 48_000])
def test_a_voice_and_a_line_of_any_rate(rate_hz: int) -> None:
    voice = FakeVoice(format=AudioFormat("pcm16", rate_hz))
    result = play(one_question, voice=voice)
    assert result.transcript[-1] == ("assistant", "All right.")
    assert result.person.speech_ms == pytest.approx(500, abs=60)
    heard = FakeTranscriber(format=AudioFormat("pcm16", 16_000))
    result = play(one_question, transcriber=heard, format=AudioFormat("pcm16", rate_hz))
    assert result.transcript[-1] == ("assistant", "All right.")
    assert heard.stream.format.rate_hz == 16_000


def test_sessions_are_warm_before_the_greeting() -> None:
    voice = FakeVoice(open_ms=300)

    async def scene(stage: Stage) -> None:
        await asyncio.sleep(0.4)
        assert len(voice.sessions) == 1
        await stage.person.hang_up()

    play(scene, voice=voice, agent=replace(agent(), first_speaker="user"))
    assert voice.sessions[0].closed
