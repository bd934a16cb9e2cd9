from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.conftest import Postgres


@pytest.fixture
def postgres_url(postgres: Postgres) -> Iterator[str]:
    """A database with the schema, as a server's operator writes its address."""
    url = postgres.new()
    yield url
    postgres.drop(url)
