"""Transcription by Google's Speech-to-Text v2, `StreamingRecognize`; see `speech/vendor/google.py`.

There is no message that asks for final words. What has one is the end of a stream: so each
`finalize` ends it, which is answered by what was not final yet and the end of the other direction,
and the next audio begins another on the same connection. No stream grows as old as Google allows,
five minutes. A stream is a gRPC call, so this needs the extra `google` (grpcio).
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine, Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from chorus.audio.frame import PCM_16K, AudioFormat
from chorus.speech.engines import (
    Endpointing,
    EngineFailed,
    FailureKind,
    Hints,
    Transcription,
    Words,
)
from chorus.speech.vendor import google_messages
from chorus.speech.vendor.failures import GARBAGE, Failures
from chorus.speech.vendor.google import (
    HEARS,
    GoogleFailures,
    ServiceAccount,
    account_of,
    locale,
    location,
)
from chorus.speech.vendor.google_messages import METHOD, Result
from chorus.speech.vendor.limits import Limit, limits_of
from chorus.speech.vendor.net import Net
from chorus.speech.vendor.options import HearingOptions

if TYPE_CHECKING:
    import grpc.aio

INSTALLED = find_spec("grpc") is not None
"""Whether the extra is there; importing it is left to the first call."""

_FINAL_WITHIN_MS = 3000.0
_OPEN_S = 5.0
_CHUNK_MS = 100.0
_MOST_WAITING_MS = 21_000.0
_STREAM_S, _MOST_STREAM_S = 240.0, 285.0  # of Google's 300: in a pause, and at the latest
_LAST_WORDS_S = 10.0  # after the end of a stream, until the vendor is taken for gone
_KEYTERMS = 500
_OF_GRPCIO = "Internal error from Core"
"""All that is known where a write failed before Google's status came."""
_KINDS: dict[str, FailureKind] = {
    "UNAUTHENTICATED": "key",
    "PERMISSION_DENIED": "key",
    "RESOURCE_EXHAUSTED": "busy",
    "INVALID_ARGUMENT": "request",
    "NOT_FOUND": "request",
    "FAILED_PRECONDITION": "request",
    "OUT_OF_RANGE": "request",
    "UNIMPLEMENTED": "request",
    "OK": "gone",  # it ended the stream while audio was on its way
    "UNAVAILABLE": "gone",
    "CANCELLED": "gone",
    "ABORTED": "gone",
    "DEADLINE_EXCEEDED": "late",
}


class GoogleTranscriber:
    """`Transcriber`. `telephony` hears the agent's first language, `chirp_3` finds out which is
    spoken where there are several."""

    def __init__(self, api_key: str, options: HearingOptions, *, net: Net, base_url: str) -> None:
        self._model = options.model or HEARS[0].id
        self.name = f"google_speech/{self._model}"
        self._keyterms = options.keyterms[:_KEYTERMS]
        self._api_key = api_key
        self._url = base_url
        self._net = net
        self._failures = GoogleFailures(self.name, api_key)

    @property
    def endpointing(self) -> Endpointing:
        return Endpointing(final_within_ms=_FINAL_WITHIN_MS)

    def takes(self, line: AudioFormat) -> AudioFormat:
        return line if line.encoding != "pcm16" or line.rate_hz in (8000, 16000) else PCM_16K

    async def open(
        self,
        format: AudioFormat,
        hints: Hints,
        on_words: Callable[[Words], None],
        on_failed: Callable[[EngineFailed], None],
    ) -> Transcription:
        """Connects; a key that is refused is told of with the first audio. If the account has as
        many streams as it may, it waits a moment for a place."""
        account = await account_of(self._api_key, self._failures, "open")
        limit = limits_of(self._net).of(self._failures, "socket")
        await limit.take(self._failures, "open")
        try:
            channel = await _connect(self._url, self._failures)
        except BaseException:
            limit.give()
            raise
        languages = [locale(language) for language in hints.languages] or [locale(None)]
        if len(languages) > 1:
            languages = ["auto"] if self._model.startswith("chirp") else languages[:1]
        place = f"projects/{account.project}/locations/{location(self._url)}"
        begin = google_messages.begin(
            f"{place}/recognizers/_", self._model, format, languages, self._keyterms
        )
        return GoogleTranscription(
            channel, limit, account, begin, self._failures, format, on_words, on_failed
        )


