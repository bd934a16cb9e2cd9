"""The `chorus` command, in this process: settings, migrate, doctor, keys."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib.util import find_spec
from pathlib import Path

import pytest
from tests.fakes.api import KEY, running

from chorus import cli
from chorus.outbound import Outbound
from chorus.providers import trial
from chorus.settings import Settings
from chorus.speech import local, models
from chorus.speech.engines import EngineFailed
from chorus.speech.worker_pool import WorkerPool


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CHORUS_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("CHORUS_BOOTSTRAP_API_KEY", KEY)
    return tmp_path / "data"


@pytest.fixture
async def started(folder: Path) -> Path:
    """After a first start: there is a database with an organization and a key."""
    async with running(Settings(data_dir=folder, bootstrap_api_key=KEY)):
        return folder


def test_a_wrong_setting_is_a_sentence_and_status_2(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("CHORUS_PORT", "http")
    assert cli.run(["doctor"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == "CHORUS_PORT must be a whole number from 0 to 65535, not 'http'.\n"


def test_an_unknown_variable_is_a_warning(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("CHORUS_PUBLIC_ULR", "x")
    cli.run(["migrate"])
    assert "Did you mean CHORUS_PUBLIC_URL?" in capsys.readouterr().err


def test_help_needs_no_heavy_imports():
    code = (
        "import sys, chorus.cli\n"
        "try: chorus.cli.run(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'fastapi', 'uvicorn', 'numpy', 'openai', 'sqlalchemy'}\n"
        "print(sorted(heavy & sys.modules.keys()))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.endswith("[]\n")


def test_migrate_says_what_it_did(folder: Path, capsys: pytest.CaptureFixture[str]):
    assert cli.run(["migrate"]) == 0
    assert re.fullmatch(r"The schema went from nothing to \w+\.\n", capsys.readouterr().out)
    assert cli.run(["migrate"]) == 0
    assert "up to date" in capsys.readouterr().out


def test_migrate_without_a_database(
    monkeypatch: pytest.MonkeyPatch, folder: Path, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("CHORUS_DATABASE_URL", "postgresql://u:hush@127.0.0.1:1/none")
    assert cli.run(["migrate"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("The database could not be migrated: ")
    assert "hush" not in said


def test_doctor_before_the_first_start(folder: Path, capsys: pytest.CaptureFixture[str]):
    assert cli.run(["doctor"]) == 0
    assert "Ready to serve." in capsys.readouterr().out
    assert not folder.exists()


def test_doctor_for_programs(started: Path, capsys: pytest.CaptureFixture[str]):
    capsys.readouterr()
    assert cli.run(["doctor", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["ok"] is True
    states = {finding["what"]: finding["state"] for finding in report["findings"]}
    assert states["database"] == states["data folder"] == states["API keys"] == "ok"
    assert states["language models"] == "note"


def test_doctor_finds_what_stops_the_server(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("CHORUS_DATA_DIR", str(tmp_path / "file" / "data"))
    monkeypatch.setenv("CHORUS_DATABASE_URL", "postgresql://u:hush@127.0.0.1:1/none")
    assert cli.run(["doctor", "--json"]) == 1
    written = capsys.readouterr().out
    problems = {f["what"] for f in json.loads(written)["findings"] if f["state"] == "problem"}
    assert problems == {"data folder", "database"}
    assert "hush" not in written


def findings(capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, list[dict[str, str]]]]:
    """The doctor's exit status, and what it found by what it is about."""
    capsys.readouterr()
    status = cli.run(["doctor", "--json"])
    found: dict[str, list[dict[str, str]]] = {}
    for finding in json.loads(capsys.readouterr().out)["findings"]:
        found.setdefault(finding["what"], []).append(finding)
    return status, found


