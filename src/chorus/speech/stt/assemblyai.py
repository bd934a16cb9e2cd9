"""AssemblyAI's transcription: Universal streaming, asked for final words.

By AssemblyAI's documentation of `/v3/ws` (assemblyai.com/docs, read in November 2026). A `Turn` is
told again and again until `end_of_turn`; `ForceEndpoint` ends the one that is open. There is no
answer where none is open; a `Heartbeat` some time after it says that nobody had spoken. Pieces of
audio last 50 ms at least. A session is billed until it is terminated.
"""

from __future__ import annotations

import asyncio
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

BASE_URL = "https://api.assemblyai.com"
_SIX = ("en", "es", "fr", "de", "it", "pt")
MODELS = (
    HearingModel("universal-3-5-pro", "Universal-3.5 Pro", p99_ms=420),
    HearingModel("universal-streaming-english", "Universal-Streaming English", ("en",)),
    HearingModel("universal-streaming-multilingual", "Universal-Streaming Multilingual", _SIX),
)
_LEAST_MS = 50.0
_NOTHING_S = 0.7  # after which a turn that is not open will not be
_SESSION_S = 170 * 60.0  # the vendor ends a session after three hours


class AssemblyAITranscriber:
    """`Transcriber`."""

    def __init__(
        self, api_key: str, options: HearingOptions, *, net: Net, base_url: str = BASE_URL
    ) -> None:
        self._model = options.model or MODELS[0].id
        self.name = f"assemblyai/{self._model}"
        self._api_key = api_key
        self._keyterms = options.keyterms
        self._net = net
        self._base_url = socket_url(base_url).replace("//api.", "//streaming.", 1)
        self._failures = Failures(self.name, api_key)

    @property
    def endpointing(self) -> Endpointing:
        return Endpointing(final_within_ms=1200)

    def takes(self, line: AudioFormat) -> AudioFormat:
        """µ-law, or PCM."""
        return line if line.encoding == "mulaw" else AudioFormat("pcm16", line.rate_hz)

    async def open(
        self,
        format: AudioFormat,
        hints: Hints,
        on_words: Callable[[Words], None],
        on_failed: Callable[[EngineFailed], None],
    ) -> Transcription:
        asked = [
            ("sample_rate", str(format.rate_hz)),
            ("encoding", "pcm_mulaw" if format.encoding == "mulaw" else "pcm_s16le"),
            ("speech_model", self._model),
            ("session_heartbeat", "true"),
        ]
        if self._model.startswith("universal-streaming"):
            # The turn is ended from here, never by its own judgement.
            asked += [("end_of_turn_confidence_threshold", "1.0"), ("format_turns", "false")]
        elif hints.languages:
            codes = list(dict.fromkeys(bare(each) for each in hints.languages))[:10]
            asked.append(("language_codes", json.dumps(codes)))
        if self._keyterms:
            asked.append(("keyterms_prompt", json.dumps(self._keyterms)))
        url = f"{self._base_url}/v3/ws?{urlencode(asked)}"

        async def dial() -> tuple[Socket, Wire]:
            headers = (("Authorization", self._api_key),)
            socket = await dial_socket(self._net, url, headers, self._failures)
            return socket, AssemblyAIWire(self._failures, format)

        return await open_stream(dial, self._failures, format, on_words, on_failed)


async def check_assemblyai(net: Net, api_key: str, base_url: str) -> None:
    """Whether the key is taken: asks for one transcript. Raises `EngineFailed`."""
    failures = Failures("assemblyai", api_key)
    await get_json(
        net, f"{base_url}/v2/transcript?limit=1", (("Authorization", api_key),), failures
    )


class AssemblyAIWire(Wire):
    chunk_ms = 60.0
    greets = True
    keep_alive_s = 5.0
    session_s = _SESSION_S

    def __init__(self, failures: Failures, format: AudioFormat) -> None:
        self._failures = failures
        self._format = format
        self._asked_s: float | None = None
        self._open = False  # a turn has begun that has not ended
        self._ended: object = None  # the last turn's number
        self._filled_ms = 0.0  # silence of ours in what it was sent
        self._ahead_ms = 0.0  # and so much its clock is ahead in this turn

    def audio(self, chunk: bytes) -> Message:
        missing_ms = _LEAST_MS - self._format.ms(len(chunk))
        if missing_ms <= 0:
            return chunk
        self._filled_ms += missing_ms
        return chunk + self._format.silence(missing_ms)

    def finalize(self, unheard_ms: float) -> Sequence[Message]:
        self._asked_s = asyncio.get_running_loop().time()
        return ('{"type":"ForceEndpoint"}',)

    def keep_alive(self) -> Message:
        return '{"type":"KeepAlive"}'

    def goodbye(self) -> Message:
        return '{"type":"Terminate"}'

    def read(self, message: Message) -> Sequence[Told]:
        event: dict[str, Any] = json.loads(message)
        match event["type"]:
            case "Turn":
                return self._turn(event)
            case "Heartbeat":
                since_s = self._asked_s
                now_s = asyncio.get_running_loop().time()
                if since_s is None or self._open or now_s - since_s < _NOTHING_S:
                    return ()
                self._asked_s = None
                return (Told("", True, True),)
            case "Error":
                code = int(event.get("error_code") or 0)
                raise self._failures.status("lost", code, str(event.get("error", "")))
            case _:
                return ()

    def _turn(self, event: dict[str, Any]) -> Sequence[Told]:
        over = bool(event["end_of_turn"])
        found: list[dict[str, Any]] = event.get("words") or []
        words = tuple(
            WordTime(
                str(word["text"]),
                max(0.0, float(word["start"]) - self._ahead_ms),
                max(0.0, float(word["end"]) - self._ahead_ms),
            )
            for word in found
        )
        # Until its end, the transcript leaves out words that may still change.
        text = str(event["transcript"]) if over else " ".join(word.text for word in words)
        if event["turn_order"] == self._ended:
            return ()  # the same once more, in capitals and with full stops
        answers = over and self._asked_s is not None
        self._open = not over
        if over:
            self._ended = event["turn_order"]
            self._asked_s, self._ahead_ms = None, self._filled_ms
        return (
            Told(
                text.strip(),
                over,
                answers,
                words=words,
                language=event.get("language_code"),
            ),
        )
