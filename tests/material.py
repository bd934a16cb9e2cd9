"""Models and recorded speech of others, for tests; `scripts/material.py` fetches them."""

from __future__ import annotations

import pytest
from scripts.material import MODELS, SPEECH

from chorus.speech.weights.manifest import find
from chorus.speech.weights.store import Store


def needs_model(*names: str) -> pytest.MarkDecorator:
    """Skip where a model's files could not be had."""
    store = Store(MODELS)
    missing = [n for n in names if not (weights := find(n)) or not store.complete(weights)]
    return pytest.mark.skipif(
        bool(missing), reason=f"{', '.join(missing)} not here: scripts/material.py"
    )


def needs_speech(*languages: str) -> pytest.MarkDecorator:
    """Skip where recorded prompts could not be had."""
    missing = [
        language
        for language in languages
        if not (SPEECH / f".asterisk-core-sounds-{language}-wav").exists()
    ]
    return pytest.mark.skipif(
        bool(missing),
        reason=f"no recorded speech ({', '.join(missing)}): scripts/material.py",
    )
