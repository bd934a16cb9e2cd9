"""The real server: `python -m chorus serve` as a process of its own, on a free port."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

API_KEY = "sk_live_" + "s" * 32


@dataclass(frozen=True)
class Server:
    """`output` is the file that its stdout and stderr go to."""

    url: str
    process: subprocess.Popen[bytes]
    data_dir: Path
    output: Path
    api_key: str = API_KEY

    @property
    def ws_url(self) -> str:
        return self.url.replace("http", "ws", 1)

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.api_key}"}

    def client(self) -> httpx.Client:
        return httpx.Client(base_url=self.url, headers=self.headers, timeout=30)

    def stop(self, timeout_s: float = 20) -> int:
        """Ask it to stop, as a supervisor does; returns its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout_s)


def start(data_dir: Path, *arguments: str, module: str = "chorus", **env: str) -> Server:
    """Start a server on `data_dir` and wait until it answers. `env` are further variables; those
    of CHORUS_ that the tests run with are not passed on; `module` is what is run instead of it."""
    data_dir.mkdir(parents=True, exist_ok=True)
    output = data_dir / "server.log"
    clean = {name: value for name, value in os.environ.items() if not name.startswith("CHORUS_")}
    with output.open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", module, "serve", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=clean
            | {
                "CHORUS_HOST": "127.0.0.1",
                "CHORUS_PORT": "0",
                "CHORUS_DATA_DIR": str(data_dir),
                "CHORUS_BOOTSTRAP_API_KEY": API_KEY,
                "CHORUS_RATE_LIMIT_PER_MINUTE": "100000",
            }
            | env,
        )
    try:
        url = _ready(process, output)
    except BaseException:
        process.kill()
        process.wait()
        raise
    return Server(url, process, data_dir, output, env.get("CHORUS_BOOTSTRAP_API_KEY", API_KEY))


@contextmanager
def serving(data_dir: Path, *arguments: str, **env: str) -> Iterator[Server]:
    server = start(data_dir, *arguments, **env)
    try:
        yield server
    finally:
        if server.process.poll() is None:
            try:
                server.stop()
            except subprocess.TimeoutExpired:
                server.process.kill()
                server.process.wait()


def _ready(process: subprocess.Popen[bytes], output: Path, timeout_s: float = 120) -> str:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        text = output.read_text("utf-8", "replace")
        if process.poll() is not None:
            raise RuntimeError(f"the server ended with {process.returncode}:\n{text}")
        # The last one: a server that is started again on the same folder goes on in the file.
        _, found, rest = text.rpartition("Chorus is at ")
        if found and "\n" in rest:
            url = rest.split()[0]
            try:
                if httpx.get(f"{url}/healthz", timeout=5).status_code == 200:
                    return url
            except httpx.TransportError:
                pass
        time.sleep(0.05)
    raise RuntimeError(f"the server was not ready in {timeout_s} s:\n{output.read_text()}")
