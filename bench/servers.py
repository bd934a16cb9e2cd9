"""The servers that are measured: how each is started, found ready, and stopped."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PEERS = ROOT / "bench" / ".peer"
READY_WITHIN_S = 240
"""On a machine that others load; alone it is some five."""
STOPPED_WITHIN_S = 20


@dataclass(frozen=True, slots=True)
class System:
    """`agent` are fields of the agent on Chorus, `engines` what its model and its voice are found
    by, `environment` what its server has besides. `peer` is the name of another system, whose
    program is `peer_NAME.py`, and the arguments of that."""

    name: str
    label: str
    agent: dict[str, Any] = field(default_factory=dict[str, Any])
    peer: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict[str, str])
    engines: tuple[str, str] = ("simulated", "simulated")


SYSTEMS = (
    System("chorus", "Chorus, end-of-turn model (default)"),
    System(
        "chorus-silence",
        "Chorus, 350 ms of silence",
        agent={"ultravadEotThreshold": 0, "turnEndpointDelay": 350},
    ),
    System("pipecat", "Pipecat 1.14, Smart Turn v3 (default)", peer=("pipecat",)),
    System(
        "pipecat-silence", "Pipecat 1.14, 0.6 s of silence", peer=("pipecat", "--turns", "silence")
    ),
    System("livekit", "LiveKit Agents 1.8.9, its endpointing by voice activity", peer=("livekit",)),
)


class NotReady(Exception):
    """The server did not come up; the message ends with what it said last."""


@dataclass(frozen=True, slots=True)
class Server:
    pid: int
    base_url: str
    api_key: str
    # What bench.caller must be told in order to reach it.
    caller_arguments: tuple[str, ...]
    log: Path | None = None
    database: Path | None = None

    def judged_by(self) -> dict[str, int]:
        """How the turns so far were ended: `silence_for_model` of them by silence and the last
        words, because the end-of-turn model could not answer in time. Empty for a peer."""
        if self.database is None:
            return {}
        count = "SELECT count(*) FROM call_events WHERE kind = ?"
        with contextlib.closing(sqlite3.connect(f"file:{self.database}?mode=ro", uri=True)) as db:
            [turns] = db.execute(count, ["turn_committed"]).fetchone()
            [silence] = db.execute(
                count + " AND json_extract(data, '$.remedy') = 'silence'", ["engine_failed"]
            ).fetchone()
        return {"committed": turns, "silence_for_model": silence}

    def last_words(self, lines: int = 12) -> str:
        """The end of what it logged, for the message of a run that failed."""
        if self.log is None:
            return ""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


@contextlib.contextmanager
def running(system: System, cores: str = "") -> Generator[Server]:
    """A fresh server with an empty database, on `cores` ("0", "0,1") if any are named. Raises
    `NotReady`."""
    port, api_key = free_port(), f"sk_live_{secrets.token_urlsafe(32)}"
    base_url = f"http://127.0.0.1:{port}"
    pin = ["taskset", "-c", cores] if cores else []
    with tempfile.TemporaryDirectory(prefix="chorus-bench-") as folder:
        environment = {k: v for k, v in os.environ.items() if not k.startswith("CHORUS_")}
        if not system.peer:
            command = [sys.executable, "-m", "chorus", "serve"]
            reach = ("--webhook", base_url, "--api-key", api_key)
            reach += ("--agent", json.dumps(system.agent))
            environment |= {
                "CHORUS_SIMULATED": "1",
                "CHORUS_PORT": str(port),
                "CHORUS_PUBLIC_URL": base_url,
                "CHORUS_DATA_DIR": folder,
                "CHORUS_BOOTSTRAP_API_KEY": api_key,
                "CHORUS_LOG_LEVEL": "warning",
            }
            environment |= system.environment
        else:
            name, *options = system.peer
            command = [str(PEERS / name / "bin" / "python"), "-W", "ignore"]
            command += [f"bench/peer_{name}.py", "--port", str(port), *options]
            reach = ("--url", f"ws://127.0.0.1:{port}/ws")
        log = Path(folder) / "server.log"
        with log.open("wb") as out:
            process = subprocess.Popen(
                [*pin, *command],
                cwd=ROOT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
            )
        try:
            _await_ready(process, f"{base_url}{'/healthz' if system.peer else '/readyz'}", log)
            database = None if system.peer else Path(folder) / "chorus.db"
            yield Server(process.pid, base_url, api_key, reach, log, database)
        finally:
            _stop(process)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _await_ready(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + READY_WITHIN_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    raise NotReady(f"no good answer from {url}\n{log.read_text(errors='replace')[-2000:]}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOPPED_WITHIN_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
