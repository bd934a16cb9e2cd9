from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.fakes.openai_server import OpenAIServer

from chorus.llm.openai import Endpoint


@pytest.fixture
async def server() -> AsyncIterator[OpenAIServer]:
    async with OpenAIServer() as server:
        yield server


@pytest.fixture
async def endpoint(server: OpenAIServer) -> AsyncIterator[Endpoint]:
    endpoint = Endpoint("fake", server.url, "sk-test-1234567890abcdef")
    yield endpoint
    await endpoint.aclose()
