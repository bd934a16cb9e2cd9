"""Real telephones and carriers for the tests: processes of other people's SIP stacks.

baresip is a telephone that is driven over its control port, sipp plays a scenario. Both are Debian
packages (`scripts/peers.py` installs them); a test that needs one skips where it is missing.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
import wave
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import numpy as np
import pytest

needs_baresip = pytest.mark.skipif(
    shutil.which("baresip") is None, reason="baresip is not installed (scripts/peers.py)"
)
needs_sipp = pytest.mark.skipif(
    shutil.which("sipp") is None, reason="sipp is not installed (scripts/peers.py)"
)
needs_kamailio = pytest.mark.skipif(
    shutil.which("kamailio") is None, reason="kamailio is not installed (scripts/peers.py)"
)

# No jitter buffer: that of baresip 1.0 stays silent for minutes if another SSRC with lower sequence
# numbers comes within its first five packets (it is not flushed before it has started, and takes
# every packet for a late one). Asterisk does that in a transfer, when it sends a packet or two of
# its own before it lets the other side's through.
_CONFIG = """
jitter_buffer_delay 0-0
sip_listen {where}:{port}
net_interface {ip}
audio_source aufile,{folder}/mic.wav
audio_player aubridge,sink
audio_alert aubridge,alert
ausrc_srate {rate_hz}
auplay_srate {rate_hz}
ausrc_channels 1
auplay_channels 1
snd_path {folder}
module_path /usr/lib/baresip/modules
module g711.so
module g722.so
module aufile.so
module aubridge.so
module sndfile.so
{modules}
module_tmp uuid.so
module_tmp account.so
module_app menu.so
module_app ctrl_tcp.so
ctrl_tcp_listen 127.0.0.1:{control}
rtp_ports {rtp}-{rtp_end}
{more}
"""


def free_port() -> int:
    """Free over UDP and over TCP: a telephone listens on both."""
    while True:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as stream:
            stream.bind(("127.0.0.1", 0))
            port = int(stream.getsockname()[1])
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
                try:
                    datagrams.bind(("127.0.0.1", port))
                except OSError:
                    continue
                return port


def tone(path: Path, hz: float, seconds: float, rate_hz: int = 8000) -> None:
    at = np.arange(int(seconds * rate_hz)) / rate_hz
    write_wav(path, (9000 * np.sin(2 * np.pi * hz * at)).astype("<i2").tobytes(), rate_hz)


def write_wav(path: Path, pcm16: bytes, rate_hz: int = 8000) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes(pcm16)


def loudest_hz(pcm16: bytes, rate_hz: int = 8000) -> float:
    """The strongest tone of what was heard; 0 for silence."""
    samples = np.frombuffer(pcm16, "<i2").astype(float)
    if len(samples) < rate_hz // 4 or np.abs(samples).max() < 500:
        return 0.0
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(np.argmax(spectrum)) * rate_hz / len(samples)


def _two_free_ports() -> int:
    """A port, the next of which is free as well: baresip takes that for TLS."""
    while True:
        port = free_port()
        with socket.socket() as stream, suppress(OSError):
            stream.bind(("127.0.0.1", port + 1))
            return port


class Baresip:
    """A telephone. Its events are in `events`, by `type` and in order."""

    def __init__(self, folder: Path, port: int, control: int, ip: str) -> None:
        self.folder = folder
        self.port = port
        self.events: list[dict[str, str]] = []
        self._control = control
        self._version = "-6" if ":" in ip else "-4"
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._listening: asyncio.Task[None] | None = None
        self._happened = asyncio.Event()

    async def start(self) -> None:
        log = (self.folder / "log").open("wb")
        self._process = await asyncio.create_subprocess_exec(
            "baresip", self._version, "-f", str(self.folder), "-v",
            stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log,
        )  # fmt: skip
        for _ in range(200):
            try:
                streams = await asyncio.open_connection("127.0.0.1", self._control)
            except OSError:
                await asyncio.sleep(0.05)
            else:
                self._reader, self._writer = streams
                break
        else:
            raise AssertionError(self.log())
        self._listening = asyncio.create_task(self._listen())

    async def stop(self) -> None:
        if self._listening is not None:
            self._listening.cancel()
        if self._writer is not None:
            self._writer.close()
        if self._process is not None and self._process.returncode is None:
            self._process.terminate()
            try:
                await asyncio.wait_for(self._process.wait(), 10)
            except TimeoutError:
                self._process.kill()
                await self._process.wait()

    def command(self, command: str, params: str = "") -> None:
        assert self._writer is not None
        body = json.dumps({"command": command, "params": params, "token": "t"}).encode()
        self._writer.write(b"%d:%s," % (len(body), body))

    async def happens(self, kind: str, seconds: float = 20, count: int = 1) -> dict[str, str]:
        """Wait for the event of that kind."""
        async with asyncio.timeout(seconds):
            while True:
                found = [event for event in self.events if event.get("type") == kind]
                if len(found) >= count:
                    return found[count - 1]
                self._happened.clear()
                await self._happened.wait()

    async def says(self, text: str, seconds: float = 20) -> None:
        """Wait for a line of its log."""
        async with asyncio.timeout(seconds):
            while text not in self.log():
                await asyncio.sleep(0.05)

    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")

    def heard(self) -> bytes:
        """What it heard so far, decoded, of its newest call."""
        files = sorted(self.folder.glob("dump-*-dec.wav"), key=lambda p: p.stat().st_mtime)
        if not files:
            return b""
        data = files[-1].read_bytes()
        return data[44 : len(data) - (len(data) & 1)]

    async def _listen(self) -> None:
        assert self._reader is not None
        while True:
            size = await self._reader.readuntil(b":")
            body = await self._reader.readexactly(int(size[:-1]))
            await self._reader.readexactly(1)
            message = json.loads(body)
            if message.get("event"):
                self.events.append(message)
                self._happened.set()


@asynccontextmanager
async def baresip(
    folder: Path,
    account: str = "",
    *,
    modules: str = "",
    more: str = "",
    hz: float = 440,
    rate_hz: int = 8000,
    ip: str = "127.0.0.1",
    says: bytes = b"",
) -> AsyncGenerator[Baresip, None]:
    """A telephone whose microphone hears a tone of `hz`, or once in each call the pcm16 `says`."""
    folder.mkdir(parents=True, exist_ok=True)
    port, control = _two_free_ports(), free_port()
    while control in (port, port + 1):
        control = free_port()
    rtp = 40_000 + (port % 1000) * 10
    if says:
        write_wav(folder / "mic.wav", says, rate_hz)
    else:
        tone(folder / "mic.wav", hz, 60, rate_hz)
    (folder / "config").write_text(
        _CONFIG.format(
            port=port, control=control, folder=folder, rate_hz=rate_hz, modules=modules, more=more,
            ip=ip, where=f"[{ip}]" if ":" in ip else ip,
            rtp=rtp, rtp_end=rtp + 8,
        )
    )  # fmt: skip
    account = account or (
        "<sip:+4940999@127.0.0.1:{port};transport=udp>;regint=0;answermode=auto;"
        "audio_codecs=PCMU/8000/1,PCMA/8000/1;ptime=20;dtmfmode=rtpevent"
    )
    (folder / "accounts").write_text(account.format(port=port) + "\n")
    phone = Baresip(folder, port, control, ip)
    await phone.start()
    try:
        yield phone
    finally:
        await phone.stop()
