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
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from scripts.material import MODELS
from tests.fakes.server import API_KEY, Server, serving
from tests.material import needs_model

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "quick-start.md").read_text("utf-8")
README = (ROOT / "README.md").read_text("utf-8")
BLOCK = re.compile(r'^```sh(?: title="(?P<terminal>[^"]+)")?\n(?P<commands>.*?)^```$', re.S | re.M)
CHORUS = f"{sys.executable} -m chorus"
GUIDES = ROOT / "docs" / "guides"
# Every answer of a command that fails is on standard output, and ends the script.
PRELUDE = 'set -euo pipefail\ncurl() { command curl --fail-with-body "$@"; }\n'


def blocks(terminal: str | None, page: str = PAGE) -> list[str]:
    return [found["commands"] for found in BLOCK.finditer(page) if found["terminal"] == terminal]


@dataclass(frozen=True)
class Place:
    """Where this test's own server, carrier and shop are."""

    server: Server
    carrier: str
    shop: str

    def here(self, commands: str) -> str:
        """The commands with the key, the ports and the interpreter of this test."""
        return (
            commands.replace("sk_live_...", API_KEY)
            .replace("http://127.0.0.1:8000", self.server.url)
            .replace("http://127.0.0.1:8100", self.carrier)
            .replace("http://127.0.0.1:8200", self.shop)
            .replace(".venv/bin/python", sys.executable)
            .replace(".venv/bin/chorus", f"CHORUS_DATA_DIR={self.server.data_dir} {CHORUS}")
        )


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("data")
    with at_home(folder, folder / "models") as home:
        yield home


@contextmanager
def at_home(folder: Path, models: Path) -> Iterator[Place]:
    """What the page has running, on a data folder and with a folder of models."""
    with beside("Terminal 1", "8100", models) as carrier, beside("Terminal 2", "8200") as shop:
        *given, make, target = blocks("Terminal 3")[0].split()
        assert (make, target) == ("make", "run")
        env = dict(variable.split("=", 1) for variable in given)
        env = {name: value.replace("http://127.0.0.1:8100", carrier) for name, value in env.items()}
        env |= {"CHORUS_MODELS_DIR": str(models), "CHORUS_DRAIN_SECONDS": "1"}
        with serving(folder, **env) as server:
            yield Place(server, carrier, shop)


@contextmanager
def beside(terminal: str, port: str, models: Path | None = None) -> Iterator[str]:
    """What the page has a terminal run, on a free port; its address."""
    command = blocks(terminal)[0].replace("data/models", str(models))
    python, *arguments = command.split()
    at = arguments.index("--port")
    assert (python, arguments.pop(at), arguments.pop(at)) == (".venv/bin/python", "--port", port)
    with subprocess.Popen(
        [sys.executable, *arguments, "--with-parent"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        yield json.loads(process.stdout.readline())["url"]
        process.stdin.close()


@pytest.mark.timeout(240)
def test_the_commands_do_what_the_page_says(place: Place) -> None:
    said = typed(place)
    conversation = shown(PAGE)
    lines = [line.strip() for line in said.splitlines()]
    start = lines.index(conversation[0])
    assert lines[start : start + len(conversation)] == conversation
    assert "tool_called          turn: 1, id" in said
    with place.server.client() as client:
        outbound, inbound = (one(client, way) for way in ("outbound", "inbound"))
    assert f"recording: {outbound['recordingUrl'].partition('?')[0]}" in said
    for call in (outbound, inbound):
        assert (call["status"], call["endedReason"]) == ("completed", "agent_ended")
    unnamed = inbound["transcript"][0]["content"]
    assert unnamed.startswith("Hello , this is the garden shop.")
    assert "Hello , this is the garden shop." in " ".join(PAGE.split())
    assert [x["content"] for x in inbound["transcript"][1:]] == [
        x["content"] for x in outbound["transcript"][1:]
    ]
    assert "You ordered two pear trees." in said.rpartition("recording:")[2]
    assert "script " in said
    assert "espeak-en-gb " in said


@pytest.mark.slow  # Whisper in a call is late on a machine where other tests run beside it
@pytest.mark.timeout(300)
@needs_model("whisper-tiny.en", "piper-en_US-joe-medium")
def test_and_with_the_models_that_make_run_offers(tmp_path: Path) -> None:
    with at_home(tmp_path, MODELS) as home:
        said = typed(home)
        with home.server.client() as client:
            calls = [one(client, way) for way in ("outbound", "inbound")]
            events = client.get(f"/v1/calls/{calls[0]['id']}/events").json()["data"]
    [heard_by] = [e["data"]["transcriber"] for e in events if e["kind"] == "answered"]
    spoken_by = {e["data"]["voice"].partition("/")[0] for e in events if e["kind"] == "usage"}
    assert (heard_by, spoken_by) == ("whisper", {"piper"})
    for call in calls:
        assert (call["status"], call["endedReason"]) == ("completed", "agent_ended")
    conversation = shown(README)
    lines = [line.strip() for line in said.splitlines()]
    start = lines.index(conversation[0])
    assert lines[start : start + len(conversation)] == conversation


def typed(place: Place) -> str:
    """What all commands of the page print, one after the other."""
    commands = blocks(None)
    assert commands.pop(0).startswith("git clone")
    return bash(place.here("\n".join(commands)))


def shown(page: str) -> list[str]:
    """The lines of a conversation that a page prints."""
    block = r'^```text(?: title="The conversation")?\n(agent .*?)^```$'
    found = re.search(block, page, re.S | re.M)
    assert found is not None
    return found[1].splitlines()


def test_a_step_that_fails_says_why(place: Place) -> None:
    [words] = [block for block in blocks(None) if "api()" in block]
    for key, command, says in (
        ("sk_live_wrong", "api $API/agents | id_of", "Invalid API key"),
        (API_KEY, "api $API/calls?search=nobody | id_of", "The list is empty."),
        (
            API_KEY,
            """api $API/agents -d '{"slmModelId": "gpt-9", "name": ""}' | show""",
            "Validation failed\n  name: Name must not be empty",
        ),
        (API_KEY, "true | id_of", "There was no answer. Is the server running at this address?"),
        (API_KEY, "echo '<html>' | show", "That is no answer of the API: <html>"),
    ):
        script = place.here(f"KEY={key}\n{words}\nset +e\n{command}")
        done = subprocess.run(
            ["bash", "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 1
        assert done.stdout == ""
        assert done.stderr.startswith(says), done.stderr


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
    script = place.here(f"KEY={API_KEY}\n{words}{known}" + "\n".join(commands))
    if guide != "webhooks":
        bash(script)
        return
    with receiver() as (url, seen):
        bash(script.replace("http://127.0.0.1:8300", url))
    assert '  "event": "webhook.test",\n' in seen, seen


@contextmanager
def receiver() -> Iterator[tuple[str, list[str]]]:
    """The receiver of the webhooks' guide, on a free port: its address, and what it was sent."""
    [command] = blocks("Receiver", (GUIDES / "webhooks.md").read_text("utf-8"))
    arguments = command.replace("--port 8300", "--port 0").split()[1:]
    seen: list[str] = []
    with subprocess.Popen(
        [sys.executable, *arguments], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip(), seen
        process.terminate()
        seen += process.stdout.readlines()


def bash(script: str) -> str:
    """What the commands print."""
    done = subprocess.run(
        ["bash", "-c", PRELUDE + script], cwd=ROOT, capture_output=True, text=True, timeout=200
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    return done.stdout


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
