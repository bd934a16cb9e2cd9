"""`python -m bench.calls_local`: whole calls by voice, with nothing but this machine.

A server with Whisper, a Piper voice and an agent on the script model, which answers whatever it
hears; callers at a carrier's media streams, who say sentences of recorded people
(`bench/prompts.py`) one after another and wait for each answer. Told is how long each answer took
at the caller's ear, whether its sound came without a gap, what was understood (the calls'
transcripts against what was said), and what a call costs of a core. Server and callers share all
cores of the machine.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import sys
import time
from collections.abc import Iterable, Sequence
from typing import Any

import uvloop
from picows import ws_connect  # pyright: ignore[reportUnknownVariableType]  # **kwargs
from scripts.material import MODELS

from bench import procfs
from bench.carrier import FRAME_BYTES, Call, Manners, Utterance, now_s
from bench.dial import ChorusNumber, Refused, chorus_number
from bench.grid import Grid
from bench.prompts import RATE_HZ, Floats, pcm16, prompts, word_errors
from bench.servers import NotReady, Server, System, running
from bench.tally import Tally, percentile
from chorus.audio import codec
from chorus.audio.frame import MULAW_8K

SYSTEM = System(
    "local",
    "Chorus, all of it on this machine",
    agent={
        "systemPrompt": 'script:\notherwise: say "Thank you, I have written that down. '
        'Please tell me what else I can do for you."\n',
    },
    engines=("script", "joe"),
    environment={"CHORUS_MODELS_DIR": str(MODELS)},
)
HEAD = (
    "calls at once",
    "answer p50 / p95",
    "of it: words / turn over / voice, p50",
    "later than 1 s",
    "none",
    "spoken into, of all turns",
    "late frames",
    "words wrong",
    "CPU a call, of a core",
    "foreign CPU, cores",
)
_STAGES = ("wordsMs", "committedMs", "audioMs")
_SENTENCES = 40
_LONGEST_S = 6.0
_OVER_S = 30.0


def tables(calls: Sequence[int], seconds: float) -> list[str]:
    """One row for each number of calls, as Markdown."""
    says = sentences()
    rows = [f"| {' | '.join(HEAD)} |", "|" + "---|" * len(HEAD)]
    for count in calls:
        try:
            with running(SYSTEM) as server:
                told = uvloop.run(_measure(server, says, count, seconds))
        except (NotReady, Refused) as failed:
            return [*rows, "", f"{count} calls could not be held: {failed}"]
        rows.append(f"| {' | '.join(told)} |")
    return rows


def sentences() -> tuple[Utterance, ...]:
    """What the callers say; each is named by its words."""
    found = prompts("en", least_words=4)
    return tuple(
        Utterance(prompt.text, list(_frames(prompt.audio)))
        for prompt in found
        if len(prompt.audio) < _LONGEST_S * RATE_HZ
    )[:_SENTENCES]


def _frames(audio: Floats) -> Iterable[bytes]:
    mulaw = codec.encode(MULAW_8K, pcm16(audio))
    for at in range(0, len(mulaw) - FRAME_BYTES + 1, FRAME_BYTES):
        yield base64.b64encode(mulaw[at : at + FRAME_BYTES])


async def _measure(
    server: Server, says: tuple[Utterance, ...], count: int, seconds: float
) -> list[str]:
    number = await chorus_number(server.base_url, server.api_key, SYSTEM.agent, SYSTEM.engines)
    tally = Tally()
    grid = Grid(tally)
    manners = Manners(says, first_after_s=3.0, stagger_s=4.0)
    ticking = asyncio.create_task(grid.run())
    calls: list[Call] = []
    for _ in range(count):
        calls.append(await _connect(number, manners, tally))
        grid.add(calls[-1])
        await asyncio.sleep(0.1)
    await asyncio.sleep(manners.first_after_s + manners.stagger_s + 3.0)
    busy_s, server_s = procfs.busy_s(), procfs.usage(server.pid).cpu_s
    own_s, began_s = time.process_time(), now_s()
    tally.measuring = True
    await asyncio.sleep(seconds)
    tally.measuring = False
    took_s = now_s() - began_s
    server_s = procfs.usage(server.pid).cpu_s - server_s
    foreign_s = procfs.busy_s() - busy_s - server_s - (time.process_time() - own_s)
    for call in calls:
        call.quiet = True
    await asyncio.sleep(_LONGEST_S + 2.0)  # for what is being said, and its words
    tally.stopping = True
    for call in calls:
        call.hang_up()
    ticking.cancel()
    records = await _records(number, server.api_key, [call.sid for call in calls])
    summary = tally.summary()
    wrong, words = _understood(calls, records)
    stages = " / ".join(_middle(records, stage) for stage in _STAGES)
    return [
        str(count),
        f"{summary['response_ms']['p50']} / {summary['response_ms']['p95']} ms",
        f"{stages} ms",
        str(summary["late_answers"]),
        str(summary["unanswered"]),
        f"{summary['cut_ins']} of {summary['turns']}",
        f"{summary['late_20ms']} of {summary['frames']}",
        f"{wrong / max(1, words):.1%} of {words}",
        f"{100 * server_s / took_s / count:.1f} %",
        f"{max(0.0, foreign_s / took_s):.2f}",
    ]


async def _connect(number: ChorusNumber, manners: Manners, tally: Tally) -> Call:
    invitation = await number.ring()
    call = Call(invitation, manners, tally)
    await ws_connect(lambda: call, invitation.url, websocket_handshake_timeout=_OVER_S)
    return call


async def _records(number: ChorusNumber, api_key: str, sids: Iterable[str]) -> list[dict[str, Any]]:
    """What the API says of the calls once they are over, in this order."""
    head = {"Authorization": f"Bearer {api_key}"}

    async def get(path: str) -> Any:
        answer = await number.http.get(f"{number.base_url}/v1{path}", headers=head)
        return answer.raise_for_status().json()["data"]

    async with asyncio.timeout(_OVER_S):
        while any(call["status"] == "in_progress" for call in await get("/calls?limit=100")):
            await asyncio.sleep(0.2)
    ids = {call["callSid"]: call["id"] for call in await get("/calls?limit=100")}
    return [await get(f"/calls/{ids[sid]}?include=turns") for sid in sids]


def _understood(calls: Iterable[Call], records: Iterable[dict[str, Any]]) -> tuple[int, int]:
    """Words wrong and words said: all of a call at once, wherever its turns were cut."""
    pairs: list[tuple[str, str]] = []
    for call, record in zip(calls, records, strict=True):
        lines = [line for line in record["transcript"] or () if line["role"] == "user"]
        pairs.append((" ".join(call.said), " ".join(line["content"] for line in lines)))
    return word_errors(pairs)


def _middle(records: Iterable[dict[str, Any]], stage: str) -> str:
    """The median over all turns of when a stage was reached."""
    found = [turn[stage] for record in records for turn in record["turns"] or ()]
    middle = percentile([ms for ms in found if ms is not None], 50)
    return "-" if middle is None else f"{middle:.0f}"


def main() -> int:
    parser = argparse.ArgumentParser(description="whole calls by voice, on this machine alone")
    parser.add_argument("--calls", default="1,4,8", help="at once")
    parser.add_argument("--seconds", type=float, default=30.0, help="measured in each run")
    options = parser.parse_args()
    calls = [int(count) for count in options.calls.split(",")]
    print("\n".join(tables(calls, options.seconds)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
