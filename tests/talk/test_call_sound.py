"""Sound in and out: holes, bursts, rates, the background, and the recording."""

from __future__ import annotations

import asyncio
import math
import struct
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.fakes.llm import FakeModel
from tests.fakes.speech import tone
from tests.fakes.stage import Stage, agent, play

from chorus.audio import sounds
from chorus.audio.frame import ALAW_8K, PCM_8K, PCM_16K, AudioFormat
from chorus.lines.loopback.line import Weather

LONG = "First there was nothing at all, then there was something, and after that came us."
OFFICE = str(sounds.OFFICE.id)


async def hello(stage: Stage) -> None:
    await stage.person.waits(300)
    await stage.person.says("hello there", 800)
    await stage.until("reply_heard")
    await stage.person.waits(500)
    await stage.person.hang_up()


@pytest.mark.parametrize(
    "format",
    [ALAW_8K, PCM_8K, PCM_16K, *(AudioFormat("pcm16", hz) for hz in (24_000, 44_100, 48_000))],
    ids=str,
)
def test_a_call_at_any_rate(format: AudioFormat, inline_background: None) -> None:
    spoken = agent(background_sound=OFFICE)
    result = play(hello, format=format, agent=spoken, model=FakeModel(["Hi there."]))
    assert result.transcript == [("user", "hello there"), ("assistant", "Hi there.")]
    assert abs(result.of("reply_heard")[0]["heardMs"] - 450) <= 1
    heard = result.stage.end_of_turn.heard[0]
    assert heard.rate_hz in (8000, 16000)
    # From the first voiced frame to the moment of asking: 800 ms of speech and 128 of silence.
    length_ms = len(heard.pcm16) / 2 * 1000 / heard.rate_hz
    assert 900 <= length_ms <= 1000


def test_a_rate_that_no_line_has_is_refused() -> None:
    with pytest.raises(ValueError, match="11025"):
        AudioFormat("pcm16", 11_025)


def test_a_caller_who_is_muted_in_mid_word_is_still_answered() -> None:
    async def scene(stage: Stage) -> None:
        await stage.person.waits(300)
        stage.person.begins("hello there", 5000)
        await stage.person.waits(900)
        stage.person.line._out.close()  # not even silence comes
        await stage.until("reply_heard")
        stage.call.hang_up()

    result = play(scene)
    committed = result.timeline.of("turn_committed")[0]
    assert committed.data["by"] == "eot"
    assert committed.at_ms < 1200 + 400
    assert result.timeline.of("ended")[0].data["filledMs"] > 1000


def test_audio_that_comes_late_is_kept_and_the_time_taken_back() -> None:
    async def scene(stage: Stage) -> None:
        way = stage.person.line._out
        await stage.person.waits(1000)
        stage.person.begins("hello there", 800)
        await stage.person.waits(200)
        way._next.cancel()  # nothing for 300 ms, then all of it at once
        await stage.person.waits(300)
        way._tick()
        await stage.person.waits(100)
        hearing = stage.call._talk._hearing
        assert hearing.fed_ms - stage.call.call_ms > 200  # ahead: nothing was thrown away
        await stage.until("reply_heard")
        await stage.person.waits(1000)
        assert hearing.fed_ms - stage.call.call_ms < 80
        assert hearing.dropped_ms > 0
        await stage.person.hang_up()

    result = play(scene)
    # The hole looked like the end of the turn; what came after it took the turn back.
    assert result.transcript == [("user", "hello there"), ("assistant", "All right.")]
    assert len(result.of("reply_heard")) == 1


def test_a_flood_is_bounded() -> None:
    async def scene(stage: Stage) -> None:
        chunk = tone(stage.person.line.format, 20)
        for n in range(5000):  # 100 s of loud audio in no time
            stage.person.near.inbox.audio(chunk, n * 20)
        assert stage.call._talk._hearing.fed_ms <= 5100
        await stage.person.waits(100)
        await stage.person.hang_up()

    result = play(scene)
    assert result.stage.call._talk._hearing.dropped_ms > 90_000


def test_lost_audio_is_counted() -> None:
    lossy = Weather(loss=0.1, seed=4)
    result = play(hello, weather=lossy)
    lost_ms = result.timeline.of("ended")[0].data["lostMs"]
    assert 0.05 <= lost_ms / result.outcome.duration_ms <= 0.2
    assert result.transcript[0] == ("user", "hello there")


def test_the_transcriber_is_told_where_speech_began_and_when_to_finalize() -> None:
    result = play(hello)
    stream = result.stage.transcriber.stream
    assert len(stream.started_ms) == len(stream.finalized_ms) == 1
    assert abs(stream.started_ms[0] - 300) <= 32
    assert 1100 + 96 <= stream.finalized_ms[0] <= 1100 + 96 + 32 + 20


