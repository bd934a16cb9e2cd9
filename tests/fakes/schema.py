"""SQLite files that have the schema already: to migrate one for each test takes 0.3 s."""

from __future__ import annotations

import asyncio
import atexit
import functools
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from unittest.mock import AsyncMock, patch

from chorus.db import Database
from chorus.migrations import run as migrations
from chorus.prepare import prepare
from chorus.settings import Settings


def give(settings: Settings) -> bool:
    """Put a file with the schema where these settings' database is, if it is SQLite and there is
    none. On Postgres `conftest.Postgres` does it. Returns whether it did."""
    if not settings.is_sqlite or settings.sqlite_path.exists():
        return False
    settings.sqlite_path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    shutil.copy(_migrated(), settings.sqlite_path)
    settings.sqlite_path.chmod(0o600)
    return True


async def prepared(settings: Settings) -> None:
    """`give`, and what else a server does before it starts."""
    if not give(settings):
        await prepare(settings)
        return
    with patch.object(migrations, "upgrade", AsyncMock()):
        await prepare(settings)


@functools.cache
def _migrated() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="chorus-schema-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    settings = Settings.read({"CHORUS_DATA_DIR": str(folder)})
    with ThreadPoolExecutor(1) as thread:  # the tests' own loop is running in this one
        thread.submit(asyncio.run, migrate(settings)).result()
    return settings.sqlite_path


async def migrate(settings: Settings) -> None:
    """Bring the database of these settings, on either kind, to the latest schema."""
    database = Database(settings)
    await migrations.upgrade(database)
    await database.close()
