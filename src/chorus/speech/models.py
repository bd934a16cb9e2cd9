"""Where the model files are, and how to get one that is missing.

Two ONNX files are read out of the installed `pipecat-ai` distribution (BSD-2), whose wheel
carries them. The package is located, never imported: importing it would need hundreds of
megabytes that Chorus has no use for. A file of the operator's own takes precedence where
the caller passes one; nothing is ever downloaded.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from chorus.extras import how_to_install

ModelName = Literal["silero_vad", "smart_turn"]


@dataclass(frozen=True, slots=True)
class _Place:
    """`pattern` is a glob below the package: a new release may rename the file's version."""

    folder: str
    pattern: str
    does: str


_PLACES: dict[ModelName, _Place] = {
    "silero_vad": _Place("audio/vad/data", "silero_vad.onnx", "hears whether anybody speaks"),
    "smart_turn": _Place(
        "audio/turn/smart_turn/data", "smart-turn-v3*-cpu.onnx", "hears whether a turn is over"
    ),
}


@dataclass(frozen=True, slots=True)
class ModelState:
    """What `chorus doctor` shows of one model: `path` is None where it is missing, and then
    `advice` says what to do."""

    name: ModelName
    does: str
    path: Path | None
    advice: str | None


def find_model(name: ModelName) -> Path | None:
    """The model's file, or None if it is not installed. `KeyError` for an unknown name."""
    place = _PLACES[name]
    # A top-level name: `find_spec` of a dotted one would import its parent.
    spec = find_spec("pipecat")
    for root in (spec.submodule_search_locations or ()) if spec else ():
        found = sorted((Path(root) / place.folder).glob(place.pattern))
        if found:
            return found[-1]
    return None


def model_states() -> tuple[ModelState, ...]:
    """Every model that Chorus knows, found or not."""
    return tuple(_state(name) for name in _PLACES)


def _state(name: ModelName) -> ModelState:
    path = find_model(name)
    advice = None
    if path is None:
        have = find_spec("pipecat") is not None
        lacks = f"pipecat-ai is installed but holds no {_PLACES[name].pattern}"
        advice = f"{lacks if have else 'not installed'}; {how_to_install('local')}"
    elif find_spec("onnxruntime") is None:
        advice = f"the file is there but onnxruntime is not; {how_to_install('local')}"
    return ModelState(name, _PLACES[name].does, path, advice)
