"""Calls from web pages, as many at once as are asked for: what they cost the server.

    python -m bench.browser --calls 50 --seconds 60

The server has core 0, with simulated engines; the pages have core 1 and speak the browser line's
protocol (docs/browser-calls.md): a frame of 20 ms in and one played every 20 ms, a report of the
playhead at every third, and a question whenever the agent has been silent for a second. One line of
JSON: the server's processor time and memory, how long the agent's first sound took after the end of
a question, how often a page had nothing to play in the middle of a reply, and how late this program
itself was, by which one sees whether it was the measure. Exit status 1 if a call ended early, no
agent said anything, the server took more than one core, or the pages were late (p99).
"""

from __future__ import annotations

import argparse
import asyncio
import audioop
import json
import os
import statistics
import sys
import wave
from time import perf_counter
from typing import Any

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from bench.carrier import QUESTION
from bench.procfs import usage
from bench.servers import SYSTEMS, Server, running

RATE_HZ = 16_000
FRAME_MS = 20
FRAME_BYTES = RATE_HZ * 2 * FRAME_MS // 1000
PAUSE_S = 1.0
SILENCE = bytes(FRAME_BYTES)
WARM_UP_S = 5.0
LATE_MS = 20.0


def question() -> list[bytes]:
    """Frames of the caller's question, at this rate, without the silence at its ends."""
    with wave.open(str(QUESTION)) as file:
        pcm, _ = audioop.ratecv(
            file.readframes(file.getnframes()), 2, 1, file.getframerate(), RATE_HZ, None
        )
    frames = [pcm[i : i + FRAME_BYTES] for i in range(0, len(pcm) - FRAME_BYTES, FRAME_BYTES)]
    loud = [i for i, frame in enumerate(frames) if audioop.rms(frame, 2) > 300]
    return frames[loud[0] : loud[-1] + 1]


