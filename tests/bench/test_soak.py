from __future__ import annotations

import os
import subprocess
import sys

from bench.soak import Holdings, grown

from bench import procfs

REST = Holdings(memory_mb=200.0, files=40, threads=9, processes=3, tasks=12)


def test_what_pools_and_allocators_keep_is_no_leak() -> None:
    after = Holdings(memory_mb=210.0, files=43, threads=12, processes=3, tasks=13)
    assert grown(REST, after, calls=300) == []


def test_a_task_a_file_or_memory_for_every_call_is_a_leak() -> None:
    after = Holdings(memory_mb=200.0 + 300 * 0.1, files=340, threads=9, processes=3, tasks=312)
    found = grown(REST, after, calls=300)
    assert [problem.split(":")[0] for problem in found] == ["memory_mb", "files", "tasks"]


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
