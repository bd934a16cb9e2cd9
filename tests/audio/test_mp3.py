"""MP3 from WAV, read back frame by frame by the standard's own table."""

from __future__ import annotations

import asyncio
import stat
import threading
import wave
from pathlib import Path

import numpy as np
import pytest

from chorus.audio import mp3
from chorus.audio.mp3 import NotAWav, wav_to_mp3

# ISO/IEC 13818-3, layer III at the low sampling rates (MPEG-2), and 11172-3 (MPEG-1).
KBPS = {
    2: (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    1: (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
}
RATES_HZ = {2: (22050, 24000, 16000), 1: (44100, 48000, 32000)}


def write_wav(path: Path, seconds: float, rate_hz: int = 8000, channels: int = 2) -> Path:
    noise = np.random.default_rng(1).normal(0, 2000, (int(seconds * rate_hz), channels))
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes(noise.astype("<i2").tobytes())
    return path


def frames(path: Path) -> list[tuple[int, int, int]]:
    """(samples, rate in Hz, channels) of each frame; fails unless frame follows frame."""
    data, at, found = path.read_bytes(), 0, []
    while at < len(data):
        head = int.from_bytes(data[at : at + 4], "big")
        assert head >> 21 == 0x7FF, f"no frame at {at}"
        version = {3: 1, 2: 2}[head >> 19 & 3]
        assert head >> 17 & 3 == 1  # layer III
        kbps, rate_hz = KBPS[version][(head >> 12 & 15) - 1], RATES_HZ[version][head >> 10 & 3]
        samples = 1152 if version == 1 else 576
        found.append((samples, rate_hz, 1 if head >> 6 & 3 == 3 else 2))
        at += samples // 8 * kbps * 1000 // rate_hz + (head >> 9 & 1)
    assert at == len(data)
    return found


@pytest.mark.parametrize(
    ("rate_hz", "channels", "mp3_hz"),
    [(8000, 2, 16000), (8000, 1, 16000), (16000, 2, 16000), (24000, 2, 24000), (48000, 2, 48000)],
)
async def test_length_rate_and_channels(tmp_path, rate_hz, channels, mp3_hz):
    wav = write_wav(tmp_path / "a.wav", 7.3, rate_hz, channels)
    await wav_to_mp3(wav, tmp_path / "a.mp3")
    found = frames(tmp_path / "a.mp3")
    assert {(rate, count) for _, rate, count in found} == {(mp3_hz, channels)}
    seconds = sum(samples for samples, _, _ in found) / mp3_hz
    assert 7.3 <= seconds <= 7.45  # the encoder's delay and the last frame's padding
    assert stat.S_IMODE((tmp_path / "a.mp3").stat().st_mode) & 0o077 == 0
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.mp3", "a.wav"]


async def test_the_rate_in_bits_is_what_was_asked_for(tmp_path):
    wav = write_wav(tmp_path / "a.wav", 10)
    for kbps in (32, 64):
        await wav_to_mp3(wav, tmp_path / "a.mp3", kbps)  # replaces the one before
        assert abs((tmp_path / "a.mp3").stat().st_size - kbps * 1250) < kbps * 25


async def test_an_empty_recording_is_a_file_all_the_same(tmp_path):
    await wav_to_mp3(write_wav(tmp_path / "a.wav", 0), tmp_path / "a.mp3")
    assert 0.1 <= sum(samples for samples, _, _ in frames(tmp_path / "a.mp3")) / 16000 < 0.3


@pytest.mark.parametrize("content", [b"", b"RIFF", b"not a wav at all, but long enough for it"])
async def test_what_is_no_wav_is_refused(tmp_path, content):
    (tmp_path / "a.wav").write_bytes(content)
    with pytest.raises(NotAWav, match=r"a\.wav"):
        await wav_to_mp3(tmp_path / "a.wav", tmp_path / "a.mp3")
    assert [p.name for p in tmp_path.iterdir()] == ["a.wav"]


async def test_bytes_that_are_no_samples_of_16_bits_are_refused(tmp_path):
    with wave.open(str(tmp_path / "a.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(1)
        file.setframerate(8000)
        file.writeframes(bytes(100))
    with pytest.raises(NotAWav, match="not 16-bit"):
        await wav_to_mp3(tmp_path / "a.wav", tmp_path / "a.mp3")


async def test_missing_files_and_folders_say_so(tmp_path):
    with pytest.raises(FileNotFoundError):
        await wav_to_mp3(tmp_path / "a.wav", tmp_path / "a.mp3")
    wav = write_wav(tmp_path / "a.wav", 0.1)
    with pytest.raises(FileNotFoundError):
        await wav_to_mp3(wav, tmp_path / "gone" / "a.mp3")


async def test_cancelled_it_stops_and_leaves_nothing(tmp_path, monkeypatch):
    loop, began, gate, pieces = asyncio.get_running_loop(), asyncio.Event(), threading.Event(), []

    class Slow:
        def encode(self, pcm16: bytes) -> bytes:
            pieces.append(len(pcm16))
            loop.call_soon_threadsafe(began.set)
            gate.wait(30)
            return b"mp3"

        def flush(self) -> bytes:
            return b""

    monkeypatch.setattr(mp3, "_encoder", lambda source, kbps: Slow())
    wav = write_wav(tmp_path / "a.wav", 60)
    (tmp_path / "a.mp3").write_bytes(b"the one before")
    work = asyncio.create_task(wav_to_mp3(wav, tmp_path / "a.mp3"))
    await began.wait()
    work.cancel()
    await asyncio.sleep(0)
    assert not work.done()  # the thread still reads the source
    gate.set()
    with pytest.raises(asyncio.CancelledError):
        await work
    assert len(pieces) == 1
    assert (tmp_path / "a.mp3").read_bytes() == b"the one before"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.mp3", "a.wav"]


async def test_a_long_call_is_read_in_pieces(tmp_path, monkeypatch):
    pieces = []

    class Counting:
        def encode(self, pcm16: bytes) -> bytes:
            pieces.append(len(pcm16))
            return b""

        def flush(self) -> bytes:
            return b""

    monkeypatch.setattr(mp3, "_encoder", lambda source, kbps: Counting())
    await wav_to_mp3(write_wav(tmp_path / "a.wav", 60), tmp_path / "a.mp3")
    assert sum(pieces) == 60 * 8000 * 4
    assert max(pieces) == 3200
