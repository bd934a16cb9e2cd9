"""The vendors whose keys Chorus can use: what each offers, and where it is reached.

The one list of their names. A key is an organization's own (`/v1/provider-keys`) or the operator's
(`CHORUS_<NAME>_API_KEY`). Addresses are from the vendors' API references.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Part = Literal["transcriber", "model", "voice"]


@dataclass(frozen=True, slots=True)
class Vendor:
    """`parts`: of a call, what it can be used for. `base_url` None: each key has its own.
    `several`: an organization may have several keys, told apart by their names, because they
    lead to different servers. `names_models`: which models there are has to be said with the key.
    `key_is_file`: the key is the JSON key file of a service account.
    """

    name: str
    title: str
    parts: tuple[Part, ...]
    base_url: str | None
    several: bool = False
    names_models: bool = False
    key_is_file: bool = False

    @property
    def variable(self) -> str:
        """The operator's environment variable."""
        return f"CHORUS_{self.name.upper()}_API_KEY"


VENDORS: tuple[Vendor, ...] = (
    Vendor("openai", "OpenAI", ("transcriber", "model", "voice"), "https://api.openai.com/v1"),
    Vendor("azure_openai", "Azure OpenAI", ("model",), None, several=True, names_models=True),
    Vendor("anthropic", "Anthropic", ("model",), "https://api.anthropic.com"),
    Vendor("google", "Google Gemini", ("model",), "https://generativelanguage.googleapis.com"),
    Vendor("groq", "Groq", ("transcriber", "model", "voice"), "https://api.groq.com/openai/v1"),
    Vendor("mistral", "Mistral", ("model",), "https://api.mistral.ai/v1"),
    Vendor("openrouter", "OpenRouter", ("model",), "https://openrouter.ai/api/v1"),
    Vendor("together", "Together", ("model",), "https://api.together.xyz/v1"),
    Vendor("deepgram", "Deepgram", ("transcriber", "voice"), "https://api.deepgram.com"),
    Vendor("elevenlabs", "ElevenLabs", ("transcriber", "voice"), "https://api.elevenlabs.io"),
    Vendor("cartesia", "Cartesia", ("transcriber", "voice"), "https://api.cartesia.ai"),
    Vendor("assemblyai", "AssemblyAI", ("transcriber",), "https://api.assemblyai.com"),
    Vendor("soniox", "Soniox", ("transcriber", "voice"), "https://api.soniox.com"),
    Vendor("azure_speech", "Azure Speech", ("transcriber", "voice"), None),
    Vendor(
        "google_speech",
        "Google Cloud Speech",
        ("transcriber", "voice"),
        "https://us-speech.googleapis.com",
        key_is_file=True,
    ),
    Vendor("faseeh", "Faseeh", ("voice",), "https://api.faseeh.ai"),
    Vendor(
        "custom", "OpenAI-compatible server", ("transcriber", "model", "voice"), None, several=True
    ),
)

BY_NAME = {vendor.name: vendor for vendor in VENDORS}
