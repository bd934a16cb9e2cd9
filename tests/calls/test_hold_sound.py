"""Hold music from a URL of the user's: decoded, kept, and replaced where it cannot be had."""

from __future__ import annotations

import io
import wave
from typing import Any, cast

import lameenc
import numpy as np
import pytest

from chorus.audio import hold_music
from chorus.calls import hold_sound
from chorus.calls.hold_sound import FAILED_S, FRESH_S, HoldSounds, decoded
from chorus.outbound import Outbound, OutboundAnswer, OutboundFailed, OutboundRefused

URL = "https://music.example/hold"


def sine(rate_hz: int, seconds: float, channels: int = 1) -> bytes:
    at = np.arange(round(rate_hz * seconds)) / rate_hz
    mono = (np.sin(2 * np.pi * 440 * at) * 8000).astype("<i2")
    return np.repeat(mono, channels).tobytes()


def wav(rate_hz: int = 44_100, seconds: float = 2.0, channels: int = 2) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(channels)
        out.setsampwidth(2)
        out.setframerate(rate_hz)
        out.writeframes(sine(rate_hz, seconds, channels))
    return file.getvalue()


def mp3(seconds: float = 2.0) -> bytes:
    encoder: Any = lameenc.Encoder()
    encoder.set_channels(1)
    encoder.set_in_sample_rate(16_000)
    encoder.set_bit_rate(64)
    encoder.silence()
    return bytes(encoder.encode(sine(16_000, seconds)) + encoder.flush())


class Server:
    """Answers with `body`, or raises it."""

    def __init__(self, body: bytes | Exception, status: int = 200) -> None:
        self.body = body
        self.status = status
        self.asked = 0

    async def send(self, method: str, url: str, **_: Any) -> OutboundAnswer:
        self.asked += 1
        if isinstance(self.body, Exception):
            raise self.body
        return OutboundAnswer(self.status, (), self.body, url)


def sounds(server: Server, clock: Any = lambda: 0.0) -> HoldSounds:
    return HoldSounds(cast("Outbound", server), clock)


def loudest_hz(pcm16: bytes, rate_hz: int) -> float:
    samples = np.frombuffer(pcm16[: rate_hz * 2], "<i2").astype(float)
    return float(np.argmax(np.abs(np.fft.rfft(samples))) * rate_hz / len(samples))


@pytest.mark.parametrize("body", [wav(), wav(8000, 3, 1), mp3()], ids=["wav", "8 kHz", "mp3"])
async def test_what_is_played_is_what_is_there(body: bytes):
    music, problem = await sounds(Server(body)).piece(URL, 8000)
    assert problem is None
    assert len(music) / 16_000 == pytest.approx(2, abs=1.1)
    assert loudest_hz(music[8000:], 8000) == pytest.approx(440, abs=5)


@pytest.mark.parametrize(
    ("server", "says"),
    [
        (Server(b"<html>not found</html>"), "no WAV, MP3, FLAC or Ogg Vorbis"),
        (Server(b""), "no WAV, MP3, FLAC or Ogg Vorbis"),
        (Server(wav()[:60]), "shorter than 1 s"),
        (Server(b"", 404), "answered HTTP 404"),
        (Server(OutboundRefused("the address is private")), "the address is private"),
        (Server(OutboundFailed("no answer in time", timed_out=True)), "no answer in time"),
    ],
    ids=["html", "nothing", "short", "404", "refused", "late"],
)
async def test_what_cannot_be_played_is_replaced_and_said(server: Server, says: str):
    music, problem = await sounds(server).piece(URL, 8000)
    assert music == hold_music.piece(8000)
    assert problem is not None
    assert says in problem


async def test_it_is_fetched_ahead_once_and_now_and_then_again():
    now = 0.0
    server = Server(wav())
    kept = sounds(server, lambda: now)
    kept.prepare(URL)
    for _ in range(3):
        await kept.piece(URL, 8000)
    assert server.asked == 1
    now = FRESH_S
    server.body = b""
    await kept.piece(URL, 8000)
    now += FAILED_S - 1
    await kept.piece(URL, 8000)
    assert server.asked == 2
    now += 1
    await kept.piece(URL, 8000)
    assert server.asked == 3


async def test_only_so_many_are_kept():
    server = Server(wav())
    kept = sounds(server)
    for n in range(hold_sound.KEPT + 1):
        await kept.piece(f"{URL}/{n}", 8000)
    await kept.piece(f"{URL}/{hold_sound.KEPT}", 8000)
    assert server.asked == hold_sound.KEPT + 1
    await kept.piece(f"{URL}/0", 8000)
    assert server.asked == hold_sound.KEPT + 2


def test_what_is_endless_is_cut(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(hold_sound, "LONGEST_S", 3)
    assert len(decoded(wav(8000, 20, 1)).pcm16) == 3 * hold_sound.RATE_HZ * 2


def test_the_piece_of_chorus_has_no_seam_and_no_clipping():
    samples = np.frombuffer(hold_music.piece(8000), "<i2").astype(int)
    assert len(samples) == 16 * 8000
    assert 8000 < np.abs(samples).max() < 32_767
    steps = np.abs(np.diff(np.concatenate((samples, samples[:1]))))
    assert steps[-1] <= steps.max()