class Page:
    """One call. `answers_ms`: from the end of a question to the first of the agent's sound."""

    def __init__(self, socket: ClientConnection, asks: list[bytes]) -> None:
        self._socket, self._asks = socket, asks
        self._epoch = self._received = self._played = self._queued = 0
        self._said = len(asks)
        self._quiet_since_s = perf_counter()
        self._asked_s: float | None = None
        self._replies = False
        self._plays = False
        self.answers_ms: list[float] = []
        self.starved = self.replies = 0
        self.ended: str | None = None

    async def read(self) -> None:
        try:
            async for message in self._socket:
                if isinstance(message, bytes):
                    self._received += len(message)
                    self._queued += len(message)
                    if self._asked_s is not None:
                        self.answers_ms.append((perf_counter() - self._asked_s) * 1000)
                        self._asked_s = None
                else:
                    self._told(json.loads(message))
        except ConnectionClosed:
            self.ended = self.ended or "closed"

    def _told(self, told: dict[str, Any]) -> None:
        if told["type"] == "ended":
            self.ended = told["reason"]
        elif told["type"] in ("started", "clear"):
            self._epoch = told["epoch"]
            self._received = self._played = self._queued = 0
        elif told.get("kind") == "reply_started":
            self._replies = True
        elif told.get("kind") == "reply_heard":
            self._replies = False
            self.replies += 1

    async def tick(self, place: int) -> None:
        """Every 20 ms: a frame out, a frame played."""
        piece = min(self._queued, FRAME_BYTES)
        self._queued -= piece
        self._played += piece
        plays, before = piece > 0, self._plays
        self._plays = plays
        now_s = perf_counter()
        if plays:
            self._quiet_since_s = now_s
        elif before and self._replies and self._played and self._asked_s is None:
            self.starved += 1
        if self._said < len(self._asks):
            frame = self._asks[self._said]
            self._said += 1
            if self._said == len(self._asks):
                self._asked_s = self._quiet_since_s = now_s
        else:
            frame = SILENCE
            if now_s - self._quiet_since_s > PAUSE_S and not self._replies:
                self._said = 0
                self._asked_s = None
        await self._socket.send(frame)
        if plays is not before or place % 3 == 0:
            report = {"type": "played", "epoch": self._epoch, "plays": plays, "rttMs": 1}
            report |= {"played": self._played // 2, "received": self._received // 2}
            await self._socket.send(json.dumps(report))


async def beginning(http: httpx.AsyncClient, agent_id: str, asks: list[bytes]) -> Page:
    answer = await http.post("/v1/calls/test", json={"agentId": agent_id})
    answer.raise_for_status()
    begun = answer.json()["data"]
    socket = await connect(begun["url"], compression=None, max_size=None)
    start = {"type": "start", "callId": begun["callId"], "token": begun["token"]}
    await socket.send(json.dumps(start | {"format": f"pcm16/{RATE_HZ}"}))
    return Page(socket, asks)


async def agent(http: httpx.AsyncClient) -> str:
    fields: dict[str, Any] = {"name": "bench", "systemPrompt": "You answer."}
    for name, path in (("slmModelId", "slm-models"), ("voiceId", "voices")):
        found = (await http.get(f"/v1/{path}?search=simulated")).json()["data"]
        fields[name] = found[0]["id"]
    fields["maxCallDurationSeconds"] = 3600
    answer = await http.post("/v1/agents", json=fields)
    answer.raise_for_status()
    return answer.json()["data"]["id"]


async def measured(server: Server, calls: int, seconds: float) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {server.api_key}"}
    async with httpx.AsyncClient(base_url=server.base_url, headers=headers, timeout=60) as http:
        (
            await http.patch("/v1/organization", json={"maxConcurrentCalls": calls})
        ).raise_for_status()
        agent_id, asks = await agent(http), question()
        pages = [await beginning(http, agent_id, asks) for _ in range(calls)]
        readers = [asyncio.create_task(page.read()) for page in pages]
        late_ms: list[float] = []
        try:
            await _ticking(pages, WARM_UP_S, [])
            for page in pages:
                page.answers_ms.clear()
                page.starved = page.replies = 0
            before, began_s = usage(server.pid), perf_counter()
            await _ticking(pages, seconds, late_ms)
            after, took_s = usage(server.pid), perf_counter() - began_s
        finally:
            for reader in readers:
                reader.cancel()
    answers = [ms for page in pages for ms in page.answers_ms]
    ended = [page.ended for page in pages if page.ended is not None]
    return {
        "calls": calls,
        "seconds": round(took_s, 1),
        "serverCpuPct": round((after.cpu_s - before.cpu_s) / took_s * 100, 1),
        "serverMemoryMb": round(after.memory_mb),
        "replies": sum(page.replies for page in pages),
        "answerMsP50": _percentile(answers, 50),
        "answerMsP95": _percentile(answers, 95),
        "starved": sum(page.starved for page in pages),
        "pagesLateMsP99": _percentile(late_ms, 99),
        "endedEarly": ended,
    }


async def _ticking(pages: list[Page], seconds: float, late_ms: list[float]) -> None:
    """All pages, spread over the 20 ms."""

    async def one(place: int, page: Page) -> None:
        due_s = perf_counter() + FRAME_MS / 1000 * place / len(pages)
        until_s, ticks = due_s + seconds, 0
        while due_s < until_s and page.ended is None:
            await asyncio.sleep(max(0.0, due_s - perf_counter()))
            late_ms.append((perf_counter() - due_s) * 1000)
            try:
                await page.tick(ticks)
            except ConnectionClosed:
                return
            ticks += 1
            due_s += FRAME_MS / 1000

    await asyncio.gather(*(one(place, page) for place, page in enumerate(pages)))


def _percentile(values: list[float], percent: int) -> float | None:
    if len(values) < 2:
        return None
    return round(statistics.quantiles(values, n=100)[percent - 1], 1)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.browser", description=__doc__)
    parser.add_argument("--calls", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=60)
    options = parser.parse_args()
    with running(SYSTEMS[0], cores="0") as server:
        if (os.cpu_count() or 1) > 1:
            os.sched_setaffinity(0, {1})
        found = asyncio.run(measured(server, options.calls, options.seconds))
    print(json.dumps(found))
    wrong = [f"{len(found['endedEarly'])} calls ended early"] if found["endedEarly"] else []
    if not found["replies"]:
        wrong.append("no agent said anything")
    if found["serverCpuPct"] > 100:
        wrong.append("the server took more than one core")
    if (found["pagesLateMsP99"] or 0) > LATE_MS:
        wrong.append("the pages themselves were late: nothing can be said of the server")
    for each in wrong:
        print(f"bench.browser: {each}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
