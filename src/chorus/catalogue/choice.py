"""What an agent has chosen to hear, think and speak with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from chorus.catalogue.catalogue import SlmModel, Transcriber, Voice


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """None is the platform's default. What stands in is in order, the best first. `language` is
    BCP 47. `keyterms`: words that are likely and hard. `pronunciations`: how to say what is
    written, by what is written. `model_options` are the agent's `modelOptions`."""

    model: SlmModel | None = None
    voice: Voice | None = None
    transcriber: Transcriber | None = None
    other_models: tuple[SlmModel, ...] = ()
    other_voices: tuple[Voice, ...] = ()
    other_transcribers: tuple[Transcriber, ...] = ()
    language: str | None = None
    keyterms: tuple[str, ...] = ()
    pronunciations: tuple[tuple[str, str], ...] = ()
    model_options: Mapping[str, Any] = field(default_factory=dict[str, Any])
