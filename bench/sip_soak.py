"""Calls over SIP for an hour, and then a look at what did not go away (`make soak-sip`).

    python -m bench.sip_soak --minutes 60
    python -m bench.sip_soak --minutes 0.2 --round 4 --vanishing 0     the short form, 50 s

50 calls at once with sound both ways, in rounds: they ring, talk for `--round` seconds and hang
up, but for `--vanishing` of them, whose telephones fall silent without a goodbye. The server is
Chorus's SIP line alone (`sip_server.py`), the caller was written apart from it. After each round
its memory is noted; at the end, when it has come to rest, its files (two for each call's ports),
tasks, dialogs and transactions have to be what they were before the first call. Exits 1 if
something stayed, if a call was not answered, or if sound was missing.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from typing import Any

from bench.procfs import usage
from bench.sip import Server, running
from bench.sip_caller import Caller, Failed

REST_S = 120.0
"""A call whose telephone fell silent ends after 60 s, and its goodbye is repeated for 32."""
MEMORY_ALLOWED_MB, MEMORY_ALLOWED_MB_PER_CALL = 4.0, 0.002
SOUND_CAME = 0.9
"""Of the packets that are due; a machine with other things to do sends some late."""
HOLDINGS = ("now", "dialogs", "transactions", "tasks", "files")


def held(server: Server) -> dict[str, Any]:
    figures, used = server.figures(), usage(server.pid)
    return {**figures, "files": used.files, "memory_mb": round(used.own_mb, 1)}


def one_round(server: Server, calls: int, seconds: float, vanishing: int) -> dict[str, Any]:
    """Raises `Failed` unless all calls were answered."""
    caller = Caller(server.port, calls)
    try:
        caller.ring()
        caller.measuring = True
        begun_s = time.monotonic()
        caller.talk(seconds)
        due = calls * 50 * (time.monotonic() - begun_s)
        caller.measuring = False
        caller.hang_up(vanishing)
        came = sum(len(call.came) for call in caller.calls)
    finally:
        caller.close()
    return {"calls": calls, "came_pct": round(100 * came / due, 1), **held(server)}


def at_rest(server: Server, before: dict[str, Any]) -> dict[str, Any]:
    """When all is as it was before, or after `REST_S`."""
    deadline_s = time.monotonic() + REST_S
    while True:
        now = held(server)
        if all(now[name] <= before[name] for name in HOLDINGS) or time.monotonic() > deadline_s:
            return now
        time.sleep(1)


def problems(
    before: dict[str, Any], rounds: list[dict[str, Any]], after: dict[str, Any]
) -> list[str]:
    found = [
        f"{name}: {before[name]} before, {after[name]} after"
        for name in HOLDINGS
        if after[name] > before[name]
    ]
    # What the first calls bring with them stays; from the second round on nothing may.
    calls = sum(each["calls"] for each in rounds[1:])
    grown = after["memory_mb"] - rounds[0]["memory_mb"]
    if grown > MEMORY_ALLOWED_MB + calls * MEMORY_ALLOWED_MB_PER_CALL:
        found.append(f"memory: {grown:.1f} MB more after {calls} more calls")
    silent = [each["came_pct"] for each in rounds if each["came_pct"] < 100 * SOUND_CAME]
    if silent:
        found.append(f"of the sound of some rounds there came only {min(silent)} %")
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--calls", type=int, default=50, help="at once")
    parser.add_argument("--round", type=float, default=60.0, help="seconds that a call lasts")
    parser.add_argument("--vanishing", type=int, default=5, help="of them fall silent")
    options = parser.parse_args()
    with running(pinned=False) as server:
        before = held(server)
        rounds: list[dict[str, Any]] = []
        end_s = time.monotonic() + options.minutes * 60
        try:
            while not rounds or time.monotonic() < end_s:
                rounds.append(one_round(server, options.calls, options.round, options.vanishing))
                print(json.dumps({"round": len(rounds)} | rounds[-1]), file=sys.stderr, flush=True)
        except Failed as failed:
            print(json.dumps({"problems": [f"round {len(rounds) + 1}: {failed}"]}))
            return 1
        after = at_rest(server, before)
    found = problems(before, rounds, after)
    result = {
        "calls": sum(each["calls"] for each in rounds),
        "least_sound_pct": min(each["came_pct"] for each in rounds),
        "memory_mb": [before["memory_mb"], rounds[0]["memory_mb"], after["memory_mb"]],
        **{name: [before[name], after[name]] for name in HOLDINGS},
        "problems": found,
    }
    print(json.dumps(result))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
