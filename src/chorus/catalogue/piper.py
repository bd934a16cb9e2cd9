"""Which voices in Piper's format are in the folder of models, read from their settings without
loading them. Those that `chorus models pull` knows come first, in its order."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

from chorus.speech.engines import EngineFailed
from chorus.speech.tts.piper_files import NAME, PiperConfig, voices_in
from chorus.speech.weights.manifest import MANIFEST, find

log = logging.getLogger(__name__)

_OWN_LICENCE = "as its maker states it: see the voice's model card"


@dataclass(frozen=True, slots=True)
class FoundVoice:
    """`id` is the file's name without its ending."""

    id: str
    name: str
    language: str
    licence: str


def found_voices(models: Path) -> tuple[FoundVoice, ...]:
    """A file that cannot be read is left out, and named in the log."""
    order = {weights.name: place for place, weights in enumerate(MANIFEST)}
    found: list[tuple[int, FoundVoice]] = []
    for path in voices_in(models):
        try:
            config = PiperConfig.read(path.with_name(path.name + ".json"))
        except EngineFailed as failure:
            log.warning("%s", failure)
            continue
        name = f"{NAME}-{path.stem}"
        weights = find(name)
        parts = path.stem.split("-")
        spoken = parts[1] if len(parts) > 1 else parts[0]
        licence = weights.licence if weights else _OWN_LICENCE
        voice = FoundVoice(path.stem, spoken.replace("_", " ").title(), config.language, licence)
        found.append((order.get(name, len(order)), voice))
    return tuple(voice for _, voice in sorted(found, key=lambda entry: entry[0]))
