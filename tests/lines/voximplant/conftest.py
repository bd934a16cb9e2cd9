"""One Voximplant for a file of tests; a fresh platform for each test."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest
import pytest_asyncio
from tests.lines.voximplant import board as boards


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def voximplant(
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncGenerator[boards.Voximplant]:
    async with boards.standin(tmp_path_factory.mktemp("voximplant")) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def board(voximplant: boards.Voximplant) -> AsyncGenerator[boards.Board]:
    async with boards.running(voximplant) as board:
        yield board
