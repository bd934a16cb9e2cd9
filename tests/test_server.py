"""The server as a process: `python -m chorus serve`."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from tests.conftest import Postgres, settings_for
from tests.fakes.server import API_KEY, Server, serving, start

from chorus.opening import served, unsafe

# A start takes some seconds, on a busy machine many; nothing here measures it.
pytestmark = pytest.mark.timeout(400)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("server") / "data"
    env = {"CHORUS_LOG_FORMAT": "json", "CHORUS_MAX_REQUEST_BYTES": "5000"}
    with serving(folder, empty=True, **env) as running:
        yield running


def test_it_serves(server: Server):
    with server.client() as client:
        made = client.post("/v1/agents", json={"name": "Ada"})
        assert made.status_code == 201
        assert made.headers["X-RateLimit-Limit"] == "100000"
        assert client.get("/readyz").status_code == 200
        assert "server" not in made.headers
        found = client.get("/v1/agents?search=ada").json()["data"]
        assert [agent["id"] for agent in found] == [made.json()["data"]["id"]]


def test_the_key_given_is_not_repeated(server: Server):
    with server.client() as client:
        client.get("/v1/agents")
    said = server.output.read_text()
    assert API_KEY not in said
    assert said.count("The first API key") == 1


def test_a_request_that_lies_about_its_length(server: Server):
    with server.client() as client:
        too_long = {**server.headers, "content-type": "application/json"}
        response = client.post("/v1/agents", content=b" " * 5001, headers=too_long)
        assert response.status_code == 413
        assert "X-Request-Id" in response.headers
        assert client.get("/v1/agents").status_code == 200


def test_garbage_is_answered_and_forgotten(server: Server):
    url = httpx.URL(server.url)
    with socket.create_connection((url.host, url.port or 80), timeout=10) as connection:
        connection.sendall(b"\x16\x03\x01 not http at all\r\n\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 400")
    assert httpx.get(f"{server.url}/healthz").status_code == 200


def test_it_stops_and_goes_on_where_it_was_and_the_first_key_is_printed_once(tmp_path: Path):
    with serving(tmp_path, CHORUS_BOOTSTRAP_API_KEY="") as first:
        [key] = re.findall(r"^ {4}(sk_live_[\w-]{32,})$", first.output.read_text(), re.M)
        headers = {"Authorization": f"Bearer {key}"}
        made = httpx.post(f"{first.url}/v1/agents", json={"name": "Ada"}, headers=headers)
        id = made.json()["data"]["id"]
        assert first.stop() == 0
    assert "Traceback" not in first.output.read_text()
    with serving(tmp_path, CHORUS_BOOTSTRAP_API_KEY="") as second:
        assert httpx.get(f"{second.url}/v1/agents/{id}", headers=headers).status_code == 200
    assert second.output.read_text().count("sk_live_") == 1


def test_a_load_balancer_is_told_before_anything_stops(tmp_path: Path):
    server = start(tmp_path, CHORUS_STOP_NOTICE_SECONDS="3", CHORUS_DRAIN_SECONDS="1")
    with server.client() as client:
        server.process.send_signal(signal.SIGTERM)
        began = time.monotonic()
        while (ready := client.get("/readyz")).status_code == 200:
            assert time.monotonic() - began < 10
            time.sleep(0.05)
        assert ready.json()["server"] == "is stopping"
        # What it is sent until that is noticed is done.
        assert client.post("/v1/agents", json={"name": "Late"}).status_code == 201
    assert server.process.wait(30) == 0
    assert time.monotonic() - began >= 3


def test_a_port_that_is_taken(tmp_path: Path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(RuntimeError, match=rf"ended with 1:\nCannot listen on .* {port}"):
            start(tmp_path, "--port", str(port), empty=True, CHORUS_BOOTSTRAP_API_KEY="")
    # Whoever has the port may have the database too; and a key that was made was shown.
    assert not (tmp_path / "chorus.db").exists()


def test_a_host_that_is_none(tmp_path: Path):
    with pytest.raises(RuntimeError, match="ended with 1:\nCannot listen on ") as caught:
        start(tmp_path, "--host", "no-such-host.invalid")
    assert "Traceback" not in str(caught.value)


@pytest.mark.parametrize("host", ["x" * 70, "256.0.0.1"])
def test_a_host_that_no_name_has(tmp_path: Path, host: str, capsys: pytest.CaptureFixture[str]):
    def run(*_: object) -> int:
        pytest.fail("it would have run")

    assert served(settings_for(tmp_path, host=host), run) == 1
    assert capsys.readouterr().err.startswith(f"Cannot listen on {host} port ")


def test_a_database_that_is_away_is_a_sentence(tmp_path: Path):
    with pytest.raises(RuntimeError, match="ended with 1:\nThe database cannot be used") as caught:
        start(tmp_path, CHORUS_DATABASE_URL="postgresql://u:hush@127.0.0.1:1/none")
    assert "hush" not in str(caught.value)
    assert "Traceback" not in str(caught.value)


def test_a_postgres_that_was_not_migrated(tmp_path: Path, postgres: Postgres):
    url = postgres.empty()
    try:
        with pytest.raises(RuntimeError, match=r"ended with 1:\n.* run `chorus migrate` first"):
            start(tmp_path, CHORUS_DATABASE_URL=url)
    finally:
        postgres.drop(url)


def test_the_module_and_the_command_are_the_same():
    ran = subprocess.run(
        [sys.executable, "-m", "chorus", "--version"], capture_output=True, text=True, check=True
    )
    assert ran.stdout.startswith("chorus ")


def test_nobody_else_on_the_machine_may_read_what_it_writes(tmp_path: Path):
    folder = tmp_path / "data"
    script = (
        "import os, sys; os.umask(0o022); from chorus.cli import run; sys.exit(run(['migrate']))"
    )
    env = {"CHORUS_DATA_DIR": str(folder), "PATH": "/usr/bin:/bin"}
    subprocess.run([sys.executable, "-c", script], env=env, check=True, capture_output=True)
    assert folder.stat().st_mode & 0o077 == 0
    for path in folder.rglob("*"):
        assert path.stat().st_mode & 0o077 == 0, path


@pytest.mark.parametrize(
    ("host", "public_url", "warns"),
    [
        ("127.0.0.1", None, False),
        ("localhost", None, False),
        ("::1", None, False),
        ("0.0.0.0", None, True),
        ("10.0.0.7", "http://voice.example", True),
        ("0.0.0.0", "https://voice.example", False),
    ],
)
def test_keys_in_clear_on_the_network_are_warned_of(
    tmp_path: Path, host: str, public_url: str | None, warns: bool
):
    settings = settings_for(tmp_path, host=host, public_url=public_url)
    assert (unsafe(settings, host) is not None) is warns
