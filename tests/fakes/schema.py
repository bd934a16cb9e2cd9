"""SQLite files that have the schema already: to migrate one for each test takes 0.3 s."""

from __future__ import annotations

import asyncio
import atexit
import functools
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from chorus.db import Database
from chorus.migrations import run as migrations
from chorus.settings import Settings


def give(settings: Settings) -> None:
    """Put a file with the schema where these settings' database is, if it is SQLite and there is
    none. On Postgres `conftest.Postgres` does it."""
    if settings.is_sqlite and not settings.sqlite_path.exists():
        settings.sqlite_path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        shutil.copy(_migrated(), settings.sqlite_path)


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