def test_a_short_closure_is_not_an_end_for_the_transcriber() -> None:
    async def scene(stage: Stage) -> None:
        stage.person.begins("what time", 300)
        await stage.person.waits(360)
        stage.person.line.play(tone(stage.person.line.format, 300))
        await stage.until("reply_heard")
        await stage.person.hang_up()

    result = play(scene)
    assert len(result.stage.transcriber.stream.finalized_ms) == 1


# --- the background ---------------------------------------------------------------------------


def hum(sound: object, rate_hz: int, folder: object = None) -> bytes:
    """Something constant, so that its level can be measured anywhere."""
    if sound != OFFICE:
        raise LookupError(f"unknown background sound {sound}")
    return struct.pack("<h", 10_000) * rate_hz


@pytest.fixture
def inline_background(monkeypatch: pytest.MonkeyPatch) -> None:
    async def at_once(work: Callable[..., Any], *args: Any) -> Any:
        return work(*args)

    monkeypatch.setattr(asyncio, "to_thread", at_once)
    monkeypatch.setattr(sounds, "load", hum)


@pytest.mark.usefixtures("inline_background")
def test_the_background_is_under_everything_at_its_level() -> None:
    async def scene(stage: Stage) -> None:
        await stage.person.says("tell me everything", 800)
        await stage.until("reply_heard")
        await stage.person.waits(500)
        await stage.person.hang_up()

    spoken = agent(background_sound=OFFICE, background_volume=0.1)
    result = play(scene, agent=spoken, model=FakeModel([LONG]), format=PCM_8K)
    levels = [loud for at, loud in result.person.heard if at > 1000.1]
    assert min(levels) >= 950  # silence included
    assert any(6900 <= loud <= 7100 for loud in levels)  # the voice on top: 6000 + 1000
    assert all(loud <= 7100 for loud in levels)
    heard = result.of("reply_heard")[0]
    assert abs(heard["heardMs"] - 50 * sum(map(len, result.stage.voice.clauses))) <= 20


@pytest.mark.usefixtures("inline_background")
def test_the_background_changes_no_position() -> None:
    async def scene(stage: Stage) -> None:
        await stage.person.says("tell me everything", 800)
        await stage.until("reply_started")
        await stage.person.waits(2000)
        await stage.person.says("stop please", 800)
        await stage.until("reply_heard", 2)
        await stage.person.hang_up()

    results = [
        play(scene, agent=spoken, model=FakeModel([LONG, "Yes."]), format=PCM_8K)
        for spoken in (agent(), agent(background_sound=OFFICE, background_volume=0.05))
    ]
    plain, noisy = (result.of("reply_heard")[0] for result in results)
    # A reply begins behind at most 100 ms of background.
    assert plain["heardMs"] - 100 <= noisy["heardMs"] <= plain["heardMs"]
    loud = [at for at, peak in results[1].person.heard if peak > 2000 and at < 1004]
    assert abs(len(loud) * 20 - noisy["heardMs"]) <= 20


@pytest.mark.usefixtures("inline_background")
def test_the_background_goes_on_while_the_agent_is_held() -> None:
    async def scene(stage: Stage) -> None:
        await stage.person.says("tell me everything", 800)
        await stage.until("reply_started")
        await stage.person.waits(1500)
        await stage.person.says(None, 250)
        await stage.until("agent_resumed")
        await stage.until("reply_heard")
        await stage.person.hang_up()

    spoken = agent(background_sound=OFFICE, background_volume=0.1)
    result = play(scene, agent=spoken, model=FakeModel([LONG]), format=PCM_8K)
    silent = [at for at, loud in result.person.heard if at > 1000.1 and loud < 950]
    assert len(silent) <= 1  # what was on its way is taken back, background and all
    assert result.transcript[1] == ("assistant", LONG)


@pytest.mark.usefixtures("inline_background")
def test_a_background_that_is_not_there_is_noted_and_the_call_goes_on() -> None:
    result = play(hello, agent=agent(background_sound="nonsense"))
    assert "nonsense" in result.of("background_failed")[0]["detail"]
    assert result.ending == ("completed", "customer_ended")


# --- the recording ----------------------------------------------------------------------------


def sides(path: Path) -> tuple[int, list[int], list[int]]:
    """Rate, and the peak of each 20 ms of the left and the right side."""
    with wave.open(str(path)) as file:
        assert (file.getnchannels(), file.getsampwidth()) == (2, 2)
        rate_hz, frames = file.getframerate(), file.readframes(file.getnframes())
    samples = struct.unpack(f"<{len(frames) // 2}h", frames)
    step = rate_hz // 50
    left, right = samples[0::2], samples[1::2]
    peaks = [
        [max(map(abs, side[at : at + step])) for at in range(0, len(side), step)]
        for side in (left, right)
    ]
    return rate_hz, peaks[0], peaks[1]


