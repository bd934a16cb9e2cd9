"""`chorus models` as a user runs it: in a process of its own."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys

import pytest
from scripts.material import MODELS, ROOT
from tests.material import needs_model


def chorus(*arguments: str, folder, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "chorus", "models", *arguments],
        env=os.environ | {"CHORUS_MODELS_DIR": str(folder)} | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_list_names_size_and_licence(tmp_path):
    done = chorus("list", folder=tmp_path)
    assert done.returncode == 0
    assert "whisper-tiny.en" in done.stdout
    assert "76 MB" in done.stdout
    assert "MIT (OpenAI)" in done.stdout
    found = json.loads(chorus("list", "--json", folder=tmp_path).stdout)
    assert not any(entry["installed"] for entry in found)


def test_an_unknown_name_and_a_hub_out_of_reach(tmp_path):
    done = chorus("pull", "whisper-huge", folder=tmp_path)
    assert done.returncode == 2
    assert "no model 'whisper-huge'" in done.stderr
    gone = "http://127.0.0.1:9"
    done = chorus("verify", folder=tmp_path, CHORUS_MODELS_MIRROR=gone)
    assert "No model is in" in done.stdout


@needs_model("whisper-tiny.en")
def test_from_a_folder_to_verified_to_removed(tmp_path):
    done = chorus("pull", "whisper-tiny.en", "--from", str(MODELS), folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "as it should be" in chorus("verify", folder=tmp_path).stdout
    vocabulary = tmp_path / "whisper-tiny.en" / "vocabulary.txt"
    vocabulary.write_bytes(vocabulary.read_bytes()[::-1])
    done = chorus("verify", "whisper-tiny.en", folder=tmp_path)
    assert done.returncode == 1
    assert "chorus models remove whisper-tiny.en" in done.stdout
    assert "removed" in chorus("remove", "whisper-tiny.en", folder=tmp_path).stdout
    assert not vocabulary.exists()


def test_the_offer_asks_on_a_terminal_only_and_takes_no_for_an_answer(tmp_path):
    assert chorus("offer", folder=tmp_path).stdout == ""
    ours, theirs = pty.openpty()
    asked = subprocess.Popen(
        [sys.executable, "-m", "chorus", "models", "offer"],
        env=os.environ | {"CHORUS_MODELS_DIR": str(tmp_path)},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    said = b""
    while b"[Y/n]" not in said:
        said += os.read(ours, 4096)
    assert b"139 MB" in said or b"140 MB" in said
    os.write(ours, b"n\n")
    assert asked.wait(30) == 0
    os.close(ours)
    assert (tmp_path / ".declined").exists()


@pytest.mark.parametrize("target", ["run", "demo"])
def test_make_offers_the_models_before_it_starts_what_uses_them(target):
    printed = subprocess.run(
        ["make", "--dry-run", target], cwd=ROOT, capture_output=True, text=True, check=True
    )
    offer, program = printed.stdout.splitlines()[-2:]
    assert offer == ".venv/bin/chorus models offer"
    assert program in (".venv/bin/chorus serve", ".venv/bin/chorus demo")
