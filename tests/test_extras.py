"""What is said to whoever lacks the packages of an extra."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from chorus import extras

ROOT = Path(__file__).resolve().parent.parent
EDITABLE = {"dir_info": {"editable": True}}


class Installed:
    """A distribution with this record of its origin."""

    def __init__(self, record: dict[str, Any] | None) -> None:
        self.record = record

    def read_text(self, name: str) -> str | None:
        assert name == "direct_url.json"
        return None if self.record is None else json.dumps(self.record)


@pytest.mark.parametrize(
    ("record", "prefix", "command"),
    [
        (
            {"url": "file:///srv/chorus", **EDITABLE},
            "/srv/chorus/.venv",
            "make -C /srv/chorus -B .venv/.synced",
        ),
        (
            {"url": "file:///srv/my%20chorus", **EDITABLE},
            "/srv/other",
            "pip install -e '/srv/my chorus[local]'",
        ),
        (
            {"url": "file:///tmp/chorus.whl", "archive_info": {}},
            "/srv/other",
            "pip install 'chorus-voice[local] @ file:///tmp/chorus.whl'",
        ),
        (
            {"url": "https://git.example/c", "vcs_info": {"vcs": "git", "commit_id": "abc"}},
            "/srv/other",
            "pip install 'chorus-voice[local] @ git+https://git.example/c@abc'",
        ),
        (None, "/srv/other", "pip install 'chorus-voice[local]'"),
    ],
)
def test_the_command_is_of_the_way_in_which_chorus_was_installed(
    monkeypatch: pytest.MonkeyPatch, record: dict[str, Any] | None, prefix: str, command: str
) -> None:
    def distribution(name: str) -> Installed:
        assert name == "chorus-voice"
        return Installed(record)

    monkeypatch.setattr(extras, "distribution", distribution)
    monkeypatch.setattr(sys, "prefix", prefix)
    assert extras.how_to_install("local") == command


def test_in_a_checkout_it_installs_all_extras() -> None:
    """This one; what make would run is shown, and not run."""
    command = extras.how_to_install("local")
    assert command == f"make -C {ROOT} -B .venv/.synced"
    shown = subprocess.run(
        [*command.split(), "-n"], capture_output=True, text=True, check=True, timeout=20
    )
    assert "scripts/bootstrap.py" in shown.stdout
    assert '"--all-extras"' in (ROOT / "scripts" / "bootstrap.py").read_text()


def test_no_message_names_an_index() -> None:
    for path in (ROOT / "src" / "chorus").rglob("*.py"):
        if path.name != "extras.py":
            assert not re.search(r"chorus-voice\[", path.read_text()), path
