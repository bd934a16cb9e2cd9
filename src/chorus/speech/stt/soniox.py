"""Soniox's transcription.

By Soniox's documentation of its real-time WebSocket (soniox.com/docs, read in November 2026): the
first message is the configuration; binary audio follows. Tokens are parts of words with their own
spaces; those that are final never change. `finalize` is answered by the token `<fin>`. Every
message says how much audio was worked through.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

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

BASE_URL = "https://api.soniox.com"
MODELS = (HearingModel("stt-rt-v5", "Soniox v5 real-time", p99_ms=350),)
_ENCODINGS = {"mulaw": "mulaw", "alaw": "alaw", "pcm16": "pcm_s16le"}
_SESSION_S = 280 * 60.0  # the vendor ends a stream after 300 minutes


def host_url(base_url: str, host: str) -> str:
    """The address of one of its services: those stand beside `api.` in each of its regions."""
    return socket_url(base_url).replace("//api.", f"//{host}.", 1)


class SonioxTranscriber:
    """`Transcriber`."""

    def __init__(
        self, api_key: str, options: HearingOptions, *, net: Net, base_url: str = BASE_URL
    ) -> None:
        self._model = options.model or MODELS[0].id
        self.name = f"soniox/{self._model}"
        self._api_key = api_key
        self._keyterms = options.keyterms
        self._net = net
        self._base_url = host_url(base_url, "stt-rt")
        self._failures = Failures(self.name, api_key)

    @property
    def endpointing(self) -> Endpointing:
        return Endpointing(final_within_ms=1000)

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
        config: dict[str, Any] = {
            "api_key": self._api_key,
            "model": self._model,
            "audio_format": _ENCODINGS[format.encoding],
            "sample_rate": format.rate_hz,
            "num_channels": 1,
            "enable_endpoint_detection": False,
        }
        if hints.languages:
            config["language_hints"] = list(dict.fromkeys(map(bare, hints.languages)))
        if len(hints.languages) != 1:
            config["enable_language_identification"] = True
        if self._keyterms:
            config["context"] = {"terms": list(self._keyterms)}
        url = f"{self._base_url}/transcribe-websocket"

        async def dial() -> tuple[Socket, Wire]:
            headers = (("Authorization", f"Bearer {self._api_key}"),)
            socket = await dial_socket(self._net, url, headers, self._failures)
            return socket, SonioxWire(self._failures, config)

        return await open_stream(dial, self._failures, format, on_words, on_failed)


async def check_soniox(net: Net, api_key: str, base_url: str) -> None:
    """Whether the key is taken: asks for the models. Raises `EngineFailed`."""
    headers = (("Authorization", f"Bearer {api_key}"),)
    await get_json(net, f"{base_url}/v1/models", headers, Failures("soniox", api_key))


class SonioxWire(Wire):
    chunk_ms = 60.0
    keep_alive_s = 5.0
    session_s = _SESSION_S

    def __init__(self, failures: Failures, config: dict[str, Any]) -> None:
        self._failures = failures
        self._config = config
        self._final: list[dict[str, Any]] = []  # tokens since the last answer

    def begin(self) -> Sequence[Message]:
        return (json.dumps(self._config),)

    def finalize(self, unheard_ms: float) -> Sequence[Message]:
        return ('{"type":"finalize"}',)

    def keep_alive(self) -> Message:
        return '{"type":"keepalive"}'

    def goodbye(self) -> Message:
        return b""

    def read(self, message: Message) -> Sequence[Told]:
        event: dict[str, Any] = json.loads(message)
        if event.get("error_code"):
            code = int(event["error_code"])
            raise self._failures.status("lost", code, str(event.get("error_message", "")))
        heard_ms = float(event.get("total_audio_proc_ms") or 0.0)
        told: list[Told] = []
        changing: list[dict[str, Any]] = []
        for token in event["tokens"]:
            if token["text"] == "<fin>":
                told.append(_told(self._final, heard_ms, final=True))
                self._final = []
            elif token["text"] == "<end>":
                continue
            elif token["is_final"]:
                self._final.append(token)
            else:
                changing.append(token)
        if not told or changing:
            told.append(_told([*self._final, *changing], heard_ms, final=False))
        return told


def _told(tokens: Sequence[dict[str, Any]], heard_ms: float, *, final: bool) -> Told:
    words: list[WordTime] = []
    for token in tokens:
        text = str(token["text"])
        begin, end = float(token.get("start_ms") or 0), float(token.get("end_ms") or 0)
        if words and not text.startswith(" "):
            word = words[-1]
            words[-1] = WordTime(word.text + text, word.start_ms, end)
        elif text.strip():
            words.append(WordTime(text.strip(), begin, end))
    language = next((str(t["language"]) for t in reversed(tokens) if t.get("language")), None)
    return Told(
        "".join(str(token["text"]) for token in tokens).strip(),
        final,
        answers=final,
        heard_to_ms=heard_ms,
        words=tuple(words),
        language=language,
    )
