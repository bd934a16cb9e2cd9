"""Load generator on Twilio's Media Streams: N callers in conversation at once.

    python -m bench.caller --webhook http://127.0.0.1:8080 --api-key sk_live_… --calls 10
    python -m bench.caller --url ws://127.0.0.1:8765/ws --calls 10 --pid 4711

Each call's frames leave on its own 20 ms grid of absolute times. Once all calls are up and have
talked for a while, `--seconds` are measured, and one line of JSON is printed:

response_ms   from handing over the last frame of the caller's speech to the first sound of the
              answer reaching the caller's ear (silence at its start counts)
late_20ms     frames that came more than 20 ms after the caller had heard all before them
barge_in_ms   from the first frame of speech over the agent to `clear`
late_answers  of them those of more than a second
cut_ins       turns in which the agent spoke before the caller was done
by_utterance  answers, their median and cut-ins for each thing that was said
cpu, memory   of the process tree of `--pid`; `idle_cpu` and the memory that is taken off are those
              of the seconds before the first call
foreign_cpu   cores that neither the server nor this program used, stolen_cpu those that the
              hypervisor took: a run on a busy machine says little
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import sys
import time
from pathlib import Path
from typing import Any

import uvloop
from picows import WSError, ws_connect  # pyright: ignore[reportUnknownVariableType]  # **kwargs

from bench import procfs, utterances
from bench.carrier import QUESTION, Call, Manners, Utterance, now_s
from bench.dial import PlainAddress, Refused, UnauthenticatedRoute, chorus_number
from bench.grid import Grid
from bench.tally import Tally, ms, percentile

CONNECT_TIMEOUT_S = 30
IDLE_S = 3.0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    door = parser.add_mutually_exclusive_group(required=True)
    door.add_argument("--url", help="websocket that takes Media Streams")
    door.add_argument("--webhook", help="base URL of a Chorus server")
    parser.add_argument("--api-key", default="", help="of the Chorus server")
    parser.add_argument("--agent", type=json.loads, default={}, help="fields of the agent, JSON")
    parser.add_argument("--calls", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=20.0, help="measured")
    parser.add_argument("--warm-up", type=float, default=10.0, help="seconds before that")
    parser.add_argument("--ramp", type=float, default=0.05, help="seconds between two calls")
    parser.add_argument("--barge-in-every", type=int, default=3, help="turns; 0 = never")
    parser.add_argument(
        "--speech",
        default="mixed",
        help="what the callers say: `mixed` voices, `question`, or a mono 16-bit 8 kHz WAV",
    )
    parser.add_argument("--pid", type=int, help="of the server; measured with its children")
    return parser.parse_args()


def says(speech: str) -> tuple[Utterance, ...]:
    if speech == "mixed":
        return utterances.mixed()
    return utterances.one(QUESTION if speech == "question" else Path(speech))


async def connect(door: UnauthenticatedRoute, manners: Manners, tally: Tally) -> Call:
    """Raises `Refused`."""
    try:
        invitation = await door.ring()
        call = Call(invitation, manners, tally)
        await ws_connect(
            lambda: call, invitation.url, websocket_handshake_timeout=CONNECT_TIMEOUT_S
        )
    except (OSError, TimeoutError, WSError) as error:
        raise Refused(f"no connection: {error!r}") from error
    return call


async def load(door: UnauthenticatedRoute, options: argparse.Namespace) -> dict[str, Any]:
    tally = Tally()
    manners = Manners(says(options.speech), barge_in_every=options.barge_in_every)
    pid = options.pid
    at_rest = procfs.usage(pid) if pid else None
    if pid:
        await asyncio.sleep(IDLE_S)
    before = procfs.usage(pid) if pid else None
    grid = Grid(tally)
    ticking = asyncio.create_task(grid.run())
    calls: list[Call] = []
    for _ in range(options.calls):
        calls.append(await connect(door, manners, tally))
        grid.add(calls[-1])
        await asyncio.sleep(options.ramp)
    # Nobody has said a word for the first seconds, and the last caller begins latest.
    await asyncio.sleep(options.warm_up + manners.stagger_s)

    gc.disable()
    own, busy, stolen = time.process_time(), procfs.busy_s(), procfs.stolen_s()
    first = procfs.usage(pid) if pid else None
    started = now_s()
    tally.measuring = True
    await asyncio.sleep(options.seconds)
    tally.measuring = False
    seconds = now_s() - started
    last = procfs.usage(pid) if pid else None
    own, busy = time.process_time() - own, procfs.busy_s() - busy
    stolen = procfs.stolen_s() - stolen

    tally.stopping = True
    ticking.cancel()
    for call in calls:
        call.hang_up()
    result = {"calls": options.calls, "seconds": round(seconds, 1)} | tally.summary()
    server_s = 0.0
    if at_rest and before and first and last:
        server_s = last.cpu_s - first.cpu_s
        result |= {
            "server_cpu": round(server_s / seconds, 3),
            "idle_cpu": round((before.cpu_s - at_rest.cpu_s) / IDLE_S, 3),
            "cpu_per_call_pct": round(100 * server_s / seconds / options.calls, 3),
            "memory_before_mb": round(before.memory_mb, 1),
            "memory_mb": round(last.memory_mb, 1),
            "memory_per_call_mb": round((last.memory_mb - before.memory_mb) / options.calls, 2),
            "threads": last.threads,
        }
    return result | {
        "caller_cpu": round(own / seconds, 3),
        "caller_lag_p99_ms": ms(percentile(grid.lag_s, 99)),
        "foreign_cpu": round(max(0.0, busy - own - server_s) / seconds, 3),
        "stolen_cpu": round(stolen / seconds, 3),
    }


async def main() -> int:
    options = arguments()
    try:
        if options.url:
            door: UnauthenticatedRoute = PlainAddress(options.url)
        else:
            door = await chorus_number(options.webhook, options.api_key, options.agent)
        result = await load(door, options)
    except (Refused, utterances.NoUtterances) as refused:
        print(json.dumps({"calls": options.calls, "error": str(refused)}))
        return 1
    print(json.dumps(result), flush=True)
    await asyncio.sleep(0.5)  # the last close frames
    return 0


if __name__ == "__main__":
    sys.exit(uvloop.run(main()))
