"""The loopback pair on virtual time."""

from __future__ import annotations

import asyncio

import pytest
from tests.fakes.virtual import run_virtual

from chorus.audio.frame import MULAW_8K, PCM_16K
from chorus.lines.line import LineCause, LineEnded, LineMove
from chorus.lines.loopback.line import FRAME_MS, LoopbackLine, Weather, pair


class Ear:
    """Keeps everything that a line delivers, with the loop's time in ms since `t0`."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.t0 = self.loop.time()
        self.chunks: list[tuple[bytes, float]] = []
        self.arrived_ms: list[float] = []
        self.digits: list[str] = []
        self.ended: list[LineEnded] = []

    def line_audio(self, chunk: bytes, at_ms: float) -> None:
        assert not self.ended
        self.chunks.append((chunk, at_ms))
        self.arrived_ms.append((self.loop.time() - self.t0) * 1000)

    def line_digit(self, digit: str) -> None:
        assert not self.ended
        self.digits.append(digit)

    def line_moved(self, move: LineMove) -> None: ...

    def line_ended(self, ended: LineEnded) -> None:
        self.ended.append(ended)

    @property
    def heard(self) -> bytes:
        return b"".join(chunk for chunk, _ in self.chunks)


def joined(
    weather: Weather | None = None,
) -> tuple[LoopbackLine, LoopbackLine, Ear, Ear]:
    near, far = pair(MULAW_8K, weather or Weather())
    a, b = Ear(), Ear()
    near.start(a)
    far.start(b)
    return near, far, a, b


def test_audio_arrives_at_the_speed_of_speech_with_silence_around_it() -> None:
    async def main() -> None:
        near, _, _, ear = joined()
        speech = bytes([1]) * MULAW_8K.size(100)
        near.play(speech)
        assert near.sent_ms == 100
        await asyncio.sleep(0.0501)
        assert near.heard_ms == 40
        await asyncio.sleep(0.1)
        assert near.heard_ms == near.sent_ms == 100
        assert ear.heard == speech + MULAW_8K.silence(40)
        assert [at for _, at in ear.chunks] == [n * FRAME_MS for n in range(7)]
        assert ear.arrived_ms == pytest.approx([20 + n * 20 for n in range(7)], abs=0.1)
        await near.hang_up()

    run_virtual(main())


def test_clear_throws_away_only_what_was_not_heard() -> None:
    async def main() -> None:
        near, _, _, ear = joined(Weather(latency_ms=30))
        near.play(bytes([1]) * MULAW_8K.size(1000))
        await asyncio.sleep(0.2)
        heard_ms = near.heard_ms
        near.clear()
        assert near.sent_ms == near.heard_ms == heard_ms == 160
        near.play(bytes([2]) * MULAW_8K.size(40))
        await asyncio.sleep(0.2)
        assert near.heard_ms == near.sent_ms == 200
        assert ear.heard.count(1) == MULAW_8K.size(160)
        assert ear.heard.count(2) == MULAW_8K.size(40)
        await near.hang_up()

    run_virtual(main())


def test_what_came_before_start_is_delivered_first_and_the_end_last() -> None:
    async def main() -> None:
        near, far = pair(PCM_16K)
        far.play(b"\x05\x00" * 320)
        far.send_digits("4#")
        await asyncio.sleep(0.05)
        await far.hang_up()
        await asyncio.sleep(0.01)
        ear = Ear()
        near.start(ear)
        assert ear.heard[:640] == b"\x05\x00" * 320
        assert ear.digits == ["4", "#"]
        assert ear.ended == [LineEnded(LineCause.FAR_END)]

    run_virtual(main())


def test_hanging_up_ends_both_ends_once() -> None:
    async def main() -> None:
        near, far, a, b = joined()
        await near.hang_up()
        await near.hang_up()
        await asyncio.sleep(0.1)
        await far.hang_up()
        assert a.ended == [LineEnded(LineCause.LOCAL)]
        assert b.ended == [LineEnded(LineCause.FAR_END)]
        near.play(b"x" * 160)
        near.clear()
        near.send_digits("1")
        assert near.sent_ms == 0

    run_virtual(main())


def test_a_cut_wire_is_dropped_at_both_ends() -> None:
    async def main() -> None:
        near, _, a, b = joined()
        near.drop()
        await asyncio.sleep(0.01)
        assert [e.cause for e in a.ended + b.ended] == [LineCause.DROPPED] * 2

    run_virtual(main())


def test_bad_weather_loses_and_delays_frames_but_never_reorders() -> None:
    async def main() -> None:
        near, _, _, ear = joined(Weather(latency_ms=40, jitter_ms=60, loss=0.1, seed=3))
        near.play(bytes([1]) * MULAW_8K.size(10_000))
        await asyncio.sleep(10.2)
        times = [at for _, at in ear.chunks]
        assert times == sorted(set(times))
        assert 400 < len([at for at in times if at < 10_000]) < 490
        late = [arrived - at - FRAME_MS for arrived, at in zip(ear.arrived_ms, times, strict=True)]
        assert min(late) >= 39.9
        assert 60 < max(late) <= 100.1
        assert near.heard_ms == near.sent_ms == 10_000
        await near.hang_up()

    run_virtual(main())


def test_what_is_no_key_or_no_weather_is_refused() -> None:
    async def main() -> None:
        near, _, _, _ = joined()
        with pytest.raises(ValueError, match="'x' is no key"):
            near.send_digits("1x")
        with pytest.raises(ValueError, match="loss"):
            Weather(loss=2)
        await near.hang_up()

    run_virtual(main())
