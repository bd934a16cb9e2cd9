"""Deepgram's voices: Aura-2, over `/v1/speak`.

By Deepgram's documentation (developers.deepgram.com, read in November 2026). A socket speaks one
text at a time and knows no contexts: `Speak` adds text, `Flush` has it spoken and is answered by
`Flushed`, `Clear` stops it and is answered by `Cleared`. There are no times of words.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

from chorus.audio.frame import AudioFormat
from chorus.outbound_socket import Socket
from chorus.speech.engines import VoiceSession, VoiceStyle
from chorus.speech.stt.deepgram import BASE_URL, ENCODINGS
from chorus.speech.vendor.dial import dial_socket
from chorus.speech.vendor.failures import Failures
from chorus.speech.vendor.net import Net
from chorus.speech.vendor.options import (
    SpeakingModel,
    SpeakingOptions,
    VendorVoice,
    socket_url,
)
from chorus.speech.vendor.rest import get_json
from chorus.speech.vendor.session import SocketSession
from chorus.speech.vendor.speech_wire import (
    ClauseDone,
    ContextDone,
    Sound,
    SpeechEvent,
    SpeechWire,
)
from chorus.speech.vendor.wire import Message

DEFAULT_VOICE = "aura-2-thalia-en"
MODELS = (SpeakingModel("aura-2", "Aura-2", ("en", "es", "it", "nl", "de", "ja", "fr")),)
_RATES_HZ = (8000, 16000, 24000, 32000, 48000)
# At most 20 in a minute: a flush beyond that is not done, and its clause never spoken.
_FLUSHES, _FLUSHES_S = 20, 60.0
_FLUSHES_OF_A_REPLY = 6


class DeepgramVoice:
    """`Voice`. A voice's id is its model's name, such as aura-2-thalia-en."""

    name = "deepgram/aura-2"
    deadline_ms = 2500.0

    def __init__(
        self,
        api_key: str,
        options: SpeakingOptions,
        *,
        net: Net,
        base_url: str = BASE_URL,
    ) -> None:
        self._api_key = api_key
        self._net = net
        self._base_url = socket_url(base_url)
        self._failures = Failures(self.name, api_key)

    def gives(self, line: AudioFormat) -> AudioFormat:
        return line if line.rate_hz in _RATES_HZ else AudioFormat("pcm16", 24000)

    async def open(self, format: AudioFormat, style: VoiceStyle) -> VoiceSession:
        query = {
            "model": style.voice or DEFAULT_VOICE,
            "encoding": ENCODINGS[format.encoding],
            "sample_rate": str(format.rate_hz),
        }
        if style.speed != 1.0:
            query["speed"] = str(min(1.5, max(0.7, style.speed)))
        url = f"{self._base_url}/v1/speak?{urlencode(query)}"

        async def dial() -> tuple[Socket, SpeechWire]:
            headers = (("Authorization", f"Token {self._api_key}"),)
            socket = await dial_socket(self._net, url, headers, self._failures)
            return socket, AuraWire(self._failures)

        return await SocketSession(dial, self._failures, format).start()


async def deepgram_voices(net: Net, api_key: str, base_url: str) -> tuple[VendorVoice, ...]:
    """The voices of Aura-2. Raises `EngineFailed`."""
    failures = Failures("deepgram", api_key)
    headers = (("Authorization", f"Token {api_key}"),)
    listed = await get_json(net, f"{base_url}/v1/models", headers, failures)

    def voices() -> tuple[VendorVoice, ...]:
        found: list[VendorVoice] = []
        for model in listed["tts"]:
            name = str(model["canonical_name"])
            if name.startswith("aura-2-"):
                told: dict[str, Any] = model.get("metadata") or {}
                labels = {key: str(told[key]) for key in ("accent", "age") if told.get(key)}
                languages = tuple(str(each) for each in model.get("languages") or ())
                sample = str(told.get("sample") or "")
                shown = str(model.get("name") or name).title()
                found.append(VendorVoice(name, shown, languages, "aura-2", sample, labels))
        return tuple(found)

    return failures.reading("voices", voices)


class AuraWire(SpeechWire):
    """The vendor closes a socket after an hour."""

    most_contexts = 1
    ends_with_clauses = True
    session_s = 3300.0

    def __init__(self, failures: Failures) -> None:
        self._failures = failures
        self._flushes_s: deque[float] = deque()

    def fresh(self, now_s: float) -> bool:
        self._forget(now_s)
        return len(self._flushes_s) <= _FLUSHES - _FLUSHES_OF_A_REPLY

    def reserve_s(self, now_s: float) -> float:
        self._forget(now_s)
        at_s = now_s
        if len(self._flushes_s) >= _FLUSHES:
            at_s = self._flushes_s[-_FLUSHES] + _FLUSHES_S
        self._flushes_s.append(at_s)
        return at_s - now_s

    def _forget(self, now_s: float) -> None:
        while self._flushes_s and self._flushes_s[0] <= now_s - _FLUSHES_S:
            self._flushes_s.popleft()

    def clause(self, context: str, text: str) -> Sequence[Message]:
        return json.dumps({"type": "Speak", "text": text}), '{"type":"Flush"}'

    def cancel(self, context: str) -> Sequence[Message]:
        return ('{"type":"Clear"}',)

    def goodbye(self) -> Sequence[Message]:
        return ('{"type":"Close"}',)

    def read(self, message: Message) -> Sequence[SpeechEvent]:
        if isinstance(message, bytes):
            return (Sound("", message),)
        event: dict[str, Any] = json.loads(message)
        match event["type"]:
            case "Flushed":
                return (ClauseDone(""),)
            case "Cleared":
                return (ContextDone(""),)
            case "Error" | "Warning":
                # A warning says that something was not done, as a flush over the limit.
                words = f"{event.get('code', '')} {event.get('description', '')}"
                raise self._failures.status("speak", 0, words)
            case _:
                return ()
