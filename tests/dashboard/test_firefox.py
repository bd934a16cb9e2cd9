"""From the first run to a call that was talked, in Firefox: `make firefox`.

Playwright drives only a Firefox of its own making; Debian's is driven by Puppeteer, over WebDriver
BiDi.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.dashboard.browser import NODE_TOOLS, needed, node_tools, owner_link
from tests.fakes.server import serving

FIREFOX = shutil.which("firefox-esr") or shutil.which("firefox")
pytestmark = [
    *needed,
    pytest.mark.slow,
    pytest.mark.skipif(FIREFOX is None, reason="there is no Firefox (Debian: firefox-esr)"),
]


def test_a_call_is_talked_in_firefox(tmp_path: Path):
    node = node_tools()
    with serving(tmp_path / "data", CHORUS_SIMULATED="1") as server:
        command = [str(node), str(NODE_TOOLS / "firefox.mjs"), str(FIREFOX), owner_link(server)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout) == []
        with server.client() as http:
            [call] = http.get("/v1/calls").json()["data"]
    assert (call["provider"], call["endedReason"]) == ("browser", "customer_ended")
