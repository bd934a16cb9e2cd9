"""The few messages of Google's Speech-to-Text v2 that a stream consists of, as bytes.

By `google/cloud/speech/v2/cloud_speech.proto`. The tests' stand-in reads and writes them with
Google's own types. `google-cloud-speech` itself is not used: it brings eleven packages for what
are two messages out and one in, and takes a second to import.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from chorus.audio.frame import AudioFormat
from chorus.speech.protobuf import field, fields, number, number_field, varint

METHOD = "/google.cloud.speech.v2.Speech/StreamingRecognize"
_ENCODINGS = {"pcm16": 1, "mulaw": 2, "alaw": 3}
_BOOST = 10.0  # of 20


@dataclass(frozen=True, slots=True)
class Result:
    """A piece of what was said. `end_ms`: of the stream's audio; None where that is not told."""

    text: str
    final: bool
    end_ms: float | None = None
    confidence: float | None = None
    language: str | None = None


def begin(
    recognizer: str,
    model: str,
    format: AudioFormat,
    languages: Sequence[str],
    keyterms: Sequence[str],
) -> bytes:
    """`StreamingRecognizeRequest` with what is to be heard, before any audio."""
    decoding = (
        number_field(1, _ENCODINGS[format.encoding])
        + number_field(2, format.rate_hz)
        + number_field(3, 1)  # channel
    )
    config = field(2, number_field(4, 1))  # features: automatic punctuation
    if keyterms:
        phrases = b"".join(
            field(3, field(1, term.encode()) + _float(2, _BOOST)) for term in keyterms
        )
        config += field(6, field(1, field(2, phrases)))  # adaptation: an inline phrase set
    config += field(8, decoding) + field(9, model.encode())
    config += b"".join(field(10, language.encode()) for language in languages)
    features = number_field(2, 1)  # interim results
    streaming = field(1, config) + field(2, features)
    return field(3, recognizer.encode()) + field(6, streaming)


def audio(chunk: bytes) -> bytes:
    """`StreamingRecognizeRequest` with audio, 15 kB at most."""
    return field(5, chunk)


def read(response: bytes) -> list[Result]:
    """Of a `StreamingRecognizeResponse`. Raises `ValueError`."""
    return [_result(found.content) for found in fields(memoryview(response)) if found.number == 6]


def _result(message: memoryview) -> Result:
    text, final, end_ms, language = "", False, None, None
    confidence: float | None = None
    first = True
    for found in fields(message):
        if found.number == 1 and first:
            text, confidence = _alternative(found.content)
            first = False
        elif found.number == 2:
            final = bool(number(found))
        elif found.number == 4:
            end_ms = _duration_ms(found.content)
        elif found.number == 6:
            language = str(found.content, "utf-8") or None
    return Result(text, final, end_ms, confidence, language)


def _alternative(message: memoryview) -> tuple[str, float | None]:
    text, confidence = "", None
    for found in fields(message):
        if found.number == 1:
            text = str(found.content, "utf-8")
        elif found.number == 2:
            (value,) = struct.unpack("<f", found.raw[-4:])
            confidence = float(value) or None  # 0 is not set
    return text, confidence


def _duration_ms(message: memoryview) -> float:
    told = {found.number: number(found) for found in fields(message)}
    return told.get(1, 0) * 1000.0 + told.get(2, 0) / 1e6


def _float(number: int, value: float) -> bytes:
    return varint(number << 3 | 5) + struct.pack("<f", value)
