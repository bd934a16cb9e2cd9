"""Recorded speech with its words, as it sounds on a telephone: prompts of Asterisk's voices in five
languages, which `scripts/material.py` fetches.

In order: the transcripts are read; each prompt of some length is loaded, its silence taken off,
brought to the band of a telephone (300 to 3400 Hz) and through G.711. `word_errors` compares
what was understood with what was said, after both were written alike (numbers as words,
punctuation off).
"""

from __future__ import annotations

import gzip
import random
import re
import wave
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soxr
from numpy.typing import NDArray
from scripts.material import SPEECH

from chorus.audio import codec
from chorus.audio.frame import MULAW_8K

RATE_HZ = 8000
Floats = NDArray[np.float32]
_VOICES = {
    "en": "en_US_f_Allison",
    "es": "es_MX_f_Allison",
    "fr": "fr_CA_f_June",
    "it": "it_IT_m_Carlo",
    "ru": "ru_RU_f_IvrvoiceRU",
}
_ONES = tuple(
    re.findall(
        r"\w+",
        "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen "
        "fifteen sixteen seventeen eighteen nineteen",
    )
)
_TENS = tuple(re.findall(r"\w+", "zero ten twenty thirty forty fifty sixty seventy eighty ninety"))
_ALIKE = (
    ("voice mail", "voicemail"),
    ("e-mail", "email"),
    ("log in", "login"),
    ("call back", "callback"),
    ("full-featured", "full featured"),
)
_QUIET = 0.006


@dataclass(frozen=True, slots=True)
class Prompt:
    """`audio` is at 8 kHz, as a carrier would deliver it, -1..1."""

    name: str
    text: str
    audio: Floats


def prompts(
    language: str, *, least_words: int = 3, count: int | None = None, seed: int = 1
) -> list[Prompt]:
    """The same in the same order every time. Raises `FileNotFoundError` without the material."""
    folder = SPEECH / "usr/share/asterisk/sounds" / _VOICES[language]
    found: list[Prompt] = []
    for name, text in sorted(transcripts(language).items()):
        path = folder / f"{name}.wav"
        if len(text.split()) < least_words or name.startswith("silence/") or not path.exists():
            continue
        audio = _trim(_read(path))
        if 0.3 <= len(audio) / RATE_HZ <= 15:
            found.append(Prompt(name, text, audio))
    random.Random(seed).shuffle(found)
    return [Prompt(p.name, p.text, telephone(p.audio)) for p in found[:count]]


def telephone(audio: Floats) -> Floats:
    """300 to 3400 Hz, then G.711 and back."""
    spectrum = np.fft.rfft(audio, len(audio) + 800)
    hz = np.fft.rfftfreq(len(audio) + 800, 1 / RATE_HZ)
    gain = np.clip((hz - 200) / 100, 0, 1) * np.clip((3500 - hz) / 100, 0, 1)
    band = np.fft.irfft(spectrum * gain, len(audio) + 800)[: len(audio)]
    return samples(codec.decode(MULAW_8K, codec.encode(MULAW_8K, pcm16(band.astype(np.float32)))))


def pcm16(audio: Floats) -> bytes:
    return (np.clip(audio, -1, 1) * 32767).astype("<i2").tobytes()


def samples(pcm: bytes) -> Floats:
    return np.frombuffer(pcm, "<i2").astype(np.float32) * np.float32(1 / 32768)


def to_16k(audio: Floats) -> Floats:
    return np.asarray(soxr.resample(audio, RATE_HZ, 16000, "HQ"), np.float32)


def silence(ms: float) -> Floats:
    return np.zeros(int(RATE_HZ * ms / 1000), np.float32)


def word_errors(pairs: Sequence[tuple[str, str]], language: str = "en") -> tuple[int, int]:
    """Words wrong, missing or too many, and words said, over pairs of said and understood."""
    wrong = said = 0
    for text, understood in pairs:
        a, b = written(text, language), written(understood, language)
        wrong += _edits(a, b)
        said += len(a)
    return wrong, said


def written(text: str, language: str) -> list[str]:
    text = text.lower().replace("’", "'").replace("ё", "е")
    if language == "en":
        for one, other in _ALIKE:
            text = text.replace(one, other)
        text = re.sub(r"\d+", lambda found: f" {_number(found[0])} ", text)
    if language == "es":
        text = text.translate(str.maketrans("áéíóúüñ", "aeiouun"))
    apart = " " if language == "fr" else ""
    return re.sub(r"[^\w ]", " ", text.replace("'", apart)).split()


def _number(digits: str) -> str:
    if len(digits) > 2 or (digits.startswith("0") and len(digits) > 1):
        return " ".join(_ONES[int(digit)] for digit in digits)
    value = int(digits)
    if value < 20:
        return _ONES[value]
    return _TENS[value // 10] + (f" {_ONES[value % 10]}" if value % 10 else "")


def _edits(a: list[str], b: list[str]) -> int:
    row = list(range(len(b) + 1))
    for i, left in enumerate(a, 1):
        before, row[0] = row[0], i
        for j, right in enumerate(b, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (left != right))
    return row[-1]


def transcripts(language: str) -> dict[str, str]:
    """What each prompt of the language says, by its name."""
    path = SPEECH / f"usr/share/doc/asterisk-core-sounds-{language}/core-sounds-{language}.txt.gz"
    raw = gzip.decompress(path.read_bytes())
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
    found: dict[str, str] = {}
    for line in text.splitlines():
        match = re.match(r"^([\w/-]+)\s*:\s*(.+)$", line.strip())
        # What is in brackets is a description, and what trails off is not all that is said.
        if match and not re.search(r"[\[\]<>]|\.\.\.$", match[2]):
            found[match[1]] = match[2].strip()
    return found


def _read(path: Path) -> Floats:
    with wave.open(str(path)) as file:
        if file.getframerate() != RATE_HZ:
            raise ValueError(f"{path} is not at {RATE_HZ} Hz")
        return samples(file.readframes(file.getnframes()))


def _trim(audio: Floats) -> Floats:
    """What is louder than silence, and 100 ms to either side."""
    wide = RATE_HZ // 100
    level = np.sqrt(np.convolve(audio * audio, np.ones(wide) / wide, "same"))
    loud = np.flatnonzero(level > _QUIET)
    if not len(loud):
        return audio
    pad = RATE_HZ // 10
    return audio[max(0, loud[0] - pad) : loud[-1] + pad]
