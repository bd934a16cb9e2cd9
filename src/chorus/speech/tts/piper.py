"""Offline voices in Piper's format, on threads that all calls share.

In order, for each clause: espeak-ng, in its own process, says how the words sound; the encoder
draws the whole clause; the decoder makes a quarter of a second of it first and then longer
pieces, each due when those before it will have been heard. So the first audio does not wait for
the clause, other calls' first words come before this one's later ones, and a generator that is
closed leaves at most one piece of work behind.

The voice tells how long each phoneme lasts: that is where the words end. Where espeak joins words
or takes one apart, they are laid over each other in proportion.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import dataclass
from math import gcd
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np

from chorus.audio import codec
from chorus.audio.frame import AudioFormat
from chorus.speech.engines import EngineFailed, Mark, Spoken, VoiceStyle
from chorus.speech.threads import ModelThreads
from chorus.speech.tts.espeak import EspeakVoice, split
from chorus.speech.tts.piper_files import NAME
from chorus.speech.tts.piper_model import Drawn, Floats, PiperModel

T = TypeVar("T")

_FRAMES = (24, 48, 80)  # of the first piece, the second, and each that follows
_FIRST_DUE_S = 0.05
_PAUSES_MS = {".": 160, "!": 160, "?": 160, "…": 160, ",": 40, ";": 80, ":": 80}
_MARK = re.compile(r"[.,;:!?…]+(?=[\s\"')\]»”’]|$)")
_RIM_MS = 40  # of neighbours, for the filter between two rates


@dataclass(frozen=True, slots=True)
class _Word:
    """A word as it sounds; `chars_end` of the clause are said when it ends."""

    sound: str
    chars_end: int


class PiperVoice:
    """`Voice` by the models in `paths`, by name (such as en_US-joe-medium); each is loaded when
    first needed. `threads` and `espeak` belong to the caller. `stability` has no meaning to it."""

    name = NAME
    deadline_ms = 8000.0

    def __init__(self, paths: dict[str, Path], threads: ModelThreads, espeak: EspeakVoice) -> None:
        self._paths = paths
        self.threads = threads
        self.espeak = espeak
        self._models: dict[str, PiperModel] = {}
        self._loading = asyncio.Lock()

    async def warm(self, voice: str | None = None) -> None:
        """Load one of them, or the first. Raises `EngineFailed`."""
        await self.espeak.warm()
        await self._model(voice or next(iter(self._paths), ""))

    def gives(self, line: AudioFormat) -> AudioFormat:
        """It brings its samples to the line's rate itself, a piece at a time."""
        return line

    def plain_language(self, style: VoiceStyle) -> str:
        """Of the model's own file, once it is loaded, else by its name (en_US-joe-medium)."""
        name = (style.voice or next(iter(self._paths), "")).partition("#")[0]
        model = self._models.get(name)
        return model.config.language if model else name.partition("-")[0].replace("_", "-")

    async def open(self, format: AudioFormat, style: VoiceStyle) -> PiperSession:
        """Raises `EngineFailed` for a voice that there is not or that cannot be loaded. The id of a
        voice with several speakers may end in #NUMBER."""
        name, _, speaker = (style.voice or next(iter(self._paths), "")).partition("#")
        model = await self._model(name)
        return PiperSession(self, model, int(speaker or 0), format, style.speed)

    async def aclose(self) -> None:
        """The threads and espeak are the caller's to close."""
        self._models.clear()

    async def work(self, job: Any, due_in_s: float) -> Any:
        """Raises `EngineFailed` for whatever the runtime raises."""
        try:
            return await self.threads.run(job, due_in_s)
        except EngineFailed:
            raise
        except Exception as error:
            raise EngineFailed(NAME, "speak", str(error) or type(error).__name__) from error

    async def _model(self, name: str) -> PiperModel:
        path = self._paths.get(name)
        if path is None:
            raise EngineFailed(NAME, "voice", f"there is no voice {name!r}")
        async with self._loading:
            if name not in self._models:
                self._models[name] = await self.work(lambda: PiperModel(path), _FIRST_DUE_S)
            return self._models[name]


