"""Where the server's time goes under load: the processor time of each thread, by Linux's account,
and py-spy's samples of whoever held the interpreter's lock, as two short lists.

    python -m bench.hotspots --calls 50 --seconds 15        (`make profile`)

The server has core 0 and the callers core 1, as in the measurements. What works without the lock
(models, system calls) is in the first table only. py-spy comes from PyPI through uv for this run
only. It must be allowed to trace the server: as root, or with kernel.yama.ptrace_scope = 0.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from scripts.bootstrap import find_uv, uv_environment

from bench.procfs import threads_cpu_s
from bench.run import CALLER_CORE, SERVER_CORE
from bench.servers import ROOT, SYSTEMS, NotReady, Server, running

_THREAD = re.compile(r"thread \((\d+)\): ([^;]*)")
RAMP_S, WARM_UP_S = 0.05, 17.0


def count(stacks: Iterable[str]) -> tuple[Counter[str], Counter[str], int]:
    """Samples by the function at work, and by every function that led there once per stack.

    `stacks` are lines of py-spy's raw format: `outermost;…;innermost samples`."""
    own: Counter[str] = Counter()
    under: Counter[str] = Counter()
    total = 0
    for line in stacks:
        frames, _, samples = line.rpartition(" ")
        names = [frame.strip() for frame in frames.split(";")]
        names = [n for n in names if not n.startswith(("process ", "thread ("))] or names
        own[names[-1]] += int(samples)
        under.update(dict.fromkeys(set(names), int(samples)))
        total += int(samples)
    return own, under, total


def threads(stacks: Iterable[str]) -> dict[int, str]:
    """The names that Python has for threads, by their ids: py-spy's "thread (4711): vad"."""
    found = (_THREAD.search(line) for line in stacks)
    return {int(thread[1]): thread[2].strip() for thread in found if thread}


def show(title: str, counter: Counter[str], total: int, rows: int) -> None:
    print(f"\n{title}")
    for name, samples in counter.most_common(rows):
        print(f"{100 * samples / total:6.1f} %  {name}")


def record(server: Server, seconds: int, calls: int) -> tuple[list[str], dict[int, float]]:
    """py-spy's lines, and the share of a core that each thread had. Raises
    `CalledProcessError` where py-spy may not look."""
    uv = find_uv()
    if uv is None:
        sys.exit("hotspots: run `make setup` first")
    caller = [
        "taskset",
        "-c",
        CALLER_CORE,
        sys.executable,
        "-W",
        "ignore",
        "-m",
        "bench.caller",
    ]
    caller += [*server.caller_arguments]
    caller += ["--calls", str(calls), "--seconds", str(seconds + 5)]
    load = subprocess.Popen(caller, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        time.sleep(WARM_UP_S + RAMP_S * calls)
        with tempfile.NamedTemporaryFile(suffix=".txt") as samples:
            spy = [uv, "tool", "run", "py-spy", "record", "--pid", str(server.pid)]
            spy += ["--duration", str(seconds), "--rate", "200", "--gil", "--threads"]
            spy += ["--format", "raw", "--output", samples.name]
            before, began_s = threads_cpu_s(server.pid), time.monotonic()
            subprocess.run(
                spy,
                check=True,
                env=uv_environment(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
            )
            passed_s = time.monotonic() - began_s
            after = threads_cpu_s(server.pid)
            shares = {n: (cpu_s - before.get(n, 0.0)) / passed_s for n, cpu_s in after.items()}
            return Path(samples.name).read_text().splitlines(), shares
    finally:
        load.terminate()
        load.wait()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--calls", type=int, default=50)
    parser.add_argument("--seconds", type=int, default=15)
    parser.add_argument("--rows", type=int, default=25)
    parser.add_argument("--system", default=SYSTEMS[0].name, choices=[s.name for s in SYSTEMS])
    options = parser.parse_args()
    system = next(s for s in SYSTEMS if s.name == options.system)
    try:
        with running(system, SERVER_CORE) as server:
            stacks, shares = record(server, options.seconds, options.calls)
    except (NotReady, subprocess.CalledProcessError) as failed:
        print(f"hotspots: {failed}", file=sys.stderr)
        return 1
    own, under, total = count(stacks)
    if not total:
        print("hotspots: no samples", file=sys.stderr)
        return 1
    print(f"{options.calls} calls, {options.seconds} s\n\nprocessor time, of a core")
    names = threads(stacks)
    for number, share in sorted(shares.items(), key=lambda it: -it[1]):
        if share >= 0.005:
            print(f"{100 * share:6.1f} %  {names.get(number, 'others, each')}")
    print(f"\n{total} samples with the interpreter's lock")
    show("at work", own, total, options.rows)
    show("at work or waiting for what it called", under, total, options.rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
