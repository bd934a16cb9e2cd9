"""A voice without a model, for benchmarks and demonstrations: a tone that lasts as long as the
text would, made with the delays of a vendor.

The first audio of a clause comes `first_audio_ms` after its text if the voice had nothing to
do, and at once if it was still busy with the clause before, as over a vendor's open socket;
after that it is made `speed` times faster than it is heard.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterator
from functools import lru_cache

import numpy as np

from chorus.audio import codec
from chorus.audio.frame import AudioFormat
from chorus.speech.engines import Mark, Spoken, VoiceStyle

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
    deadline_ms = 5000.0

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
        self.first_audio_s = first_audio_ms / 1000
        self.speed = speed
        self.ms_per_char = ms_per_char
        self.piece_ms = piece_ms

    def gives(self, line: AudioFormat) -> AudioFormat:
        return line

    async def open(self, format: AudioFormat, style: VoiceStyle) -> SimulatedSession:
        return SimulatedSession(self, format, style)

    async def aclose(self) -> None:
        """Nothing to release; here so that every engine is closed alike."""


class SimulatedSession:
    def __init__(self, voice: SimulatedVoice, format: AudioFormat, style: VoiceStyle) -> None:
        self._voice = voice
        self._format = format
        self._ms_per_char = voice.ms_per_char / style.speed

    async def aclose(self) -> None:
        """Nothing is open."""

    async def speak(self, clauses: AsyncIterator[str]) -> AsyncGenerator[Spoken, None]:
        loop = asyncio.get_running_loop()
        voice, format, ms_per_char = self._voice, self._format, self._ms_per_char
        index = -1
        free_at = -1.0
        idle_since = loop.time()
        async for clause in clauses:
            index += 1
            now = loop.time()
            if index == 0 or now - idle_since > _IDLE_S:
                free_at = now + voice.first_audio_s
            total_ms = -(-len(clause) * ms_per_char // _STEP_MS) * _STEP_MS
            marks = _marks(clause, ms_per_char)
            at_ms = 0.0
            while True:
                # By a deadline from the start: a slow listener does not make the vendor slow.
                wait_s = free_at - loop.time()
                if wait_s > 0:
                    await asyncio.sleep(wait_s)
                piece_ms = min(voice.piece_ms, total_ms - at_ms)
                audio = tone(format, at_ms, piece_ms)
                at_ms += piece_ms
                free_at += piece_ms / voice.speed / 1000
                yield Spoken(audio, index, marks, last=at_ms >= total_ms)
                marks = ()
                if at_ms >= total_ms:
                    break
            idle_since = max(loop.time(), free_at)


def _marks(clause: str, ms_per_char: float) -> tuple[Mark, ...]:
    """Where each word ends, by its place among the characters."""
    ends = (found.end() for found in re.finditer(r"\S+", clause))
    return tuple(Mark(end, end * ms_per_char) for end in ends)
