"""What the people of the demo say, made by the offline voice before the calls begin."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable

from chorus.audio.frame import MULAW_8K
from chorus.demo.story import PERSON_SPEED, PERSON_VOICE
from chorus.speech.engines import VoiceStyle
from chorus.speech.local import local_voice


async def recite(texts: Iterable[str]) -> dict[str, bytes]:
    """Each text as 8 kHz µ-law. Raises `EngineFailed` where there is no voice."""
    voice = local_voice()
    style = VoiceStyle(PERSON_VOICE, PERSON_SPEED)
    spoken: dict[str, bytes] = {}
    try:
        session = await voice.open(MULAW_8K, style)
        for text in texts:
            spoken[text] = b"".join([p.audio async for p in session.speak(_once(text))])
    finally:
        await voice.aclose()
    return spoken


async def _once(text: str) -> AsyncGenerator[str]:
    yield text
