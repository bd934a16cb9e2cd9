"""Google's Speech-to-Text v2 as a gRPC server, by its reference: reads and writes Google's own
types, holds a client to what a stream may be, and answers the end of one with what is final then.

    async with GoogleEars() as ears:
        ears.understands("A table for two.")
        ...  # at ears.url
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal

import grpc
import grpc.aio
from google.cloud.speech_v2 import types
from tests.fakes.vendors.google import is_signed

from chorus.audio.codec import decode, peak
from chorus.audio.frame import AudioFormat

METHOD = "StreamingRecognize"
_ENCODINGS: dict[int, Any] = {1: "pcm16", 2: "mulaw", 3: "alaw"}
_MOST_BYTES = 15_360
Status = grpc.StatusCode


@dataclass(frozen=True)
class Fault:
    """Once: a status, `garbage` (no such message), `end` (the stream is over, unasked), `kill`
    (the server is gone), or `stall`, with the first audio or when a stream was ended."""

    kind: Status | Literal["garbage", "end", "kill", "stall"]
    at: Literal["begin", "audio", "end"] = "audio"


@dataclass
class Talk:
    """One stream."""

    config: Any
    format: AudioFormat
    audio: bytearray = field(default_factory=bytearray)
    loud_ms: float = 0.0
    ended: bool = False

    @property
    def ms(self) -> float:
        return self.format.ms(len(self.audio))


class GoogleEars:
    def __init__(self) -> None:
        self.understood: deque[str] = deque()
        self.fault: Fault | None = None
        self.talks: list[Talk] = []
        self.unasked: deque[str] = deque()  # final as soon as somebody speaks
        self.url = ""
        self.most: int | None = None
        """So many streams it takes at once; one more is refused."""
        self.live = 0
        self._server: Any = None

    def understands(self, *texts: str) -> None:
        self.understood.extend(texts)

    async def __aenter__(self) -> GoogleEars:
        self._server = grpc.aio.server()
        request: Any = types.StreamingRecognizeRequest
        response: Any = types.StreamingRecognizeResponse

        def serialize(message: Any) -> bytes:
            return message if isinstance(message, bytes) else response.serialize(message)

        handler: Any = grpc.stream_stream_rpc_method_handler(
            self._recognize, request.deserialize, serialize
        )
        service = "google.cloud.speech.v2.Speech"
        handlers = grpc.method_handlers_generic_handler(service, {METHOD: handler})
        self._server.add_generic_rpc_handlers((handlers,))
        port = self._server.add_insecure_port("127.0.0.1:0")
        await self._server.start()
        self.url = f"http://127.0.0.1:{port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._server.stop(None)

    async def _recognize(self, requests: AsyncIterator[Any], context: Any) -> AsyncIterator[Any]:
        told = dict(context.invocation_metadata())
        if not is_signed(str(told.get("authorization", ""))):
            await context.abort(Status.UNAUTHENTICATED, "invalid authentication credentials")
        if self.most is not None and self.live >= self.most:
            told_so = "Quota exceeded for quota metric 'Concurrent streaming sessions'"
            await context.abort(Status.RESOURCE_EXHAUSTED, told_so)
        self.live += 1
        try:
            async for message in self._talk(requests, context):
                yield message
        finally:
            self.live -= 1

    async def _talk(self, requests: AsyncIterator[Any], context: Any) -> AsyncIterator[Any]:
        talk: Talk | None = None
        interim = ""
        async for request in requests:
            if talk is None:
                talk = await self._begin(request, context)
                if self._strikes("begin"):
                    async for message in self._fail(context):
                        yield message
                continue
            if not request.audio or request.streaming_config:
                await context.abort(Status.INVALID_ARGUMENT, "audio was to come")
            if len(request.audio) > _MOST_BYTES:
                await context.abort(Status.INVALID_ARGUMENT, "Audio chunk is too large")
            talk.audio += request.audio
            if peak(decode(talk.format, request.audio)) > 500:
                talk.loud_ms += talk.format.ms(len(request.audio))
            if self._strikes("audio"):
                async for message in self._fail(context):
                    yield message
                return
            if talk.loud_ms >= 100 and self.unasked:
                yield result(self.unasked.popleft(), final=True, end_ms=talk.ms)
                talk.loud_ms = 0.0
            elif talk.loud_ms >= 200 and not interim and self.understood:
                interim = self.understood[0]
                head, space, tail = interim.partition(" ")
                yield types.StreamingRecognizeResponse(
                    results=[one(head, False, talk.ms), one(space + tail, False, talk.ms)]
                )
        if talk is None:
            return
        talk.ended = True
        if self._strikes("end"):
            async for message in self._fail(context):
                yield message
            return
        if talk.loud_ms >= 60 and self.understood:
            yield result(self.understood.popleft(), final=True, end_ms=talk.ms)

    async def _begin(self, request: Any, context: Any) -> Talk:
        config = request.streaming_config.config
        if not request.streaming_config or request.audio:
            await context.abort(Status.INVALID_ARGUMENT, "the configuration was to come")
        if not request.recognizer.startswith("projects/acme-calls/locations/"):
            await context.abort(Status.PERMISSION_DENIED, "no permission for this project")
        if not config.model or not config.language_codes:
            await context.abort(Status.INVALID_ARGUMENT, "model or language_codes is missing")
        decoding = config.explicit_decoding_config
        format = AudioFormat(_ENCODINGS[int(decoding.encoding)], decoding.sample_rate_hertz)
        talk = Talk(request, format)
        self.talks.append(talk)
        return talk

    def _strikes(self, at: str) -> bool:
        return self.fault is not None and self.fault.at == at

    async def _fail(self, context: Any) -> AsyncIterator[Any]:
        assert self.fault is not None
        kind, self.fault = self.fault.kind, None
        if isinstance(kind, Status):
            await context.abort(kind, "told so by Google")
        if kind == "garbage":
            yield b"\x32\xff"  # a result that ends behind its message
        elif kind == "kill":
            asyncio.get_running_loop().call_soon(asyncio.ensure_future, self._server.stop(0))
            await asyncio.sleep(30)
        elif kind == "stall":
            await asyncio.sleep(30)


def one(text: str, final: bool, end_ms: float) -> Any:
    alternative = types.SpeechRecognitionAlternative(
        transcript=text, confidence=0.92 if final else 0.0
    )
    return types.StreamingRecognitionResult(
        alternatives=[alternative],
        is_final=final,
        stability=0.0 if final else 0.9,
        result_end_offset=timedelta(milliseconds=end_ms),
        language_code="en-us",
    )


def result(text: str, *, final: bool, end_ms: float) -> Any:
    return types.StreamingRecognizeResponse(results=[one(text, final, end_ms)])
