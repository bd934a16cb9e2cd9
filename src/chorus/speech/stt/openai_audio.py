"""Transcription over OpenAI's `/audio/transcriptions`: OpenAI, Groq, and servers of one's own such
as speaches, vLLM and whisper.cpp.

By OpenAI's API reference (read in November 2026). There is no stream: what was said up to a pause
is sent as a WAV file when the pause is there, and its text is the answer. Whisper's models say
with `verbose_json` how likely it is that nobody spoke; what they make up then is left out.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any, Protocol

from chorus.audio.frame import AudioFormat
from chorus.audio.wav import wav_file
from chorus.outbound import Headers, OutboundAnswer, OutboundFailed, OutboundRefused
from chorus.speech.engines import Endpointing, EngineFailed, Hints, Transcription, Words
from chorus.speech.vendor.failures import Failures
from chorus.speech.vendor.limits import limits_of
from chorus.speech.vendor.net import Net
from chorus.speech.vendor.openai_audio import (
    GROQ_HEARS,
    GROQ_URL,
    OPENAI_HEARS,
    OPENAI_URL,
    authorization,
    multipart,
    words_of,
)
from chorus.speech.vendor.options import HearingOptions, bare
from chorus.speech.vendor.rest import warm

_FINAL_WITHIN_MS = 4000.0
_TIMEOUT_MS = 10_000
_MOST_BYTES = 1_000_000
_RING_MS = 800.0  # before an onset is told
_BEFORE_MS = 240.0  # of it are sent too: a detector misses soft beginnings
_LEAST_MS = 500.0  # a shorter recording is filled up with silence
_NO_SPEECH = 0.6


class TurnEngine(Protocol):
    """What `TurnTranscription` asks. `longest_ms`: of audio in one request."""

    failures: Failures
    longest_ms: float

    async def ask(self, pcm16: bytes, rate_hz: int, language: str | None) -> tuple[str, str | None]:
        """The text of a recording, and its language where that is told. Raises `EngineFailed`."""
        ...


class OpenAITranscriber:
    """`Transcriber`."""

    longest_ms = 120_000.0

    def __init__(
        self,
        api_key: str,
        options: HearingOptions,
        *,
        net: Net,
        base_url: str = OPENAI_URL,
        vendor: str = "openai",
        default_model: str = OPENAI_HEARS[0].id,
    ) -> None:
        self.model = options.model or default_model
        self.name = f"{vendor}/{self.model}"
        self.net = net
        self._base_url = base_url.rstrip("/")
        self.url = f"{self._base_url}/audio/transcriptions"
        self.headers = tuple(authorization(api_key))
        self.prompt = ", ".join(options.keyterms)
        self.failures = Failures(self.name, api_key)

    @property
    def endpointing(self) -> Endpointing:
        return Endpointing(final_within_ms=_FINAL_WITHIN_MS)

    def takes(self, line: AudioFormat) -> AudioFormat:
        return AudioFormat("pcm16", line.rate_hz)

    async def open(
        self,
        format: AudioFormat,
        hints: Hints,
        on_words: Callable[[Words], None],
        on_failed: Callable[[EngineFailed], None],
    ) -> Transcription:
        """Opens a connection by asking for the models, so that the first turn does not wait for
        one, and a server that is not there, or a key that is refused, is found before it."""
        await warm(self.net, f"{self._base_url}/models", self.headers, self.failures)
        language = bare(hints.language) if len(hints.languages) == 1 else None
        return TurnTranscription(self, format, language, on_words, on_failed)

    async def ask(self, pcm16: bytes, rate_hz: int, language: str | None) -> tuple[str, str | None]:
        """The text of a recording, and its language where that is told. Raises `EngineFailed`."""
        whisper = "whisper" in self.model
        fields = [
            ("model", self.model),
            ("response_format", "verbose_json" if whisper else "json"),
            ("temperature", "0"),
        ]
        if language:
            fields.append(("language", language))
        if self.prompt:
            fields.append(("prompt", self.prompt))
        kind, body = multipart(fields, wav_file(pcm16, rate_hz))
        headers = (*self.headers, ("Content-Type", kind))
        answer = await ask_again(self.net, self.url, headers, body, self.failures)
        if answer.status != 200:
            raise self.failures.status("lost", answer.status, words_of(answer.body))
        return self.failures.reading("lost", lambda: _text(answer.body))


class GroqTranscriber(OpenAITranscriber):
    """`Transcriber`, by Groq."""

    def __init__(
        self, api_key: str, options: HearingOptions, *, net: Net, base_url: str = GROQ_URL
    ) -> None:
        super().__init__(
            api_key,
            options,
            net=net,
            base_url=base_url,
            vendor="groq",
            default_model=GROQ_HEARS[0].id,
        )


class CustomTranscriber(OpenAITranscriber):
    """`Transcriber`, by a server of one's own."""

    def __init__(self, api_key: str, options: HearingOptions, *, net: Net, base_url: str) -> None:
        super().__init__(
            api_key,
            options,
            net=net,
            base_url=base_url,
            vendor="custom",
            default_model="whisper-1",
        )


