"""What each connection to Postgres is set to."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from tests.fakes.api import Api

SETTING = sa.text("SHOW max_parallel_workers_per_gather")


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
async def test_no_query_begins_helpers_of_its_own(api: Api):
    async with api.process.database.reading() as session:
        assert await session.scalar(SETTING) == "0"
        await session.rollback()
        assert await session.scalar(SETTING) == "0"
    async with api.process.database.writing() as session:
        assert await session.scalar(SETTING) == "0"
