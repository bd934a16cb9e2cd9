"""A database that is ready for durable work, on both kinds."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
from tests.conftest import settings_for

from chorus.db import Database
from chorus.migrations import run as migrations


@pytest.fixture
async def database(tmp_path: Path, database_url: str) -> AsyncGenerator[Database, None]:
    database = Database(settings_for(tmp_path, database_url=database_url))
    await migrations.upgrade(database)
    yield database
    await database.close()
