"""The measuring of SIP calls, with a few calls: that it measures, and that it can say no."""

from __future__ import annotations

import os
import shutil

import pytest
from tests.lines.sip.peers import needs_sipp

from bench import sip

pytestmark = pytest.mark.skipif(
    (os.cpu_count() or 1) < 2 or shutil.which("taskset") is None, reason="needs taskset, two cores"
)


def test_calls_with_sound_are_measured() -> None:
    run = sip.media(3, 1.0)
    assert "error" not in run, run
    assert run["taken"] == run["most_calls"] == 3
    assert 100 < run["came"] < 200
    assert 100 < run["sent"] < 200
    assert run["lost"] == 0
    assert 15 < run["spacing_ms"][0] < 25
    assert run["listening_s"] > 3


@needs_sipp
def test_attempts_are_counted() -> None:
    run = sip.attempts(5, 1.0)
    assert (run["placed"], run["succeeded"], run["failed"], run["taken"]) == (5, 5, 0, 5)


def test_a_goal_that_was_missed_is_told() -> None:
    sound = {
        "run": "sound", "calls": 100, "seconds": 10.0, "cpu_per_call_pct": 0.5,
        "spacing_ms": [20.0, 22.5, 30.0], "came": 49000, "lost": 0,
    }  # fmt: skip
    attempts = {
        "run": "attempts", "rate": 50, "placed": 500, "succeeded": 499, "retransmissions": 3,
    }  # fmt: skip
    reached = list(sip.goals([sound, attempts, {"run": "sound", "error": "none answered"}]))
    assert [good for good, _ in reached] == [False, False, False, False, False]
    good = {**sound, "cpu_per_call_pct": 0.2, "spacing_ms": [20.0, 21.0, 30.0], "came": 50010}
    assert all(reached for reached, _ in sip.goals([good]))
