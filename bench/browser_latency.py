"""What Chorus adds between a mouth and an ear in a browser, on this machine: Chromium's own clock.

    python -m bench.browser_latency --seconds 60

A real Chromium plays a recording of clicks as its microphone into the client of `clients/browser/`.
The server's side is the browser line with a desk that answers each frame with a click at once, by
the same frame and 400 ms behind it, as the agent's sound comes. A second worklet listens to the
microphone before the client has it, and to what the client gives to the loudspeaker: both times are
samples of the one clock of the page's sound. So the figure has the framing, both resamplers, both
ways over the socket, and the page's buffer; it has not the microphone's and the loudspeaker's own
delay (`outputLatencyMs` is told beside it), nor any thinking. One line of JSON; exit status 1 if
the goal of 60 ms (p95) was missed. Needs Chromium and the built dashboard (`make setup`).
"""

from __future__ import annotations

import argparse
import array
import asyncio
import json
import math
import shutil
import statistics
import sys
import tempfile
import wave
from pathlib import Path
from typing import Any

import uvicorn
from playwright.async_api import async_playwright
from starlette.applications import Starlette
from starlette.responses import HTMLResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles

from bench.servers import free_port
from chorus.lines.browser.line import BrowserLine
from chorus.lines.browser.socket import BrowserSocket
from chorus.lines.desk import Relayed
from chorus.lines.line import Line, LineEnded, LineMove
from chorus.lines.websocket import DirectProtocol

EMBED = Path(__file__).resolve().parent.parent / "src" / "chorus" / "web" / "static" / "embed"
GOAL_MS = 60.0
EVERY_S = 1.1
BEHIND_MS = 400
LOUD = 3000
WAV_HZ = 48_000

TAP = """
registerProcessor("tap", class extends AudioWorkletProcessor {
  last = [-1e9, -1e9];
  process(inputs) {
    for (const place of [0, 1]) {
      const samples = inputs[place][0];
      if (!samples) continue;
      for (let i = 0; i < samples.length; i++) {
        if (Math.abs(samples[i]) < 0.1) continue;
        if (currentFrame + i - this.last[place] > sampleRate / 2) {
          this.port.postMessage({ place, frame: currentFrame + i });
        }
        this.last[place] = currentFrame + i;
      }
    }
    return true;
  }
});
"""
PAGE = """<!doctype html><title>bench</title><button>go</button><script type="module">
import { BrowserCall } from "/embed/index.js";
const connect = AudioNode.prototype.connect;
let microphone;
window.heard = [];
AudioNode.prototype.connect = function (to, ...rest) {
  if (this instanceof MediaStreamAudioSourceNode) microphone = this;
  if (this instanceof AudioWorkletNode && to instanceof AudioDestinationNode) {
    const call = this, context = this.context;
    window.context = context;
    void context.audioWorklet.addModule("/tap.js").then(() => {
      const tap = new AudioWorkletNode(context, "tap", { numberOfInputs: 2 });
      tap.port.onmessage = ({ data }) => window.heard.push(data);
      connect.call(microphone, tap, 0, 0);
      connect.call(call, tap, 0, 1);
      connect.call(tap, context.destination);
    });
  }
  return connect.call(this, to, ...rest);
};
// What a browser does to a voice would do away with clicks, and is not what is measured.
const ask = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
navigator.mediaDevices.getUserMedia = () =>
  ask({ audio: { echoCancellation: false, noiseSuppression: false, autoGainControl: false } });
document.querySelector("button").onclick = () => {
  const call = new BrowserCall();
  call.on("ended", (ended) => (window.ended = ended));
  const url = `ws://${location.host}/browser/media/1/any`;
  void call.connect({ callId: "1", token: "t", url });
};
</script>"""


class Answering:
    """Implements `LineEvents`: a frame with a click is said back at once."""

    def __init__(self, line: BrowserLine) -> None:
        self._line = line
        self.over = asyncio.Event()

    def line_audio(self, chunk: bytes, at_ms: float) -> None:
        if max(map(abs, array.array("h", chunk)), default=0) > LOUD:
            self._line.play(chunk + self._line.format.silence(BEHIND_MS))

    def line_digit(self, digit: str) -> None: ...

    def line_moved(self, move: LineMove) -> None: ...

    def line_ended(self, ended: LineEnded) -> None:
        self.over.set()


