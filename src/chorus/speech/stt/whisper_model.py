"""Whisper by CTranslate2: samples in, text out. Blocks; for one of `threads.py`'s threads.

Whisper was made for windows of 30 s. CTranslate2 takes shorter ones, and 15 s gives the same words
for a third of the time; below about 10 s it finds no end of the text. So
the window is what was said and two seconds, at least 15 and at most 30.

In order: features of the audio and silence up to the window; the encoder; beam search; then what is
no speech (`no_speech_prob`) and what is a loop (more of it than anybody can say in that time) is
taken out. The folder holds `model.bin`, `config.json` and `vocabulary.txt`, as
`ct2-transformers-converter` writes them; tokens are GPT-2's, whose bytes are written as
printable characters (openai/gpt-2, `encoder.py`).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np

from chorus.speech import mel
from chorus.speech.engines import EngineFailed
from chorus.speech.mel import RATE_HZ, Floats

NAME = "whisper"
LONGEST_S = 28.0
"""What one window holds of speech, less the silence behind it."""
_SHORTEST_WINDOW_S, _LONGEST_WINDOW_S, _BEHIND_S = 15.0, 30.0, 2.0
# Short prompts of people had at most 0.47; noise, music, beeps and silence at least 0.59.
NO_SPEECH = 0.55
_BEAM = 5
_TOKENS_PER_S = 8
_MAX_WORDS_PER_S = 6.0
_MARKS = {"", ".", ",", "!", "?", "...", ";", ":", "-"}
_FRAMES_PER_S = RATE_HZ // mel.HOP


@dataclass(frozen=True, slots=True)
class Decoded:
    """`text` is empty where nothing was said; `tokens` are what it was made of. `confidence`
    0..1 from the mean log probability; `language` is its two-letter
    code."""

    text: str
    tokens: tuple[int, ...]
    confidence: float
    no_speech: float
    language: str


class WhisperModel:
    """One set of weights, for as many threads at once as `threads`. `EngineFailed` (stage
    `load`) where ctranslate2 is missing or the folder holds no model."""

    def __init__(self, folder: Path, *, threads: int = 1) -> None:
        try:
            import ctranslate2  # heavy: only where a model is really used
        except ImportError as error:
            raise EngineFailed(NAME, "load", "ctranslate2 is not installed") from error
        self._runtime = cast(Any, ctranslate2)  # no type information
        try:
            self._model = self._runtime.models.Whisper(
                str(folder),
                device="cpu",
                compute_type="int8",
                inter_threads=threads,
                intra_threads=1,
            )
            self._words = _vocabulary(folder)
        except (RuntimeError, ValueError, OSError) as error:
            raise EngineFailed(NAME, "load", f"{folder}: {error}") from error
        self._ids = {word: id for id, word in enumerate(self._words)}
        self.multilingual = bool(self._model.is_multilingual)
        self._mels = int(self._model.n_mels)
        self._end = self._ids["<|endoftext|>"]

    def knows(self, language: str) -> bool:
        """`language` is a two-letter code."""
        return language == "en" if not self.multilingual else f"<|{language}|>" in self._ids

    def decode(
        self,
        audio: Floats,
        languages: tuple[str, ...] = (),
        *,
        beam: int = _BEAM,
        said: tuple[int, ...] = (),
    ) -> Decoded:
        """Words of at most `LONGEST_S` of audio at 16 kHz; the end of what is longer. `said`:
        tokens of what its beginning holds, which are not told again. `languages`: two-letter
        codes, the one of them that it sounds like; any, where there is none."""
        audio = audio[-int(LONGEST_S * RATE_HZ) :]
        seconds = len(audio) / RATE_HZ
        view = self._runtime.StorageView.from_array(features(audio, self._mels)[None])
        encoded = self._model.encode(view)
        language = self._language(encoded, languages)
        prompt = [*self._prompt(language), *said]
        longest = int(12 + _TOKENS_PER_S * seconds)
        [result] = self._model.generate(
            encoded,
            [prompt],
            beam_size=beam,
            # Half of it is for the prompt (ctranslate2's whisper.cc).
            max_length=2 * (longest + len(said)),
            return_scores=True,
            return_no_speech_prob=True,
        )
        no_speech = float(result.no_speech_prob)
        # What it was told to begin with comes back with the rest.
        tokens = tuple(id for id in result.sequences_ids[0][len(said) :] if id < self._end)
        confidence = float(np.exp(min(0.0, result.scores[0])))
        if no_speech > NO_SPEECH and not said:
            return Decoded("", (), confidence, no_speech, language)
        text = without_loop(self.text(tokens), seconds)
        return Decoded(text, tokens, confidence, no_speech, language)

    def _language(self, encoded: object, languages: tuple[str, ...]) -> str:
        if not self.multilingual:
            return "en"
        if len(languages) == 1:
            return languages[0]
        [ranked] = self._model.detect_language(encoded)  # [(tag, probability)], likeliest first
        heard = [cast(str, tag).strip("<|>") for tag, _ in ranked]
        return next((tag for tag in heard if not languages or tag in languages), "en")

    def text(self, tokens: tuple[int, ...]) -> str:
        raw = bytes(_BYTES[c] for id in tokens for c in self._words[id])
        return raw.decode("utf-8", "replace").strip()

    def open_end(self, tokens: tuple[int, ...]) -> tuple[int, ...]:
        """The same less the mark at its end, for a sentence that goes on after all."""
        while tokens and self.text(tokens[-1:]) in _MARKS:
            tokens = tokens[:-1]
        return tokens

    def _prompt(self, language: str) -> list[int]:
        tags = ["<|startoftranscript|>"]
        if self.multilingual:
            tags += [f"<|{language}|>", "<|transcribe|>"]
        return [self._ids[tag] for tag in [*tags, "<|notimestamps|>"]]


def features(audio: Floats, mels: int) -> Floats:
    """[mels, frames] of the audio and of the silence behind it, as Whisper's own extractor
    makes them of both."""
    seconds = min(
        _LONGEST_WINDOW_S, max(_SHORTEST_WINDOW_S, np.ceil(len(audio) / RATE_HZ + _BEHIND_S))
    )
    frames = int(seconds) * _FRAMES_PER_S
    half = mel.WINDOW // 2
    heard = min(frames, len(audio) // mel.HOP + 3)  # behind it all windows are silent
    padded = np.zeros(heard * mel.HOP + mel.WINDOW, np.float32)
    padded[half : half + len(audio)] = audio
    padded[:half] = audio[half:0:-1] if len(audio) > half else 0.0
    power = np.full((frames, mels), np.log10(mel.FLOOR), np.float32)
    power[:heard] = mel.log_power(padded, mels, 0, heard)
    return np.ascontiguousarray(mel.scaled(power).T)


def without_loop(text: str, seconds: float) -> str:
    """A decoder that finds no end says a phrase again and again: more words than anybody can say
    in that time. Then it is the phrase, once; "no, no, no" and digits stay."""
    words = text.split()
    if len(words) <= max(4.0, seconds * _MAX_WORDS_PER_S):
        return text
    for size in range(1, len(words) // 2 + 1):
        for start in range(len(words) - 2 * size + 1):
            phrase = words[start : start + size]
            if words[start + size : start + 2 * size] == phrase:
                return " ".join(words[: start + size])
    return text


def _vocabulary(folder: Path) -> list[str]:
    path = folder / "vocabulary.txt"
    if path.exists():
        return path.read_text("utf-8").removesuffix("\n").split("\n")
    return cast("list[str]", json.loads((folder / "vocabulary.json").read_text("utf-8")))


def _byte_characters() -> dict[str, int]:
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    found = {chr(byte): byte for byte in printable}
    return found | {chr(256 + place): byte for place, byte in enumerate(others)}


_BYTES = _byte_characters()
