"""From the first run to a call that was talked, in Firefox: `make firefox`.

Playwright drives only a Firefox of its own making; Debian's is driven by Puppeteer, over WebDriver
BiDi. Without an output for sound Firefox lets no AudioContext run, so it is given one that is not
heard: the null sink of a PulseAudio of the test's own.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.dashboard.browser import NODE_TOOLS, needed, node_tools, owner_link
from tests.fakes.server import serving

PULSEAUDIO = shutil.which("pulseaudio")
FIREFOX = shutil.which("firefox-esr") or shutil.which("firefox")
pytestmark = [
    *needed,
    pytest.mark.slow,
    pytest.mark.skipif(FIREFOX is None, reason="there is no Firefox (Debian: firefox-esr)"),
    pytest.mark.skipif(PULSEAUDIO is None, reason="there is no PulseAudio (Debian: pulseaudio)"),
]


@contextmanager
def output_for_sound(folder: Path) -> Generator[dict[str, str]]:
    """The environment in which a program finds it."""
    socket = folder / "socket"
    command = [
        *(str(PULSEAUDIO), "-n", "--daemonize=no", "--use-pid-file=no", "--exit-idle-time=-1"),
        "--load=module-null-sink",
        f"--load=module-native-protocol-unix socket={socket} auth-anonymous=1",
    ]
    own = {**os.environ, "HOME": str(folder), "XDG_RUNTIME_DIR": str(folder)}
    with (folder / "pulse.log").open("wb") as log:
        running = subprocess.Popen(command, env=own, stdout=log, stderr=log)
    try:
        while not socket.is_socket():
            assert running.poll() is None, (folder / "pulse.log").read_text()
            time.sleep(0.05)
        yield {**os.environ, "PULSE_SERVER": f"unix:{socket}"}
    finally:
        running.terminate()
        running.wait()


@pytest.mark.timeout(700)
def test_a_call_is_talked_in_firefox(tmp_path: Path):
    node = node_tools()
    # A socket's path is short: pytest's folders are not.
    with (
        tempfile.TemporaryDirectory() as short,
        output_for_sound(Path(short)) as env,
        serving(tmp_path / "data", CHORUS_SIMULATED="1") as server,
    ):
        command = [str(node), str(NODE_TOOLS / "firefox.mjs"), str(FIREFOX), owner_link(server)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=500, env=env)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout) == []
        with server.client() as http:
            [call] = http.get("/v1/calls").json()["data"]
    assert (call["provider"], call["endedReason"]) == ("browser", "customer_ended")
