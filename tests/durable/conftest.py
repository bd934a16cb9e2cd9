"""A database that is ready for durable work, on both kinds."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
from tests.conftest import settings_for
from tests.fakes import schema

from chorus.db import Database


@pytest.fixture
async def database(tmp_path: Path, database_url: str) -> AsyncGenerator[Database, None]:
    settings = settings_for(tmp_path, database_url=database_url)
    schema.give(settings)
    database = Database(settings)
    yield database
    await database.close()
