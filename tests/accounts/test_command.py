"""`chorus orgs` and `chorus secrets` on the command line."""

from __future__ import annotations

import asyncio
import io
import re
import sqlite3
from pathlib import Path

import pytest
from tests.accounts.people import PASSWORD, log_in, stranger
from tests.conftest import settings_for
from tests.fakes.api import KEY, running

from chorus import cli

OLD, NEW = "a key for the tests that is long enough", "n" * 40


@pytest.fixture
async def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A database after a first start, and the settings of the command line for it."""
    monkeypatch.setenv("CHORUS_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("CHORUS_SECRET_KEY", OLD)
    async with running(settings_for(tmp_path)) as api:
        await api.made("/v1/agents", {"name": "a", "postCallWebhookSecret": "a secret"})
    return tmp_path


def said(capsys: pytest.CaptureFixture[str], *arguments: str, status: int = 0) -> str:
    """What the command prints: on standard output, or on standard error if it fails."""
    capsys.readouterr()
    assert cli.run(arguments) == status
    written = capsys.readouterr()
    return written.err if status else written.out


def type_in(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(text + "\n"))


def entries(folder: Path) -> list[tuple[str, str]]:
    with sqlite3.connect(folder / "chorus.db") as database:
        query = "SELECT actor, action FROM audit_log WHERE actor = 'operator' ORDER BY created_at"
        return list(database.execute(query))


def test_organizations_and_members(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    type_in(monkeypatch, PASSWORD)
    added = said(capsys, "orgs", "add-member", "Ada@example.com", "--role", "owner")
    assert added == "Added ada@example.com, owner.\n"
    id = said(capsys, "orgs", "create", "Acme").strip()
    assert re.fullmatch(r"[0-9a-f-]{36}", id)
    assert re.search(rf"{id}  active +0 .* Acme", said(capsys, "orgs", "list"))
    invite = ("orgs", "add-member", "bo@example.com", "--invite")
    assert "choose by --organization" in said(capsys, *invite, status=1)
    invited = said(capsys, *invite, "--organization", id)
    assert re.search(r"\n[\w-]{43}\n", invited)
    assert "already" in said(capsys, *invite, "--organization", id, status=1)
    type_in(monkeypatch, "another long password")
    assert "Set." in said(capsys, "orgs", "set-password", "bo@example.com", "--organization", id)
    type_in(monkeypatch, "short")
    text = said(capsys, "orgs", "set-password", "bo@example.com", status=2)
    assert text == "The password must have 10 to 256 characters\n"
    assert "e-mail" in said(capsys, "orgs", "add-member", "bo", "--invite", status=2)
    said(capsys, "orgs", "suspend", id)
    assert "suspended already" in said(capsys, "orgs", "suspend", id, status=1)
    assert re.search(rf"{id}  suspended +1 ", said(capsys, "orgs", "list"))
    said(capsys, "orgs", "suspend", id, "--resume")
    limit = ("orgs", "limit", "--organization", id)
    assert "requests a minute 60" in said(capsys, *limit, "--rate-limit", "60")
    assert "calls at once 100 (the server's)" in said(capsys, *limit, "--concurrent-calls", "none")
    assert "whole number" in said(capsys, *limit, "--rate-limit", "many", status=2)
    assert "--rate-limit" in said(capsys, *limit, status=2)
    assert [action for _, action in entries(folder)] == [
        "createMember",
        "createOrganization",
        "createMember",
        "changePassword",
        "suspendOrganization",
        "resumeOrganization",
        "limitOrganization",
        "limitOrganization",
    ]


async def test_who_was_added_can_log_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    settings = settings_for(tmp_path)
    async with running(settings):
        pass
    await to_thread_add(tmp_path, monkeypatch)
    async with running(settings) as api:
        client = stranger(api)
        assert (await log_in(client, "ada@example.com")).status_code == 201
        # Hashed as in production, and good for a change.
        assert (await client.post("/v1/agents", json={"name": "a"})).status_code == 201


async def to_thread_add(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:

    monkeypatch.setenv("CHORUS_DATA_DIR", str(folder))
    type_in(monkeypatch, PASSWORD)
    arguments = ["orgs", "add-member", "ada@example.com", "--role", "owner"]
    assert await asyncio.to_thread(cli.run, arguments) == 0


def test_a_new_key_for_the_secrets(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("CHORUS_SECRET_KEY", f"{NEW},{OLD}")
    rotated = said(capsys, "secrets", "rotate")
    assert re.search(r"agents\.post_call_webhook_secret +1 +0 +0\n", rotated)
    assert "older keys are not needed" in rotated
    monkeypatch.setenv("CHORUS_SECRET_KEY", NEW)
    again = said(capsys, "secrets", "rotate")
    assert re.search(r"agents\.post_call_webhook_secret +0 +1 +0\n", again)
    monkeypatch.setenv("CHORUS_SECRET_KEY", OLD)
    lost = said(capsys, "secrets", "rotate", status=1)
    assert re.search(r"No key that was given can read agents\.post_call_webhook_secret of ", lost)


def test_keys_are_in_the_audit_log(folder: Path, capsys: pytest.CaptureFixture[str]):
    key = said(capsys, "keys", "create", "k").strip()
    assert key != KEY
    [line] = [line for line in said(capsys, "keys", "list").splitlines() if line.endswith("  k")]
    said(capsys, "keys", "revoke", line.split()[0])
    assert entries(folder) == [("operator", "createApiKey"), ("operator", "deleteApiKey")]


def test_before_the_first_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("CHORUS_DATA_DIR", str(tmp_path))

    assert "Has it been migrated?" in said(capsys, "orgs", "list", status=1)
    assert "Has it been migrated?" in said(capsys, "secrets", "rotate", status=1)
