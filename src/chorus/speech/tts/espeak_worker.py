"""The process in which espeak-ng speaks: text in, audio out.

espeak-ng is GPL-3 and crashes under threads, so it lives here, alone, behind a protocol of
our own (`channel.py`). In order: READY once it is initialised; then each SPEAK is answered
by SPOKEN and each PHONEMES by PRONOUNCED, or either by FAILED. The text is synthesised whole
(a thousand times faster than it is spoken) and brought to the line's rate and encoding.

SPEAK is JSON: text, voice, speed, pause_ms, encoding, rate_hz. SPOKEN is the size of what
follows (u32), JSON about its words as `render` makes it, and the audio. PHONEMES is JSON: voice,
texts; PRONOUNCED is JSON: the texts in IPA. FAILED is text.
"""

from __future__ import annotations

import ctypes
import json
import re
import struct
from typing import Any, cast

import numpy as np

from chorus.audio import codec
from chorus.audio.frame import MULAW_8K, AudioFormat, Encoding
from chorus.speech.channel import open_channel

READY, SPEAK, SPOKEN, FAILED, PHONEMES, PRONOUNCED = range(1, 7)
SIZE = struct.Struct("<I")

# espeak-ng's speak_lib.h
_AUDIO_OUTPUT_SYNCHRONOUS = 2
_POS_CHARACTER = 1
_CHARS_UTF8 = 1
_PARAMETER_RATE = 1
_EVENT_END, _EVENT_WORD = 0, 1
_WORDS_PER_MINUTE = 175  # its own default
_BUFFER_MS = 60
_PHONEMES_IPA = 2
_SWITCH = re.compile(r"\(\w[\w-]*\)")  # "(en)": a word of another language


class _EventId(ctypes.Union):
    _fields_ = (
        ("number", ctypes.c_int),
        ("name", ctypes.c_char_p),
        ("string", ctypes.c_char * 8),
    )


class _Event(ctypes.Structure):
    """`espeak_EVENT`: positions in characters from 1, `audio_position` in ms."""

    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _EventId),
    )


_Callback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event)
)


class Espeak:
    """espeak-ng in this process: text in, samples and word positions out."""

    def __init__(self) -> None:
        import espeakng_loader  # the worker's own; never in the server's process

        loader = cast(Any, espeakng_loader)  # untyped
        self._library = cast(Any, ctypes.CDLL(loader.get_library_path()))
        data = str(loader.get_data_path()).encode()
        self.rate_hz: int = self._library.espeak_Initialize(
            _AUDIO_OUTPUT_SYNCHRONOUS, _BUFFER_MS, data, 0
        )
        if self.rate_hz <= 0:
            raise RuntimeError("espeak-ng did not initialise")
        self._samples: list[bytes] = []
        self._words: list[tuple[int, int, int]] = []
        # Kept in an attribute: the library calls it for as long as it lives.
        self._callback = _Callback(self._hear)
        self._library.espeak_SetSynthCallback(self._callback)

    def _hear(self, samples: Any, count: int, events: Any) -> int:
        if samples and count:
            self._samples.append(ctypes.string_at(samples, count * 2))
        at = 0
        while events[at].type != _EVENT_END:
            event = events[at]
            if event.type == _EVENT_WORD:
                self._words.append((event.text_position - 1, event.length, event.audio_position))
            at += 1
        return 0

    def speak(
        self, text: str, voice: str, speed: float
    ) -> tuple[bytes, list[tuple[int, int, int]]]:
        """pcm16 at `rate_hz`, and for each word its first character, its length, and its
        start in ms. Raises `RuntimeError`."""
        self._samples.clear()
        self._words.clear()
        library = self._library
        if library.espeak_SetVoiceByName(voice.encode()) != 0:
            raise RuntimeError(f"no voice {voice!r}")
        library.espeak_SetParameter(_PARAMETER_RATE, round(_WORDS_PER_MINUTE * speed), 0)
        raw = text.encode()
        if (
            library.espeak_Synth(raw, len(raw) + 1, 0, _POS_CHARACTER, 0, _CHARS_UTF8, None, None)
            != 0
        ):
            raise RuntimeError("synthesis failed")
        library.espeak_Synchronize()
        return b"".join(self._samples), list(self._words)

    def phonemes(self, text: str, voice: str) -> str:
        """`text`, which holds no punctuation, in IPA. Raises `RuntimeError`."""
        library = self._library
        if library.espeak_SetVoiceByName(voice.encode()) != 0:
            raise RuntimeError(f"no voice {voice!r}")
        library.espeak_TextToPhonemes.restype = ctypes.c_char_p
        rest = ctypes.c_char_p(text.encode())
        found: list[str] = []
        while rest.value:
            said = library.espeak_TextToPhonemes(ctypes.byref(rest), _CHARS_UTF8, _PHONEMES_IPA)
            if not said:
                break
            found.append(said.decode("utf-8", "replace"))
        return _SWITCH.sub("", " ".join(found)).strip()


