from __future__ import annotations

import os
import subprocess
import sys

from bench.soak import Holdings, grown

from bench import procfs


def rounds(*memory_mb: float, files: int = 0, tasks: int = 0) -> list[Holdings]:
    """`files` and `tasks` are what each round leaves behind."""
    return [
        Holdings(mb, files=40 + i * files, threads=9, processes=3, tasks=12 + i * tasks)
        for i, mb in enumerate(memory_mb)
    ]


def test_what_an_allocator_gives_back_is_no_leak() -> None:
    assert grown(rounds(204, 226, 206, 231), calls=240) == []


def test_memory_that_only_grows_is_a_leak() -> None:
    assert grown(rounds(200, 212, 224, 236), calls=240) == [
        "memory_mb: 24 more than before, 14.4 allowed"
    ]


def test_a_file_or_a_task_for_every_call_is_a_leak() -> None:
    found = grown(rounds(200, 200, 200, 200, files=60, tasks=60), calls=240)
    assert [problem.split(":")[0] for problem in found] == ["files", "tasks"]


def test_usage_covers_the_children() -> None:
    alone = procfs.usage(os.getpid())
    child = subprocess.Popen(
        [sys.executable, "-c", "import sys; print(flush=True); sys.stdin.read()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert child.stdout is not None
    child.stdout.readline()
    together = procfs.usage(os.getpid())
    child.communicate()
    assert together.processes == alone.processes + 1
    assert together.memory_mb > alone.memory_mb
    assert together.files > alone.files
    assert procfs.usage(child.pid).processes == 0