class TurnTranscription:
    """`Transcription`, one request for what was said up to each pause."""

    def __init__(
        self,
        engine: TurnEngine,
        format: AudioFormat,
        language: str | None,
        on_words: Callable[[Words], None],
        on_failed: Callable[[EngineFailed], None],
    ) -> None:
        self._engine = engine
        self._format = format
        self._language = language
        self._on_words = on_words
        self._on_failed = on_failed
        self._fed_ms = 0.0
        self._ring = bytearray()
        self._turn: bytearray | None = None
        self._answering: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._over = False

    def feed(self, audio: bytes) -> None:
        if self._over:
            return
        self._fed_ms += self._format.ms(len(audio))
        if self._turn is not None:
            self._turn += audio
            if self._format.ms(len(self._turn)) > self._engine.longest_ms:
                self._lose(self._engine.failures.of("lost", "request", "a turn without a pause"))
            return
        self._ring += audio
        most = self._format.size(_RING_MS)
        if len(self._ring) > most * 2:
            del self._ring[:-most]

    def speech_started(self, ago_ms: float) -> None:
        if self._turn is None:
            size = self._format.size(ago_ms + _BEFORE_MS)
            self._turn = bytearray(self._ring[-size:])
            self._ring.clear()

    def finalize(self) -> None:
        if self._over:
            return
        turn, self._turn = self._turn, None
        audio = None
        if turn is not None:
            missing_ms = max(0.0, _LEAST_MS - self._format.ms(len(turn)))
            audio = bytes(turn) + self._format.silence(missing_ms)
        task = asyncio.create_task(
            self._answer(audio, self._fed_ms, self._answering), name="vendor words"
        )
        self._answering = task
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        self._over = True
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _answer(
        self, audio: bytes | None, at_ms: float, before: asyncio.Task[None] | None
    ) -> None:
        text, language = "", None
        try:
            if audio is not None:
                text, language = await self._engine.ask(audio, self._format.rate_hz, self._language)
        except EngineFailed as failure:
            self._lose(failure)
            return
        if before is not None:
            await asyncio.wait((before,))  # finals come in order
        if not self._over:
            self._on_words(Words(text, True, at_ms, at_ms, language=language))

    def _lose(self, failure: EngineFailed) -> None:
        if not self._over:
            self._over = True
            self._on_failed(failure)


async def ask_again(
    net: Net, url: str, headers: Headers, body: bytes, failures: Failures
) -> OutboundAnswer:
    """A request, twice where an idle connection of the pool was closed by the server just now, or
    where the account had all under way that it may. Raises `EngineFailed` where there is no answer,
    or no place."""
    limit = limits_of(net).of(failures, "request")
    for again in (True, False):
        await limit.take(failures, "lost")
        try:
            answer = await net.send(
                "POST",
                url,
                headers=headers,
                content=body,
                timeout_ms=_TIMEOUT_MS,
                max_bytes=_MOST_BYTES,
            )
            if answer.status != 429:
                return answer
            failure = failures.status("lost", 429, answer.body[:500].decode("utf-8", "replace"))
            told = dict(answer.headers)
            failure = limit.refused(failure, others=limit.under_way - 1, headers=told)
            if failure.kind != "full" or not again or limit.under_way < 2:
                raise failure
        except OutboundFailed as error:
            if error.timed_out or not again:
                raise failures.unreached("lost", error) from None
        except OutboundRefused as error:
            raise failures.unreached("lost", error) from None
        finally:
            limit.give()
    raise AssertionError("the last try returns or raises")


def _text(body: bytes) -> tuple[str, str | None]:
    told: dict[str, Any] = json.loads(body)
    text = str(told["text"]).strip()
    segments: list[dict[str, Any]] = told.get("segments") or []
    if segments and all(float(s.get("no_speech_prob") or 0) > _NO_SPEECH for s in segments):
        text = ""
    language = told.get("language")
    # Whisper names a language in English ("german"); only a tag is of use.
    return text, language if isinstance(language, str) and len(language) <= 3 else None
