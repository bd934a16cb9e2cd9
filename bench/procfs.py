"""What a process and its children use, read from Linux's /proc."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Usage:
    """Of a whole process tree. `memory_mb` is the proportional set size: a page shared by
    several processes counts once. `own_mb` is the part of it that no file stands behind, and so
    does not change when somebody else begins or ends who has the same libraries."""

    cpu_s: float
    memory_mb: float
    own_mb: float
    processes: int
    threads: int
    files: int


def tree(pid: int) -> list[int]:
    """`pid` and all its descendants that are alive now."""
    found = [pid]
    for task in _entries(Path(f"/proc/{pid}/task")):
        for child in _read(task / "children").split():
            found += tree(int(child))
    return found


def usage(pid: int) -> Usage:
    """Processes that end while this reads are left out."""
    cpu_ticks = memory_kb = own_kb = processes = threads = files = 0
    for member in tree(pid):
        root = Path(f"/proc/{member}")
        # The command's name, in parentheses, may hold spaces.
        fields = _read(root / "stat").rpartition(")")[2].split()
        if not fields:
            continue
        processes += 1
        cpu_ticks += int(fields[11]) + int(fields[12])
        threads += int(fields[17])
        files += len(_entries(root / "fd"))
        for line in _read(root / "smaps_rollup").splitlines():
            if line.startswith("Pss:"):
                memory_kb += int(line.split()[1])
            elif line.startswith("Pss_Anon:"):
                own_kb += int(line.split()[1])
    return Usage(cpu_ticks / _TICKS, memory_kb / 1024, own_kb / 1024, processes, threads, files)


def threads_cpu_s(pid: int) -> dict[int, float]:
    """Seconds of processor time of each thread of `pid` and its descendants, by its id."""
    found: dict[int, float] = {}
    for member in tree(pid):
        for task in _entries(Path(f"/proc/{member}/task")):
            fields = _read(task / "stat").rpartition(")")[2].split()
            if fields:
                found[int(task.name)] = (int(fields[11]) + int(fields[12])) / _TICKS
    return found


def busy_s() -> float:
    """Seconds that all cores together have worked since boot, for whomever."""
    user, nice, system, _idle, _wait, irq, softirq = map(
        int, _read(Path("/proc/stat")).split("\n", 1)[0].split()[1:8]
    )
    return (user + nice + system + irq + softirq) / _TICKS


def stolen_s() -> float:
    """Seconds that the hypervisor gave to other machines."""
    return int(_read(Path("/proc/stat")).split("\n", 1)[0].split()[8]) / _TICKS


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def _entries(path: Path) -> list[Path]:
    try:
        return list(path.iterdir())
    except (FileNotFoundError, ProcessLookupError):
        return []