def test_doctor_tries_what_is_installed(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    def without(*missing: str) -> Callable[[str], object]:
        return lambda name: None if name in missing else find_spec(name)

    status, found = findings(capsys)
    assert status == 0
    assert found["silero_vad"][0]["state"] == "ok"
    assert "pocketsphinx starts" in found["transcription offline"][0]["says"]

    # The model's file alone is not enough.
    monkeypatch.setattr(models, "find_spec", without("onnxruntime"))
    status, found = findings(capsys)
    assert (status, found["silero_vad"][0]["state"]) == (0, "note")
    assert "onnxruntime" in str(found["silero_vad"][0]["advice"])

    # Without a transcriber no call can be held, as /readyz says too.
    monkeypatch.setattr(local, "find_spec", without("pocketsphinx"))
    status, found = findings(capsys)
    assert (status, found["transcription offline"][0]["state"]) == (1, "problem")
    monkeypatch.setenv("CHORUS_SIMULATED", "1")
    assert findings(capsys)[0] == 0


def test_doctor_starts_the_workers(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    async def dies(self: WorkerPool, count: int | None = None) -> None:
        raise EngineFailed("x", "worker", "it died while it started")

    monkeypatch.setattr(WorkerPool, "warm", dies)
    status, found = findings(capsys)
    assert status == 1
    for what in ("transcription offline", "voices"):
        assert found[what][0]["state"] == "problem"
        assert "it died while it started" in found[what][0]["says"]


@pytest.mark.parametrize(
    ("status", "body", "says"),
    [
        (200, '{"data": [{"id": "a"}, {"id": "b"}]}', "answers"),
        (200, '{"data": [{"id": "a"}]}', "does not list b"),
        (401, "{}", "the API key is refused"),
        (500, "oops", "HTTP 500"),
        (200, "[[]", "no list of models"),
        (None, "", "no connection"),
    ],
)
def test_doctor_asks_the_language_models_api(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    status: int | None,
    body: str,
    says: str,
):
    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status or 500)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, format: str, *args: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Answers) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        port = server.server_port
        if status is None:
            server.shutdown()
            server.server_close()
        monkeypatch.setenv("CHORUS_OPENAI_BASE_URL", f"http://127.0.0.1:{port}/v1")
        monkeypatch.setenv("CHORUS_OPENAI_API_KEY", "hush-hush")
        monkeypatch.setenv("CHORUS_OPENAI_MODELS", "a,b")
        exit_status, found = findings(capsys)
        if status is not None:
            server.shutdown()
    assert exit_status == 0
    said = found["language models"][-1]
    assert says in said["says"]
    assert said["state"] == ("ok" if says == "answers" else "note")
    assert "hush" not in json.dumps(found)


async def test_doctor_reads_the_credentials(folder: Path, capsys: pytest.CaptureFixture[str]):
    async with running(Settings(data_dir=folder, bootstrap_api_key=KEY)) as api:
        number = {"number": "+14155550000", "twilioAccountSid": "AC1", "twilioAuthToken": "t"}
        await api.made("/v1/phone-numbers", {**number, "twilioAccountSid": "AC" + "1" * 32})
    key_file = folder / "secret.key"
    key = key_file.read_text()

    async def numbers() -> list[str]:
        _, found = await asyncio.to_thread(findings, capsys)
        return [finding["says"] for finding in found["phone numbers"]]

    assert await numbers() == ["1 of twilio", "1 without an agent take no calls"]
    key_file.unlink()
    assert "secret.key is gone" in (await numbers())[-1]
    assert not key_file.exists()
    key_file.write_text("another key that is long enough for all")
    assert "cannot be decrypted" in (await numbers())[-1]
    key_file.write_text(key[:5])
    status, found = await asyncio.to_thread(findings, capsys)
    assert (status, found["secret key"][0]["state"]) == (1, "problem")


