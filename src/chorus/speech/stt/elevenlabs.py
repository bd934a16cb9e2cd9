"""ElevenLabs' transcription: Scribe in real time.

By ElevenLabs' documentation of `/v1/speech-to-text/realtime` (elevenlabs.io/docs, read in November
2026). Every message is JSON, audio in base64; `commit` asks for final words and is answered by one
`committed_transcript`. Times of words are not asked for: they come in a second message after each
commit, later than the words.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlencode

from chorus.audio.frame import AudioFormat
from chorus.outbound_socket import Socket
from chorus.speech.engines import Endpointing, EngineFailed, Hints, Transcription, Words
from chorus.speech.vendor.dial import dial_socket
from chorus.speech.vendor.failures import Failures
from chorus.speech.vendor.net import Net
from chorus.speech.vendor.options import HearingModel, HearingOptions, bare, socket_url
from chorus.speech.vendor.rest import get_json
from chorus.speech.vendor.stream import open_stream
from chorus.speech.vendor.wire import Message, Told, Wire

BASE_URL = "https://api.elevenlabs.io"
MODELS = (HearingModel("scribe_v2_realtime", "Scribe v2 realtime", p99_ms=410),)
_RATES_HZ = (8000, 16000, 22050, 24000, 44100, 48000)
_LEAST_COMMIT_MS = 300.0  # with less audio in it, a commit closes the session
_MOST_TERMS, _LONGEST_TERM = 50, 20


class ElevenLabsTranscriber:
    """`Transcriber`."""

    def __init__(
        self, api_key: str, options: HearingOptions, *, net: Net, base_url: str = BASE_URL
    ) -> None:
        self._model = options.model or MODELS[0].id
        self.name = f"elevenlabs/{self._model}"
        self._api_key = api_key
        self._keyterms = [t for t in options.keyterms if len(t) <= _LONGEST_TERM][:_MOST_TERMS]
        self._net = net
        self._base_url = socket_url(base_url)
        self._failures = Failures(self.name, api_key)

    @property
    def endpointing(self) -> Endpointing:
        return Endpointing(final_within_ms=1200)

    def takes(self, line: AudioFormat) -> AudioFormat:
        """µ-law, or PCM."""
        if line.encoding == "mulaw":
            return line
        return AudioFormat("pcm16", line.rate_hz if line.rate_hz in _RATES_HZ else 24000)

    async def open(
        self,
        format: AudioFormat,
        hints: Hints,
        on_words: Callable[[Words], None],
        on_failed: Callable[[EngineFailed], None],
    ) -> Transcription:
        asked = [
            ("model_id", self._model),
            ("audio_format", audio_format(format)),
            ("commit_strategy", "manual"),
        ]
        if len(hints.languages) == 1:  # with several it finds out by itself
            asked.append(("language_code", bare(hints.language) or ""))
        asked += [("keyterms", term) for term in self._keyterms]
        url = f"{self._base_url}/v1/speech-to-text/realtime?{urlencode(asked)}"

        async def dial() -> tuple[Socket, Wire]:
            headers = (("xi-api-key", self._api_key),)
            socket = await dial_socket(self._net, url, headers, self._failures)
            return socket, ScribeWire(self._failures, format)

        return await open_stream(dial, self._failures, format, on_words, on_failed)


def audio_format(format: AudioFormat) -> str:
    """ElevenLabs' name of a format."""
    kind = {"mulaw": "ulaw", "alaw": "alaw", "pcm16": "pcm"}[format.encoding]
    return f"{kind}_{format.rate_hz}"


async def check_elevenlabs(net: Net, api_key: str, base_url: str) -> None:
    """Whether the key is taken: asks for the voices. Raises `EngineFailed`."""
    headers = (("xi-api-key", api_key),)
    await get_json(net, f"{base_url}/v1/voices", headers, Failures("elevenlabs", api_key))


class ScribeWire(Wire):
    """Pings do not keep a session alive; an empty piece of audio does."""

    chunk_ms = 100.0
    greets = True
    keep_alive_s = 5.0

    def __init__(self, failures: Failures, format: AudioFormat) -> None:
        self._failures = failures
        self._format = format

    def audio(self, chunk: bytes) -> Message:
        return self._chunk(chunk, commit=False)

    def finalize(self, unheard_ms: float) -> Sequence[Message]:
        missing_ms = max(0.0, _LEAST_COMMIT_MS + 10 - unheard_ms)
        return (self._chunk(self._format.silence(missing_ms), commit=True),)

    def keep_alive(self) -> Message:
        return self._chunk(b"", commit=False)

    def read(self, message: Message) -> Sequence[Told]:
        event: dict[str, Any] = json.loads(message)
        kind: str = event["message_type"]
        match kind:
            case "partial_transcript":
                return (Told(str(event["text"]).strip()),)
            case "committed_transcript":
                return (Told(str(event["text"]).strip(), True, True),)
            case _ if "error" in event:
                words = f"{kind} {event['error']}"
                raise self._failures.status("lost", 0, words)
            case _:
                return ()

    def _chunk(self, audio: bytes, *, commit: bool) -> Message:
        return json.dumps(
            {
                "message_type": "input_audio_chunk",
                "audio_base_64": b64encode(audio).decode(),
                "commit": commit,
                "sample_rate": self._format.rate_hz,
            }
        )
