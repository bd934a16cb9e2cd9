"""Chorus and its peer under the same load, side by side, into docs/performance.md.

    python -m bench.run                                   (what `make bench` does, half an hour)
    python -m bench.run --systems chorus --calls 10 --seconds 10 --repeats 1 --no-write

Every measurement gets a fresh server on core 0, the callers run on core 1, and the systems take
turns within each repeat, so that a busy quarter of an hour on the machine hits all of them. Each
run's line of JSON is kept in bench/.results/.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench import report
from bench.servers import ROOT, SYSTEMS, NotReady, System, running

RESULTS = ROOT / "bench" / ".results"
DOCUMENT = ROOT / "docs" / "performance.md"
SERVER_CORE, CALLER_CORE = "0", "1"


def numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    names = [system.name for system in SYSTEMS]
    parser.add_argument(
        "--systems", default="chorus,chorus-silence,pipecat,livekit", help="of " + ", ".join(names)
    )
    parser.add_argument("--calls", type=numbers, default=[1, 10, 50, 100], help="e.g. 1,10,50")
    parser.add_argument("--seconds", type=float, default=30.0, help="measured in each run")
    parser.add_argument("--warm-up", type=float, default=10.0)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument(
        "--server-cores",
        default=SERVER_CORE,
        help="0,1: the callers' core too",
    )
    parser.add_argument("--speech", default="mixed", help="see bench.caller")
    parser.add_argument("--no-write", action="store_true", help="print only")
    options = parser.parse_args()
    chosen = options.systems.split(",")
    if unknown := set(chosen) - set(names):
        parser.error(f"--systems: no such system: {', '.join(sorted(unknown))}")
    options.systems = [system for system in SYSTEMS if system.name in chosen]
    return options


def measure(system: System, calls: int, options: argparse.Namespace) -> dict[str, Any]:
    """One run; what went wrong is in `error`."""
    caller = ["taskset", "-c", CALLER_CORE, sys.executable, "-W", "ignore"]
    caller += ["-m", "bench.caller", "--calls", str(calls), "--seconds", str(options.seconds)]
    caller += ["--warm-up", str(options.warm_up), "--speech", options.speech]
    try:
        with running(system, options.server_cores) as server:
            done = subprocess.run(
                [*caller, "--pid", str(server.pid), *server.caller_arguments],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                text=True,
                timeout=options.seconds + options.warm_up + 60 + calls,
            )
            run = json.loads(done.stdout.splitlines()[-1])
            if "error" in run:
                run["error"] += f"\n{server.last_words()}"
            return run | server.judged_by()
    except NotReady as failed:
        return {"calls": calls, "error": str(failed)}
    except (subprocess.TimeoutExpired, IndexError, ValueError) as failed:
        return {"calls": calls, "error": f"caller: {failed!r}"}


def main() -> int:
    options = arguments()
    if (os.cpu_count() or 1) < 2 or not shutil.which("taskset"):
        print("bench: needs two cores and taskset (util-linux)", file=sys.stderr)
        return 1
    if any(system.peer for system in options.systems):
        subprocess.run([str(ROOT / "bench" / "setup_peer.sh")], check=True)
    if options.speech == "mixed":
        subprocess.run([str(ROOT / "bench" / "setup_utterances.sh")], check=True)
    runs: list[dict[str, Any]] = []
    RESULTS.mkdir(exist_ok=True)
    kept = RESULTS / f"{datetime.now(UTC):%Y%m%dT%H%M%S}.jsonl"
    for repeat in range(1, options.repeats + 1):
        for calls in options.calls:
            # Whoever comes first finds a cooler machine: take turns.
            turn = repeat % len(options.systems)
            for system in options.systems[turn:] + options.systems[:turn]:
                run = measure(system, calls, options) | {"system": system.name, "repeat": repeat}
                runs.append(run)
                with kept.open("a") as lines:
                    lines.write(json.dumps(run) + "\n")
                print(f"{repeat} {system.name:16} {calls:4}", *summary(run), flush=True)
    command = shlex.join(["python", "-m", "bench.run", *sys.argv[1:]])
    text = f"{report.circumstances(command, runs)}\n\n{report.table(runs)}"
    print(f"\n{text}\n\n{kept}")
    if not options.no_write:
        report.write_into(Path(DOCUMENT), text)
    return 1 if any("error" in run for run in runs) else 0


def summary(run: dict[str, Any]) -> tuple[str, ...]:
    return (run["error"].strip(),) if "error" in run else report.figures([run])


if __name__ == "__main__":
    sys.exit(main())
