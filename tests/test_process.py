"""The end of a process, while others write."""

from __future__ import annotations

import logging
import sqlite3

import pytest
from tests.conftest import Api

from chorus import db


async def test_a_busy_database_does_not_make_a_stop_fail(
    sqlite_api: Api, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assert (await sqlite_api.client.get("/v1/agents")).status_code == 200
    process = sqlite_api.process
    await process.flush()
    await process.database.close()
    monkeypatch.setattr(db, "_BUSY_TIMEOUT_S", 0.05)
    assert (await sqlite_api.client.get("/v1/agents")).status_code == 200
    path = process.settings.data_dir / "chorus.db"
    with sqlite3.connect(path, isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        with caplog.at_level(logging.WARNING):
            await process.close()
        other.execute("ROLLBACK")
    assert "when keys were used, was not written" in caplog.text