def word_ends(
    text: str, marks: list[tuple[int, int, int]], total_ms: float
) -> list[tuple[int, float]]:
    """Where each word of `text` ends: its last character's place, and in ms.

    espeak marks what it pronounces ("$5" is two marks, "don't" one); times are wanted for
    what stands between spaces, so each word takes the first mark that falls into it, and
    lasts until the next word. A word without a mark shares the time of the one before. A text
    without spaces (Chinese, Thai) has an end behind each of espeak's own words.
    """
    spans = [found.span() for found in re.finditer(r"\S+", text)]
    if len(spans) == 1 and len(marks) > 1:
        places = [place for place, _, _ in marks[1:] if 0 < place < len(text)]
        ends = [(place, float(ms)) for place, (_, _, ms) in zip(places, marks[1:], strict=False)]
        return [*ends, (spans[0][1], total_ms)]
    starts: list[float] = []
    last = 0.0
    for begin, end in spans:
        inside = [ms for place, _, ms in marks if begin <= place < end]
        last = max(last, float(inside[0])) if inside else last
        starts.append(min(last, total_ms))
    return [
        (end, starts[index + 1] if index + 1 < len(starts) else total_ms)
        for index, (_, end) in enumerate(spans)
    ]


def render(espeak: Espeak, job: dict[str, Any], format: AudioFormat) -> tuple[bytes, list[Any]]:
    """One clause as audio in `format`, and its words' ends, shifted by the pause before it."""
    import soxr

    text: str = job["text"]
    pcm, marks = espeak.speak(text, job["voice"], job["speed"])
    samples = np.frombuffer(pcm, "<i2")
    total_ms = len(samples) * 1000 / espeak.rate_hz
    if len(samples):
        samples = cast(Any, soxr).resample(samples, espeak.rate_hz, format.rate_hz, quality="HQ")
    pause_ms: float = job["pause_ms"]
    audio = format.silence(pause_ms) + codec.encode(format, samples.astype("<i2").tobytes())
    return audio, [[chars, ms + pause_ms] for chars, ms in word_ends(text, marks, total_ms)]


def pronounce(espeak: Espeak, payload: bytes) -> tuple[int, bytes]:
    """Serve one PHONEMES: the kind and payload of its answer."""
    try:
        job: dict[str, Any] = json.loads(payload)
        texts: list[str] = job["texts"]
        return PRONOUNCED, json.dumps([espeak.phonemes(t, job["voice"]) for t in texts]).encode()
    except (RuntimeError, ValueError, KeyError) as error:
        return FAILED, str(error).encode()


def answer(espeak: Espeak, payload: bytes) -> tuple[int, bytes]:
    """Serve one SPEAK: the kind and payload of its answer."""
    try:
        job: dict[str, Any] = json.loads(payload)
        format = AudioFormat(cast(Encoding, job["encoding"]), job["rate_hz"])
        audio, words = render(espeak, job, format)
    except (RuntimeError, ValueError, KeyError) as error:
        return FAILED, str(error).encode()
    told = json.dumps(words).encode()
    return SPOKEN, SIZE.pack(len(told)) + told + audio


def main() -> None:
    channel = open_channel()
    espeak = Espeak()
    # The first synthesis loads tables; do it before a caller waits for it.
    render(espeak, {"text": "ready", "voice": "en-us", "speed": 1.0, "pause_ms": 0}, MULAW_8K)
    try:
        channel.send(READY)
        while (message := channel.receive()) is not None:
            if message.kind == SPEAK:
                channel.send(*answer(espeak, message.payload))
            elif message.kind == PHONEMES:
                channel.send(*pronounce(espeak, message.payload))
    except ConnectionError:
        return  # the parent has gone


if __name__ == "__main__":
    main()
