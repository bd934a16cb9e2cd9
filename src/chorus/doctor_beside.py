"""Servers of language models that run beside Chorus already, and what to set to talk to them."""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Mapping

from chorus.finding import Finding, Findings
from chorus.llm.endpoint import Endpoint
from chorus.llm.model import ModelFailed

KNOWN: Mapping[str, str] = {
    "Ollama": "http://127.0.0.1:11434/v1",
    "llama-server": "http://127.0.0.1:8080/v1",
    "LM Studio": "http://127.0.0.1:1234/v1",
}
"""By the ports that each listens on if it is told no other."""
_TIMEOUT_MS = 1500
_MOST_NAMED = 3


async def beside(servers: Mapping[str, str] = KNOWN) -> Findings:
    """Those that answer with a list of models; none where none does."""
    asked = (_at(name, url) for name, url in servers.items())
    return [finding for finding in await asyncio.gather(*asked) if finding is not None]


async def _at(name: str, url: str) -> Finding | None:
    endpoint = Endpoint(name, url)
    _ = endpoint.client  # made before the clock runs: the first time takes long
    try:
        models = sorted(await endpoint.models(_TIMEOUT_MS))
    except ModelFailed:
        return None  # nobody, or somebody else, is at that port
    finally:
        await endpoint.aclose()
    if not models:
        return None
    named = ",".join(models[:_MOST_NAMED])
    says = f"a server answers where {name} does, {url}: {len(models)} models, such as {models[0]}"
    advice = f"CHORUS_OPENAI_BASE_URL={url} CHORUS_OPENAI_MODELS={shlex.quote(named)}"
    return Finding("note", "language models", says, f"to talk to it: {advice}")