class PiperSession:
    """One call's."""

    def __init__(
        self, engine: PiperVoice, model: PiperModel, speaker: int, format: AudioFormat, speed: float
    ) -> None:
        self._engine = engine
        self._model = model
        self._speaker = speaker
        self._format = format
        self._speed = speed

    async def aclose(self) -> None:
        """Nothing is open."""

    async def speak(self, clauses: AsyncIterator[str]) -> AsyncGenerator[Spoken, None]:
        index = -1
        pause_ms = 0
        loop = asyncio.get_running_loop()
        heard_by_s = loop.time()  # when what was made so far will have been heard, at the soonest
        async for clause in clauses:
            index += 1
            offset_ms = 0.0
            words = [await self._words(at, part) for at, part in split(clause)]
            for part in words:
                silence = self._format.silence(pause_ms)
                offset_ms += pause_ms
                pause_ms = 0
                async for audio, marks in self._speak(part, offset_ms, heard_by_s):
                    offset_ms += self._format.ms(len(audio))
                    heard_by_s = max(heard_by_s, loop.time()) + self._format.ms(len(audio)) / 1000
                    yield Spoken(silence + audio, index, marks)
                    silence = b""
            yield Spoken(b"", index, last=True)
            if words:
                pause_ms = _PAUSES_MS.get(clause.rstrip("\"')]»”’ ")[-1:], 0)

    async def _words(self, at: int, text: str) -> list[_Word]:
        """The words of a text that stands `at` in its clause, as they sound, each with the
        punctuation behind it, which espeak would drop."""
        pieces: list[tuple[int, str, str]] = []  # place, words, mark
        begin = 0
        for found in _MARK.finditer(text):
            pieces.append((begin, text[begin : found.start()], found[0][-1]))
            begin = found.end()
        pieces.append((begin, text[begin:], ""))
        pieces = [piece for piece in pieces if piece[1].strip()]
        voice = self._model.config.espeak_voice
        sounds = await self._engine.espeak.phonemes(voice, [words for _, words, _ in pieces])
        found_words: list[_Word] = []
        for (place, words, mark), sound in zip(pieces, sounds, strict=True):
            spoken = sound.split()
            ends = [at + place + match.end() for match in re.finditer(r"\S+", words)]
            for number, word in enumerate(spoken):
                said = (number + 1) * len(ends) // len(spoken)
                end = ends[said - 1] if said else at + place
                if number == len(spoken) - 1 and mark:
                    word, end = word + mark, end + 1
                found_words.append(_Word(word, end))
        return found_words

    async def _speak(
        self, words: Sequence[_Word], offset_ms: float, heard_by_s: float
    ) -> AsyncGenerator[tuple[bytes, tuple[Mark, ...]], None]:
        if not words:
            return
        loop, model, work = asyncio.get_running_loop(), self._model, self._engine.work
        sounds = [word.sound for word in words]
        due_s = max(_FIRST_DUE_S, heard_by_s - loop.time())
        drawn = cast(
            Drawn, await work(lambda: model.draw(sounds, self._speed, self._speaker), due_s)
        )
        marks = self._marks(words, drawn, offset_ms)
        count, frame_ms = drawn.frames.shape[2], model.hop * 1000 / model.config.rate_hz
        rim = int(_RIM_MS / frame_ms) + 1
        begin = number = 0
        ends_ms = offset_ms
        while begin < count:
            end = count
            if model.in_pieces:
                end = min(count, begin + _FRAMES[min(number, len(_FRAMES) - 1)])

            def job(begin: int = begin, end: int = end) -> bytes:
                low, high = max(0, begin - rim), min(count, end + rim)
                samples = model.samples(drawn, low, high)
                return self._on_line(samples, low, begin, end)

            due_s = max(_FIRST_DUE_S, heard_by_s - loop.time())
            audio = cast(bytes, await work(job, due_s))
            length_ms = self._format.ms(len(audio))
            heard_by_s = max(heard_by_s, loop.time()) + length_ms / 1000
            ends_ms += length_ms
            told = tuple(mark for mark in marks if mark.end_ms <= ends_ms or end == count)
            marks = marks[len(told) :]
            yield audio, told
            begin, number = end, number + 1

    def _marks(self, words: Sequence[_Word], drawn: Drawn, offset_ms: float) -> tuple[Mark, ...]:
        frame_ms = self._model.hop * 1000 / self._model.config.rate_hz
        if len(drawn.ends) != len(words):
            return ()
        return tuple(
            Mark(word.chars_end, offset_ms + end * frame_ms)
            for word, end in zip(words, drawn.ends, strict=True)
        )

    def _on_line(self, samples: Floats, low: int, begin: int, end: int) -> bytes:
        """The frames from `begin` to `end` in the line's format; `samples` begin at frame `low` and
        hold some neighbours on both sides, in which the filter's edges are lost. Both places are
        counted in the line's samples from the first frame of all, so that pieces meet."""
        from_hz, to_hz, hop = self._model.config.rate_hz, self._format.rate_hz, self._model.hop
        if from_hz != to_hz:
            common = gcd(from_hz, to_hz)
            up, down = to_hz // common, from_hz // common
            # Begin where a sample of the one rate falls on a sample of the other.
            skip = -(low * hop) % down
            first = (low * hop + skip) // down * up
            resampled = _resample(samples[skip:], from_hz, to_hz)
            a, b = (-(-place * hop * up // down) - first for place in (begin, end))
        else:
            resampled, first = samples, low * hop
            a, b = begin * hop - first, end * hop - first
        piece = resampled[max(0, a) : b]
        pcm = (np.clip(piece, -1.0, 1.0) * 32767).astype("<i2").tobytes()
        return codec.encode(self._format, pcm)


def _resample(samples: Floats, from_hz: int, to_hz: int) -> Floats:
    import soxr

    return np.asarray(cast(Any, soxr).resample(samples, from_hz, to_hz, quality="HQ"), np.float32)
