"""One carrier for a file of tests; a fresh platform for each test."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest_asyncio
from tests.lines.twilio.switchboard import ACCOUNT, OURS, TOKEN, Switchboard, running

from chorus.demo.carrier import client


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def carrier() -> AsyncGenerator[client.CarrierClient]:
    async with client.running() as carrier:
        await carrier.add_account(ACCOUNT, TOKEN)
        yield carrier


@pytest_asyncio.fixture(loop_scope="module")
async def board(carrier: client.CarrierClient) -> AsyncGenerator[Switchboard]:
    async with running(carrier.url) as board:
        url = board.url
        await carrier.add_number(OURS, ACCOUNT, f"{url}/twilio/voice", f"{url}/twilio/status")
        yield board