class Desk:
    """Implements `Talks`."""

    async def claim(self, call_id: str, token: str) -> bool:
        return True

    async def converse(self, line: Line, call_id: str) -> None:
        assert isinstance(line, BrowserLine)
        answering = Answering(line)
        line.start(answering)
        await answering.over.wait()

    async def way_to(self, call_id: str) -> Relayed | None:
        return None

    def proved_s_ago(self, call_id: str, origin: str | None, proof: str) -> float | None:
        return 0.0


def clicks(path: Path) -> None:
    """Five milliseconds of a tone every so often, for Chromium to play again and again."""
    silence = int(WAV_HZ * EVERY_S)
    click = [round(28_000 * math.sin(math.tau * 1000 * i / WAV_HZ)) for i in range(WAV_HZ // 200)]
    samples = array.array("h", [*([0] * silence), *click] * 30)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(WAV_HZ)
        file.writeframes(samples.tobytes())


def paired(heard: list[dict[str, Any]], rate_hz: int) -> list[float]:
    """Milliseconds from each click at the microphone to the next one at the loudspeaker."""
    found: list[float] = []
    mouth: int | None = None
    for each in sorted(heard, key=lambda told: told["frame"]):
        if each["place"] == 0:
            mouth = each["frame"]
        elif mouth is not None:
            found.append((each["frame"] - mouth) * 1000 / rate_hz)
            mouth = None
    return found


async def measured(seconds: float, chromium: str, folder: Path) -> dict[str, Any]:
    async def page(_: object) -> Response:
        return HTMLResponse(PAGE)

    async def tap(_: object) -> Response:
        return Response(TAP, media_type="text/javascript")

    app = Starlette(
        routes=[
            Route("/", page),
            Route("/tap.js", tap),
            Mount("/embed", StaticFiles(directory=EMBED)),
            WebSocketRoute("/browser/media/{call_id}/{proof}", BrowserSocket(Desk(), None)),
        ]
    )
    port = free_port()
    config = uvicorn.Config(app, port=port, ws=DirectProtocol, log_level="warning")
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    sound = folder / "clicks.wav"
    clicks(sound)
    arguments = [
        *("--no-sandbox", "--disable-gpu", "--use-fake-ui-for-media-stream"),
        *("--use-fake-device-for-media-stream", f"--use-file-for-fake-audio-capture={sound}"),
    ]
    try:
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=chromium, args=arguments)
            tab = await browser.new_page()
            await tab.goto(f"http://127.0.0.1:{port}/")
            await tab.click("button")
            await asyncio.sleep(seconds)
            told: dict[str, Any] = await tab.evaluate(
                "({heard: window.heard, ended: window.ended, rate: window.context?.sampleRate, "
                "output: window.context?.outputLatency})"
            )
            await browser.close()
    finally:
        server.should_exit = True
        await serving
    if told.get("ended") or not told["heard"]:
        raise SystemExit(f"bench.browser_latency: no sound came: {told.get('ended')}")
    added = paired(told["heard"], told["rate"])[1:]  # the first has the start of the sound in it
    if len(added) < 5:
        raise SystemExit(f"bench.browser_latency: only {len(added)} clicks came back")
    parts = statistics.quantiles(added, n=100)
    return {
        "clicks": len(added),
        "lost": sum(each["place"] == 0 for each in told["heard"]) - len(added) - 1,
        "addedMsP50": round(parts[49], 1),
        "addedMsP95": round(parts[94], 1),
        "addedMsMax": round(max(added), 1),
        "outputLatencyMs": round((told["output"] or 0) * 1000, 1),
        "contextHz": told["rate"],
    }


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.browser_latency", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    options = parser.parse_args()
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None or not (EMBED / "index.js").exists():
        print("bench.browser_latency: needs Chromium and `make setup`", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="chorus-clicks-") as folder:
        found = asyncio.run(measured(options.seconds, chromium, Path(folder)))
    print(json.dumps(found))
    return 0 if found["addedMsP95"] <= GOAL_MS else 1


if __name__ == "__main__":
    sys.exit(main())
