"""Where sound ends up in a recording, and what is left when the disk or the process goes."""

from __future__ import annotations

import asyncio
import json
import os
import stat
import subprocess
import sys
import textwrap
import threading
import wave
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.fakes.recorded import Recorded

RATE_HZ = 8000
MS = RATE_HZ // 1000


def pcm(value: int, ms: float) -> bytes:
    return np.full(round(ms * MS), value, "<i2").tobytes()


def read(path: Path) -> tuple[np.ndarray, np.ndarray]:
    with wave.open(str(path)) as file:
        assert file.getnchannels() == 2
        assert file.getsampwidth() == 2
        assert file.getframerate() == RATE_HZ
        frames = file.readframes(file.getnframes())
        assert len(frames) == file.getnframes() * 4
    samples = np.frombuffer(frames, "<i2").reshape(-1, 2)
    return samples[:, 0], samples[:, 1]


def runs(side: np.ndarray) -> list[tuple[int, int, int]]:
    """What is heard: (value, first sample, last sample + 1), silence left out."""
    edges = [0, *(np.flatnonzero(np.diff(side)) + 1), len(side)]
    found = [(int(side[a]), int(a), int(b)) for a, b in pairwise(edges)]
    return [run for run in found if run[0]]


def sizes_agree(path: Path) -> bool:
    """The header's two sizes against the file's, as a strict player would."""
    content = path.read_bytes()
    riff, data = (int.from_bytes(content[at : at + 4], "little") for at in (4, 40))
    return riff == len(content) - 8 and data == len(content) - 44


class Inline(Executor):
    """Writes at once, on the loop: what a test does next finds it done."""

    def submit(self, fn, /, *args, **kwargs):
        future = Future()
        future.set_result(fn(*args, **kwargs))
        return future


async def test_a_call_is_as_long_as_it_was_and_both_sides_are_in_place(tmp_path):
    recording = Recorded(tmp_path / "call.wav", RATE_HZ)
    for n in range(500):
        recording.caller(pcm(1 + n, 20), n * 20)
        recording.agent(pcm(1001 + n, 20), n * 20 + 200)  # sent ahead of being heard
        recording.advance(n * 20)
    await recording.close(10_000)
    caller, agent = read(recording.path)
    assert len(caller) == 10_000 * MS
    assert (caller == np.repeat(np.arange(1, 501), 160)).all()
    assert (agent[: 200 * MS] == 0).all()
    assert (agent[200 * MS :] == np.repeat(np.arange(1001, 1491), 160)).all()
    assert sizes_agree(recording.path)
    assert recording.failed is None


@pytest.mark.parametrize("end_ms", [0, 0.4, 19.99, 1000.06, 2345.678, 61_000])
async def test_the_length_is_that_of_the_call_to_the_sample(tmp_path, end_ms):
    recording = Recorded(tmp_path / "call.wav", RATE_HZ)
    for n in range(200):  # four seconds, of which some are already on the disk
        recording.caller(pcm(5, 20), n * 20)
        recording.advance(n * 20)
    await recording.close(end_ms)
    caller, agent = read(recording.path)
    assert len(caller) == len(agent) == round(end_ms * MS)
    assert sizes_agree(recording.path)


async def test_an_interruption_takes_back_what_was_not_heard(tmp_path):
    recording = Recorded(tmp_path / "call.wav", RATE_HZ)
    recording.agent(pcm(7, 300), 1000)
    recording.advance(1100)
    recording.agent_cut(1120.5)
    recording.agent(pcm(9, 100), 1400)
    recording.agent_cut(5000)  # nothing there to forget
    await recording.close(2000)
    assert runs(read(recording.path)[1]) == [(7, 8000, 8964), (9, 11200, 12000)]


async def test_a_cut_cannot_reach_what_is_written_and_harms_nothing(tmp_path):
    recording = Recorded(tmp_path / "call.wav", RATE_HZ)
    recording.agent(pcm(7, 4000), 0)
    recording.advance(3000)  # two seconds are on the disk
    recording.agent_cut(500)
    recording.agent(pcm(9, 20), 2500)
    await recording.close(3000)
    assert runs(read(recording.path)[1]) == [(7, 0, 16000), (9, 20000, 20160)]


