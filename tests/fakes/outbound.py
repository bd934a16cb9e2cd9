"""A client that may reach this machine, for tests that are not about what it refuses."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from chorus.outbound import Outbound, OutboundAnswer


@pytest.fixture
async def client() -> AsyncIterator[Outbound]:
    client = Outbound(allow_private=True)
    yield client
    await client.aclose()


async def get(client: Outbound, url: str, **options: Any) -> OutboundAnswer:
    wanted = {"timeout_ms": 20_000, "max_bytes": 100_000} | options
    return await client.send(wanted.pop("method", "GET"), url, **wanted)
