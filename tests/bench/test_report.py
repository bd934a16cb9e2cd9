from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from bench.hotspots import count, threads
from bench.tally import percentile

from bench import report


def run(system: str, calls: int, p50: float, **more: Any) -> dict[str, Any]:
    figures: dict[str, Any] = {
        "response_ms": {"p50": p50, "p95": p50 + 10},
        "barge_in_ms": {"p50": None},
        "late_pct": 0.0,
        "cpu_per_call_pct": 0.4,
        "memory_per_call_mb": 1.0,
        "unanswered": 0,
        "cut_ins": 0,
        "late_answers": 0,
        "turns": 7,
        "disconnects": 0,
        "foreign_cpu": 0.1,
    }
    return {"system": system, "calls": calls, "repeat": 1} | figures | more


def test_a_row_holds_the_medians_of_its_repeats() -> None:
    runs = [run("chorus", 10, p50) for p50 in (430.0, 900.0, 440.0)]
    row = report.table([*runs, run("chorus", 1, 400.0)]).splitlines()
    assert row[2].startswith("| Chorus, end-of-turn model (default) | 1 | 400 / 410 |")
    assert row[3].startswith("| Chorus, end-of-turn model (default) | 10 | 440 / 450 |")


def test_a_run_that_failed_is_shown_and_not_averaged_away() -> None:
    failed = {"system": "pipecat", "calls": 100, "repeat": 1, "error": "no connection"}
    assert "| 100 | failed |" in report.table([failed])


def test_turns_are_added_up_over_the_repeats() -> None:
    late = run("chorus", 1, 400.0, late_answers=2, unanswered=1, cut_ins=1)
    assert "| 1 of 14 | 3 of 14 |" in report.table([late, run("chorus", 1, 400.0)])


def test_verdicts_that_came_from_silence_are_told_where_they_are_known() -> None:
    judged = run("chorus", 1, 400.0, committed=20, silence_for_model=5)
    assert "| 5 of 20 |" in report.table([judged])
    assert "| – |" in report.table([run("pipecat", 1, 400.0)])


def test_lost_connections_are_named() -> None:
    assert ", 3 calls lost |" in report.table([run("chorus", 1, 400.0, disconnects=3)])


def test_only_what_is_between_the_markers_is_replaced(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n")
    report.write_into(page, "new")
    assert page.read_text() == f"before\n{report.BEGIN}\nnew\n{report.END}\nafter\n"
    page.write_text("no markers")
    with pytest.raises(ValueError, match=r"page\.md has no"):
        report.write_into(page, "new")
    assert page.read_text() == "no markers"


def test_a_recursive_function_counts_once_a_stack() -> None:
    stacks = ["thread (7): MainThread;main;walk;walk 3", "thread (8): vad;main;read 1"]
    own, under, total = count(stacks)
    assert (own["walk"], under["walk"], under["main"], total) == (3, 3, 4, 4)
    assert threads(stacks) == {7: "MainThread", 8: "vad"}


@pytest.mark.parametrize(
    ("values", "p", "wanted"), [([], 50, None), ([7.0], 95, 7.0), ([1.0, 2.0], 50, 1.5)]
)
def test_percentiles(values: list[float], p: float, wanted: float | None) -> None:
    assert percentile(values, p) == wanted
