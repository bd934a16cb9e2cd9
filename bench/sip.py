"""What a SIP call costs, without the models that hear and speak (`make bench-sip`, two minutes).

    python -m bench.sip --calls 100,150 --seconds 20 --rate 50

The server has core 0: Chorus's own SIP line, with a desk that takes every call (`sip_server.py`).
The callers have core 1: N calls with sound both ways (`sip_caller.py`), then sipp's built-in
caller, which places `--rate` calls a second of a second each. Every run gets a fresh server. Lines
of JSON, and at the end each goal with what was measured; exit status 1 if one was missed.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

from bench.procfs import usage
from bench.run import CALLER_CORE, ROOT, SERVER_CORE, numbers
from bench.sip_server import NUMBER

CPU_PER_CALL_PCT = 0.4
SPACING_MS = 22.0
ATTEMPT_CALL_MS = 1000
PYTHON = (sys.executable, "-W", "ignore", "-m")


class Server:
    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.pid = process.pid
        self.port: int = self._line()["port"]

    def figures(self) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return self._line()

    def _line(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit("bench.sip: the server ended; its error is above")
        return json.loads(line)


@contextlib.contextmanager
def running(*, pinned: bool = True) -> Generator[Server]:
    pin = ["taskset", "-c", SERVER_CORE] if pinned else []
    process = subprocess.Popen(
        [*pin, *PYTHON, "bench.sip_server"],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        yield Server(process)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def media(calls: int, seconds: float) -> dict[str, Any]:
    """`calls` at once, with sound both ways."""
    with running() as server:
        command = [*PYTHON, "bench.sip_caller", "--port", server.port, "--pid", server.pid]
        command += ["--calls", calls, "--seconds", seconds]
        done = subprocess.run(
            ["taskset", "-c", CALLER_CORE, *map(str, command)],
            cwd=ROOT, stdout=subprocess.PIPE, text=True, timeout=seconds + calls * 0.04 + 60,
        )  # fmt: skip
        run: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return {"run": "sound"} | run | server.figures()


def attempts(rate: int, seconds: float) -> dict[str, Any]:
    """`rate` calls a second, by sipp; each is answered, lasts a second, and is hung up."""
    with running() as server, tempfile.TemporaryDirectory(prefix="chorus-sipp-") as folder:
        statistics = Path(folder) / "stat.csv"
        total = int(rate * seconds)
        command = ["sipp", f"127.0.0.1:{server.port}", "-sn", "uac", "-i", "127.0.0.1"]
        command += ["-s", NUMBER, "-r", str(rate), "-m", str(total), "-d", str(ATTEMPT_CALL_MS)]
        command += ["-l", str(rate * 20), "-nostdin", "-trace_stat", "-stf", str(statistics)]
        before, begun_s = usage(server.pid), time.monotonic()
        done = subprocess.run(
            ["taskset", "-c", CALLER_CORE, *command],
            cwd=folder, env={**os.environ, "TERM": "dumb"}, timeout=seconds + 90,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        taken_s, after = time.monotonic() - begun_s, usage(server.pid)
        if not statistics.exists():
            return {"run": "attempts", "error": done.stderr.strip()[-300:]}
        with statistics.open() as file:
            last = list(csv.DictReader(file, delimiter=";"))[-1]
        return {
            "run": "attempts",
            "rate": rate,
            "seconds": round(taken_s, 1),
            "placed": total,
            "succeeded": int(last["SuccessfulCall(C)"]),
            "failed": int(last["FailedCall(C)"]),
            "retransmissions": int(last["Retransmissions(C)"]),
            "server_cpu": round((after.cpu_s - before.cpu_s) / taken_s, 3),
        } | server.figures()


def goals(runs: list[dict[str, Any]]) -> Iterator[tuple[bool, str]]:
    """Whether each was reached, and in words."""
    for run in runs:
        if "error" in run:
            yield False, f"{run['run']}: {run['error']}"
        elif run["run"] == "sound":
            calls, pct = run["calls"], run["cpu_per_call_pct"]
            said = f"{calls} calls: {pct} % of a core a call (at most {CPU_PER_CALL_PCT})"
            yield pct <= CPU_PER_CALL_PCT, said
            if calls <= 100:
                p99 = run["spacing_ms"][1]
                said = f"{calls} calls: packets {p99} ms apart, p99 (at most {SPACING_MS:.0f})"
                yield p99 <= SPACING_MS, said
            wanted, came = calls * run["seconds"] * 50, run["came"]
            said = f"{calls} calls on one core: {100 * came / wanted:.1f} % of the packets came"
            yield came >= 0.99 * wanted and not run["lost"], said
        else:
            said = f"{run['rate']} attempts a second: {run['succeeded']} of {run['placed']} held"
            said += f", {run['retransmissions']} messages sent again"
            yield run["succeeded"] == run["placed"], said


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--calls", type=numbers, default=[100, 150], help="at once, e.g. 100,150")
    parser.add_argument("--seconds", type=float, default=20.0, help="measured in each run")
    parser.add_argument("--rate", type=numbers, default=[50], help="attempts a second, e.g. 50,100")
    options = parser.parse_args()
    if (os.cpu_count() or 1) < 2 or not shutil.which("taskset"):
        print("bench.sip: needs two cores and taskset (util-linux)", file=sys.stderr)
        return 1
    if not shutil.which("sipp"):
        print("bench.sip: needs sipp (scripts/peers.py installs it)", file=sys.stderr)
        return 1
    runs: list[dict[str, Any]] = []
    for calls in options.calls:
        runs.append(media(calls, options.seconds))
        print(json.dumps(runs[-1]), flush=True)
    for rate in options.rate:
        runs.append(attempts(rate, options.seconds))
        print(json.dumps(runs[-1]), flush=True)
    reached = list(goals(runs))
    for good, said in reached:
        print("ok    " if good else "MISSED", said)
    return 0 if all(good for good, _ in reached) else 1


if __name__ == "__main__":
    sys.exit(main())
