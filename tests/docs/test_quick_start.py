"""The quick start's commands, as they stand on the page, against a real server and carrier.

What starts something is started here, with the variables that the page sets for it; what differs
is the key, the ports and where the programs are.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.fakes.server import API_KEY, Server, serving

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "quick-start.md").read_text("utf-8")
BLOCK = re.compile(r'^```sh(?: title="(?P<terminal>[^"]+)")?\n(?P<commands>.*?)^```$', re.S | re.M)
# The page waits as long as a slow reader's machine may need.
WAIT = "sleep 10"
GUIDES = ROOT / "docs" / "guides"
# Every answer of a command that fails is on standard output, and ends the script.
PRELUDE = 'set -euo pipefail\ncurl() { command curl --fail-with-body "$@"; }\n'


def blocks(terminal: str | None, page: str = PAGE) -> list[str]:
    return [found["commands"] for found in BLOCK.finditer(page) if found["terminal"] == terminal]


@dataclass(frozen=True)
class Place:
    server: Server
    carrier: str

    def here(self, commands: str) -> str:
        """The commands with the key, the ports and the interpreter of this test."""
        return (
            commands.replace("sk_live_...", API_KEY)
            .replace("http://127.0.0.1:8000", self.server.url)
            .replace("http://127.0.0.1:8100", self.carrier)
            .replace(".venv/bin/python", sys.executable)
        )


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    [carrier_command] = blocks("Terminal 1")
    assert (
        carrier_command.split()
        == "{python} -m chorus.demo.carrier --port 8100".format(python=".venv/bin/python").split()
    )
    with subprocess.Popen(
        [sys.executable, "-m", "chorus.demo.carrier", "--with-parent"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as carrier:
        assert carrier.stdout is not None
        assert carrier.stdin is not None
        url = json.loads(carrier.stdout.readline())["url"]
        *given, make, target = blocks("Terminal 2")[0].split()
        assert (make, target) == ("make", "run")
        env = dict(variable.split("=", 1) for variable in given)
        env = {name: value.replace("http://127.0.0.1:8100", url) for name, value in env.items()}
        folder = tmp_path_factory.mktemp("data")
        with serving(folder, **env, CHORUS_DRAIN_SECONDS="1") as server:
            yield Place(server, url)
        carrier.stdin.close()


@pytest.mark.timeout(150)
def test_the_commands_do_what_the_page_says(place: Place, tmp_path: Path) -> None:
    commands = blocks(None)
    assert commands.pop(0).startswith("git clone")
    script = place.here("\n".join(commands))
    # The calls are waited for as long as they last, no longer.
    wait = f"{sys.executable} {tmp_path / 'wait.py'} {place.server.url} {API_KEY}"
    assert script.count(WAIT) == 2
    (tmp_path / "wait.py").write_text(WAIT_SCRIPT)
    script = script.replace(WAIT, wait)
    bash(script)

    with place.server.client() as client:
        outbound, inbound = (one(client, way) for way in ("outbound", "inbound"))
        voices = client.get("/v1/voices", params={"search": "english"}).json()["data"]
        [model] = client.get("/v1/slm-models").json()["data"]
    expected = re.search(r"^```json\n(.*?)^```$", PAGE, re.S | re.M)
    assert expected is not None
    assert outbound["transcript"] == [json.loads(expected[1])]
    assert outbound["status"] == inbound["status"] == "completed"
    assert outbound["endedReason"] == inbound["endedReason"] == "customer_ended"
    unnamed = inbound["transcript"][0]["content"]
    assert f'"{unnamed}"' in " ".join(PAGE.split())
    assert outbound["recordingUrl"]
    assert model["name"] == "Script"
    assert voices


@pytest.mark.parametrize("guide", sorted(path.stem for path in GUIDES.glob("*.md")))
def test_the_commands_of_a_guide_are_taken(place: Place, guide: str) -> None:
    commands = blocks(None, (GUIDES / f"{guide}.md").read_text("utf-8"))
    if not commands:
        return
    [words] = [block for block in blocks(None) if "api()" in block]
    with place.server.client() as client:
        made = {
            name: client.post(f"/v1/{path}", json=body).raise_for_status().json()["data"]["id"]
            for name, path, body in (
                ("TOOL", "tools", TOOL),
                ("AGENT", "agents", {"name": "Guide"}),
                ("NUMBER", "phone-numbers", NUMBER | {"number": number_of(guide)}),
            )
        }
        wish = {"agentId": made["AGENT"], "phoneNumberId": made["NUMBER"], "to": "+14155550198"}
        later = (datetime.now(UTC) + timedelta(days=1)).isoformat()
        call = client.post("/v1/calls", json=wish | {"scheduledAt": later}).raise_for_status()
        made["CALL"] = call.json()["data"]["id"]
    known = "".join(f"{name}={value}\n" for name, value in made.items())
    bash(place.here(f"KEY={API_KEY}\n{words}{known}" + "\n".join(commands)))


def bash(script: str) -> None:
    done = subprocess.run(
        ["bash", "-c", PRELUDE + script], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""


def number_of(guide: str) -> str:
    return f"+1415555{sum(guide.encode()) % 10_000:04}"


def one(client: httpx.Client, direction: str) -> dict[str, Any]:
    [call] = client.get("/v1/calls", params={"direction": direction}).json()["data"]
    return client.get(f"/v1/calls/{call['id']}").json()["data"]


TOOL = {
    "name": "look_up",
    "description": "Looks something up.",
    "config": {"url": "https://api.example.com/things", "method": "GET"},
}
NUMBER = {"twilioAccountSid": "AC00000000000000000000000000000000", "twilioAuthToken": "secret"}

WAIT_SCRIPT = """
import sys, time, httpx
url, key = sys.argv[1:]
deadline = time.monotonic() + 40
calls = []
while not calls or any(call["endedAt"] is None or call["recordingUrl"] is None for call in calls):
    assert time.monotonic() < deadline, calls
    time.sleep(0.2)
    headers = {"Authorization": f"Bearer {key}"}
    calls = httpx.get(f"{url}/v1/calls", headers=headers).json()["data"]
"""
