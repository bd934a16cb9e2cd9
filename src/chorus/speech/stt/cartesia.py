"""Cartesia's transcription: Ink, asked for final words.

By Cartesia's documentation of `/stt/websocket` (docs.cartesia.ai, read in November 2026): binary
audio in, the bare words `finalize` and `done` as text. Final transcripts are pieces to be put
together as they are; `flush_done` says that those of a `finalize` are all there. There is no
message that keeps a connection: it lasts for three minutes without audio. So some silence is sent,
by which its clock is ahead of the stream's from then on.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlencode

from chorus.audio.frame import AudioFormat
from chorus.outbound_socket import Socket
from chorus.speech.engines import (
    Endpointing,
    EngineFailed,
    Hints,
    Transcription,
    Words,
    WordTime,
)
from chorus.speech.vendor.dial import dial_socket
from chorus.speech.vendor.failures import Failures
from chorus.speech.vendor.net import Net
from chorus.speech.vendor.options import HearingModel, HearingOptions, bare, socket_url
from chorus.speech.vendor.rest import get_json
from chorus.speech.vendor.stream import open_stream
from chorus.speech.vendor.wire import Message, Told, Wire

BASE_URL = "https://api.cartesia.ai"
VERSION = "2026-03-01"
ENCODINGS = {"mulaw": "pcm_mulaw", "alaw": "pcm_alaw", "pcm16": "pcm_s16le"}
MODELS = (
    HearingModel("ink-2", "Ink 2", ("en",), p99_ms=810),
    HearingModel("ink-whisper", "Ink Whisper"),
)
_KEEP_MS = 20.0


def headers_of(api_key: str) -> tuple[tuple[str, str], ...]:
    return (("X-API-Key", api_key), ("Cartesia-Version", VERSION))


class CartesiaTranscriber:
    """`Transcriber`. Without a model it is ink-2 for English, and ink-whisper for others."""

    def __init__(
        self, api_key: str, options: HearingOptions, *, net: Net, base_url: str = BASE_URL
    ) -> None:
        self._model = options.model
        self.name = f"cartesia/{options.model or MODELS[0].id}"
        self._api_key = api_key
        self._keyterms = options.keyterms[:100]
        self._net = net
        self._base_url = socket_url(base_url)
        self._failures = Failures(self.name, api_key)

    @property
    def endpointing(self) -> Endpointing:
        return Endpointing(final_within_ms=1800)

    def takes(self, line: AudioFormat) -> AudioFormat:
        """All that a line has."""
        return line

    async def open(
        self,
        format: AudioFormat,
        hints: Hints,
        on_words: Callable[[Words], None],
        on_failed: Callable[[EngineFailed], None],
    ) -> Transcription:
        language = bare(hints.language) or "en"
        model = self._model or MODELS[language != "en"].id
        asked = [
            ("model", model),
            ("encoding", ENCODINGS[format.encoding]),
            ("sample_rate", str(format.rate_hz)),
            ("language", language),
        ]
        if model != "ink-whisper":
            asked += [("keyterm", term) for term in self._keyterms]
        url = f"{self._base_url}/stt/websocket?{urlencode(asked)}"

        async def dial() -> tuple[Socket, Wire]:
            headers = headers_of(self._api_key)
            socket = await dial_socket(self._net, url, headers, self._failures)
            return socket, InkWire(self._failures, format)

        return await open_stream(dial, self._failures, format, on_words, on_failed)


async def check_cartesia(net: Net, api_key: str, base_url: str) -> None:
    """Whether the key is taken: asks for one voice. Raises `EngineFailed`."""
    failures = Failures("cartesia", api_key)
    await get_json(net, f"{base_url}/voices?limit=1", headers_of(api_key), failures)


class InkWire(Wire):
    chunk_ms = 100.0
    keep_alive_s = 120.0

    def __init__(self, failures: Failures, format: AudioFormat) -> None:
        self._failures = failures
        self._format = format
        self._text = ""  # final, of what was said since the last answer
        self._words: list[WordTime] = []
        self._filled_ms = 0.0

    def finalize(self, unheard_ms: float) -> Sequence[Message]:
        return ("finalize",)

    def keep_alive(self) -> Message:
        self._filled_ms += _KEEP_MS
        return self._format.silence(_KEEP_MS)

    def goodbye(self) -> Message:
        return "done"

    def read(self, message: Message) -> Sequence[Told]:
        event: dict[str, Any] = json.loads(message)
        match event["type"]:
            case "transcript":
                text = self._text + str(event["text"])
                if not event["is_final"]:
                    return (Told(text.strip()),)
                self._text = text
                self._words += (self._word(word) for word in event.get("words") or ())
                return (Told(text.strip(), words=tuple(self._words)),)
            case "flush_done":
                told = Told(self._text.strip(), True, True, words=tuple(self._words))
                self._text, self._words = "", []
                return (told,)
            case "error":
                status = int(event.get("status_code") or event.get("code") or 0)
                words = f"{event.get('title', '')} {event.get('message', '')}"
                raise self._failures.status("lost", status, words)
            case _:
                return ()

    def _word(self, word: dict[str, Any]) -> WordTime:
        begin_ms, end_ms = (
            max(0.0, float(word[side]) * 1000 - self._filled_ms) for side in ("start", "end")
        )
        return WordTime(str(word["word"]), begin_ms, end_ms)