async def _connect(base_url: str, failures: Failures) -> grpc.aio.Channel:
    """Raises `EngineFailed`. The addresses are not checked as others are: whoever brings a key
    cannot name a host that is not Google's (`providers/edit.py`)."""
    try:
        grpc: Any = await asyncio.to_thread(_library)
    except ImportError:
        raise failures.of("open", "other", "it needs the extra google (grpcio)") from None
    url = urlsplit(base_url)
    if url.scheme == "https":
        target = f"{url.hostname}:{url.port or 443}"
        channel = grpc.aio.secure_channel(target, grpc.ssl_channel_credentials())
    else:
        channel = grpc.aio.insecure_channel(f"{url.hostname}:{url.port or 80}")
    try:
        async with asyncio.timeout(_OPEN_S):
            while (
                state := channel.get_state(try_to_connect=True)
            ) != grpc.ChannelConnectivity.READY:
                if state == grpc.ChannelConnectivity.TRANSIENT_FAILURE:
                    raise failures.of("open", "gone", "it cannot be reached")
                await channel.wait_for_state_change(state)
    except BaseException as error:
        await channel.close()
        if isinstance(error, TimeoutError):
            raise failures.of("open", "late") from None
        raise
    return channel


def _library() -> Any:
    """Takes 0.2 s the first time. It would tell standard error of each connection that ends."""
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    import_module("grpc.aio")
    return import_module("grpc")


class _Stream:
    """One gRPC call. `base_ms`: how much audio went before it. `place_ms`: where the `finalize`
    fell that ended it; None while there was none."""

    def __init__(self, call: Any, begin: bytes, base_ms: float) -> None:
        self.call = call
        self.base_ms = base_ms
        self.place_ms: float | None = None
        self.ended = False
        self.ended_s = 0.0
        self.began_s = asyncio.get_running_loop().time()
        self.waiting_bytes = 0
        self.status = ("", "")
        call.add_done_callback(self._over)
        self._queue: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._writer = asyncio.create_task(self._write(begin), name="vendor stream")

    def put(self, chunk: bytes) -> None:
        self.waiting_bytes += len(chunk)
        self._queue.put_nowait(chunk)

    def end(self) -> None:
        self.ended = True
        self.ended_s = asyncio.get_running_loop().time()
        self._queue.put_nowait(None)

    async def close(self) -> None:
        self._writer.cancel()
        self.call.cancel()
        await asyncio.gather(self._writer, return_exceptions=True)

    def _over(self, call: Any) -> None:
        """Keeps the first status and its text: a write that fails because the call is over puts
        an INTERNAL of grpcio's own in their place (github.com/grpc/grpc/issues/36066)."""
        if not self.status[0]:
            code = _now(call.code())
            self.status = (str(getattr(code, "name", "UNKNOWN")), str(_now(call.details()) or ""))

    async def _write(self, begin: bytes) -> None:
        """What goes wrong here is told to whoever reads the answers."""
        import grpc.aio

        try:
            await self.call.write(begin)
            while (chunk := await self._queue.get()) is not None:
                await self.call.write(google_messages.audio(chunk))
                self.waiting_bytes -= len(chunk)
            await self.call.done_writing()
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError, grpc.aio.UsageError):
            pass


