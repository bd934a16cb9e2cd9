"""The hold music of an agent's own: fetched from its URL, decoded, and kept for a while.

It is fetched when a call begins that may need it, so that it is there when a caller is put on hold.
A file that cannot be had or read is replaced by the piece that comes with Chorus, and why is said
in the call's events. What is kept is small: telephone sound, at most `LONGEST_S`, of at most `KEPT`
URLs.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from chorus.audio import hold_music
from chorus.audio.resample import Resampler
from chorus.outbound import Outbound, OutboundFailed, OutboundRefused

TIMEOUT_MS = 10_000
MAX_BYTES = 8 * 1024 * 1024
LONGEST_S = 300
SHORTEST_S = 1
RATE_HZ = 16_000
KEPT = 20
FRESH_S = 600.0
FAILED_S = 60.0
"""For so long a URL that failed is not asked again."""


@dataclass(frozen=True, slots=True)
class HoldSound:
    """`pcm16` at `RATE_HZ`; empty where `problem` says, in a sentence, why there is none."""

    pcm16: bytes
    problem: str | None = None


class HoldSounds:
    """One a process."""

    def __init__(self, outbound: Outbound, clock: Callable[[], float] = time.monotonic) -> None:
        self._outbound = outbound
        self._clock = clock
        self._known: dict[str, tuple[float, asyncio.Task[HoldSound]]] = {}

    async def piece(self, url: str | None, rate_hz: int) -> tuple[bytes, str | None]:
        """pcm16 at `rate_hz` to be played over and over, and what was wrong with `url`, if it is
        not that which is played. Never raises."""
        if url is None:
            return await asyncio.to_thread(hold_music.piece, rate_hz), None
        sound = await asyncio.shield(self._sound(url))
        if sound.problem is not None:
            return await asyncio.to_thread(hold_music.piece, rate_hz), sound.problem
        return await asyncio.to_thread(_at_rate, sound.pcm16, rate_hz), None

    def prepare(self, url: str) -> None:
        """Have it fetched; nobody waits."""
        self._sound(url)

    def _sound(self, url: str) -> asyncio.Task[HoldSound]:
        now = self._clock()
        since, known = self._known.pop(url, (now, None))
        if known is None or (known.done() and now - since >= _kept_s(known)):
            since, known = now, asyncio.create_task(self._fetch(url), name="hold music")
        self._known[url] = since, known  # the one that was used last is the last
        while len(self._known) > KEPT:
            self._known.pop(next(iter(self._known)))
        return known

    async def _fetch(self, url: str) -> HoldSound:
        try:
            answer = await self._outbound.send(
                "GET", url, timeout_ms=TIMEOUT_MS, max_bytes=MAX_BYTES
            )
        except (OutboundRefused, OutboundFailed) as failure:
            return HoldSound(b"", f"the hold music could not be fetched: {failure}")
        if answer.status != 200:
            return HoldSound(b"", f"the hold music's URL answered HTTP {answer.status}")
        return await asyncio.to_thread(decoded, answer.body)


def _kept_s(sound: asyncio.Task[HoldSound]) -> float:
    if sound.cancelled() or sound.exception() is not None:
        return 0.0
    return FRESH_S if sound.result().problem is None else FAILED_S


def decoded(body: bytes) -> HoldSound:
    """WAV, MP3, FLAC or Ogg Vorbis. What is longer than `LONGEST_S` is cut."""
    import miniaudio

    sound = bytearray()
    try:
        decoder: Any = miniaudio  # what it yields is an array, of a type that it does not tell
        pieces = decoder.stream_memory(body, nchannels=1, sample_rate=RATE_HZ)
        for piece in pieces:
            sound += piece.tobytes()
            if len(sound) >= LONGEST_S * RATE_HZ * 2:
                break
    except (miniaudio.MiniaudioError, ValueError, MemoryError):
        return HoldSound(b"", "the hold music is no WAV, MP3, FLAC or Ogg Vorbis that can be read")
    if len(sound) < SHORTEST_S * RATE_HZ * 2:
        return HoldSound(b"", f"the hold music is shorter than {SHORTEST_S} s")
    return HoldSound(bytes(sound[: LONGEST_S * RATE_HZ * 2]))


def _at_rate(pcm16: bytes, rate_hz: int) -> bytes:
    resampler = Resampler(RATE_HZ, rate_hz)
    return resampler.feed(pcm16) + resampler.flush()
