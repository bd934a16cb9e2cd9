"""The words of the utterances, and when each of them ends.

Of Asterisk's prompts the texts are Debian's, of LibriVox's readings PocketSphinx's, and what was
synthesised is its own text. Nobody has timed the words: they share the time by their letters.
"""

from __future__ import annotations

import re
from functools import cache

from bench.prompts import transcripts
from bench.utterances import READINGS, SYNTHETIC

_QUESTION = "Can you tell me when you are open on Sunday morning?"
# In brackets there, which elsewhere are descriptions.
_MORE = {("it", "invalid"): "Spiacente, quello non è un interno valido. Prego riprovare."}


def text_of(name: str) -> tuple[str, str]:
    """Language and text of an utterance by its name. Raises `LookupError`."""
    if name == "question":
        return "en", _QUESTION
    for voice, _, text in SYNTHETIC:
        if name == f"{voice}: {text}":
            return voice[:2], text
    folder, _, prompt = name.partition("/")
    if folder in ("cards", "librivox"):
        return "en", _read(folder)[prompt]
    language = folder[:2]
    if folder == "followme":  # a folder in the English voice's
        language, prompt = "en", name
    return language, _MORE.get((language, prompt)) or transcripts(language)[prompt]


def timed(text: str, length_ms: float) -> tuple[tuple[str, float], ...]:
    """Each word with where it ends, for a text that lasts so long."""
    words = text.split()
    weights = [len(re.sub(r"\W", "", word)) + 1 for word in words]
    total, said, found = sum(weights), 0, list[tuple[str, float]]()
    for word, weight in zip(words, weights, strict=True):
        said += weight
        found.append((word, length_ms * said / total))
    return tuple(found)


@cache
def _read(folder: str) -> dict[str, str]:
    name = "cards.transcription" if folder == "cards" else "transcription"
    lines = (READINGS / folder / name).read_text().splitlines()
    matches = (re.match(r"<s>\s*(.+?)\s*</s>\s*\((.+)\)", line) for line in lines)
    return {match[2]: match[1] for match in matches if match}
