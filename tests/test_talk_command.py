"""`chorus talk`: a conversation by text, on the command line."""

from __future__ import annotations

import asyncio
import io
from pathlib import Path

import pytest
from tests.conftest import settings_for
from tests.fakes.api import running

from chorus import cli

KEY = "a key for the tests that is long enough"
SCRIPT = """script:
when caller says "when are you open": say "At {{hour}}."
when caller says "bye": say "Goodbye.", end
"""


def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A database with one agent, and the settings of the command line for it."""

    async def fill() -> None:
        async with running(settings_for(tmp_path)) as api:
            await api.made(
                "/v1/agents",
                {
                    "name": "Front desk",
                    "systemPrompt": SCRIPT,
                    "firstSpeaker": "agent",
                    "agentGreeting": "Hello {{who}}.",
                    "agentGreetingEnabled": True,
                },
            )

    monkeypatch.setenv("CHORUS_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("CHORUS_SECRET_KEY", KEY)
    asyncio.run(fill())


def test_a_conversation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    folder(tmp_path, monkeypatch)
    capsys.readouterr()
    monkeypatch.setattr("sys.stdin", io.StringIO("When are you open?\nbye\n"))
    assert cli.run(["talk", "Front desk", "--var", "who=Ann", "--var", "hour=nine"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == "agent: Hello Ann."
    assert "you: When are you open?" in lines
    assert "agent: At nine." in lines
    assert any(line.startswith("  (first words after ") for line in lines)
    assert lines[-1] == "(the agent hangs up)"

    assert cli.run(["talk", "Nobody"]) == 2
    assert "Agents: Front desk." in capsys.readouterr().err
    assert cli.run(["talk", "Front desk", "--var", "who"]) == 2
    assert "NAME=VALUE" in capsys.readouterr().err