async def test_holes_are_silence_and_rounding_is_no_hole(tmp_path):
    recording = Recorded(tmp_path / "call.wav", RATE_HZ)
    recording.caller(pcm(1, 20), 100)
    recording.caller(pcm(1, 20), 121)  # the time stamp of 120, roughly
    recording.caller(pcm(1, 20), 139)
    recording.caller(pcm(2, 20), 200)
    await recording.close(300)
    assert runs(read(recording.path)[0]) == [(1, 800, 1280), (2, 1600, 1760)]


async def test_late_audio_follows_what_is_there(tmp_path):
    recording = Recorded(tmp_path / "call.wav", RATE_HZ)
    recording.caller(pcm(1, 100), 0)
    recording.caller(pcm(2, 20), 60)
    recording.caller(pcm(3, 20), 200)
    recording.advance(5000)  # all of that is written, and silence up to 4000
    recording.caller(pcm(4, 20), 220)
    await recording.close(5000)
    assert runs(read(recording.path)[0]) == [
        (1, 0, 800),
        (2, 800, 960),
        (3, 1600, 1760),
        (4, 32000, 32160),
    ]


async def test_an_impossible_time_stamp_costs_neither_memory_nor_the_rest(tmp_path, caplog):
    recording = Recorded(tmp_path / "call.wav", RATE_HZ)
    recording.caller(pcm(1, 20), 0)
    recording.caller(pcm(2, 20), 1e12)
    recording.caller(pcm(3, 60_000), 20)  # a minute in one go
    recording.caller(pcm(4, 20), 20)
    await recording.close(100)
    assert runs(read(recording.path)[0]) == [(1, 0, 160), (4, 160, 320)]
    assert recording.dropped_ms == 60_020
    assert len(caplog.records) == 1


async def test_a_machine_that_slept_writes_silence_without_making_it(tmp_path):
    recording = Recorded(tmp_path / "call.wav", RATE_HZ, writer=Inline())
    recording.caller(pcm(1, 20), 0)
    recording.advance(3_600_000)
    assert recording.path.stat().st_blocks * 512 < 100_000
    await recording.close(3_600_020)
    caller, _ = read(recording.path)
    assert len(caller) == 3_600_020 * MS
    assert runs(caller[:1000]) == [(1, 0, 160)]


@given(
    cuts=st.lists(st.integers(1, 400), max_size=40),
    steps=st.lists(st.integers(0, 1500), max_size=20),
)
@settings(max_examples=40, deadline=None)
def test_chunks_and_the_times_of_writing_do_not_matter(tmp_path_factory, cuts, steps):
    sound = np.arange(1, 32001, dtype="<i2")  # four seconds
    path = tmp_path_factory.mktemp("r") / "call.wav"

    async def main() -> None:
        recording = Recorded(path, RATE_HZ, writer=Inline())
        at = now = 0
        for cut in [*cuts, len(sound)]:
            piece = sound[at : at + cut]
            recording.caller(piece.tobytes(), at / MS)
            recording.agent(piece.tobytes(), at / MS)
            at += len(piece)
            if steps:
                now = min(now + steps.pop(), at / MS + 1000)
                recording.advance(now)
        await recording.close(4000)

    asyncio.run(main())
    for side in read(path):
        assert (side == sound).all()


async def test_memory_stays_small_however_long_the_call(tmp_path):
    recording = Recorded(tmp_path / "call.wav", RATE_HZ, writer=Inline())
    most = 0
    for n in range(3000):
        recording.caller(pcm(1, 20), n * 20)
        recording.agent(pcm(1, 20), n * 20 + 300)
        recording.advance(n * 20)
        most = max(most, len(recording.left.audio) + len(recording.right.audio))
    assert most <= (2 * 2.05 + 0.3) * RATE_HZ * 2
    await recording.close(60_000)


