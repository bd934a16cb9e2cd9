"""The short form of `make soak-sip`: fifty calls at once, twice, and nothing of them stays."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_nothing_stays_of_fifty_calls_at_once() -> None:
    short = ["--minutes", "0.1", "--round", "3", "--vanishing", "0"]
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "bench.sip_soak", *short],
        cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout, done.stderr
    result = json.loads(done.stdout)
    assert result["problems"] == []
    assert result["calls"] >= 100
    assert done.returncode == 0
