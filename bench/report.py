"""Runs in, a table out, and into the document between its markers."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Iterable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

from bench.servers import ROOT, SYSTEMS

BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"

COLUMNS = (
    "server",
    "calls",
    "response p50 / p95 ms",
    "spoken into, of all turns",
    "answers after more than 1 s, or none",
    "turns that silence ended for the model",
    "late frames",
    "interruption → silence p50 ms",
    "CPU per call, of a core",
    "memory per call",
    "foreign CPU, cores",
)


def table(runs: Iterable[dict[str, Any]]) -> str:
    """One row per system and number of calls: the median over the repeats of each figure."""
    grouped: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for run in runs:
        grouped.setdefault((run["system"], run["calls"]), []).append(run)
    rows = [COLUMNS, tuple("---" for _ in COLUMNS)]
    for system in SYSTEMS:
        for name, calls in sorted(grouped):
            if name == system.name:
                rows.append((system.label, str(calls), *figures(grouped[name, calls])))
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def figures(runs: list[dict[str, Any]]) -> tuple[str, ...]:
    done = [run for run in runs if "error" not in run]
    if not done:
        return ("failed", *[""] * (len(COLUMNS) - 3))

    def mid(*path: str) -> float | None:
        values: list[float] = []
        for run in done:
            value: Any = run
            for key in path:
                value = value[key]
            if value is not None:
                values.append(value)
        return median(values) if values else None

    response = (mid("response_ms", "p50"), mid("response_ms", "p95"))
    turns = sum(run["turns"] for run in done)
    late = sum(run["late_answers"] + run["unanswered"] for run in done)
    waited = f"{late} of {turns}"
    if lost := sum(run["disconnects"] for run in done):
        waited += f", {lost} calls lost"
    committed = sum(run.get("committed", 0) for run in done)
    silence = (
        f"{sum(run['silence_for_model'] for run in done)} of {committed}" if committed else "–"
    )
    return (
        f"{_number(response[0])} / {_number(response[1])}",
        f"{sum(run['cut_ins'] for run in done)} of {turns}",
        waited,
        silence,
        f"{_number(mid('late_pct'), 2)} %",
        _number(mid("barge_in_ms", "p50")),
        f"{_number(mid('cpu_per_call_pct'), 2)} %",
        f"{_number(mid('memory_per_call_mb'), 2)} MB",
        _number(mid("foreign_cpu"), 2),
    )


def circumstances(
    command: str, runs: list[dict[str, Any]], where: str = "callers on core 1, "
) -> str:
    repeats = max((run["repeat"] for run in runs), default=0)
    seconds = max((run.get("seconds", 0) for run in runs), default=0)
    return (
        f"Measured {datetime.now(UTC):%Y-%m-%d} at `{_revision()}` by `{command}`: "
        f"{os.cpu_count()} cores of {_processor()}, Linux {platform.release()}, "
        f"Python {platform.python_version()}, onnxruntime {version('onnxruntime')}; "
        f"{where}medians of {repeats} interleaved "
        f"{'run' if repeats == 1 else 'runs'} of {seconds:.0f} s."
    )


def write_into(document: Path, text: str, begin: str = BEGIN, end: str = END) -> None:
    """Between two markers. Raises `ValueError` if the document has not both."""
    before, found, rest = document.read_text("utf-8").partition(begin)
    _, ended, after = rest.partition(end)
    if not found or not ended:
        raise ValueError(f"{document} has no {begin} … {end}")
    document.write_text(f"{before}{begin}\n{text}\n{end}{after}", "utf-8")


def _number(value: float | None, digits: int = 0) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _revision() -> str:
    described = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True
    )
    return described.stdout.strip() or "no revision"
