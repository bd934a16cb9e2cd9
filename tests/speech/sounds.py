"""Sounds for tests of hearing: real synthetic speech, made once, and noises."""

from __future__ import annotations

import asyncio
from functools import lru_cache

import numpy as np
from tests.fakes.speech import Clauses

from chorus.audio import codec
from chorus.audio.frame import MULAW_8K, PCM_8K
from chorus.speech.engines import VoiceStyle
from chorus.speech.tts.espeak import EspeakVoice


@lru_cache(maxsize=1)
def _speech(texts: tuple[str, ...]) -> dict[str, bytes]:
    async def make() -> dict[str, bytes]:
        voice = EspeakVoice()
        try:
            made = dict.fromkeys(texts, b"")
            session = await voice.open(MULAW_8K, VoiceStyle(language="en"))
            for text in texts:
                speech = session.speak(Clauses(text))
                made[text] = b"".join([piece.audio async for piece in speech])
            return made
        finally:
            await voice.aclose()

    return asyncio.run(make())


TEXTS = (
    "a table for two",
    "speak to a person",
    "I would like to book a table for two on Friday.",
    "elephants never forget their banana",
)


def telephone_speech(text: str) -> bytes:
    """`text`, one of `TEXTS`, as 8 kHz µ-law. Not from within a running event loop."""
    return _speech(TEXTS)[text]


def pcm(mulaw: bytes) -> bytes:
    return codec.decode(MULAW_8K, mulaw)


def noise(ms: float, level: float = 800, seed: int = 1) -> bytes:
    """White noise as pcm16 at 8 kHz."""
    count = PCM_8K.size(ms) // 2
    return np.random.default_rng(seed).normal(0, level, count).astype("<i2").tobytes()


def cough(seed: int) -> bytes:
    """A burst or two of decaying noise, 150 to 600 ms, as 8 kHz µ-law."""
    random = np.random.default_rng(seed)
    count = int(8000 * random.uniform(0.15, 0.6))
    burst = np.convolve(random.normal(0, 1, count), np.ones(1 + seed % 5), "same")
    t = np.arange(count) / 8000
    shape = np.minimum(1, t / 0.01) * np.exp(-t / random.uniform(0.05, 0.25))
    if seed % 2:
        shape += 0.7 * np.roll(shape, count // 2)
    burst *= shape
    burst *= random.uniform(3000, 16000) / np.abs(burst).max()
    return codec.encode(MULAW_8K, burst.astype("<i2").tobytes())


def frames(pcm16: bytes, size: int) -> list[bytes]:
    return [pcm16[at : at + size] for at in range(0, len(pcm16) - size + 1, size)]
