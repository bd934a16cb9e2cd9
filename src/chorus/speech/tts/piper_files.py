"""The files of a voice in Piper's format: NAME.onnx, and NAME.onnx.json with its settings
(rhasspy/piper, `TRAINING.md`): `phoneme_id_map`, `espeak.voice`, `audio.sample_rate`, `inference`,
`num_speakers` and `language`. Read without loading anything heavy.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chorus.speech.engines import EngineFailed

NAME = "piper"


@dataclass(frozen=True, slots=True)
class PiperConfig:
    """What the JSON file says. `language` is BCP 47."""

    espeak_voice: str
    rate_hz: int
    language: str
    ids: dict[str, tuple[int, ...]]
    noise: float
    length: float
    noise_width: float
    speakers: int

    @classmethod
    def read(cls, path: Path) -> PiperConfig:
        """Raises `EngineFailed` (stage `load`) for a file that is none."""
        try:
            raw: Any = json.loads(path.read_text("utf-8"))
            if raw.get("phoneme_type", "espeak") != "espeak":
                raise ValueError(f"its phonemes are {raw['phoneme_type']!r}, not espeak's")
            inference = raw.get("inference", {})
            voice = str(raw["espeak"]["voice"])
            return cls(
                espeak_voice=voice,
                rate_hz=int(raw["audio"]["sample_rate"]),
                language=str(raw.get("language", {}).get("code") or voice).replace("_", "-"),
                ids={key: tuple(ids) for key, ids in raw["phoneme_id_map"].items()},
                noise=float(inference.get("noise_scale", 0.667)),
                length=float(inference.get("length_scale", 1.0)),
                noise_width=float(inference.get("noise_w", 0.8)),
                speakers=int(raw.get("num_speakers", 1)),
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise EngineFailed(NAME, "load", f"{path.name}: {error}") from error


def speaks(path: Path) -> bool:
    """Whether a file is the model of a voice: its settings lie beside it."""
    return path.suffix == ".onnx" and path.with_name(path.name + ".json").is_file()


def voices_in(folder: Path) -> list[Path]:
    """The voices in a folder and in the folders in it, by name."""
    found = [*folder.glob("*.onnx"), *folder.glob("*/*.onnx")]
    return sorted((path for path in found if speaks(path)), key=lambda path: path.stem)
