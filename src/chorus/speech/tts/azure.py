"""Azure's neural voices, a request for each clause; see `speech/vendor/azure.py`."""

from __future__ import annotations

from xml.sax.saxutils import escape, quoteattr

from chorus.audio.frame import PCM_16K, AudioFormat
from chorus.speech.engines import VoiceSession, VoiceStyle
from chorus.speech.vendor.azure import (
    SPEAKS,
    address,
    default_voice,
    headers_of,
    locale,
    voices_url,
)
from chorus.speech.vendor.clause_requests import ClauseRequest, RequestSession
from chorus.speech.vendor.failures import Failures
from chorus.speech.vendor.net import Net
from chorus.speech.vendor.options import SpeakingOptions
from chorus.speech.vendor.rest import warm

_FORMATS = {
    AudioFormat("mulaw", 8000): "raw-8khz-8bit-mono-mulaw",
    AudioFormat("alaw", 8000): "raw-8khz-8bit-mono-alaw",
    PCM_16K: "raw-16khz-16bit-mono-pcm",
}


class AzureVoice:
    """`Voice`."""

    deadline_ms = 4000.0

    def __init__(self, api_key: str, options: SpeakingOptions, *, net: Net, base_url: str) -> None:
        self.name = f"azure_speech/{options.model or SPEAKS[0].id}"
        self._key = headers_of(api_key)
        self._headers = (*self._key, ("Content-Type", "application/ssml+xml"))
        self._net = net
        self._url = f"{address(base_url, 'tts')}/cognitiveservices/v1"
        self._voices = voices_url(base_url)
        self._failures = Failures(self.name, api_key)

    def gives(self, line: AudioFormat) -> AudioFormat:
        return line if line in _FORMATS else PCM_16K

    async def open(self, format: AudioFormat, style: VoiceStyle) -> VoiceSession:
        """Opens a connection by asking for the region's voices, and so learns of a key that is
        refused before anything is to be said."""
        voice = style.voice or default_voice(style.language)
        headers = (*self._headers, ("X-Microsoft-OutputFormat", _FORMATS[format]))
        rate = f"{round(min(2.0, max(0.5, style.speed)) * 100 - 100):+d}%"

        def request(text: str) -> ClauseRequest:
            text = "".join(c for c in text if c >= " ")  # XML takes no others
            ssml = (
                f'<speak version="1.0" xmlns="http://www.w3.org/2001/10/synthesis" '
                f"xml:lang={quoteattr(locale(style.language))}><voice name={quoteattr(voice)}>"
                f'<prosody rate="{rate}">{escape(text)}</prosody></voice></speak>'
            )
            return ClauseRequest(self._url, headers, ssml.encode())

        session = RequestSession(self._net, self._failures, format, request)
        return await session.start(lambda: warm(self._net, self._voices, self._key, self._failures))
