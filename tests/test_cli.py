"""The `chorus` command, in this process: settings, migrate, doctor, keys."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.fakes.api import KEY, running

from chorus import cli
from chorus.settings import Settings


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
    assert "x is not an id" in said
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