class GoogleTranscription:
    """`Transcription`. It has its place at `limit`, of the account's streams, until it is lost or
    closed, and not for each of its own: no other call is to take it between two turns."""

    def __init__(
        self,
        channel: grpc.aio.Channel,
        limit: Limit,
        account: ServiceAccount,
        begin: bytes,
        failures: Failures,
        format: AudioFormat,
        on_words: Callable[[Words], None],
        on_failed: Callable[[EngineFailed], None],
    ) -> None:
        self._channel = channel
        self._limit = limit
        self._holds = True
        self._method: Any = channel.stream_stream(METHOD)
        self._account = account
        self._begin = begin
        self._failures = failures
        self._format = format
        self._on_words = on_words
        self._on_failed = on_failed
        self._chunk = bytearray()
        self._chunk_bytes = format.size(_CHUNK_MS)
        self._fed_ms = 0.0
        self._asked_ms = 0.0
        self._speaking = False
        self._lost = False
        self._open: _Stream | None = None  # takes audio
        self._streams: list[_Stream] = []  # not answered to their ends, in order
        self._more = asyncio.Event()
        self._reader = asyncio.create_task(self._read(), name="vendor words")

    # --- from the call ----------------------------------------------------------------------

    def feed(self, audio: bytes) -> None:
        if self._lost:
            return
        self._fed_ms += self._format.ms(len(audio))
        self._chunk += audio
        while len(self._chunk) >= self._chunk_bytes and not self._lost:
            self._send(bytes(self._chunk[: self._chunk_bytes]))
            del self._chunk[: self._chunk_bytes]

    def speech_started(self, ago_ms: float) -> None:
        self._speaking = True

    def finalize(self) -> None:
        if self._lost:
            return
        if self._chunk:
            self._send(bytes(self._chunk))
            self._chunk.clear()
            if self._lost:
                return
        unheard_ms, self._asked_ms = self._fed_ms - self._asked_ms, self._fed_ms
        asked = any(stream.place_ms is not None for stream in self._streams)
        if unheard_ms <= 0 and asked:
            return  # the answer that is under way is the answer to this too
        if unheard_ms <= 0 or not self._streams:
            asyncio.get_running_loop().call_soon(self._tell, "", True, self._fed_ms, self._fed_ms)
            return
        self._streams[-1].place_ms = self._fed_ms
        self._speaking = False
        self._end()

    async def close(self) -> None:
        self._lost = True
        self._reader.cancel()
        await asyncio.gather(self._reader, return_exceptions=True)
        await asyncio.gather(*(stream.close() for stream in self._streams))
        await self._channel.close()
        self._give()

    def _give(self) -> None:
        if self._holds:
            self._holds = False
            self._limit.give()

    # --- to the vendor ----------------------------------------------------------------------

    def _send(self, chunk: bytes) -> None:
        first = self._streams[0] if self._streams else None
        now_s = asyncio.get_running_loop().time()
        if first is not None and first.ended and now_s - first.ended_s > _LAST_WORDS_S:
            self._lose(self._failures.of("lost", "late", "it does not answer a stream's end"))
            return
        stream = self._open
        if stream is not None:
            age_s = now_s - stream.began_s
            if age_s > (_MOST_STREAM_S if self._speaking else _STREAM_S):
                self._end()
                stream = None
        if stream is None:
            metadata = tuple((name.lower(), value) for name, value in self._account.headers())
            base_ms = self._fed_ms - self._format.ms(len(self._chunk))
            stream = _Stream(self._method(metadata=metadata), self._begin, base_ms)
            self._open = stream
            self._streams.append(stream)
            self._more.set()
        stream.put(chunk)
        if stream.waiting_bytes > self._format.size(_MOST_WAITING_MS):
            self._lose(self._failures.of("lost", "late", "it takes no audio"))

    def _end(self) -> None:
        """No more audio for the stream that takes it."""
        stream, self._open = self._open, None
        if stream is not None:
            stream.end()

    # --- from the vendor --------------------------------------------------------------------

    async def _read(self) -> None:
        """One stream after the other, so that words come in the order in which they were said."""
        import grpc.aio

        try:
            while True:
                while not self._streams:
                    self._more.clear()
                    await self._more.wait()
                stream = self._streams[0]
                await self._read_one(stream)
                self._streams.pop(0)
                await stream.close()
            return
        except grpc.aio.AioRpcError:
            name, details = self._streams[0].status
            kind = "gone" if details == _OF_GRPCIO else _KINDS.get(name, "other")
            failure = self._failures.of("lost", kind, f"{name} {details}")
            failure = self._limit.refused(failure, others=self._limit.under_way - self._holds)
        except EngineFailed as failed:
            failure = failed
        except GARBAGE as error:
            failure = self._failures.garbage("lost", error)
        self._lose(failure)

    async def _read_one(self, stream: _Stream) -> None:
        last: list[Result] = []  # final ones that came since the stream was ended
        interim: list[Result] = []
        async for message in stream.call:
            results = google_messages.read(message)
            interim = [result for result in results if not result.final]
            finals = [result for result in results if result.final]
            if stream.ended:
                last += finals
                continue
            for result in finals:
                end_ms = self._end_ms(stream, result.end_ms)
                self._tell(result.text, True, end_ms, end_ms, result)
            if text := _joined(interim):
                end_ms = self._end_ms(stream, interim[-1].end_ms)
                self._tell(text, False, end_ms, end_ms, interim[0])
        if not stream.ended:
            raise self._failures.of("lost", "gone", "it ended the stream")
        rest = last + interim
        if stream.place_ms is not None:
            ends = [result.end_ms for result in rest if result.end_ms is not None]
            spoken_ms = self._end_ms(stream, ends[-1]) if ends else stream.place_ms
            best = rest[0] if rest else None
            spoken_ms = min(spoken_ms, stream.place_ms)
            self._tell(_joined(rest), True, spoken_ms, stream.place_ms, best)
        elif text := _joined(rest):
            end_ms = self._end_ms(stream, rest[-1].end_ms)
            self._tell(text, True, end_ms, end_ms, rest[0])

    def _end_ms(self, stream: _Stream, end_ms: float | None) -> float:
        return self._fed_ms if end_ms is None else min(stream.base_ms + end_ms, self._fed_ms)

    def _tell(
        self,
        text: str,
        final: bool,
        spoken_at_ms: float,
        heard_to_ms: float,
        result: Result | None = None,
    ) -> None:
        if self._lost:
            return
        language = result.language if result else None
        confidence = result.confidence if result else None
        self._on_words(
            Words(
                text.strip(),
                final,
                spoken_at_ms,
                heard_to_ms,
                language=language,
                confidence=confidence,
            )
        )

    def _lose(self, failure: EngineFailed) -> None:
        if not self._lost:
            self._lost = True
            self._give()
            self._on_failed(failure)


def _now(answer: Coroutine[Any, Any, Any]) -> Any:
    """Of a coroutine that has nothing to wait for."""
    try:
        answer.send(None)
    except StopIteration as done:
        return done.value
    answer.close()
    return None


def _joined(results: Sequence[Result]) -> str:
    """The first of a stream begins without a space, each other one with one where there is one."""
    return "".join(result.text for result in results).strip()