def loud_ms(peaks: list[int]) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    for n, peak in enumerate(peaks):
        if peak > 500:
            if found and found[-1][1] == n * 20:
                found[-1] = (found[-1][0], n * 20 + 20)
            else:
                found.append((n * 20, n * 20 + 20))
    return found


def test_the_recording_is_as_long_as_the_call_and_as_it_was_heard(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        await stage.person.waits(300)
        await stage.person.says("tell me everything", 800)
        await stage.until("reply_started")
        await stage.person.waits(2000)
        await stage.person.says("stop please", 800)
        await stage.until("reply_heard", 2)
        await stage.person.waits(500)
        await stage.person.hang_up()

    path = tmp_path / "call.wav"
    result = play(scene, model=FakeModel([LONG, "Yes."]), recording_path=str(path))
    rate_hz, left, right = sides(path)
    assert rate_hz == 8000
    assert abs(len(left) * 20 - result.outcome.duration_ms) <= 20
    caller = loud_ms(left)
    assert len(caller) == 2
    assert abs(caller[0][0] - 300) <= 20
    assert abs(caller[0][1] - 1100) <= 20
    # The agent's side is what the person heard, at the time at which they heard it.
    begin, end = loud_ms(right)[0]
    heard = [(at - 1000) * 1000 for at, loud in result.person.heard if loud > 500]
    first = [at for at in heard if at < result.timeline.of("interrupted")[0].at_ms]
    assert abs(begin - (first[0] - 20)) <= 40
    assert abs(end - first[-1]) <= 40
    assert abs(end - begin - result.of("reply_heard")[0]["heardMs"]) <= 40
    assert result.outcome.recording_fault is None


@pytest.mark.parametrize("latency_ms", [0, 150, 400])
def test_over_a_long_way_just_what_was_heard_is_recorded(tmp_path: Path, latency_ms: int) -> None:
    async def scene(stage: Stage) -> None:
        await stage.person.says("tell me everything", 800)
        await stage.until("reply_started")
        await stage.person.waits(1500)
        await stage.person.says(None, 250)
        await stage.until("agent_resumed")
        await stage.person.waits(1000)
        await stage.person.says("stop please", 800)
        await stage.until("reply_heard", 2)
        await stage.person.waits(500)
        await stage.person.hang_up()

    path = tmp_path / "call.wav"
    result = play(
        scene,
        model=FakeModel([LONG, "Yes."]),
        weather=Weather(latency_ms=latency_ms),
        recording_path=str(path),
    )
    _, _, right = sides(path)
    recorded = [end - begin for begin, end in loud_ms(right)]
    at_the_ear = [0] * (len(right) + 50)
    for at_s, loud in result.person.heard:
        at_the_ear[int((at_s - 1000) * 50 - 1e-6)] = loud
    heard = [end - begin for begin, end in loud_ms(at_the_ear)]
    assert len(recorded) == len(heard) == 3
    assert all(abs(one - other) <= 20 for one, other in zip(recorded, heard, strict=True))


def test_a_recording_that_cannot_be_written_is_noted_and_the_call_goes_on(tmp_path: Path) -> None:
    result = play(hello, recording_path=str(tmp_path / "nowhere" / "call.wav"))
    assert len(result.of("recording_failed")) == 1
    assert result.outcome.recording_fault == result.of("recording_failed")[0]["detail"]
    assert result.ending == ("completed", "customer_ended")
    assert len(result.transcript) == 2


def test_a_disk_that_fills_in_mid_call_does_not_end_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from chorus.audio import record

    async def scene(stage: Stage) -> None:
        await stage.person.waits(3000)

        def full(*_: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(record._WavFile, "_write", full)
        await hello(stage)

    path = tmp_path / "call.wav"
    result = play(scene, recording_path=str(path))
    assert result.outcome.recording_fault == "No space left on device"
    assert len(result.transcript) == 2


@pytest.mark.usefixtures("inline_background")
def test_the_background_is_in_the_recording_without_a_seam(tmp_path: Path) -> None:
    path = tmp_path / "call.wav"
    spoken = agent(background_sound=OFFICE, background_volume=0.1)
    result = play(hello, agent=spoken, recording_path=str(path))
    _, _, right = sides(path)
    assert math.isclose(len(right) * 20, result.outcome.duration_ms, abs_tol=20)
    assert min(right[5:-2]) >= 900
