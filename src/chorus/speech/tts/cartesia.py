"""Cartesia's voices: Sonic, over the WebSocket with contexts.

By Cartesia's documentation of `/tts/websocket` (docs.cartesia.ai, read in November 2026). Each
message carries the whole choice of model, voice and format; `continue` says that more text of the
context follows, `flush` that what there is be spoken, which is answered by `flush_done`. Times of
words are seconds from the context's beginning.
"""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from chorus.audio.frame import AudioFormat
from chorus.outbound_socket import Socket
from chorus.speech.engines import VoiceSession, VoiceStyle
from chorus.speech.stt.cartesia import BASE_URL, ENCODINGS, VERSION, headers_of
from chorus.speech.vendor.dial import dial_socket
from chorus.speech.vendor.failures import Failures
from chorus.speech.vendor.net import Net
from chorus.speech.vendor.options import (
    SpeakingModel,
    SpeakingOptions,
    VendorVoice,
    bare,
    socket_url,
)
from chorus.speech.vendor.rest import get_json
from chorus.speech.vendor.session import SocketSession
from chorus.speech.vendor.speech_wire import (
    ClauseDone,
    ContextDone,
    ContextFailed,
    Sound,
    SpeechEvent,
    SpeechWire,
    Timed,
)
from chorus.speech.vendor.wire import Message

DEFAULT_VOICE = "f786b574-daa5-4673-aa0c-cbe3e8534c02"
"""Katie, which Cartesia recommends for agents."""
MODELS = (SpeakingModel("sonic-3.6", "Sonic 3.6"), SpeakingModel("sonic-3.5", "Sonic 3.5"))
_RATES_HZ = (8000, 16000, 22050, 24000, 44100, 48000)
_PAGES, _PAGE = 10, 100


class CartesiaVoice:
    """`Voice`."""

    deadline_ms = 2500.0

    def __init__(
        self, api_key: str, options: SpeakingOptions, *, net: Net, base_url: str = BASE_URL
    ) -> None:
        self._model = options.model or MODELS[0].id
        self.name = f"cartesia/{self._model}"
        self._api_key = api_key
        self._net = net
        self._base_url = socket_url(base_url)
        self._failures = Failures(self.name, api_key)

    def gives(self, line: AudioFormat) -> AudioFormat:
        return line if line.rate_hz in _RATES_HZ else AudioFormat("pcm16", 24000)

    async def open(self, format: AudioFormat, style: VoiceStyle) -> VoiceSession:
        url = f"{self._base_url}/tts/websocket?cartesia_version={VERSION}"
        choice: dict[str, Any] = {
            "model_id": self._model,
            "voice": {"mode": "id", "id": style.voice or DEFAULT_VOICE},
            "language": bare(style.language) or "en",
            "output_format": {
                "container": "raw",
                "encoding": ENCODINGS[format.encoding],
                "sample_rate": format.rate_hz,
            },
            "add_timestamps": True,
            # Whole clauses are sent: by default the vendor would wait three seconds for more.
            "max_buffer_delay_ms": 0,
        }
        if style.speed != 1.0:
            choice["generation_config"] = {"speed": min(1.5, max(0.6, style.speed))}

        async def dial() -> tuple[Socket, SpeechWire]:
            headers = headers_of(self._api_key)
            socket = await dial_socket(self._net, url, headers, self._failures)
            return socket, SonicWire(self._failures, choice)

        return await SocketSession(dial, self._failures, format).start()


async def cartesia_voices(net: Net, api_key: str, base_url: str) -> tuple[VendorVoice, ...]:
    """The voices that the key can use, a page at a time. Raises `EngineFailed`."""
    failures = Failures("cartesia", api_key)
    found: list[VendorVoice] = []
    after = ""
    for _ in range(_PAGES):
        url = f"{base_url}/voices?limit={_PAGE}{after}"
        listed = await get_json(net, url, headers_of(api_key), failures)

        def page(listed: Any = listed) -> list[VendorVoice]:
            return [
                VendorVoice(
                    str(each["id"]),
                    str(each["name"]),
                    (str(each["language"]),) if each.get("language") else (),
                    labels={"gender": str(each["gender"])} if each.get("gender") else {},
                )
                for each in listed["data"]
            ]

        voices = failures.reading("voices", page)
        found += voices
        if not voices or not listed.get("has_more"):
            break
        after = f"&starting_after={quote(voices[-1].id, safe='')}"
    return tuple(found)


class SonicWire(SpeechWire):
    """The vendor closes a socket after five minutes without a message."""

    session_s = 3000.0
    counts_replies = True

    def __init__(self, failures: Failures, choice: dict[str, Any]) -> None:
        self._failures = failures
        self._choice = choice

    def clause(self, context: str, text: str) -> Sequence[Message]:
        return (self._message(context, text, flush=True),)

    def end(self, context: str) -> Sequence[Message]:
        return (self._message(context, "", more=False),)

    def cancel(self, context: str) -> Sequence[Message]:
        return (json.dumps({"context_id": context, "cancel": True}),)

    def read(self, message: Message) -> Sequence[SpeechEvent]:
        event: dict[str, Any] = json.loads(message)
        context = str(event.get("context_id") or "")
        match event["type"]:
            case "chunk":
                return (Sound(context, b64decode(event["data"], validate=True)),)
            case "timestamps":
                times: dict[str, Any] = event["word_timestamps"]
                pairs = zip(times["words"], times["end"], strict=True)
                units = tuple((str(word), float(end) * 1000) for word, end in pairs)
                return (Timed(context, units),)
            case "flush_done":
                return (ClauseDone(context),)
            case "done":
                return (ContextDone(context),)
            case "error":
                status = int(event.get("status_code") or 0)
                words = f"{event.get('title', '')} {event.get('message', '')}"
                failure = self._failures.status("speak", status, words)
                if not context:
                    raise failure
                return (ContextFailed(context, failure),)
            case _:
                return ()

    def _message(self, context: str, text: str, *, more: bool = True, flush: bool = False) -> str:
        return json.dumps(
            {
                **self._choice,
                "context_id": context,
                "transcript": text,
                "continue": more,
                "flush": flush,
            }
        )
