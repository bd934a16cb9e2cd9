"""A caller on hold, and two who are connected: what is heard, and for how long."""

from __future__ import annotations

import asyncio
import wave
from pathlib import Path

from tests.fakes.second import FakeExchange, music
from tests.fakes.stage import Stage
from tests.talk.test_transfers import assert_connected, hears, hold, target

from chorus.talk.transfer import Wish


def test_a_caller_on_hold_hears_the_message_then_music_and_no_agent() -> None:
    exchange = FakeExchange(music=music())

    async def scene(stage: Stage) -> None:
        await stage.until("hold_started")
        for _ in range(3):
            since = asyncio.get_running_loop().time()
            await stage.person.waits(1000)
            assert hears(stage.person, since), "there is no music"
        await stage.person.says("are you there")
        await stage.until("turn_committed", 2)
        await stage.person.waits(3000)
        await stage.person.hang_up()

    result = hold(scene, exchange, hold_message="Please hold the line.")
    heard = [line[1] for line in result.transcript if line[0] == "assistant"]
    assert heard == ["One moment please.", "Please hold the line."]
    assert result.transcript[-1] == ("user", "are you there")


def test_a_caller_who_speaks_before_the_transfer_is_not_transferred() -> None:
    exchange = FakeExchange()

    async def scene(stage: Stage) -> None:
        await stage.until("tool_result")
        await stage.person.says("no wait please stop")
        await stage.until("turn_latency", 1)
        await stage.person.waits(3000)
        await stage.person.hang_up()

    result = hold(scene, exchange)
    assert exchange.wishes == []
    assert "nobody was called" in str(result.prompts[-1])


def test_one_transfer_at_a_time_and_the_operators_too() -> None:
    exchange = FakeExchange()

    async def scene(stage: Stage) -> None:
        (await exchange.placed()).is_ringing()
        stage.call.transfer(Wish(target("cold"), by="api"))
        refused = await stage.until("transfer_refused")
        assert refused.data["detail"] == "A transfer is under way already."
        await stage.person.hang_up()

    hold(scene, exchange)
    assert len(exchange.wishes) == 1


def test_the_agents_maximum_does_not_cut_two_people_off() -> None:
    exchange = FakeExchange()

    async def scene(stage: Stage) -> None:
        await exchange.placed()
        person = await exchange.answers()
        await stage.until("transfer_connected")
        await stage.person.waits(120_000)
        assert not stage.running.done()
        await person.hang_up()

    result = hold(scene, exchange, target("cold"), max_call_duration_s=30)
    assert result.ending == ("completed", "transferred")


def test_both_recordings_hold_both_people(tmp_path: Path) -> None:
    exchange = FakeExchange()
    exchange.recording_path = str(tmp_path / "second.wav")

    async def scene(stage: Stage) -> None:
        await exchange.placed()
        person = await exchange.answers()
        await stage.until("transfer_connected")
        await assert_connected(stage.person, person)
        await stage.person.waits(2000)
        await stage.person.hang_up()

    hold(scene, exchange, target("cold"), recording_path=str(tmp_path / "first.wav"))
    for name in ("first", "second"):
        with wave.open(str(tmp_path / f"{name}.wav")) as file:
            frames = file.readframes(file.getnframes())
        left, right = (
            max(abs(int.from_bytes(frames[i : i + 2], "little", signed=True)) for i in places)
            for places in (range(0, len(frames) - 4, 4), range(2, len(frames) - 2, 4))
        )
        assert left > 1000
        assert right > 1000, f"the {name} recording lacks a side"
