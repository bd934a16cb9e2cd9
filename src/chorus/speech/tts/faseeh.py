"""Faseeh's Arabic voices, over HTTP.

By its reference (docs.faseeh.ai) and the plugin that its makers publish (livekit-plugins-faseeh
0.1.5), read in November 2026: a request for each text, whose answer is bare samples of 16 bits at
24 kHz, sent as they are made. There are no times of words; nothing goes on after its connection is
closed.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from urllib.parse import quote

from chorus.audio.frame import AudioFormat
from chorus.speech.engines import VoiceSession, VoiceStyle
from chorus.speech.vendor.clause_requests import ClauseRequest, RequestSession
from chorus.speech.vendor.failures import Failures
from chorus.speech.vendor.net import Net
from chorus.speech.vendor.options import SpeakingModel, SpeakingOptions, VendorVoice
from chorus.speech.vendor.rest import warm

BASE_URL = "https://api.faseeh.ai"
MODELS = (
    SpeakingModel("faseeh-v1-preview", "Faseeh v1", ("ar",)),
    SpeakingModel("faseeh-mini-v1-preview", "Faseeh mini v1", ("ar",)),
)
_VOICES = ("ar-hijazi-female-1", "ar-hijazi-female-2")
_FORMAT = AudioFormat("pcm16", 24000)


class FaseehVoice:
    """`Voice`."""

    deadline_ms = 4000.0

    def __init__(
        self, api_key: str, options: SpeakingOptions, *, net: Net, base_url: str = BASE_URL
    ) -> None:
        self._model = options.model or MODELS[0].id
        self.name = f"faseeh/{self._model}"
        self._api_key = api_key
        self._net = net
        model = quote(self._model, safe="")
        self._url = f"{base_url.rstrip('/')}/api/v1/text-to-speech/{model}"
        self._models = f"{base_url.rstrip('/')}/api/v1/models"
        self._failures = Failures(self.name, api_key)

    def gives(self, line: AudioFormat) -> AudioFormat:
        return _FORMAT

    async def open(self, format: AudioFormat, style: VoiceStyle) -> VoiceSession:
        """Opens a connection by asking for the models, and so learns of a key that is refused
        before anything is to be said. Whether there is money, only speech shows."""
        headers = (("x-api-key", self._api_key), ("Content-Type", "application/json"))

        def request(text: str) -> ClauseRequest:
            body = {
                "voice_id": style.voice or _VOICES[0],
                "text": text,
                "stability": style.stability,
                "speed": min(1.2, max(0.7, style.speed)),
                "streaming": True,
            }
            return ClauseRequest(self._url, headers, json.dumps(body).encode())

        async def asked() -> None:
            await warm(self._net, self._models, (("x-api-key", self._api_key),), self._failures)

        return await RequestSession(self._net, self._failures, format, request).start(asked)


async def faseeh_voices(net: Net, api_key: str, base_url: str) -> tuple[VendorVoice, ...]:
    """Those that are public; no list to ask for is documented. Another is used by its id."""
    return tuple(VendorVoice(voice, voice, ("ar",)) for voice in _VOICES)


async def check_faseeh(net: Net, api_key: str, base_url: str) -> None:
    """Whether the key is taken: has one word spoken, which alone shows whether there is money.
    Raises `EngineFailed`."""
    voice = FaseehVoice(api_key, SpeakingOptions(), net=net, base_url=base_url)
    session = await voice.open(_FORMAT, VoiceStyle())

    async def word() -> AsyncGenerator[str, None]:
        yield "نعم"

    async with aclosing(word()) as words, aclosing(session.speak(words)) as speech:
        await anext(speech)
