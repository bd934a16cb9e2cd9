"""What late, lost and unsent audio means for turns, the transcriber and the figures."""

from __future__ import annotations

import pytest
from tests.fakes.speech import FakeDetector
from tests.fakes.stage import Result, Stage, agent, play

from chorus.audio import sounds

DETECTOR_LATE_MS = 128


def one_sentence(stall_ms: float, *, lossless: bool = True) -> Result:
    """Three seconds of speech, and after the first half nothing arrives for a while."""

    async def scene(stage: Stage) -> None:
        stage.person.begins("one whole sentence", 3000)
        await stage.person.waits(1500)
        await stage.person.stalls(stall_ms)
        await stage.until("reply_heard")
        await stage.person.hang_up()

    return play(scene, lossless=lossless)


@pytest.mark.parametrize("stall_ms", [150, 300, 500, 1500])
def test_a_stall_of_a_lossless_line_is_no_silence(stall_ms: int) -> None:
    smooth, result = one_sentence(0), one_sentence(stall_ms)
    assert [turn["text"] for turn in result.of("turn_committed")] == ["one whole sentence"]
    assert len(result.of("speech_paused")) == len(smooth.of("speech_paused"))
    assert min(h.at_ms for h in result.timeline.of("speech_paused")) > 3000
    assert result.of("retracted") == []
    assert result.of("ended")[0]["filledMs"] == smooth.of("ended")[0]["filledMs"]
    assert len(result.stage.transcriber.stream.finalized_ms) == 1
    [expected], [latency] = smooth.of("turn_latency"), result.of("turn_latency")
    assert latency["speechEndedAtMs"] == pytest.approx(expected["speechEndedAtMs"], abs=40)
    assert latency["sentMs"] == pytest.approx(expected["sentMs"], abs=40)


def test_a_stall_at_the_end_of_speech_is_part_of_the_latency() -> None:
    """The person fell silent at 1000 ms and the news of it came 600 ms later."""

    async def scene(stage: Stage) -> None:
        stage.person.begins("hello there", 1000)
        await stage.person.waits(900)
        await stage.person.stalls(700)
        await stage.until("reply_heard")
        await stage.person.hang_up()

    [latency] = play(scene, lossless=True).of("turn_latency")
    assert latency["speechEndedAtMs"] == pytest.approx(1000, abs=45)
    assert latency["committedMs"] >= 600


def test_a_burst_on_a_line_that_was_filled_does_not_make_the_answer_look_faster() -> None:
    """300 ms before the end were filled with silence, and came after all."""

    async def scene(stage: Stage) -> None:
        stage.person.begins("hello there", 1000)
        await stage.person.waits(500)
        await stage.person.stalls(300)
        await stage.until("reply_heard")
        await stage.person.hang_up()

    latency = play(scene, lossless=False).of("turn_latency")[-1]
    assert latency["speechEndedAtMs"] == pytest.approx(1000, abs=60)


def test_a_lossless_line_that_sends_nothing_in_silence_still_ends_turns() -> None:
    async def scene(stage: Stage) -> None:
        await stage.person.says("hello there", 700)
        stage.person.line._out.close()  # nothing is sent any more
        await stage.until("reply_heard")
        await stage.person.hang_up()

    result = play(scene, lossless=True)
    assert [turn["text"] for turn in result.of("turn_committed")] == ["hello there"]


class LateDetector(FakeDetector):
    """Goes on for some frames after the sound, as models do."""

    def judge(self, pcm16: bytes) -> float:
        loud = super().judge(pcm16)
        self.hang = DETECTOR_LATE_MS if loud > 0.5 else getattr(self, "hang", 0) - 32
        return 0.95 if self.hang > 0 else loud


def test_latency_counts_from_the_persons_end_and_the_detectors_is_told_too() -> None:
    async def scene(stage: Stage) -> None:
        await stage.person.says("hello there", 1000)
        await stage.until("reply_heard")
        await stage.person.hang_up()

    [plain] = play(scene).of("turn_latency")
    [late] = play(scene, detector=LateDetector()).of("turn_latency")
    assert late["speechEndedAtMs"] == pytest.approx(plain["speechEndedAtMs"], abs=1)
    assert plain["detectorMs"] == 0
    assert late["detectorMs"] == pytest.approx(DETECTOR_LATE_MS, abs=33)
    assert late["sentMs"] > plain["sentMs"] + 60


def test_an_answer_that_waits_behind_the_background_sound_is_counted_when_it_sounds() -> None:
    async def scene(stage: Stage) -> None:
        await stage.person.says("hello there", 1000)
        await stage.until("reply_heard")
        await stage.person.hang_up()

    with_sound = agent(background_sound=str(sounds.OFFICE.id), background_volume=0.3)
    result = play(scene, agent=with_sound)
    [latency] = result.of("turn_latency")
    # `audio` is when the voice gave it; what the line had to play before it takes up to 100 ms.
    assert 0 <= latency["sentMs"] - latency["audioMs"] <= 100
    started = result.timeline.of("reply_started")[0].at_ms
    assert latency["speechEndedAtMs"] + latency["sentMs"] >= started
