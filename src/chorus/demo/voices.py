"""Who hears and speaks in the demo, and what its people say, made before the calls begin.

With a Whisper model and a voice in Piper's format in the folder of models both are used; the people
then speak with the agents' voice, a little higher and slower. Without them PocketSphinx hears what
espeak-ng says.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import soxr

from chorus.audio import codec
from chorus.audio.frame import MULAW_8K, PCM_8K
from chorus.demo.story import PERSON_SPEED, PERSON_VOICE
from chorus.speech.engines import VoiceSession, VoiceStyle
from chorus.speech.local import local_piper, local_voice, whisper_for
from chorus.speech.threads import ModelThreads
from chorus.speech.tts.piper_files import voices_in

_HIGHER = 1.14


@dataclass(frozen=True, slots=True)
class Cast:
    """`ears` and `voice` for people to read. `piper`: the voice of agents and people, in `models`;
    None for espeak-ng's."""

    ears: str
    voice: str
    models: Path
    piper: str | None = None


def cast_of(models: Path) -> Cast:
    """What is in a folder of models, if it is all that a call needs; `missing` says if not even
    what takes its place is installed."""
    weights = whisper_for(models, "en")
    voices = [path.stem for path in voices_in(models) if path.stem.startswith("en")]
    if weights is None or not voices:
        return Cast("PocketSphinx, which knows what to expect", "espeak-ng", models)
    name = voices[0]
    return Cast(f"Whisper ({weights.name})", f"Piper ({name})", models, name)


def missing(cast: Cast) -> list[str]:
    """The packages that it needs and that are not installed, with what they do. Without espeak-ng
    Piper's voices do not know how words sound."""
    needed = {"espeakng_loader": "the offline voice"}
    if cast.piper is None:
        needed = {"pocketsphinx": "the offline transcriber", **needed}
    return [f"{what} ({name})" for name, what in needed.items() if find_spec(name) is None]


async def recite(texts: Iterable[str], cast: Cast | None = None) -> dict[str, bytes]:
    """Each text as 8 kHz µ-law, by espeak-ng or by the voice of a cast. Raises `EngineFailed` where
    there is no voice."""
    async with AsyncExitStack() as stack:
        espeak = local_voice()
        stack.push_async_callback(espeak.aclose)
        if cast is None or cast.piper is None:
            session = await espeak.open(MULAW_8K, VoiceStyle(PERSON_VOICE, PERSON_SPEED))
            return {text: await _said(session, text) for text in texts}
        threads = ModelThreads()
        stack.push_async_callback(threads.aclose)
        piper = local_piper(cast.models, threads, espeak)
        session = await piper.open(PCM_8K, VoiceStyle(cast.piper, PERSON_SPEED / _HIGHER))
        return {text: _higher(await _said(session, text)) for text in texts}


async def _said(session: VoiceSession, text: str) -> bytes:
    return b"".join([piece.audio async for piece in session.speak(_once(text))])


def _higher(pcm16: bytes) -> bytes:
    """Played faster: the speed that it was spoken too slowly, and so higher."""
    samples = np.frombuffer(pcm16, "<i2")
    faster = soxr.resample(samples, PCM_8K.rate_hz * _HIGHER, PCM_8K.rate_hz)
    return codec.encode(MULAW_8K, faster.astype("<i2").tobytes())


async def _once(text: str) -> AsyncGenerator[str]:
    yield text
