"""What `doctor`, `serve` and `migrate` say where SQLite's file is locked or its disk is full."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.fakes import schema

from chorus.settings import Settings

CHORUS = [sys.executable, "-m", "chorus"]
_WITHIN_S = 100  # of one command; SQLite waits for 10 s for a lock


def environment(folder: Path) -> dict[str, str]:
    own = {k: v for k, v in os.environ.items() if not k.startswith("CHORUS_")}
    return {**own, "CHORUS_DATA_DIR": str(folder), "CHORUS_PORT": "0"}


def begun(command: Sequence[str], folder: Path) -> subprocess.Popen[str]:
    pipe = subprocess.PIPE
    return subprocess.Popen(command, text=True, stdout=pipe, stderr=pipe, env=environment(folder))


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Its exit status, and what it said to standard output and to standard error."""
    try:
        out, err = process.communicate(timeout=_WITHIN_S)
    finally:
        process.kill()
    return process.returncode, out, err


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """With a database that is as this version wants it."""
    made = tmp_path / "data"
    schema.give(Settings.read({"CHORUS_DATA_DIR": str(made)}))
    return made


@pytest.mark.timeout(300)
def test_the_file_is_locked_by_another_program(folder: Path):
    path = folder / "chorus.db"
    with sqlite3.connect(path, isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        doctor, serve, migrate = (
            begun([*CHORUS, verb], folder) for verb in ("doctor", "serve", "migrate")
        )
        found = [ended(process) for process in (doctor, serve, migrate)]
        other.execute("ROLLBACK")
    why = f"another program is writing to {path} and does not end (database is locked)"
    (status, out, err) = found[0]
    assert (status, err) == (1, "")
    assert f"PROBLEM  database: SQLite cannot be used: {why}\n         → end it: " in out
    assert "Not ready" in out
    (status, out, err) = found[1]
    assert (status, out) == (1, "")
    assert err.startswith(f"The database cannot be used: {why}. End it: ")
    assert len(err.splitlines()) == 1
    (status, out, err) = found[2]
    assert (status, out) == (1, "")
    assert err.startswith(f"The database could not be migrated: {why}.\n→ end it: ")
    # It was the lock and nothing else.
    status, out, _ = ended(begun([*CHORUS, "doctor"], folder))
    assert "ok       database: SQLite, schema " in out


@pytest.mark.timeout(300)
@pytest.mark.parametrize("verb", ["doctor", "serve"])
def test_no_file_may_grow_any_more(folder: Path, verb: str):
    limited = ["sh", "-c", 'ulimit -f 8; exec "$@"', "sh", *CHORUS, verb]
    _is_told(verb, folder, *ended(begun(limited, folder)))


@pytest.mark.timeout(300)
@pytest.mark.parametrize("verb", ["doctor", "serve"])
def test_the_disk_is_full(folder: Path, verb: str):
    """A disk of 2 MiB in a namespace of its own: with the database, and then to the last byte."""
    own = ["unshare", "--user", "--map-root-user", "--mount"]
    if (
        shutil.which("unshare") is None
        or subprocess.run([*own, "true"], capture_output=True).returncode
    ):
        pytest.skip("no file system can be mounted here")
    disk = folder.parent / "disk"
    disk.mkdir()
    script = (
        'mount -t tmpfs -o size=2m none "$1" && cp "$2" "$1/chorus.db" && chmod 700 "$1"; '
        'cat /dev/zero >"$1/zeros" 2>&-; shift 2; exec "$@"'
    )
    filled = [*own, "sh", "-c", script, "sh", str(disk), str(folder / "chorus.db"), *CHORUS, verb]
    status, out, err = ended(begun(filled, disk))
    if verb == "doctor":
        _is_told(verb, disk, status, out, err)
        assert "PROBLEM  disk: 0 MiB are left on its disk\n         → make room" in out
    else:  # which writes its secret key before it writes to the database
        why = "No space left on device. Make room on its disk."
        assert (status, out) == (1, "")
        assert err == f"The data folder {disk} cannot be used: {why}\n"


def _is_told(verb: str, folder: Path, status: int, out: str, err: str) -> None:
    assert status == 1
    why = f"nothing more can be written to {folder / 'chorus.db'} ("
    if verb == "serve":
        assert out == ""
        assert err.startswith(f"The database cannot be used: {why}")
        assert f"Make room on the disk of {folder}" in err
        assert len(err.splitlines()) == 1
    else:
        assert f"PROBLEM  database: SQLite cannot be used: {why}" in out
        assert f"→ make room on the disk of {folder}" in out
