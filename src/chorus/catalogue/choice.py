"""What an agent has chosen to hear, think and speak with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from chorus.catalogue.catalogue import SlmModelEntry, TranscriberEntry, VoiceEntry


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """None is the platform's default. What stands in is in order, the best first. `language` is
    BCP 47. `keyterms`: words that are likely and hard. `pronunciations`: how to say what is
    written, by what is written. `model_options` are the agent's `modelOptions`."""

    model: SlmModelEntry | None = None
    voice: VoiceEntry | None = None
    transcriber: TranscriberEntry | None = None
    other_models: tuple[SlmModelEntry, ...] = ()
    other_voices: tuple[VoiceEntry, ...] = ()
    other_transcribers: tuple[TranscriberEntry, ...] = ()
    language: str | None = None
    keyterms: tuple[str, ...] = ()
    pronunciations: tuple[tuple[str, str], ...] = ()
    model_options: Mapping[str, Any] = field(default_factory=dict[str, Any])
