"""Clients that others' programs make of the document, against the real server."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from scripts.dashboard import EMBED
from tests.fakes.server import Server, serving

from scripts import clients

pytestmark = pytest.mark.timeout(300)

OFFLINE = ("EAI_AGAIN", "ENOTFOUND", "ECONNREFUSED", "ECONNRESET", "ETIMEDOUT", "ENETUNREACH")
EXPECTED = {
    "agent": 1.1,
    "call": "queued",
    "customer": "+14155550199",
    "ended": "failed",
    "refusal": "400 name",
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("server"), CHORUS_SIMULATED="1") as running:
        yield running


@pytest.fixture(scope="module")
def document(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("document") / "openapi.json"
    path.write_bytes(httpx.get(f"{server.url}/v1/openapi.json").content)
    return path


def told(*command: str, cwd: Path, env: dict[str, str]) -> dict[str, Any]:
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


def test_python(server: Server, document: Path, tmp_path: Path):
    clients.python(document, tmp_path)
    env = {**os.environ, "PYTHONPATH": str(tmp_path)}
    example = (sys.executable, "example.py", server.url, server.api_key)
    found = told(*example, cwd=tmp_path, env=env)
    assert found.pop("agents") >= 1
    assert found == EXPECTED


def test_typescript(server: Server, document: Path, tmp_path: Path):
    try:
        clients.typescript(document, tmp_path)
    except subprocess.CalledProcessError as failed:
        if "ci" in failed.cmd and any(code in failed.stderr for code in OFFLINE):
            pytest.skip("npm's registry cannot be reached")
        pytest.fail(failed.stdout + failed.stderr)
    env = clients.node_environment()
    node = shutil.which("node", path=env["PATH"])
    assert node is not None
    example = (node, "build/example.js", server.url, server.api_key)
    found = told(*example, cwd=tmp_path, env=env)
    assert found.pop("agents") >= 1
    assert found == EXPECTED


def in_node(name: str, **more: str) -> None:
    """A file of the tests that the client for pages has in Node, without a page."""
    env = clients.node_environment() | more
    node = shutil.which("node", path=env["PATH"])
    assert node is not None
    done = subprocess.run(
        [node, "--test", f"test/{name}"],
        cwd=clients.CLIENTS / "browser",
        env=env,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_sound_of_the_client_for_pages():
    in_node("sound.test.mjs")


@pytest.mark.skipif(not (EMBED / "call.js").exists(), reason="it is not built (make setup)")
def test_the_client_for_pages_leaves_a_network_that_stands_still():
    in_node("call.test.mjs", CHORUS_CLIENT=str(EMBED))


def test_the_npm_lock_file_names_no_other_registry():
    lock = json.loads((clients.CLIENTS / "typescript" / "package-lock.json").read_text())
    wanted = json.loads((clients.CLIENTS / "typescript" / "package.json").read_text())
    assert lock["packages"][""]["dependencies"] == wanted["dependencies"]
    assert lock["packages"][""]["devDependencies"] == wanted["devDependencies"]
    for name, package in lock["packages"].items():
        resolved = package.get("resolved", "https://registry.npmjs.org/")
        assert resolved.startswith("https://registry.npmjs.org/"), name
        assert not name or package["integrity"], name


def test_curl(server: Server):
    curl = shutil.which("curl")
    if curl is None:
        pytest.skip("there is no curl")

    def ask(*arguments: str) -> tuple[int, dict[str, str], Any]:
        command = [curl, "-sS", "-i", "--max-time", "30", *arguments]
        sent = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        head, _, body = sent.replace("\r\n", "\n").partition("\n\n")
        first, *lines = head.split("\n")
        headers = {n.lower(): v for n, _, v in (line.partition(": ") for line in lines)}
        return int(first.split()[1]), headers, json.loads(body)

    key = ("-H", f"Authorization: Bearer {server.api_key}")
    status, _, made = ask(*key, "--json", '{"name": "By curl"}', f"{server.url}/v1/agents")
    assert status == 201
    status, _, agent = ask(*key, f"{server.url}/v1/agents/{made['data']['id']}")
    assert (status, agent["data"]["name"]) == (200, "By curl")
    # What curl sends with -d alone is not JSON by its name.
    status, _, refused = ask(*key, "-d", '{"name": "x"}', f"{server.url}/v1/agents")
    assert (status, refused["code"]) == (400, "unsupported_content_type")


@pytest.mark.parametrize(
    ("method", "path", "options", "status"),
    [
        ("GET", "/v1/agents", {"headers": {"Authorization": ""}}, 401),
        ("GET", "/v1/nothing", {}, 404),
        ("GET", "/nothing", {}, 404),
        ("PUT", "/v1/agents", {"json": {}}, 405),
        ("POST", "/v1/openapi.json", {}, 405),
        ("GET", "/v1/agents/x", {}, 404),
        (
            "POST",
            "/v1/agents",
            {"content": b"{", "headers": {"Content-Type": "application/json"}},
            400,
        ),
        ("POST", "/v1/agents", {"content": b"x" * 2_000_000}, 413),
        ("POST", "/v1/calls", {"json": {}}, 400),
    ],
)
def test_every_error_is_json_that_a_program_can_read(
    server: Server, method: str, path: str, options: dict[str, Any], status: int
):
    """What axios gives as `error.response.data`, and requests as `response.json()`."""
    with server.client() as client:
        response = client.request(method, path, **options)
    assert response.status_code == status
    assert response.headers["content-type"] == "application/json"
    body = response.json()
    assert {"error", "code", "requestId"} <= body.keys()
    assert body["requestId"] == response.headers["x-request-id"]
    assert all({"field", "message"} == set(detail) for detail in body.get("details", ()))
    if status == 405:
        methods = {method.strip() for method in response.headers["allow"].split(",")}
        assert methods == ({"GET", "POST"} if path == "/v1/agents" else {"GET", "HEAD"})
