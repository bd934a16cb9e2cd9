"""Everything that a change must pass, in the order that fails soonest.

`check.py` runs the static checks and then the tests; `check.py lint` stops before the tests.
Every static check runs even if an earlier one failed, so that one run shows all there is to
mend. The tests come last and so does their closing line.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = ROOT / ".venv" / "bin"

STATIC = {
    "ruff check": ["ruff", "check", "--quiet"],
    "ruff format": ["ruff", "format", "--check", "--quiet"],
    "file sizes": ["python", "scripts/file_sizes.py"],
    "imports": ["lint-imports"],
    "types": ["pyright"],
    "dashboard": ["python", "scripts/dashboard.py", "--types"],
    "docs": ["mkdocs", "build", "--strict", "--quiet"],
}
# Other people's SIP stacks, models and recorded speech, from the network while the static checks
# compute. Tests of what cannot be had skip, and say so.
FETCHED = ["scripts/peers.py", "scripts/material.py"]
# By file, so that what a module's tests share (a database server, a peer) starts once; in the
# order of `tests/conftest.py`, which begins with the longest.
TESTS = ["pytest", "-m", "not slow", "--durations=5", "-n", "2"]
TESTS_IN_ORDER = ["--dist", "loadfile", "--no-loadscope-reorder"]
SITE = ROOT / "site"
# Whatever wants to fetch something while the documentation is built is refused by this proxy.
NOWHERE: dict[str, str] = dict.fromkeys(
    ("http_proxy", "https_proxy", "all_proxy"), "http://127.0.0.1:9"
)
IN_MEMORY = Path("/dev/shm")
ROOM = 6 << 30
"""Bytes: the tests write some hundreds of databases and recordings."""


def main(arguments: list[str]) -> int:
    lint = "lint" in arguments
    fetching = [] if lint else [start(script) for script in FETCHED]
    with ThreadPoolExecutor(2) as two:
        passed = two.map(passes, STATIC, STATIC.values())
        failed = [name for name, ok in zip(STATIC, passed, strict=True) if not ok]
    if failed:
        print(f"failed: {', '.join(failed)}", flush=True)
    if lint:
        return 1 if failed else 0
    for fetch in fetching:
        fetch.wait()
    with temporary_files() as (environment, where):
        if "docs" not in failed:
            environment = environment | {"BUILT_SITE": str(SITE)}  # for tests/docs/test_site.py
        tests = subprocess.run(
            [BIN / TESTS[0], *TESTS[1:], *TESTS_IN_ORDER, *where],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            env=environment,
        )
    return tests.returncode or (1 if failed else 0)


@contextmanager
def temporary_files() -> Generator[tuple[dict[str, str], list[str]]]:
    """The environment of the tests and pytest's arguments: their files in memory where it has room
    for them. A commit to a slow disk costs more than all else in many of them.
    """
    environment = dict(os.environ)
    if "TMPDIR" in environment or not room_in_memory():
        yield environment, []
        return
    with tempfile.TemporaryDirectory(prefix="chorus-", dir=IN_MEMORY) as folder:
        # A test's Postgres runs as another user, who has to reach its folder.
        Path(folder).chmod(0o755)
        # A short one: paths of sound files and sockets that other programs are given are bounded.
        yield environment | {"TMPDIR": folder}, ["--basetemp", f"{folder}/t"]


def room_in_memory() -> bool:
    if not IN_MEMORY.is_dir() or not os.access(IN_MEMORY, os.W_OK):
        return False
    # Some tests write programs and run them.
    if os.statvfs(IN_MEMORY).f_flag & os.ST_NOEXEC:
        return False
    return shutil.disk_usage(IN_MEMORY).free >= ROOM


def start(script: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([BIN / "python", script], cwd=ROOT, stdin=subprocess.DEVNULL)


def passes(name: str, command: list[str]) -> bool:
    """Run one check; its output is shown only if it fails or warns."""
    started = time.monotonic()
    done = subprocess.run(
        [BIN / command[0], *command[1:]],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        # pyright asks the network whether there is a newer one, and says so every time; the
        # documentation's theme says every time what will become of it.
        env={
            **os.environ,
            "PYRIGHT_PYTHON_IGNORE_WARNINGS": "1",
            "NO_MKDOCS_2_WARNING": "1",
            **(NOWHERE if name == "docs" else dict[str, str]()),
        },
    )
    ok = done.returncode == 0
    print(f"{'ok  ' if ok else 'FAIL'} {name:12} {time.monotonic() - started:5.1f} s", flush=True)
    if not ok or name == "file sizes":
        print(done.stdout, end="", flush=True)
    return ok


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
