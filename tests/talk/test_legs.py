"""Two and more legs in a call, by what each person hears: everybody hums a tone of their own."""

from __future__ import annotations

import asyncio
import wave
from pathlib import Path

import numpy as np
import pytest
from tests.fakes.stage import Stage, play
from tests.fakes.virtual import run_virtual

from chorus.audio.codec import decode, encode
from chorus.audio.frame import MULAW_8K, PCM_16K, AudioFormat
from chorus.audio.pace import Ticker
from chorus.lines.line import LineEnded, LineMove
from chorus.lines.loopback.line import LoopbackLine, pair
from chorus.talk.bridge import Bridge
from chorus.talk.leg import Leg

CALLER_HZ, PERSON_HZ, BOSS_HZ, AGENT_HZ = 400, 700, 1100, 1500


def hum(format: AudioFormat, hz: int, ms: int) -> bytes:
    at = np.arange(ms * format.rate_hz // 1000) / format.rate_hz
    return encode(format, (np.sin(2 * np.pi * hz * at) * 6000).astype("<i2").tobytes())


def tones_in(pcm16: bytes, rate_hz: int) -> set[int]:
    """Which of the tones are in it, by a good part of a person's loudness."""
    samples = np.frombuffer(pcm16, "<i2").astype(float)
    if not len(samples):
        return set()
    at = np.arange(len(samples)) / rate_hz
    found: set[int] = set()
    for hz in (CALLER_HZ, PERSON_HZ, BOSS_HZ, AGENT_HZ):
        strength = 2 * abs(np.mean(samples * np.exp(-2j * np.pi * hz * at)))
        if strength > 1500:
            found.add(hz)
    return found


class Far:
    """Somebody at the other end of a leg."""

    def __init__(self, line: LoopbackLine) -> None:
        self.line = line
        self.sound = bytearray()
        self.ended: LineEnded | None = None
        line.start(self)

    def hums(self, hz: int, ms: int) -> None:
        self.line.play(hum(self.line.format, hz, ms))

    def heard(self) -> set[int]:
        """Since this was last asked."""
        sound, self.sound = bytes(self.sound), bytearray()
        return tones_in(decode(self.line.format, sound), self.line.format.rate_hz)

    def line_audio(self, chunk: bytes, at_ms: float) -> None:
        self.sound += chunk

    def line_digit(self, digit: str) -> None: ...

    def line_moved(self, move: LineMove) -> None: ...

    def line_ended(self, ended: LineEnded) -> None:
        self.ended = ended


class Room:
    """Legs on one bridge, and no agent but what `agent_hums` plays."""

    def __init__(self) -> None:
        self.ticker = Ticker()
        self.ticker.start()
        self._loop = asyncio.get_running_loop()
        self.bridge = Bridge(self.ticker, self._loop.time, self.leg_broke)
        self.legs: list[Leg] = []

    def joins(self, name: str, format: AudioFormat = MULAW_8K) -> tuple[Leg, Far]:
        near, far = pair(format)
        leg = Leg(name, near, self)
        self.legs.append(leg)
        leg.start()
        return leg, Far(far)

    def agent_hums(self, to: Leg, ms: int) -> None:
        for _ in range(ms // 60):
            to.mouth.send(hum(to.format, AGENT_HZ, 60), self._loop.time() * 1000)

    async def over(self) -> None:
        self.bridge.close()
        assert len(self.ticker) == 0
        self.ticker.stop()
        for leg in self.legs:
            await leg.line.hang_up()

    def leg_digit(self, leg: Leg, digit: str) -> None: ...

    def leg_moved(self, leg: Leg, move: LineMove) -> None: ...

    def leg_ended(self, leg: Leg, ended: LineEnded) -> None:
        self.bridge.remove(leg)

    def leg_broke(self, *failure: object) -> None:
        raise AssertionError(failure)


@pytest.mark.parametrize("format", [MULAW_8K, PCM_16K, AudioFormat("pcm16", 48000)])
def test_two_who_are_connected_hear_each_other_and_on_hold_nobody(format: AudioFormat) -> None:
    async def scene() -> None:
        room = Room()
        caller, at_caller = room.joins("caller")
        person, at_person = room.joins("person", format)
        for connected, hears in ((False, False), (True, True), (False, False)):
            if connected:
                room.bridge.connect(caller, person)
            else:
                room.bridge.hold(caller)
            at_caller.hums(CALLER_HZ, 900)
            at_person.hums(PERSON_HZ, 900)
            await asyncio.sleep(1)
            assert at_person.heard() == ({CALLER_HZ} if hears else set())
            assert at_caller.heard() == ({PERSON_HZ} if hears else set())
        await room.over()

    run_virtual(scene())


def test_who_listens_hears_all_and_is_heard_by_whom_they_whisper_to() -> None:
    async def scene() -> None:
        room = Room()
        caller, at_caller = room.joins("caller")
        person, at_person = room.joins("person", PCM_16K)
        boss, at_boss = room.joins("boss")
        room.bridge.connect(caller, person)
        room.bridge.listen(boss, caller)

        async def all_hum() -> tuple[set[int], set[int], set[int]]:
            at_caller.hums(CALLER_HZ, 900)
            at_person.hums(PERSON_HZ, 900)
            at_boss.hums(BOSS_HZ, 900)
            await asyncio.sleep(1)
            return at_caller.heard(), at_person.heard(), at_boss.heard()

        assert await all_hum() == ({PERSON_HZ}, {CALLER_HZ}, {CALLER_HZ, PERSON_HZ})
        room.bridge.whisper(boss, person)
        assert await all_hum() == ({PERSON_HZ}, {CALLER_HZ, BOSS_HZ}, {CALLER_HZ, PERSON_HZ})
        room.bridge.take_over(boss, caller)
        heard_by_caller, heard_by_person, heard_by_boss = await all_hum()
        assert (heard_by_caller, heard_by_boss) == ({BOSS_HZ}, {CALLER_HZ, PERSON_HZ})
        assert CALLER_HZ not in heard_by_person
        await at_boss.line.hang_up()
        assert await all_hum() == (set(), set(), set())
        await room.over()

    run_virtual(scene())


def test_who_listens_hears_the_agent_too_and_not_what_was_taken_back() -> None:
    async def scene() -> None:
        room = Room()
        caller, at_caller = room.joins("caller")
        boss, at_boss = room.joins("boss")
        room.bridge.listen(boss, caller)
        at_caller.hums(CALLER_HZ, 500)
        room.agent_hums(caller, 480)
        await asyncio.sleep(0.6)
        assert at_boss.heard() == {CALLER_HZ, AGENT_HZ}
        assert at_caller.heard() == {AGENT_HZ}
        room.agent_hums(caller, 480)
        caller.mouth.clear(0)
        await asyncio.sleep(0.6)
        assert at_boss.heard() == set()
        await room.over()

    run_virtual(scene())


def test_a_second_leg_in_a_call_is_heard_recorded_and_hung_up_with_it(tmp_path: Path) -> None:
    path = tmp_path / "call.wav"
    far: list[Far] = []

    async def scene(stage: Stage) -> None:
        near, other = pair(PCM_16K)
        person = Far(other)
        far.append(person)
        leg = stage.call.add_leg("person", near)
        with pytest.raises(ValueError, match="already"):
            stage.call.add_leg("person", near)
        stage.call.bridge.connect(stage.call.legs["caller"], leg)
        stage.person.sound.clear()
        stage.person.line.play(hum(MULAW_8K, CALLER_HZ, 900))
        person.hums(PERSON_HZ, 900)
        await asyncio.sleep(1)
        assert person.heard() == {CALLER_HZ}
        assert tones_in(decode(MULAW_8K, bytes(stage.person.sound)), 8000) == {PERSON_HZ}
        await stage.person.hang_up()

    result = play(scene, recording_path=str(path))
    assert result.ending == ("completed", "customer_ended")
    assert result.of("leg_joined")[0]["leg"] == "person"
    assert far[0].ended is not None
    with wave.open(str(path)) as file:
        sound = np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, 2)
    sound = sound[:8000]
    assert tones_in(sound[:, 0].tobytes(), 8000) == {CALLER_HZ}
    assert tones_in(sound[:, 1].tobytes(), 8000) == {PERSON_HZ}


def test_a_line_that_is_over_already_joins_no_call() -> None:
    async def scene(stage: Stage) -> None:
        near, other = pair()
        await other.hang_up()
        await asyncio.sleep(0.1)
        with pytest.raises(RuntimeError, match="is over"):
            stage.call.add_leg("person", near)
        assert list(stage.call.legs) == ["caller"]
        await stage.person.hang_up()

    assert [left["leg"] for left in play(scene).of("leg_ended")] == ["person"]


def test_a_second_leg_that_hangs_up_leaves_the_call_to_the_others() -> None:
    async def scene(stage: Stage) -> None:
        near, other = pair()
        stage.call.bridge.connect(stage.call.legs["caller"], stage.call.add_leg("person", near))
        await other.hang_up()
        await stage.until("leg_ended")
        assert list(stage.call.legs) == ["caller"]
        assert stage.call.bridge.routes == []
        await stage.person.says("are you still there", 700)
        await stage.until("reply_heard")
        await stage.person.hang_up()

    assert play(scene).transcript[0] == ("user", "are you still there")
