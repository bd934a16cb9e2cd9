"""A wrong secret key is noticed: at start, by /readyz, by `chorus doctor`, and in an answer."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa
from tests.conftest import settings_for
from tests.fakes.api import Api, running

from chorus.accounts.secrets import Secrets
from chorus.accounts.tables import Seal
from chorus.cli import run
from chorus.db import Database
from chorus.prepare import NotReady, prepare

ANOTHER = ("another key for the tests, long enough",)
TOOL = {
    "name": "t",
    "description": "d",
    "config": {"url": "https://example.com", "headers": [{"key": "X-Auth", "value": "s"}]},
}


async def test_a_server_does_not_start_with_another_key(tmp_path: Path):
    assert await prepare(settings_for(tmp_path))
    await prepare(settings_for(tmp_path))
    with pytest.raises(NotReady, match="CHORUS_SECRET_KEY"):
        await prepare(settings_for(tmp_path, secret_keys=ANOTHER))
    # Both keys, to replace one by the other.
    old = settings_for(tmp_path).secret_keys
    await prepare(settings_for(tmp_path, secret_keys=(*ANOTHER, *old)))


async def test_nor_where_secrets_are_older_than_the_seal(tmp_path: Path):
    async with running(settings_for(tmp_path)) as api:
        await api.made("/v1/tools", TOOL)
        async with api.process.database.writing() as session:
            await session.execute(sa.delete(Seal))
    with pytest.raises(NotReady, match="CHORUS_SECRET_KEY"):
        await prepare(settings_for(tmp_path, secret_keys=ANOTHER))
    await prepare(settings_for(tmp_path))
    database = Database(settings_for(tmp_path))
    async with database.reading() as session:
        assert await session.scalar(sa.select(sa.func.count()).select_from(Seal)) == 1
    await database.close()


async def test_readiness_and_answers_say_so(api: Api):
    await api.made("/v1/tools", TOOL)
    wrong = Secrets(ANOTHER)
    api.process.__dict__["secrets"] = api.app.state.switchboard.__dict__["secrets"] = wrong
    ready = await api.get("/readyz")
    assert ready.status_code == 503
    assert "CHORUS_SECRET_KEY" in ready.json()["secrets"]
    answer = await api.get("/v1/tools")
    assert (answer.status_code, answer.json()["code"]) == (503, "secrets_unreadable")


def test_doctor_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("CHORUS_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("CHORUS_SECRET_KEY", "k" * 40)
    import asyncio

    from chorus.settings import Settings

    asyncio.run(prepare(Settings.read({"CHORUS_DATA_DIR": str(tmp_path)})))
    assert run(["doctor"]) == 1
    assert "CHORUS_SECRET_KEY is not the key" in capsys.readouterr().out
