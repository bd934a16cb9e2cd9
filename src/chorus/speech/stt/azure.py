"""Transcription by Azure Speech, a request for each turn; see `speech/vendor/azure.py`."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from chorus.audio.frame import PCM_16K, AudioFormat
from chorus.audio.wav import wav_file
from chorus.speech.engines import Endpointing, EngineFailed, Hints, Transcription, Words
from chorus.speech.stt.openai_audio import TurnTranscription, ask_again
from chorus.speech.vendor.azure import HEARS, address, headers_of, locale
from chorus.speech.vendor.failures import Failures
from chorus.speech.vendor.net import Net
from chorus.speech.vendor.options import HearingOptions
from chorus.speech.vendor.rest import warm

_FINAL_WITHIN_MS = 4000.0
_NOTHING = ("NoMatch", "InitialSilenceTimeout", "BabbleTimeout")


class AzureTranscriber:
    """`Transcriber`. `keyterms` are not taken: this API has no such field."""

    longest_ms = 58_000.0  # a request holds 60 s at most

    def __init__(self, api_key: str, options: HearingOptions, *, net: Net, base_url: str) -> None:
        self.name = f"azure_speech/{options.model or HEARS[0].id}"
        self.failures = Failures(self.name, api_key)
        self._net = net
        path = "/speech/recognition/conversation/cognitiveservices/v1"
        self._url = f"{address(base_url, 'stt')}{path}"
        kind = "audio/wav; codecs=audio/pcm; samplerate=16000"
        told = (("Content-Type", kind), ("Accept", "application/json"))
        self._headers = (*headers_of(api_key), *told)

    @property
    def endpointing(self) -> Endpointing:
        return Endpointing(final_within_ms=_FINAL_WITHIN_MS)

    def takes(self, line: AudioFormat) -> AudioFormat:
        return PCM_16K

    async def open(
        self,
        format: AudioFormat,
        hints: Hints,
        on_words: Callable[[Words], None],
        on_failed: Callable[[EngineFailed], None],
    ) -> Transcription:
        """Opens a connection. One language is heard, the first: there is no other way here."""
        # There is nothing to ask this host for that costs nothing.
        await warm(self._net, self._url, (), self.failures, method="HEAD")
        language = locale(hints.language)
        return TurnTranscription(self, format, language, on_words, on_failed)

    async def ask(self, pcm16: bytes, rate_hz: int, language: str | None) -> tuple[str, str | None]:
        """See `TurnEngine`."""
        url = f"{self._url}?{urlencode({'language': language or locale(None)})}"
        body = wav_file(pcm16, rate_hz)
        answer = await ask_again(self._net, url, self._headers, body, self.failures)
        if answer.status != 200:
            told = answer.body[:500].decode("utf-8", "replace")
            raise self.failures.status("lost", answer.status, told)
        status, text = self.failures.reading("lost", lambda: _read(answer.body))
        if status in _NOTHING:
            return "", None
        if status != "Success":
            raise self.failures.of("lost", "other", status)
        return text, None


def _read(body: bytes) -> tuple[str, str]:
    told: dict[str, Any] = json.loads(body)
    status = str(told["RecognitionStatus"])
    return status, str(told["DisplayText"]).strip() if status == "Success" else ""
