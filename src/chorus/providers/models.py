"""Language models of vendors that Chorus knows by name, the one to use by default first.

Names, context windows (tokens) and retirement dates are from LiteLLM's
`model_prices_and_context_window_backup.json` (version 1.110.2, MIT), read in November 2026. Each
has a price in the packaged price list, which a test holds it to. Of what is retired already
nothing is listed. A vendor has many more: name them in a key's `models`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True, slots=True)
class KnownModel:
    """`retires`: from when on the vendor no longer answers with it, where it has said so."""

    id: str
    context_window: int
    retires: date | None = None


KNOWN: dict[str, tuple[KnownModel, ...]] = {
    "openai": (
        KnownModel("gpt-4.1-mini", 1_047_576, date(2027, 1, 14)),
        KnownModel("gpt-5.4-mini", 272_000),
        KnownModel("gpt-6-luna", 922_000),
        KnownModel("gpt-6.1-terra", 922_000),
        KnownModel("gpt-6.1-sol", 922_000),
        KnownModel("gpt-4.1", 1_047_576, date(2027, 1, 14)),
        KnownModel("gpt-audio-1.5", 128_000),
        KnownModel("gpt-audio-mini", 128_000, date(2027, 1, 20)),
    ),
    "anthropic": (
        KnownModel("claude-haiku-5-5", 1_000_000),
        KnownModel("claude-haiku-4-5", 200_000),
        KnownModel("claude-sonnet-5-5", 1_000_000),
        KnownModel("claude-opus-5-5", 1_000_000),
    ),
    "google": (
        KnownModel("gemini-3.5-flash-lite", 1_048_576),
        KnownModel("gemini-3.8-flash", 1_048_576),
        KnownModel("gemini-4-hydrogen", 1_048_576),
    ),
    "groq": (
        KnownModel("openai/gpt-oss-120b", 131_072),
        KnownModel("openai/gpt-oss-20b", 131_072),
        KnownModel("qwen/qwen3.8-27b", 131_072),
    ),
    "mistral": (
        KnownModel("mistral-small-latest", 262_144),
        KnownModel("mistral-medium-latest", 262_144),
        KnownModel("ministral-8b-latest", 262_144),
    ),
    "together": (KnownModel("openai/gpt-oss-120b", 131_072),),
}

CHEAP = {
    "openai": "gpt-6-luna",
    "anthropic": "claude-haiku-5-5",
    "google": "gemini-3.5-flash-lite",
    "groq": "openai/gpt-oss-20b",
    "mistral": "mistral-small-latest",
    "together": "openai/gpt-oss-120b",
}
"""With what a key is tested."""


_HEARS = re.compile(
    r"(?i)gpt-(?:\w+-)*audio|ultravox|qwen[\d.]*-audio|qwen.*omni|voxtral|step-?audio|kimi-audio"
)


def hears(name: str) -> bool:
    """Whether a model is made to take speech, by the names of the families that are: OpenAI's
    gpt-audio, Ultravox, Qwen-Omni and Qwen-Audio, Voxtral, Step-Audio, Kimi-Audio."""
    return bool(_HEARS.search(name))


def known(vendor: str, id: str) -> KnownModel | None:
    return next((model for model in KNOWN.get(vendor, ()) if model.id == id), None)
