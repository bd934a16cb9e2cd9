"""ElevenLabs' voices, over the multi-context WebSocket.

By ElevenLabs' documentation of `/v1/text-to-speech/{voice}/multi-stream-input` (elevenlabs.io/docs,
read in November 2026). A reply is a context; at most five are open on a socket, and one that is
closed is open until its `isFinal`. `alignment` gives the times of the written characters, from the
beginning of the audio that it comes with.
"""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote, urlencode

from chorus.audio.frame import AudioFormat
from chorus.outbound_socket import Socket
from chorus.speech.engines import VoiceSession, VoiceStyle
from chorus.speech.stt.elevenlabs import BASE_URL, audio_format
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
from chorus.speech.vendor.speech_wire import ContextDone, Sound, SpeechEvent, SpeechWire, Timed
from chorus.speech.vendor.wire import Message

DEFAULT_VOICE = "21m00Tcm4TlvDq8ikWAM"
"""Rachel, one of the voices that every account has."""
MODELS = (
    SpeakingModel("eleven_flash_v2_5", "Flash v2.5"),
    SpeakingModel("eleven_turbo_v2_5", "Turbo v2.5"),
    SpeakingModel("eleven_multilingual_v2", "Multilingual v2"),
)
_TAKE_A_LANGUAGE = ("eleven_flash_v2_5", "eleven_turbo_v2_5")
_RATES_HZ = (8000, 16000, 22050, 24000, 44100, 48000)
_INACTIVITY_S = 180  # the most that may be asked for


class ElevenLabsVoice:
    """`Voice`."""

    deadline_ms = 2500.0

    def __init__(
        self, api_key: str, options: SpeakingOptions, *, net: Net, base_url: str = BASE_URL
    ) -> None:
        self._model = options.model or MODELS[0].id
        self.name = f"elevenlabs/{self._model}"
        self._api_key = api_key
        self._net = net
        self._base_url = socket_url(base_url)
        self._failures = Failures(self.name, api_key)

    def gives(self, line: AudioFormat) -> AudioFormat:
        return line if line.rate_hz in _RATES_HZ else AudioFormat("pcm16", 24000)

    def plain_language(self, style: VoiceStyle) -> str | None:
        """ElevenLabs recommends to send its models words instead of figures and symbols
        (help.elevenlabs.io, "Why are numbers, dates, symbols and acronyms not properly
        pronounced"). Done for those that take a language, where there is one."""
        return style.language if self._model in _TAKE_A_LANGUAGE else None

    async def open(self, format: AudioFormat, style: VoiceStyle) -> VoiceSession:
        query = {
            "model_id": self._model,
            "output_format": audio_format(format),
            "auto_mode": "true",
            "sync_alignment": "true",
            "inactivity_timeout": str(_INACTIVITY_S),
        }
        if style.language and self._model in _TAKE_A_LANGUAGE:
            query["language_code"] = bare(style.language) or ""
        voice = quote(style.voice or DEFAULT_VOICE, safe="")
        url = f"{self._base_url}/v1/text-to-speech/{voice}/multi-stream-input?{urlencode(query)}"

        async def dial() -> tuple[Socket, SpeechWire]:
            headers = (("xi-api-key", self._api_key),)
            socket = await dial_socket(self._net, url, headers, self._failures)
            return socket, ElevenLabsWire(self._failures, format, style)

        return await SocketSession(dial, self._failures, format).start()


async def elevenlabs_voices(net: Net, api_key: str, base_url: str) -> tuple[VendorVoice, ...]:
    """The voices of the account. Raises `EngineFailed`."""
    failures = Failures("elevenlabs", api_key)
    headers = (("xi-api-key", api_key),)
    listed = await get_json(net, f"{base_url}/v1/voices", headers, failures)

    def voice(each: dict[str, Any]) -> VendorVoice:
        verified: list[dict[str, Any]] = each.get("verified_languages") or []
        labels: dict[str, Any] = each.get("labels") or {}
        spoken = dict.fromkeys(str(one.get("locale") or one["language"]) for one in verified)
        return VendorVoice(
            str(each["voice_id"]),
            str(each["name"]),
            tuple(spoken),
            preview_url=str(each.get("preview_url") or ""),
            labels={str(key): str(value) for key, value in labels.items()},
        )

    return failures.reading("voices", lambda: tuple(voice(each) for each in listed["voices"]))


class ElevenLabsWire(SpeechWire):
    most_contexts = 4
    clauses_by_text = True
    counts_replies = True
    keep_alive_s = 15.0

    def __init__(self, failures: Failures, format: AudioFormat, style: VoiceStyle) -> None:
        self._failures = failures
        self._format = format
        self._style = style
        self._given_ms: dict[str, float] = {}  # of each context's audio
        self._growing: set[str] = set()  # those that may be given more text

    def begin(self, context: str) -> Sequence[Message]:
        # The settings may stand in the first message of a context only.
        settings: dict[str, float] = {
            "stability": self._style.stability,
            "similarity_boost": 0.75,
            "speed": min(1.2, max(0.7, self._style.speed)),
        }
        self._growing.add(context)
        return (json.dumps({"text": " ", "context_id": context, "voice_settings": settings}),)

    def clause(self, context: str, text: str) -> Sequence[Message]:
        return (
            json.dumps({"text": f"{text.strip()} ", "context_id": context}),
            json.dumps({"context_id": context, "flush": True}),
        )

    def end(self, context: str) -> Sequence[Message]:
        self._growing.discard(context)
        return (json.dumps({"context_id": context, "close_context": True}),)

    def cancel(self, context: str) -> Sequence[Message]:
        return self.end(context) if context in self._growing else ()

    def keep_alive(self) -> Sequence[Message]:
        return tuple(json.dumps({"text": "", "context_id": context}) for context in self._growing)

    def goodbye(self) -> Sequence[Message]:
        return ('{"close_socket":true}',)

    def read(self, message: Message) -> Sequence[SpeechEvent]:
        event: dict[str, Any] = json.loads(message)
        if event.get("error"):
            words = f"{event['error']} {event.get('message', '')}"
            raise self._failures.status("speak", int(event.get("code") or 0), words)
        context = str(event["contextId"])
        told: list[SpeechEvent] = []
        if event.get("audio"):
            audio = b64decode(event["audio"], validate=True)
            begin_ms = self._given_ms.get(context, 0.0)
            self._given_ms[context] = begin_ms + self._format.ms(len(audio))
            if alignment := event.get("alignment"):
                told.append(Timed(context, _units(alignment, begin_ms)))
            told.append(Sound(context, audio))
        if event.get("isFinal"):
            self._given_ms.pop(context, None)
            self._growing.discard(context)
            told.append(ContextDone(context))
        return told


def _units(alignment: dict[str, Any], begin_ms: float) -> tuple[tuple[str, float], ...]:
    """Characters, and where each ends."""
    return tuple(
        (str(char), begin_ms + float(start) + float(duration))
        for char, start, duration in zip(
            alignment["chars"],
            alignment["charStartTimesMs"],
            alignment["charDurationsMs"],
            strict=True,
        )
    )
