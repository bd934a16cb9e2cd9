"""Language models of vendors that Chorus knows by name, the one to use by default first.

Names, context windows (tokens), prices (dollars per million tokens) and retirement dates are from
LiteLLM's `model_prices_and_context_window_backup.json` (version 1.110.2, MIT), read in November
2026; each price is in the packaged price list too, and a test compares them. Of what is retired
already nothing is listed. A vendor has many more: name them in a key's `models`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

SOURCE = "LiteLLM 1.110.2, November 2026"


@dataclass(frozen=True, slots=True)
class KnownModel:
    """`retires`: from when on the vendor no longer answers with it, where it has said so."""

    id: str
    context_window: int
    input_price: float
    output_price: float
    retires: date | None = None


KNOWN: dict[str, tuple[KnownModel, ...]] = {
    "openai": (
        KnownModel("gpt-4.1-mini", 1_047_576, 0.40, 1.60, date(2027, 1, 14)),
        KnownModel("gpt-5.4-mini", 272_000, 0.75, 4.50),
        KnownModel("gpt-6-luna", 922_000, 0.10, 0.50),
        KnownModel("gpt-6.1-terra", 922_000, 1.00, 5.00),
        KnownModel("gpt-6.1-sol", 922_000, 2.00, 10.00),
        KnownModel("gpt-4.1", 1_047_576, 2.00, 8.00, date(2027, 1, 14)),
    ),
    "anthropic": (
        KnownModel("claude-haiku-5-5", 1_000_000, 0.10, 0.50),
        KnownModel("claude-haiku-4-5", 200_000, 1.00, 5.00),
        KnownModel("claude-sonnet-5-5", 1_000_000, 2.00, 10.00),
        KnownModel("claude-opus-5-5", 1_000_000, 4.00, 20.00),
    ),
    "google": (
        KnownModel("gemini-3.5-flash-lite", 1_048_576, 0.30, 2.50),
        KnownModel("gemini-3.8-flash", 1_048_576, 0.75, 3.75),
        KnownModel("gemini-4-hydrogen", 1_048_576, 1.50, 7.50),
    ),
    "groq": (
        KnownModel("openai/gpt-oss-120b", 131_072, 0.15, 0.60),
        KnownModel("openai/gpt-oss-20b", 131_072, 0.075, 0.30),
        KnownModel("qwen/qwen3.8-27b", 131_072, 0.80, 4.00),
    ),
    "mistral": (
        KnownModel("mistral-small-latest", 262_144, 0.15, 0.60),
        KnownModel("mistral-medium-latest", 262_144, 1.50, 7.50),
        KnownModel("ministral-8b-latest", 262_144, 0.15, 0.15),
    ),
    "together": (KnownModel("openai/gpt-oss-120b", 131_072, 0.15, 0.60),),
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


def known(vendor: str, id: str) -> KnownModel | None:
    return next((model for model in KNOWN.get(vendor, ()) if model.id == id), None)
