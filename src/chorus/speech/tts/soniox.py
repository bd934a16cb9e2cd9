"""Soniox's voices, over its real-time WebSocket.

By Soniox's documentation of `/tts-websocket` and of "Stream termination" (soniox.com/docs, read in
November 2026). There is no flush: a stream is spoken to its end when `text_end` is sent. So each
clause is a stream of its own, and the audio of those that follow is held until the one before is
over. At most five streams are open on a socket. A stream that is cancelled sends no more audio, and
says that it has terminated like any other. Whether one whose text has ended can be cancelled is not
documented; where that is refused, the stream counts as open until it says that it has terminated.
"""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Sequence
from typing import Any

from chorus.audio.frame import AudioFormat
from chorus.outbound_socket import Socket
from chorus.speech.engines import EngineFailed, VoiceSession, VoiceStyle
from chorus.speech.stt.soniox import BASE_URL, host_url
from chorus.speech.vendor.dial import dial_socket
from chorus.speech.vendor.failures import Failures
from chorus.speech.vendor.net import Net
from chorus.speech.vendor.options import SpeakingModel, SpeakingOptions, VendorVoice, bare
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

DEFAULT_VOICE = "Maya"
MODELS = (SpeakingModel("tts-rt-v2", "Soniox v2 real-time"),)
_ENCODINGS = {"mulaw": "pcm_mulaw", "alaw": "pcm_alaw", "pcm16": "pcm_s16le"}
_RATES_HZ = (8000, 16000, 24000, 44100, 48000)


class SonioxVoice:
    """`Voice`."""

    deadline_ms = 2500.0

    def __init__(
        self, api_key: str, options: SpeakingOptions, *, net: Net, base_url: str = BASE_URL
    ) -> None:
        self._model = options.model or MODELS[0].id
        self.name = f"soniox/{self._model}"
        self._api_key = api_key
        self._net = net
        self._url = f"{host_url(base_url, 'tts-rt')}/tts-websocket"
        self._failures = Failures(self.name, api_key)

    def gives(self, line: AudioFormat) -> AudioFormat:
        return line if line.rate_hz in _RATES_HZ else AudioFormat("pcm16", 24000)

    async def open(self, format: AudioFormat, style: VoiceStyle) -> VoiceSession:
        config: dict[str, Any] = {
            "api_key": self._api_key,
            "model": self._model,
            "language": bare(style.language) or "en",
            "voice": style.voice or DEFAULT_VOICE,
            "audio_format": _ENCODINGS[format.encoding],
            "sample_rate": format.rate_hz,
            "return_timestamps": True,
        }
        if style.speed != 1.0:
            config["speed"] = min(1.3, max(0.7, style.speed))

        async def dial() -> tuple[Socket, SpeechWire]:
            headers = (("Authorization", f"Bearer {self._api_key}"),)
            socket = await dial_socket(self._net, self._url, headers, self._failures)
            return socket, SonioxSpeechWire(self._failures, config, format)

        return await SocketSession(dial, self._failures, format).start()


async def soniox_voices(net: Net, api_key: str, base_url: str) -> tuple[VendorVoice, ...]:
    """Two of the two hundred, which speak every language: no list to ask for is documented.
    Another is used by its name."""
    return (VendorVoice("Maya", "Maya"), VendorVoice("Adrian", "Adrian"))


class SonioxSpeechWire(SpeechWire):
    """Streams of a reply are called `CONTEXT/NUMBER`."""

    most_contexts = 1
    ends_with_clauses = True
    counts_replies = True
    keep_alive_s = 10.0

    def __init__(self, failures: Failures, config: dict[str, Any], format: AudioFormat) -> None:
        self._failures = failures
        self._config = config
        self._format = format
        self._streams: list[str] = []  # those that are not over, in order
        self._held: dict[str, list[dict[str, Any]]] = {}
        self._sent = 0
        self._begin_ms = 0.0  # where the stream that is being spoken begins in its context
        self._given_ms = 0.0
        self._cancelled = False

    def begin(self, context: str) -> Sequence[Message]:
        self._sent = 0
        self._begin_ms = self._given_ms = 0.0
        self._cancelled = False
        return ()

    def clause(self, context: str, text: str) -> Sequence[Message]:
        stream = f"{context}/{self._sent}"
        self._sent += 1
        self._streams.append(stream)
        return (
            json.dumps({**self._config, "stream_id": stream}),
            json.dumps({"stream_id": stream, "text": text.strip(), "text_end": True}),
        )

    def cancel(self, context: str) -> Sequence[Message]:
        self._cancelled = True
        return tuple(json.dumps({"stream_id": each, "cancel": True}) for each in self._streams)

    def keep_alive(self) -> Sequence[Message]:
        return ('{"keep_alive":true}',)

    def read(self, message: Message) -> Sequence[SpeechEvent]:
        event: dict[str, Any] = json.loads(message)
        stream = str(event.get("stream_id") or "")
        if not stream:
            if event.get("error_code"):
                raise self._failure(event)
            return ()
        if stream not in self._streams:
            return ()
        if stream != self._streams[0]:
            self._held.setdefault(stream, []).append(event)
            return ()
        out = list(self._of(event))
        while self._streams and stream != self._streams[0]:  # it is over, and another's turn
            stream = self._streams[0]
            for held in self._held.pop(stream, []):
                out += self._of(held)
        return out

    def _of(self, event: dict[str, Any]) -> Sequence[SpeechEvent]:
        """What a message of the stream that is being spoken means."""
        stream = self._streams[0]
        context = stream.partition("/")[0]
        if event.get("error_code") and self._cancelled:
            return ()
        if event.get("error_code"):
            self._streams.pop(0)
            return (ContextFailed(context, self._failure(event)),)
        out: list[SpeechEvent] = []
        if times := event.get("timestamps"):
            pairs = zip(times["characters"], times["character_end_times_seconds"], strict=True)
            units = tuple((str(c), self._begin_ms + float(end) * 1000) for c, end in pairs)
            out.append(Timed(context, units))
        if event.get("audio"):
            audio = b64decode(event["audio"], validate=True)
            self._given_ms += self._format.ms(len(audio))
            out.append(Sound(context, audio))
        if event.get("terminated"):
            self._streams.pop(0)
            self._begin_ms = self._given_ms
            out.append(ClauseDone(context))
            if self._cancelled and not self._streams:
                out.append(ContextDone(context))
        return out

    def _failure(self, event: dict[str, Any]) -> EngineFailed:
        words = str(event.get("error_message", ""))
        return self._failures.status("speak", int(event["error_code"]), words)
