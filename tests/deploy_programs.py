"""Where `scripts/peers.py` puts the programs that check and run the files of `deploy/`."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

_INSTALLED = Path("/opt/chorus-peers/deploy/bin")


def program(name: str) -> str:
    """Its path; without it the test is skipped."""
    found = shutil.which(name, path=_INSTALLED) or shutil.which(name)
    if found is None:
        pytest.skip(f"needs {name}: python scripts/peers.py")
    return found