async def test_the_file_plays_at_any_moment(tmp_path):
    recording = Recorded(tmp_path / "call.wav", RATE_HZ, writer=Inline())
    assert len(read(recording.path)[0]) == 0
    for n in range(500):
        recording.caller(pcm(1, 20), n * 20)
        recording.advance(n * 20 + 20)
        if n % 40 == 39:
            caller, _ = read(recording.path)
            assert sizes_agree(recording.path)
            assert n * 20 - 2000 <= len(caller) / MS <= n * 20 - 900 or n < 100
            assert (caller == 1).all()
    await recording.close(10_000)


# --- when writing fails -----------------------------------------------------------------


async def test_a_missing_folder_is_reported_once_and_the_call_goes_on(tmp_path):
    reports: list[str] = []
    recording = Recorded(tmp_path / "gone" / "call.wav", RATE_HZ, reports.append, Inline())
    for n in range(300):
        recording.caller(pcm(1, 20), n * 20)
        recording.agent(pcm(1, 20), n * 20)
        recording.advance(n * 20)
    await recording.close(6000)
    assert reports == ["No such file or directory"]
    assert recording.failed == reports[0]
    assert not recording.left.audio


async def test_a_recording_never_overwrites_another(tmp_path):
    (tmp_path / "call.wav").write_bytes(b"somebody else's")
    recording = Recorded(tmp_path / "call.wav", RATE_HZ)
    await recording.close(100)
    assert recording.failed == "File exists"
    assert recording.path.read_bytes() == b"somebody else's"


async def test_only_its_owner_may_listen(tmp_path):
    recording = Recorded(tmp_path / "call.wav", RATE_HZ)
    await recording.close(100)
    assert stat.S_IMODE(recording.path.stat().st_mode) & 0o077 == 0


async def test_a_report_that_fails_does_not_reach_the_call(tmp_path, caplog):
    def report(why: str) -> None:
        raise RuntimeError("no journal")

    recording = Recorded(tmp_path / "gone" / "call.wav", RATE_HZ, report)
    await recording.close(100)
    assert recording.failed
    assert "no journal" in caplog.text


async def test_a_disk_that_hangs_costs_a_bounded_amount_of_memory(tmp_path):
    gate, writer = threading.Event(), ThreadPoolExecutor(1)
    try:
        writer.submit(gate.wait, 30)
        recording = Recorded(tmp_path / "call.wav", RATE_HZ, writer=writer)
        n = 0
        while recording.failed is None and n < 60_000:
            recording.caller(pcm(1, 20), n * 20)
            recording.agent(pcm(1, 20), n * 20)
            recording.advance(n * 20)
            n += 1
        assert recording.failed == "the disk is too slow for the recording"
        assert 100_000 < n * 20 < 180_000  # two minutes of it or so
        gate.set()
        await recording.close(n * 20)  # and it is closed properly all the same
        assert sizes_agree(recording.path)
    finally:
        gate.set()
        writer.shutdown()


async def test_closing_does_not_wait_for_ever_and_may_be_cancelled(tmp_path, monkeypatch):
    monkeypatch.setattr("chorus.audio.record._CLOSE_S", 0.01)
    gate, writer = threading.Event(), ThreadPoolExecutor(1)
    try:
        writer.submit(gate.wait, 30)
        slow = Recorded(tmp_path / "slow.wav", RATE_HZ, writer=writer)
        slow.caller(pcm(1, 20), 0)
        await slow.close(20)
        assert slow.failed is not None
        assert "did not take the end" in slow.failed

        monkeypatch.setattr("chorus.audio.record._CLOSE_S", 30)
        left = Recorded(tmp_path / "left.wav", RATE_HZ, writer=writer)
        left.caller(pcm(1, 20), 0)
        left.advance(3000)  # beyond the end: only finishing the file cuts it to its length
        closing = asyncio.create_task(left.close(20))
        await asyncio.sleep(0)
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
    finally:
        gate.set()
        writer.shutdown()
    for name in ("slow.wav", "left.wav"):  # the thread finished both
        caller, _ = read(tmp_path / name)
        assert len(caller) == 160
        assert (caller == 1).all()


