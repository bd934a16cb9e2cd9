"""Google Cloud's voices, a request for each clause; see `speech/vendor/google.py`.

`text:synthesize` answers with JSON that holds a WAV file in base64, which is decoded as it comes.
There are no times of words. Its streaming method is gRPC alone, and of Chirp 3 HD's voices alone.
"""

from __future__ import annotations

import binascii
import json
import re

from chorus.audio.frame import AudioFormat
from chorus.audio.wav import WavReader
from chorus.speech.engines import VoiceSession, VoiceStyle
from chorus.speech.vendor.clause_requests import ClauseRequest, RequestSession
from chorus.speech.vendor.google import (
    SPEAKS,
    GoogleFailures,
    account_of,
    voice_locale,
    voices_address,
)
from chorus.speech.vendor.net import Net
from chorus.speech.vendor.options import SpeakingOptions
from chorus.speech.vendor.rest import get_json

_RATES_HZ = (8000, 16000, 24000)
_SPEAKER = "Chirp3-HD-Achernar"
"""The default voice: Google has this one, by this name, in each language of Chirp 3 HD."""
_LOCALE = re.compile(r"^[a-z]{2,3}-[A-Z]{2}")
_BEGIN = re.compile(rb'"audioContent"\s*:\s*"')
_MOST_BEFORE = 100_000


class GoogleVoice:
    """`Voice`. Nothing depends on the model's name: each voice is of one."""

    deadline_ms = 4000.0

    def __init__(self, api_key: str, options: SpeakingOptions, *, net: Net, base_url: str) -> None:
        self.name = f"google_speech/{options.model or SPEAKS[0].id}"
        self._api_key = api_key
        self._net = net
        self._base_url = voices_address(base_url)
        self._failures = GoogleFailures(self.name, api_key)

    def gives(self, line: AudioFormat) -> AudioFormat:
        return AudioFormat("pcm16", line.rate_hz if line.rate_hz in _RATES_HZ else 24000)

    async def open(self, format: AudioFormat, style: VoiceStyle) -> VoiceSession:
        """Opens a connection by asking for the language's voices, and so learns of a key that is
        refused before anything is to be said."""
        account = await account_of(self._api_key, self._failures, "open")
        named = _LOCALE.match(style.voice)
        place = named[0] if named else voice_locale(style.language)
        voice = style.voice or f"{place}-{_SPEAKER}"
        audio = {
            "audioEncoding": "LINEAR16",
            "sampleRateHertz": format.rate_hz,
            "speakingRate": min(2.0, max(0.25, style.speed)),
        }

        def request(text: str) -> ClauseRequest:
            body = {
                "input": {"text": text},
                "voice": {"languageCode": place, "name": voice},
                "audioConfig": audio,
            }
            headers = (*account.headers(), ("Content-Type", "application/json"))
            url = f"{self._base_url}/v1/text:synthesize"
            return ClauseRequest(url, headers, json.dumps(body).encode())

        async def warm() -> None:
            url = f"{self._base_url}/v1/voices?languageCode={place}"
            await get_json(self._net, url, account.headers(), self._failures)

        session = RequestSession(
            self._net,
            self._failures,
            format,
            request,
            lambda: AudioContent(WavReader(format)),
            in_json=True,
        )
        return await session.start(warm)


class AudioContent:
    """`Decode`: the WAV file in the field `audioContent` of JSON, as the pieces of that come."""

    def __init__(self, wav: WavReader) -> None:
        self._wav = wav
        self._text = b""
        self._begun = self._over = False

    def __call__(self, piece: bytes) -> bytes:
        if self._over:
            return b""
        self._text += piece
        if not self._begun:
            found = _BEGIN.search(self._text)
            if found is None:
                if len(self._text) > _MOST_BEFORE:
                    raise ValueError("there is no audioContent")
                return b""
            self._begun, self._text = True, self._text[found.end() :]
        end = self._text.find(b'"')
        self._over = end >= 0
        whole = end if self._over else len(self._text) - len(self._text) % 4
        coded, self._text = self._text[:whole], self._text[whole:]
        try:
            return self._wav(binascii.a2b_base64(coded, strict_mode=True))
        except binascii.Error as error:
            raise ValueError(f"audioContent is no base64: {error}") from None
