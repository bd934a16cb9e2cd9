"""How a voice sounds: one sentence, spoken by the engine that calls would have, as a WAV file.

What was made is kept for a while, so that a voice that is listened to again costs nothing. A few
are made at a time; whoever asks for what is being made waits for that. A failure is told to whoever
asked, and does not make calls prefer another voice.
"""

from __future__ import annotations

import asyncio
import io
import uuid
import wave
from collections import OrderedDict
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass

from chorus import languages
from chorus.audio.frame import PCM_16K
from chorus.catalogue.catalogue import VoiceEntry, spoken_id
from chorus.speech.engines import EngineFailed, Voice, VoiceStyle
from chorus.speech.ranking import Ranking, Rests
from chorus.talk.voicing import Script, Voicing

FORMAT = PCM_16K
_LONGEST_MS = 30_000
_WHOLE_S = 20.0
_MOST_KEPT = 32
"""Of at most 30 s each, which is 1 MB."""
_AT_ONCE = 4


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be heard, and what it is kept under. `organization_id` keeps what one had made
    from others; whose key speaks is decided by `voice`. `text` "": a sentence in the voice's own
    language."""

    organization_id: uuid.UUID
    voice: VoiceEntry
    text: str = ""
    speed: float = 1.0
    stability: float = 0.5


@dataclass(frozen=True, slots=True)
class Preview:
    """`wav`: pcm16 mono at 16 kHz. `first_audio_ms` is what the engine took to begin, opening its
    connection included."""

    wav: bytes
    first_audio_ms: int


class Previews:
    """One a process. `voice_of` makes the engine of an entry."""

    def __init__(self, voice_of: Callable[[VoiceEntry], Voice]) -> None:
        self._voice_of = voice_of
        self._made: OrderedDict[Wish, asyncio.Task[Preview]] = OrderedDict()
        self._turns = asyncio.Semaphore(_AT_ONCE)

    async def of(self, wish: Wish) -> Preview:
        """Raises `EngineFailed`, and what `voice_of` raises."""
        task = self._made.get(wish)
        if task is None:
            task = self._made[wish] = asyncio.create_task(self._make(wish), name="preview")
            task.add_done_callback(lambda done: self._done(wish, done))
        self._made.move_to_end(wish)
        return await asyncio.shield(task)

    async def aclose(self) -> None:
        tasks, self._made = list(self._made.values()), OrderedDict()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _done(self, wish: Wish, task: asyncio.Task[Preview]) -> None:
        """What failed is tried anew by the next who asks."""
        if (task.cancelled() or task.exception() is not None) and self._made.get(wish) is task:
            del self._made[wish]
        while len(self._made) > _MOST_KEPT:
            oldest = next((each for each, of in self._made.items() if of.done()), None)
            if oldest is None:
                return
            del self._made[oldest]

    async def _make(self, wish: Wish) -> Preview:
        voice = self._voice_of(wish.voice)
        language = wish.voice.languages[0] if wish.voice.languages else None
        style = VoiceStyle(spoken_id(wish.voice), wish.speed, wish.stability, language)
        voicing = Voicing(Ranking((voice,), Rests()), (style,), FORMAT, on_failed=_ignored)
        script = Script()
        script.put(wish.text or _sentence(language))
        script.put(None)
        audio = bytearray()
        first_s = 0.0
        try:
            async with asyncio.timeout(_WHOLE_S), self._turns:
                loop = asyncio.get_running_loop()
                began_s = loop.time()
                async with aclosing(voicing.speak(script)) as pieces:
                    async for piece in pieces:
                        if piece.audio and not audio:
                            first_s = loop.time() - began_s
                        audio += piece.audio
                        if FORMAT.ms(len(audio)) >= _LONGEST_MS:
                            break
        except TimeoutError:
            raise EngineFailed(voice.name, "preview", "it is not finished in time") from None
        finally:
            await voicing.aclose()
        return Preview(_wav(bytes(audio[: FORMAT.size(_LONGEST_MS)])), round(first_s * 1000))


def _ignored(failure: EngineFailed) -> None:
    """There is no other voice to go on: the failure is raised as well."""


def _sentence(language: str | None) -> str:
    known = languages.languages()
    found = known.get(languages.code_of(language)) or known["en"]
    return found.phrases["ask_again"]


def _wav(pcm16: bytes) -> bytes:
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(FORMAT.rate_hz)
        file.writeframes(pcm16)
    return out.getvalue()
