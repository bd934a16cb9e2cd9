"""A process's name: nobody else's while it lives, its own again afterwards."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from chorus.durable.identity import Identity


def test_two_at_once_differ_and_the_name_comes_back(tmp_path: Path):
    first, second = Identity.take(tmp_path), Identity.take(tmp_path)
    assert first.name != second.name
    first.release()
    again = Identity.take(tmp_path)
    assert again.name == first.name
    again.release()
    second.release()


def test_two_folders_differ(tmp_path: Path):
    """Two machines, or one whose host name another has too."""
    first, second = Identity.take(tmp_path / "a"), Identity.take(tmp_path / "b")
    assert first.name != second.name
    first.release()
    second.release()


def test_the_lock_goes_with_the_process(tmp_path: Path):
    hold = (
        "import sys, pathlib, time; from chorus.durable.identity import Identity; "
        "print(Identity.take(pathlib.Path(sys.argv[1])).name, flush=True); time.sleep(60)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", hold, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    name = process.stdout.readline().strip()
    beside = Identity.take(tmp_path)
    assert beside.name != name
    process.kill()
    process.wait()
    process.stdout.close()
    after = Identity.take(tmp_path)
    assert after.name == name
    after.release()
    beside.release()


def test_whoever_lives_is_not_vacant(tmp_path: Path):
    first, second = Identity.take(tmp_path), Identity.take(tmp_path)
    with first.vacant(second.name) as vacant:
        assert not vacant
    second.release()
    with first.vacant(second.name) as vacant:
        assert vacant
        # Whoever comes now does not get a name whose calls are being ended.
        third = Identity.take(tmp_path)
        assert third.name not in (first.name, second.name)
    third.release()
    again = Identity.take(tmp_path)
    assert again.name == second.name
    for held in (first, again):
        held.release()


def test_of_others_nothing_is_known(tmp_path: Path):
    mine, another = Identity.take(tmp_path / "a"), Identity.take(tmp_path / "b")
    another.release()
    for name in (mine.name, another.name, f"{mine.name[:-1]}7", "dead", f"{mine.name[:-1]}x"):
        with mine.vacant(name) as vacant:
            assert not vacant, name
    mine.release()


def test_a_folder_that_cannot_be_written(tmp_path: Path):
    (tmp_path / "executors").write_text("a file")
    with pytest.raises(OSError, match="executors"):
        Identity.take(tmp_path)