async def test_doctor_finds_agents_whom_nothing_hears(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    """Each of their languages counts, unless a vendor hears them."""

    async def deaf() -> list[str]:
        _, found = await asyncio.to_thread(findings, capsys)
        return [each["says"].partition(";")[0] for each in found.get("hearing", ())]

    async with running(Settings(data_dir=folder, bootstrap_api_key=KEY)) as api:
        await api.made("/v1/agents", {"name": "English", "languageHint": "en-GB"})
        await api.made("/v1/agents", {"name": "Both", "languages": ["en", "de-CH"]})
        await api.made("/v1/agents", {"name": "German", "languageHint": "de"})
        assert await deaf() == ["callers of 2 agents speak 'de'"]
        await api.made("/v1/provider-keys", {"provider": "deepgram", "apiKey": "hush-one"})
    assert await deaf() == []
    (folder / "secret.key").unlink()
    assert await deaf() == ["callers of 2 agents speak 'de'"]
    assert not (folder / "secret.key").exists()


def test_doctor_reads_the_prices(
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    monkeypatch.setenv("CHORUS_PRICES_FILE", str(tmp_path / "none.toml"))
    status, found = findings(capsys)
    assert (status, found["prices"][0]["state"]) == (1, "problem")


def test_keys(started: Path, capsys: pytest.CaptureFixture[str]):
    capsys.readouterr()
    assert cli.run(["keys", "create", "for the shop", "--read-only", "--expires-days", "30"]) == 0
    key = capsys.readouterr().out.strip()
    assert re.fullmatch(r"sk_live_[\w-]{32,}", key)
    assert cli.run(["keys", "list"]) == 0
    listed = capsys.readouterr().out
    assert key not in listed
    [line] = [line for line in listed.splitlines() if "for the shop" in line]
    assert ("read " in line, "active" in line, "never" in line) == (True, True, True)
    id = line.split()[0]
    assert cli.run(["keys", "revoke", id]) == 0
    assert cli.run(["keys", "revoke", id]) == 1
    assert cli.run(["keys", "revoke", "x"]) == 1
    said = capsys.readouterr().err
    assert "no such key" in said
    assert "x is not an id (a UUID" in said
    assert cli.run(["keys", "list"]) == 0
    assert "revoked" in capsys.readouterr().out


def test_keys_before_the_first_start(folder: Path, capsys: pytest.CaptureFixture[str]):
    folder.mkdir()
    assert cli.run(["keys", "list"]) == 1
    assert "Has it been migrated?" in capsys.readouterr().err
    cli.run(["migrate"])
    assert cli.run(["keys", "list"]) == 1
    assert "`chorus serve` makes the first" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--expires-days", "--rate-limit"])
def test_keys_create_refuses_nonsense(
    started: Path, option: str, capsys: pytest.CaptureFixture[str]
):
    assert cli.run(["keys", "create", "a", option, "0"]) == 2
    assert f"{option} must be at least 1" in capsys.readouterr().err


@pytest.mark.parametrize("port", ["99999", "-1", "eighty"])
def test_an_option_is_checked_as_its_variable_is(
    port: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["serve", f"--port={port}"]) == 2
    said = f"--port must be a whole number from 0 to 65535, not {port!r}.\n"
    assert capsys.readouterr().err == said


async def _refused_by_anthropic(_: Outbound, tried: trial.Tried) -> trial.Verdict:
    if tried.vendor.name == "anthropic":
        return trial.Verdict("bad_key", "Anthropic does not know this key.")
    return trial.Verdict(None, "ok")


def test_doctor_tries_the_operators_keys(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    _, found = findings(capsys)
    assert found["vendors' keys"][0]["says"].startswith("none")
    monkeypatch.setattr(trial, "test", _refused_by_anthropic)
    monkeypatch.setenv("CHORUS_ANTHROPIC_API_KEY", "hush-one")
    monkeypatch.setenv("CHORUS_DEEPGRAM_API_KEY", "hush-two")
    status, found = findings(capsys)
    assert status == 0  # a call can do without
    refused, accepted = found["vendors' keys"]
    assert (refused["state"], accepted["state"]) == ("note", "ok")
    assert "does not know this key" in refused["says"]
    assert "CHORUS_ANTHROPIC_API_KEY" in refused["advice"]
    assert accepted["says"] == "Deepgram (hears, speaks): its key is accepted"
    assert "hush" not in json.dumps(found)
