"""Deepgram's transcription: nova-3, which is asked for final words, and Flux, which judges turns.

By Deepgram's documentation of `/v1/listen` and `/v2/listen` (developers.deepgram.com, read in
November 2026). nova-3: `Finalize` flushes, and is answered by `Results` with `from_finalize`,
though not always when there was nothing left to flush. Flux tells the whole turn so far about
every quarter of a second of audio, and its end by `EndOfTurn`; `ForceEndTurn` ends it by hand. It
has no `KeepAlive`, and sockets without audio were seen to close after twenty seconds and more.
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

BASE_URL = "https://api.deepgram.com"
ENCODINGS = {"mulaw": "mulaw", "alaw": "alaw", "pcm16": "linear16"}
_MULTI = ("en", "es", "fr", "de", "hi", "ru", "pt", "ja", "it", "nl")

MODELS = (
    HearingModel("nova-3", "Nova-3", p99_ms=350),
    HearingModel("flux-general-en", "Flux", ("en",)),
    HearingModel("flux-general-multi", "Flux, ten languages", _MULTI),
)


class DeepgramTranscriber:
    """`Transcriber`. Without a model it is nova-3."""

    def __init__(
        self,
        api_key: str,
        options: HearingOptions,
        *,
        net: Net,
        base_url: str = BASE_URL,
    ) -> None:
        self._model = options.model or MODELS[0].id
        self.name = f"deepgram/{self._model}"
        self._api_key = api_key
        self._keyterms = options.keyterms
        self._net = net
        self._base_url = socket_url(base_url)
        self._failures = Failures(self.name, api_key)

    @property
    def flux(self) -> bool:
        return self._model.startswith("flux")

    @property
    def endpointing(self) -> Endpointing:
        if self.flux:
            return Endpointing(finalize_after_ms=None, judges_turns=True)
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
        url = f"{self._base_url}/{'v2' if self.flux else 'v1'}/listen?{self._query(format, hints)}"

        async def dial() -> tuple[Socket, Wire]:
            headers = (("Authorization", f"Token {self._api_key}"),)
            socket = await dial_socket(self._net, url, headers, self._failures)
            if self.flux:
                return socket, FluxWire(self._failures, format)
            return socket, NovaWire(self._failures)

        return await open_stream(dial, self._failures, format, on_words, on_failed)

    def _query(self, format: AudioFormat, hints: Hints) -> str:
        asked = [
            ("model", self._model),
            ("encoding", ENCODINGS[format.encoding]),
            ("sample_rate", str(format.rate_hz)),
        ]
        languages = list(dict.fromkeys(bare(language) or "" for language in hints.languages))
        if self.flux:
            if self._model == "flux-general-multi":
                asked += [("language_hint", each) for each in languages if each in _MULTI]
        else:
            asked += [
                ("channels", "1"),
                ("interim_results", "true"),
                ("punctuate", "true"),
                ("endpointing", "false"),
                ("language", self._language(hints, languages)),
            ]
        asked += [("keyterm", term) for term in self._keyterms]
        return urlencode(asked)

    @staticmethod
    def _language(hints: Hints, languages: Sequence[str]) -> str:
        if len(languages) == 1:
            chinese = languages[0] == "zh"  # where the region is another script
            return hints.languages[0] if chinese else languages[0]
        if all(language in _MULTI for language in languages):
            return "multi"
        return languages[0]


async def check_deepgram(net: Net, api_key: str, base_url: str) -> None:
    """Whether the key is taken: asks for the projects that it is of. Raises `EngineFailed`."""
    headers = (("Authorization", f"Token {api_key}"),)
    await get_json(net, f"{base_url}/v1/projects", headers, Failures("deepgram", api_key))


class NovaWire(Wire):
    """`/v1/listen`. The vendor closes a socket that has had nothing for ten seconds."""

    keep_alive_s = 4.0

    def __init__(self, failures: Failures) -> None:
        self._failures = failures

    def finalize(self, unheard_ms: float) -> Sequence[Message]:
        return ('{"type":"Finalize"}',)

    def keep_alive(self) -> Message:
        return '{"type":"KeepAlive"}'

    def goodbye(self) -> Message:
        return '{"type":"CloseStream"}'

    def read(self, message: Message) -> Sequence[Told]:
        event: dict[str, Any] = json.loads(message)
        if event["type"] == "Error":
            raise self._failures.status("lost", 0, str(event.get("description", "")))
        if event["type"] != "Results":
            return ()
        best: dict[str, Any] = event["channel"]["alternatives"][0]
        final = bool(event["is_final"])
        languages: list[str] = best.get("languages") or []
        return (
            Told(
                str(best["transcript"]).strip(),
                final,
                answers=final and bool(event.get("from_finalize")),
                heard_to_ms=(float(event["start"]) + float(event["duration"])) * 1000,
                words=_words(best.get("words") or []),
                language=languages[0] if languages else None,
                confidence=float(best["confidence"]) if "confidence" in best else None,
            ),
        )


class FluxWire(Wire):
    """`/v2/listen`. What keeps a socket is audio: a piece of silence, by which its clock is ahead
    of the stream's from then on."""

    chunk_ms = 80.0
    greets = True
    keep_alive_s = 5.0
    speaks_every_ms = 250.0

    def __init__(self, failures: Failures, format: AudioFormat) -> None:
        self._failures = failures
        self._format = format
        self._filled_ms = 0.0

    def keep_alive(self) -> Message:
        self._filled_ms += self.chunk_ms
        return self._format.silence(self.chunk_ms)

    def finalize(self, unheard_ms: float) -> Sequence[Message]:
        return ('{"type":"ForceEndTurn"}',)

    def goodbye(self) -> Message:
        return '{"type":"CloseStream"}'

    def read(self, message: Message) -> Sequence[Told]:
        event: dict[str, Any] = json.loads(message)
        if event["type"] == "Error":
            words = f"{event.get('code', '')} {event.get('description', '')}"
            raise self._failures.status("lost", 0, words)
        if event["type"] != "TurnInfo":
            return ()
        over = event["event"] == "EndOfTurn"
        languages: list[str] = event.get("languages") or []
        confidence = float(event.get("end_of_turn_confidence") or 0.0)
        return (
            Told(
                str(event["transcript"]).strip(),
                final=over,
                answers=over and event.get("trigger") == "manual",
                heard_to_ms=max(0.0, float(event["audio_window_end"]) * 1000 - self._filled_ms),
                words=_words(event.get("words") or [], self._filled_ms),
                language=languages[0] if languages else None,
                # It said that the turn is over, by a threshold of its own or by its timeout.
                turn_over=max(0.5, confidence) if over else None,
            ),
        )


def _words(words: Sequence[dict[str, Any]], ahead_ms: float = 0.0) -> tuple[WordTime, ...]:
    """Those that have times; Flux may leave them out. `ahead_ms`: so much its clock is ahead."""
    return tuple(
        WordTime(
            str(word.get("punctuated_word") or word["word"]),
            max(0.0, float(word["start"]) * 1000 - ahead_ms),
            max(0.0, float(word["end"]) * 1000 - ahead_ms),
        )
        for word in words
        if word.get("start") is not None and word.get("end") is not None
    )