async def test_a_closed_recording_takes_nothing_and_closes_twice(tmp_path, caplog):
    recording = Recorded(tmp_path / "call.wav", RATE_HZ)
    await recording.close(100)
    recording.caller(pcm(1, 20), 0)
    recording.agent(pcm(1, 20), 0)
    recording.agent_cut(0)
    recording.advance(60_000)
    await recording.close(5000)
    # Whatever that gave the writer is done before the next recording is.
    await Recorded(tmp_path / "next.wav", RATE_HZ).close(0)
    assert len(read(recording.path)[0]) == 800
    assert recording.failed is None
    assert not caplog.records


async def test_nonsense_is_refused(tmp_path):
    with pytest.raises(ValueError, match="unsupported sample rate 11025"):
        Recorded(tmp_path / "a.wav", 11025)
    recording = Recorded(tmp_path / "b.wav", RATE_HZ)
    with pytest.raises(ValueError, match="half a sample"):
        recording.caller(b"abc", 0)
    for end_ms in (-1, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="cannot last"):
            await recording.close(end_ms)
    await recording.close(0)


def in_a_process(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    prelude = """
        import asyncio, json, os, resource, signal, sys
        from tests.fakes.recorded import Recorded
        from chorus.audio.record import _writer_thread

        async def talk(recording, seconds):
            for n in range(seconds * 50):
                recording.caller(b"\\x01\\x00" * 160, n * 20)
                recording.agent(b"\\x02\\x00" * 160, n * 20 + 200)
                recording.advance(n * 20 + 20)
                if n % 50 == 0:  # the thread gets its second, as it would
                    await asyncio.wrap_future(_writer_thread().submit(int))
    """
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(prelude) + textwrap.dedent(code), *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=Path(__file__).parents[2],
    )


def test_a_killed_process_leaves_all_but_the_last_two_seconds(tmp_path):
    path = tmp_path / "call.wav"
    ended = in_a_process(
        """
        async def main():
            recording = Recorded(sys.argv[1], 8000)
            await talk(recording, 30)
            os.kill(os.getpid(), signal.SIGKILL)

        asyncio.run(main())
        """,
        str(path),
    )
    assert ended.returncode == -9, ended.stderr
    caller, agent = read(path)
    assert sizes_agree(path)
    assert 27_900 <= len(caller) / MS <= 30_000
    assert (caller == 1).all()
    assert runs(agent) == [(2, 1600, len(agent))]


def test_a_full_disk_is_reported_once_and_keeps_what_fitted(tmp_path):
    path = tmp_path / "call.wav"
    ended = in_a_process(
        """
        async def main():
            # The kernel refuses to write beyond this, in the middle of a piece.
            resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
            reports = []
            recording = Recorded(sys.argv[1], 8000, reports.append)
            await talk(recording, 20)
            await recording.close(20_000)
            print(json.dumps([reports, recording.failed]))

        asyncio.run(main())
        """,
        str(path),
    )
    assert ended.returncode == 0, ended.stderr
    reports, failed = json.loads(ended.stdout)
    assert reports == [failed] == ["File too large"]
    caller, agent = read(path)
    assert sizes_agree(path)
    assert os.path.getsize(path) <= 200_000
    assert len(caller) / MS > 4900
    assert (caller == 1).all()
    assert runs(agent) == [(2, 1600, len(agent))]


def test_a_process_that_ends_properly_loses_nothing_it_was_given(tmp_path):
    path = tmp_path / "call.wav"
    ended = in_a_process(
        """
        async def main():
            recording = Recorded(sys.argv[1], 8000)
            await talk(recording, 5)
            closing = asyncio.create_task(recording.close(5000))
            await asyncio.sleep(0)
            closing.cancel()

        asyncio.run(main())
        """,
        str(path),
    )
    assert ended.returncode == 0, ended.stderr
    assert len(read(path)[0]) == 5000 * MS
