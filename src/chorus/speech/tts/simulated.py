"""A voice without a model, for benchmarks and demonstrations: a tone that lasts as long as the
text would, made with the delays of a vendor.

The first audio of a clause comes `first_audio_ms` after its text if the voice had nothing to
do, and at once if it was still busy with the clause before, as over a vendor's open socket;
after that it is made `speed` times faster than it is heard.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from functools import lru_cache

import numpy as np

from chorus.audio import codec
from chorus.audio.frame import AudioFormat
from chorus.speech.engines import Spoken, VoiceStyle, WordTime

_LOOP_S = 10
_STEP_MS = 20
# A clause that came quicker than this was there already.
_IDLE_S = 0.005


@lru_cache(maxsize=8)
def _loop(format: AudioFormat) -> bytes:
    """Ten seconds of a 220 Hz tone that swells three times a second, without a seam."""
    t = np.arange(_LOOP_S * format.rate_hz) / format.rate_hz
    tone = 6000 * np.sin(2 * np.pi * 220 * t) * (0.6 + 0.4 * np.sin(2 * np.pi * 3 * t))
    return codec.encode(format, tone.astype("<i2").tobytes())


def tone(format: AudioFormat, from_ms: float, ms: float) -> bytes:
    """`ms` of the tone, from a place in its endless loop."""
    loop = _loop(format)
    at = format.size(from_ms) % len(loop)
    size = format.size(ms)
    found = loop[at : at + size]
    while len(found) < size:
        found += loop[: size - len(found)]
    return found


class SimulatedVoice:
    """`Voice` that speaks a tone of `ms_per_char` for each character, in pieces of `piece_ms`."""

    name = "simulated"

    def __init__(
        self,
        *,
        first_audio_ms: float = 100,
        speed: float = 4.0,
        ms_per_char: float = 50,
        piece_ms: int = 100,
    ) -> None:
        if first_audio_ms < 0:
            raise ValueError(f"first_audio_ms must not be negative: {first_audio_ms}")
        for name, value in (("speed", speed), ("ms_per_char", ms_per_char), ("piece_ms", piece_ms)):
            if value <= 0:
                raise ValueError(f"{name} must be positive: {value}")
        self._first_audio_s = first_audio_ms / 1000
        self._speed = speed
        self._ms_per_char = ms_per_char
        self._piece_ms = piece_ms

    async def speak(
        self, clauses: AsyncIterator[str], format: AudioFormat, style: VoiceStyle
    ) -> AsyncGenerator[Spoken, None]:
        loop = asyncio.get_running_loop()
        ms_per_char = self._ms_per_char / style.speed
        index = -1
        free_at = -1.0
        idle_since = loop.time()
        async for clause in clauses:
            index += 1
            now = loop.time()
            if index == 0 or now - idle_since > _IDLE_S:
                free_at = now + self._first_audio_s
            total_ms = -(-len(clause) * ms_per_char // _STEP_MS) * _STEP_MS
            words = self._times(clause, ms_per_char)
            at_ms = 0.0
            while True:
                # By a deadline from the start: a slow listener does not make the vendor slow.
                wait_s = free_at - loop.time()
                if wait_s > 0:
                    await asyncio.sleep(wait_s)
                piece_ms = min(self._piece_ms, total_ms - at_ms)
                audio = tone(format, at_ms, piece_ms)
                at_ms += piece_ms
                free_at += piece_ms / self._speed / 1000
                yield Spoken(audio, index, words, last=at_ms >= total_ms)
                words = ()
                if at_ms >= total_ms:
                    break
            idle_since = max(loop.time(), free_at)

    async def aclose(self) -> None:
        """Nothing to release; here so that every engine is closed alike."""

    def _times(self, clause: str, ms_per_char: float) -> tuple[WordTime, ...]:
        found: list[WordTime] = []
        at = 0
        for word in clause.split():
            at = clause.index(word, at)
            found.append(WordTime(word, at * ms_per_char, (at + len(word)) * ms_per_char))
            at += len(word)
        return tuple(found)
