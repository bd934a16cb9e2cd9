"""`python -m tests.lines.twilio.measure [calls] [seconds]`: what a frame costs, in CPU.

First the line alone, then through the server: a process with uvicorn and the routes, a
conversation that only listens and plays 40 ms every 40 ms, and this process as the carrier.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import sys
import time
from typing import Any

import uvloop
from picows import WSListener, WSMsgType, WSTransport, ws_connect
from tests.lines.twilio.switchboard import Talk, running

from chorus.lines.line import LineEnded, LineMove
from chorus.lines.twilio.stream import TwilioLine

FRAME = base64.b64encode(bytes(range(160))).decode()


def media(n: int, sid: str = "MZ1") -> str:
    body = {"track": "inbound", "chunk": str(n), "timestamp": str(n * 20), "payload": FRAME}
    message = {"event": "media", "sequenceNumber": str(n), "media": body, "streamSid": sid}
    return json.dumps(message)


class Nobody:
    def line_audio(self, chunk: bytes, at_ms: float) -> None: ...
    def line_digit(self, digit: str) -> None: ...
    def line_moved(self, move: LineMove) -> None: ...
    def line_ended(self, ended: LineEnded) -> None: ...


async def alone() -> None:
    line = TwilioLine("MZ1", "CA1")
    line.start(Nobody())
    frames = [media(n) for n in range(400)]
    begin = time.process_time()
    for _ in range(100):
        line._next_ms = 0
        for text in frames:
            line.take(text)
    spent = time.process_time() - begin
    print(f"line alone: {spent / 40_000 * 1e6:.2f} µs a frame received")
    begin = time.process_time()
    for _ in range(20_000):
        line.play(bytes(320))
        while line.next_message():
            pass
    print(f"line alone: {(time.process_time() - begin) / 20_000 * 1e6:.2f} µs a piece played")


async def serve() -> None:
    async def talk(talk: Talk) -> None:
        talk.line_audio = lambda chunk, at_ms: None  # type: ignore[method-assign] - keep nothing
        if speaks:
            while not talk.ended:
                talk.line.play(bytes(320))
                await asyncio.sleep(0.04)
        await talk.over.wait()

    speaks = sys.argv[2] == "speaks"
    async with running("http://127.0.0.1:1") as board:
        board.desk.behave = talk
        print(json.dumps([await board.media_url(f"c{n}") for n in range(1000)]), flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


class Leg(WSListener):
    def __init__(self, n: int) -> None:
        self.sid = f"MZ{n}"
        self.received = 0
        self.transport: WSTransport | None = None
        self.start = {
            "streamSid": self.sid,
            "callSid": f"CA{n}",
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
        }

    def on_ws_connected(self, transport: WSTransport) -> None:
        self.transport = transport
        self.say({"event": "connected"})
        self.say({"event": "start", "start": self.start, "streamSid": self.sid})

    def on_ws_frame(self, transport: WSTransport, frame: Any) -> None:
        self.received += b'"payload"' in frame.get_payload_as_bytes()

    def say(self, message: dict[str, Any]) -> None:
        assert self.transport is not None
        self.transport.send(WSMsgType.TEXT, json.dumps(message).encode())


def cpu_s(pid: int) -> float:
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def through_server(speaks: str, calls: int, seconds: float) -> None:
    server = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "tests.lines.twilio.measure", "serve", speaks),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert server.stdout is not None
    assert server.stdin is not None
    urls = json.loads(await server.stdout.readline())
    legs = [Leg(n) for n in range(calls)]
    for leg, url in zip(legs, urls, strict=False):
        await ws_connect(lambda leg=leg: leg, url)
    await asyncio.sleep(0.5)
    before, begin, due, n = cpu_s(server.pid), time.monotonic(), time.monotonic(), 0
    received = sum(leg.received for leg in legs)
    while time.monotonic() - begin < seconds:
        n += 1
        due += 0.02
        for at, leg in enumerate(legs):
            assert leg.transport is not None
            leg.transport.send(WSMsgType.TEXT, media(n, leg.sid).encode())
            if at % 25 == 24:
                # Spread over the 20 ms, as calls are.
                await asyncio.sleep(0)
        await asyncio.sleep(max(due - time.monotonic(), 0))
    spent = cpu_s(server.pid) - before
    took = time.monotonic() - begin
    received = sum(leg.received for leg in legs) - received
    print(
        f"server, {speaks}, {calls} calls: {100 * spent / took / calls:.3f} % of a core a call, "
        f"{spent / (n * calls) * 1e6:.1f} µs a frame received, {received} messages of audio back"
    )
    server.stdin.close()
    await server.wait()


def main() -> None:
    uvloop.install()
    if sys.argv[1:2] == ["serve"]:
        asyncio.run(serve())
        return
    calls = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 6
    asyncio.run(alone())
    asyncio.run(through_server("listens", calls, seconds))
    asyncio.run(through_server("speaks", calls, seconds))


if __name__ == "__main__":
    main()
