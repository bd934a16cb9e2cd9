"""Strangers who open sockets and say nothing keep no page out. Real sockets, a real server."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from tests.fakes.server import Server, serving
from tests.lines.browser.page import Page
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus

from chorus.lines.browser.socket import WAITING_OF_CALL

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("idle")) as running:
        yield running


@pytest.fixture(scope="module")
def agent_id(server: Server) -> str:
    with server.client() as http:
        made = http.post("/v1/agents", json={"name": "Front desk", "isActive": False})
        return made.raise_for_status().json()["data"]["id"]


def begun(server: Server, agent_id: str) -> dict[str, Any]:
    with server.client() as http:
        answer = http.post("/v1/calls/test", json={"agentId": agent_id})
    assert answer.status_code == 201, answer.text
    return answer.json()["data"]


async def idle(urls: list[str], address: str) -> list[ClientConnection]:
    """Those of the handshakes that were accepted; the proxy of the tests says whose they are."""
    headers = {"X-Forwarded-For": address}
    answers = await asyncio.gather(
        *(connect(url, additional_headers=headers, open_timeout=60) for url in urls),
        return_exceptions=True,
    )
    held = [each for each in answers if isinstance(each, ClientConnection)]
    assert all(isinstance(each, ClientConnection | InvalidStatus) for each in answers), answers
    return held


async def starts(call: dict[str, Any]) -> None:
    page = Page(call)
    await page.open(additional_headers={"X-Forwarded-For": "203.0.113.200"})
    try:
        await page.told("started")
        await page.send({"type": "stop"})
    finally:
        await page.close()


@pytest.mark.parametrize("path", ["/browser/media", "/supervise/media"])
async def test_five_hundred_idle_sockets(server: Server, agent_id: str, path: str):
    """As many as are looked at at once, from the fewest addresses that may hold so many."""
    held: list[ClientConnection] = []
    guess = f"{path}/{uuid.uuid4()}/1800000000.{'0' * 64}"
    for n in range(20):
        urls = [server.ws_url + (guess if n % 2 else path)] * 25
        held += await idle(urls, f"203.0.113.{1 + n % 4}")
    try:
        await starts(begun(server, agent_id))
    finally:
        await asyncio.gather(*(each.close() for each in held))
    assert held == []


async def test_who_has_an_address_holds_few_sockets_of_it(server: Server, agent_id: str):
    mine, other = begun(server, agent_id), begun(server, agent_id)
    held = await idle([mine["url"]] * (WAITING_OF_CALL + 5), "203.0.113.9")
    assert len(held) == WAITING_OF_CALL
    await starts(other)
    # They are let go, and then their call can begin.
    await asyncio.gather(*(each.close() for each in held))
    await starts(mine)
