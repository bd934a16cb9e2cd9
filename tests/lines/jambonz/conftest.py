"""One jambonz and one platform for each test: both start in milliseconds."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest_asyncio
from tests.lines.jambonz import board as boards
from tests.lines.jambonz import standin


@pytest_asyncio.fixture
async def board() -> AsyncGenerator[boards.Board]:
    async with standin.running() as jambonz, boards.running(jambonz) as board:
        yield board
