"""Voices over OpenAI's `/audio/speech`: OpenAI, Groq, and servers of one's own such as speaches,
Kokoro-FastAPI, LocalAI and vLLM.

By OpenAI's API reference (read in November 2026): `response_format: pcm` is 16 bits at 24 kHz,
sent as it is made. Groq sends WAV files only, whose header says the rate. There are no times of
words; nothing goes on after its connection is closed.
"""

from __future__ import annotations

import json

from chorus.audio.frame import AudioFormat
from chorus.audio.wav import WavReader
from chorus.speech.engines import VoiceSession, VoiceStyle
from chorus.speech.vendor.clause_requests import ClauseRequest, RequestSession
from chorus.speech.vendor.failures import Failures
from chorus.speech.vendor.net import Net
from chorus.speech.vendor.openai_audio import (
    GROQ_SPEAKS,
    GROQ_URL,
    OPENAI_SPEAKS,
    OPENAI_URL,
    authorization,
)
from chorus.speech.vendor.options import SpeakingOptions
from chorus.speech.vendor.rest import warm

FORMAT = AudioFormat("pcm16", 24000)
_DEFAULT_VOICES = {OPENAI_URL: "marin", GROQ_URL: "autumn"}
_ANY_VOICE = "alloy"  # Kokoro-FastAPI and speaches map OpenAI's names to their own


class OpenAISpeech:
    """`Voice`. `wav`: the server sends WAV files and not bare samples."""

    def __init__(
        self,
        api_key: str,
        options: SpeakingOptions,
        *,
        net: Net,
        base_url: str = OPENAI_URL,
        vendor: str = "openai",
        default_model: str = OPENAI_SPEAKS[0].id,
        wav: bool = False,
        deadline_ms: float = 4000.0,
    ) -> None:
        self._model = options.model or default_model
        self.name = f"{vendor}/{self._model}"
        self.deadline_ms = deadline_ms
        self._api_key = api_key
        self._net = net
        self._base_url = base_url.rstrip("/")
        self._wav = wav
        self._failures = Failures(self.name, api_key)

    def gives(self, line: AudioFormat) -> AudioFormat:
        return FORMAT

    async def open(self, format: AudioFormat, style: VoiceStyle) -> VoiceSession:
        headers = (*authorization(self._api_key), ("Content-Type", "application/json"))
        voice = style.voice or _DEFAULT_VOICES.get(self._base_url, _ANY_VOICE)

        def request(text: str) -> ClauseRequest:
            body: dict[str, object] = {
                "model": self._model,
                "input": text,
                "voice": voice,
                "response_format": "wav" if self._wav else "pcm",
            }
            if style.speed != 1.0:
                body["speed"] = style.speed
            url = f"{self._base_url}/audio/speech"
            return ClauseRequest(url, headers, json.dumps(body).encode())

        def decoder() -> WavReader | type[bytes]:
            return WavReader(FORMAT) if self._wav else bytes

        session = RequestSession(self._net, self._failures, format, request, decoder)
        url, asked = f"{self._base_url}/models", authorization(self._api_key)
        return await session.start(lambda: warm(self._net, url, asked, self._failures))


class GroqSpeech(OpenAISpeech):
    """`Voice`, by Groq."""

    def __init__(
        self, api_key: str, options: SpeakingOptions, *, net: Net, base_url: str = GROQ_URL
    ) -> None:
        super().__init__(
            api_key,
            options,
            net=net,
            base_url=base_url,
            vendor="groq",
            default_model=GROQ_SPEAKS[0].id,
            wav=True,
        )


class CustomSpeech(OpenAISpeech):
    """`Voice`, by a server of one's own."""

    def __init__(self, api_key: str, options: SpeakingOptions, *, net: Net, base_url: str) -> None:
        super().__init__(
            api_key,
            options,
            net=net,
            base_url=base_url,
            vendor="custom",
            default_model="tts-1",
            deadline_ms=8000.0,
        )
