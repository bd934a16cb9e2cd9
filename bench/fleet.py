"""What a machine holds, and what Postgres does, of a thousand calls and of ten thousand.

    python -m bench.fleet slice --workers 1,2,4 --write docs/performance-database.md
    python -m bench.fleet database --calls 1000,10000 --write docs/performance-database.md

`slice`: for each number of workers a fresh server on a Postgres of its own, the same callers as
`bench.run` has, and more of them from run to run, until it no longer keeps up: more than `LATE` of
the frames come late, or half of the answers after more than a second, or a call is lost.

`database`: what `bench/fleet_database.py` says.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

from bench import fleet_database, postgres, procfs, report
from bench.dial import Refused
from bench.servers import ROOT, NotReady, System, running

SLICE = ("<!-- fleet slice: begin -->", "<!-- fleet slice: end -->")
LATE = 1.0
"""Per cent of the frames that may come more than 20 ms late."""
SLOW_MS = 1000.0


def numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parts = parser.add_subparsers(dest="part", required=True)
    slice_ = parts.add_parser("slice", help="calls on a core, by workers")
    slice_.add_argument("--workers", type=numbers, default=[1, 2, 4], help="e.g. 1,2,4")
    slice_.add_argument("--calls", type=numbers, default=[20, 40, 60, 80, 120, 160, 240])
    slice_.add_argument("--seconds", type=float, default=30.0, help="measured in each run")
    slice_.add_argument("--warm-up", type=float, default=10.0)
    slice_.add_argument("--server-cores", default="", help="e.g. 0-3; all without it")
    slice_.add_argument("--caller-cores", default="", help="e.g. 4,5; all without it")
    slice_.add_argument("--speech", default="mixed", help="see bench.caller")
    database = parts.add_parser("database", help="Postgres under the statements of many calls")
    fleet_database.options(database)
    for each in (slice_, database):
        each.add_argument("--write", type=Path, help="the document that the table goes into")
    return parser.parse_args()


def keeps_up(run: dict[str, Any]) -> bool:
    """Whether a run's callers were served."""
    if "error" in run or run["disconnects"]:
        return False
    answered_ms = run["response_ms"]["p50"]
    return run["late_pct"] <= LATE and answered_ms is not None and answered_ms <= SLOW_MS


def measure(workers: int, calls: int, options: argparse.Namespace) -> dict[str, Any]:
    """One run; what went wrong is in `error`."""
    caller = ["taskset", "-c", options.caller_cores] if options.caller_cores else []
    caller += [sys.executable, "-W", "ignore", "-m", "bench.caller", "--calls", str(calls)]
    caller += ["--seconds", str(options.seconds), "--warm-up", str(options.warm_up)]
    caller += ["--speech", options.speech]
    try:
        with postgres.running() as database:
            system = System(
                "chorus",
                f"{workers} workers",
                environment={
                    "CHORUS_DATABASE_URL": database.url,
                    "CHORUS_WORKERS": str(workers),
                    "CHORUS_MAX_CONCURRENT_CALLS": "100000",
                },
            )
            with running(system, options.server_cores) as server:
                before = procfs.usage(database.pid).cpu_s
                done = subprocess.run(
                    [*caller, "--pid", str(server.pid), *server.caller_arguments],
                    cwd=ROOT,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    text=True,
                    timeout=options.seconds + options.warm_up + 120 + calls,
                )
                database_s = procfs.usage(database.pid).cpu_s - before
                run = json.loads(done.stdout.splitlines()[-1])
                if "error" in run:
                    run["error"] += f"\n{server.last_words()}"
                return run | {"workers": workers, "database_cpu_s": round(database_s, 2)}
    except NotReady as failed:
        return {"workers": workers, "calls": calls, "error": str(failed)}
    except (subprocess.TimeoutExpired, IndexError, ValueError) as failed:
        return {"workers": workers, "calls": calls, "error": f"caller: {failed!r}"}


def slices(options: argparse.Namespace) -> list[dict[str, Any]]:
    runs: list[dict[str, Any]] = []
    for workers in options.workers:
        for calls in options.calls:
            run = measure(workers, calls, options)
            runs.append(run)
            print(json.dumps(run), flush=True)
            if not keeps_up(run):
                break
    return runs


def table(runs: list[dict[str, Any]]) -> str:
    """A row for each run, and of each number of workers what was the most."""
    rows = [
        "| workers | calls | answer p50 / p95 | late frames | lost | server's cores | of a core "
        "a call | memory a call | cores of others | keeps up |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for run in runs:
        start = f"| {run['workers']} | {run['calls']} | "
        if "error" in run:
            rows.append(f"{start}{run['error'].splitlines()[0]} | | | | | | | no |")
            continue
        answer = run["response_ms"]
        rows.append(
            f"{start}{answer['p50']} / {answer['p95']} ms | {run['late_pct']} % | "
            f"{run['disconnects']} | {run['server_cpu']} | {run['cpu_per_call_pct']} % | "
            f"{run['memory_per_call_mb']} MB | {run['foreign_cpu']} | "
            f"{'yes' if keeps_up(run) else 'no'} |"
        )
    for workers in dict.fromkeys(run["workers"] for run in runs):
        best = [run for run in runs if run["workers"] == workers and keeps_up(run)]
        among = f"With {workers} worker{'s' * (workers > 1)}"
        if not best:
            rows += ["", f"{among} no run kept up."]
            continue
        most = max(best, key=lambda run: run["calls"])
        cores = max(most["server_cpu"], 0.01)
        rows += [
            "",
            f"{among} {most['calls']} calls at once were served, on {cores} cores: "
            f"{most['calls'] / cores:.0f} a core.",
        ]
    return "\n".join(rows)


def main() -> int:
    options = arguments()
    command = shlex.join(["python", "-m", "bench.fleet", *sys.argv[1:]])
    if options.part == "database":
        try:
            return fleet_database.main(options, command)
        except (Refused, NotReady) as failed:
            print(f"fleet: {failed}", file=sys.stderr)
            return 1
    if options.speech == "mixed":
        subprocess.run([str(ROOT / "bench" / "setup_utterances.sh")], check=True)
    runs = slices(options)
    stamped = [run | {"repeat": 1} for run in runs]
    text = f"{table(runs)}\n\n{report.circumstances(command, stamped, where='')}"
    text += f" Load average {os.getloadavg()[0]:.1f} at the end."
    print(f"\n{text}")
    if options.write:
        report.write_into(options.write, text, *SLICE)
    return 1 if any("error" in run for run in runs) else 0


if __name__ == "__main__":
    sys.exit(main())
