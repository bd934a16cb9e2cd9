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
from tests.fakes import schema

from chorus.settings import Settings

API_KEY = "sk_live_" + "s" * 32
BYTECODE = Path(__file__).resolve().parents[2] / "build" / "bytecode"


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


@dataclass(frozen=True)
class Starting:
    """A server that was started and may not answer yet. `since` is where its own output begins in
    the file, which a server that is started again on the same folder goes on with."""

    process: subprocess.Popen[bytes]
    data_dir: Path
    output: Path
    since: int
    api_key: str

    def ready(self, timeout_s: float = 120) -> Server:
        """Wait until it answers and has loaded its engines."""
        try:
            url = self._ready(timeout_s)
        except BaseException:
            self.kill()
            raise
        return Server(url, self.process, self.data_dir, self.output, self.api_key)

    @property
    def said_ready(self) -> bool:
        return "Chorus is at " in self._said()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def _ready(self, timeout_s: float) -> str:
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            text = self._said()
            if self.process.poll() is not None:
                raise RuntimeError(f"the server ended with {self.process.returncode}:\n{text}")
            _, found, rest = text.rpartition("Chorus is at ")
            if found and "\n" in rest:
                url = rest.split()[0]
                try:
                    if httpx.get(f"{url}/healthz", timeout=5).status_code == 200:
                        parts = httpx.get(f"{url}/readyz", timeout=10).json()
                        if "being loaded" not in parts.get("engines", ""):
                            return url
                except httpx.TransportError:
                    pass
            time.sleep(0.05)
        raise RuntimeError(f"the server was not ready in {timeout_s} s:\n{self._said()}")

    def _said(self) -> str:
        with self.output.open("rb") as log:
            log.seek(self.since)
            return log.read().decode("utf-8", "replace")


def launch(
    data_dir: Path, *arguments: str, module: str = "chorus", empty: bool = False, **env: str
) -> Starting:
    """Start a server on `data_dir`. `env` are further variables; those of CHORUS_ that the tests
    run with are not passed on; `module` is what is run instead of it. A SQLite file that is not
    there yet is given with its schema, for which the server would need a second, unless it is to
    find the folder `empty`."""
    data_dir.mkdir(parents=True, exist_ok=True)
    if not empty and "CHORUS_DATABASE_URL" not in env:
        schema.give(Settings.read({"CHORUS_DATA_DIR": str(data_dir)}))
    output = data_dir / "server.log"
    clean = {name: value for name, value in os.environ.items() if not name.startswith("CHORUS_")}
    if clean.pop("PYTHONDONTWRITEBYTECODE", ""):
        # Compiling all modules anew takes longer than everything else that a start consists of.
        clean.setdefault("PYTHONPYCACHEPREFIX", str(BYTECODE))
    with output.open("ab") as log:
        since = log.tell()
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
    key = env.get("CHORUS_BOOTSTRAP_API_KEY", API_KEY)
    return Starting(process, data_dir, output, since, key)


def start(
    data_dir: Path, *arguments: str, module: str = "chorus", empty: bool = False, **env: str
) -> Server:
    """`launch`, and wait until it answers."""
    return launch(data_dir, *arguments, module=module, empty=empty, **env).ready()


@contextmanager
def serving(data_dir: Path, *arguments: str, empty: bool = False, **env: str) -> Iterator[Server]:
    server = start(data_dir, *arguments, empty=empty, **env)
    try:
        yield server
    finally:
        if server.process.poll() is None:
            try:
                server.stop()
            except subprocess.TimeoutExpired:
                server.process.kill()
                server.process.wait()
