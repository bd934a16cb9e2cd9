"""The short form of `make soak`: a real server, real sockets, calls that end in every way."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.timeout(300)
def test_nothing_stays_when_calls_have_ended() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "bench.soak", "--calls", "20", "--talks-on", "1"],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    assert done.stdout, done.stderr
    result = json.loads(done.stdout)
    assert result["problems"] == []
    assert done.returncode == 0
