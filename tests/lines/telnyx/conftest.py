"""One Telnyx and one platform for each test: both start in milliseconds."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest_asyncio
from tests.lines.telnyx import board as boards
from tests.lines.telnyx import standin


@pytest_asyncio.fixture
async def board() -> AsyncGenerator[boards.Board]:
    async with standin.running() as telnyx, boards.running(telnyx) as board:
        yield board
