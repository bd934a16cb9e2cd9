"""Tries: their order, what ends them, and what a receiver may do wrong."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from typing import Any

import pytest
import sqlalchemy as sa
from standardwebhooks import Webhook
from tests.fakes.http_peer import Asked, respond
from tests.webhooks.conftest import Post, Receiver, post_on

from chorus.agents.tables import Agent
from chorus.calls.tables import CallRow
from chorus.webhooks import deliver, secret
from chorus.webhooks.schedule import SCHEDULE_S
from chorus.webhooks.sign import key_of
from chorus.webhooks.tables import GoneAgentWebhook, WebhookEndpoint


def verified(asked: Asked, secret: str) -> bool:
    library = Webhook("whsec_" + base64.b64encode(key_of(secret)).decode())
    try:
        library.verify(asked.body, asked.headers)
    except Exception:
        return False
    return True


async def test_the_whole_schedule(post: Post, receiver: Receiver):
    receiver.statuses = [500] * 20
    await post.announced(await post.agent(receiver.url))
    await post.stop_clock()
    for tries, wait_s in enumerate(SCHEDULE_S):
        post.wait(wait_s * 0.89)
        assert await post.round() == (1 if tries == 0 else 0), "too early"
        if tries > 0:
            post.wait(wait_s * 0.22)
            assert await post.round() == 1, "too late"
    post.wait(1e6)
    assert await post.round() == 0
    assert len(receiver.requests) == len(SCHEDULE_S) == 9
    delivery = await post.only()
    assert (delivery.status, delivery.reason, delivery.attempts) == ("failed", "gave_up", 9)
    assert delivery.due_at is None
    tries = await post.tries()
    assert [each.number for each in tries] == list(range(1, 10))
    assert {(each.status_code, each.response_body) for each in tries} == {(500, "answered")}
    assert all(each.duration_ms is not None for each in tries)


async def test_every_try_has_the_same_id_and_body_and_its_own_signature(
    post: Post, receiver: Receiver
):
    receiver.statuses = [500, 302, 404]
    await post.announced(await post.agent(receiver.url, "a secret"))
    for wait_s in (0, 6, 70, 400):
        post.wait(wait_s)
        assert await post.round() == 1
    delivery = await post.only()
    assert delivery.status == "delivered"
    assert {asked.headers["webhook-id"] for asked in receiver.requests} == {str(delivery.id)}
    assert len({asked.body for asked in receiver.requests}) == 1
    assert all(verified(asked, "a secret") for asked in receiver.requests)
    assert not verified(receiver.requests[0], "another")
    tries = await post.tries()
    for asked, tried in zip(receiver.requests, tries, strict=True):
        assert tried.request_headers is not None
        told = {name.lower(): value for name, value in tried.request_headers.items()}
        assert told.items() <= asked.headers.items()
        assert {"webhook-signature", "x-chorus-signature"} <= told.keys()


@pytest.mark.parametrize("status", [200, 201, 204, 299])
async def test_any_2xx_is_the_end(post: Post, receiver: Receiver, status: int):
    receiver.statuses = [status]
    await post.announced(await post.agent(receiver.url))
    await post.round()
    post.wait(1e6)
    assert await post.round() == 0
    delivery = await post.only()
    assert (delivery.status, delivery.last_status_code) == ("delivered", status)
    assert delivery.delivered_at is not None


async def test_a_receiver_that_is_away_for_two_tries(post: Post):
    async with Receiver() as receiver:
        port = receiver.port
        await post.announced(await post.agent(receiver.url))
    await post.round()
    post.wait(6)
    await post.round()
    first, second = await post.tries()
    assert first.status_code is None
    assert first.error is not None
    assert "127.0.0.1" in first.error
    assert second.error == first.error
    again = Receiver()
    server = await asyncio.start_server(again._accept, "127.0.0.1", port)  # pyright: ignore[reportPrivateUsage]
    async with server:
        post.wait(70)
        await post.round()
    assert (await post.only()).status == "delivered"
    assert len(again.requests) == 1


async def test_a_clock_that_is_set_back_makes_no_try_late(post: Post, receiver: Receiver):
    """An hour back while it waits for its second try, and again before a server looks at all."""
    receiver.statuses = [500] * 3
    await post.announced(await post.agent(receiver.url))
    post.wait(2 * 3600)
    assert await post.round() == 1
    post.wait(-3600)
    assert await post.round() == 0
    post.wait(6)
    assert await post.round() == 1
    post.wait(-3600)
    post.deliveries = post.another("one")
    assert await post.round() == 0
    post.wait(61)
    assert await post.round() == 1
    assert [tried.status_code for tried in await post.tries()] == [500] * 3


async def test_what_a_receiver_asked_for_is_no_clock_set_back(post: Post, receiver: Receiver):
    receiver.statuses = [respond(503, retry_after="1800")]
    await post.announced(await post.agent(receiver.url))
    assert await post.round() == 1
    post.deliveries = post.another("one")
    post.wait(60)
    assert await post.round() == 0


async def test_gone_is_gone(post: Post, receiver: Receiver):
    receiver.statuses = [500, 410]
    endpoint_id, _ = await post.endpoint(receiver.url)
    await post.announced()
    await post.round()
    await post.announced()
    assert await post.round() == 1
    assert [row.status for row in await post.log()] == ["cancelled", "failed"]
    assert [row.reason for row in await post.log()] == ["endpoint_inactive", "gone"]
    async with post.database.reading() as session:
        endpoint = await session.get_one(WebhookEndpoint, endpoint_id)
    assert not endpoint.is_active
    assert endpoint.disabled_at is not None
    await post.announced()
    post.wait(1e6)
    assert await post.round() == 0
    assert len(receiver.requests) == 2


async def test_gone_of_an_agent_counts_for_that_url(post: Post, receiver: Receiver):
    receiver.statuses = [410]
    agent_id = await post.agent(receiver.url)
    await post.announced(agent_id)
    await post.round()
    await post.announced(agent_id)
    assert len(await post.log()) == 1
    async with post.database.writing() as session:
        assert (await session.get_one(GoneAgentWebhook, agent_id)).url == receiver.url
        agent = await session.get_one(Agent, agent_id)
        agent.post_call_webhook_url = f"{receiver.url}/new"
    await post.announced(agent_id)
    await post.round()
    assert receiver.requests[-1].target == "/new"


async def test_gone_from_where_it_no_longer_goes(post: Post, receiver: Receiver):
    endpoint_id, _ = await post.endpoint(f"{receiver.url}/old")
    moved = asyncio.Event()

    async def gone() -> AsyncIterator[bytes]:
        await moved.wait()
        yield respond(410)

    receiver.statuses = [gone]
    await post.announced()
    await post.deliveries.look()
    while not receiver.requests:
        await asyncio.sleep(0.01)
    await post.switch(endpoint_id, url=f"{receiver.url}/new")
    moved.set()
    await post.deliveries.settled()
    await post.announced()
    await post.round()
    assert receiver.requests[-1].target == "/new"


async def test_a_wait_that_is_asked_for(post: Post, receiver: Receiver):
    receiver.statuses = [respond(429, b"", Retry_After="120"), respond(503, b"", Retry_After="1")]
    await post.announced(await post.agent(receiver.url))
    await post.round()
    post.wait(119)
    assert await post.round() == 0
    post.wait(2)
    assert await post.round() == 1
    post.wait(53)
    assert await post.round() == 0
    post.wait(14)
    assert await post.round() == 1


async def test_a_redirect_is_not_followed(post: Post, receiver: Receiver):
    receiver.statuses = [respond(307, b"", Location=f"{receiver.url}/elsewhere")]
    await post.announced(await post.agent(receiver.url))
    await post.round()
    assert len(receiver.requests) == 1
    delivery = await post.only()
    assert (delivery.status, delivery.last_status_code) == ("pending", 307)


async def test_an_endless_answer_is_cut(post: Post, receiver: Receiver):
    async def endless() -> AsyncIterator[bytes]:
        yield b"HTTP/1.1 200 OK\r\n\r\n"
        while True:
            yield "ä\0".encode() * 10_000

    receiver.statuses = [endless]
    await post.announced(await post.agent(receiver.url))
    await post.round()
    [tried] = await post.tries()
    assert tried.status_code == 200
    assert tried.response_body is not None
    assert tried.response_body.startswith("ä\ufffdä")
    assert len(tried.response_body.encode()) <= 3 * deliver.KEPT_BYTES
    assert (await post.only()).status == "delivered"


@pytest.mark.parametrize("begins", [b"", b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1 200 OK\r\nx: "])
async def test_a_slow_answer_is_cut(
    post: Post, receiver: Receiver, begins: bytes, monkeypatch: pytest.MonkeyPatch
):
    async def slow() -> AsyncIterator[bytes]:
        if begins:
            yield begins
        while True:
            await asyncio.sleep(0.02)
            yield b"x"

    monkeypatch.setattr(deliver, "TIMEOUT_MS", 300)
    receiver.statuses = [slow]
    await post.announced(await post.agent(receiver.url))
    await post.round()
    [tried] = await post.tries()
    assert tried.error is not None
    assert "300 ms" in tried.error
    assert tried.duration_ms is not None
    assert 290 <= tried.duration_ms < 5000
    assert (await post.only()).status == "pending"


async def test_garbage_is_no_answer(post: Post, receiver: Receiver):
    async def garbage() -> AsyncIterator[bytes]:
        yield b"\x00\x01 not http\r\n\r\n"

    receiver.statuses = [garbage]
    await post.announced(await post.agent(receiver.url))
    await post.round()
    [tried] = await post.tries()
    assert tried.error is not None
    assert "not valid HTTP" in tried.error


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("https://127.0.0.1:{port}/", "loopback"),
        ("https://10.0.0.1/", "private"),
        ("https://169.254.169.254/latest/meta-data/", "link-local"),
        ("http://127.0.0.1:{port}/", "https://"),
    ],
)
async def test_private_addresses_are_refused_by_default(
    tmp_path: Any, receiver: Receiver, url: str, why: str
):
    post = await post_on(tmp_path, allow_private_addresses=False)
    await post.announced(await post.agent(url.format(port=receiver.port)))
    await post.round()
    assert receiver.connections == 0
    [tried] = await post.tries()
    assert tried.error is not None
    assert why in tried.error
    await post.switchboard.outbound.aclose()
    await post.database.close()


async def test_whose_secret_signs(post: Post, receiver: Receiver):
    _, endpoints = await post.endpoint(receiver.url)
    await post.announced(await post.agent(f"{receiver.url}/own", "own"))
    await post.announced(await post.agent(f"{receiver.url}/none", None))
    await post.round()
    async with post.database.reading() as session:
        row = await secret.find(session, post.organization_id)
        assert row is not None
        organizations = post.switchboard.secrets.decrypt(row.secret)
    wanted = {"/": endpoints, "/own": "own", "/none": organizations}
    assert len(receiver.requests) == 4
    for asked in receiver.requests:
        accepting = [name for name, each in wanted.items() if verified(asked, each)]
        assert accepting == [asked.target]


async def test_a_secret_that_is_replaced_signs_for_a_day_more(post: Post, receiver: Receiver):
    receiver.statuses = [500]
    endpoint_id, old = await post.endpoint(receiver.url)
    await post.announced()
    await post.round()
    async with post.database.writing() as session:
        row = await session.get_one(WebhookEndpoint, endpoint_id)
        new = secret.rotate(row, post.switchboard.secrets)
    post.wait(6)
    await post.round()
    post.wait(24 * 3600)
    await post.announced()
    await post.round()
    before, both, after = receiver.requests
    assert [verified(before, s) for s in (old, new)] == [True, False]
    assert [verified(both, s) for s in (old, new)] == [True, True]
    assert [verified(after, s) for s in (old, new)] == [False, True]


async def test_an_agent_that_is_deleted_meanwhile(post: Post, receiver: Receiver):
    receiver.statuses = [500]
    agent_id = await post.agent(receiver.url, "its own")
    await post.announced(agent_id)
    await post.round()
    async with post.database.writing() as session:
        await session.execute(sa.delete(Agent))
    post.wait(6)
    assert await post.round() == 1
    assert verified(receiver.requests[-1], "its own")
    assert (await post.only()).status == "delivered"


async def test_a_url_that_is_corrected_meanwhile(post: Post, receiver: Receiver):
    receiver.statuses = [404]
    agent_id = await post.agent(f"{receiver.url}/wrong", "old")
    await post.announced(agent_id)
    await post.round()
    async with post.database.writing() as session:
        agent = await session.get_one(Agent, agent_id)
        agent.post_call_webhook_url = f"{receiver.url}/right"
        agent.post_call_webhook_secret = post.switchboard.secrets.encrypt("new")
    post.wait(6)
    await post.round()
    assert receiver.requests[-1].target == "/right"
    assert verified(receiver.requests[-1], "new")


async def test_a_receiver_that_is_taken_away_meanwhile(post: Post, receiver: Receiver):
    receiver.statuses = [500, 500]
    endpoint_id, _ = await post.endpoint(receiver.url)
    agent_id = await post.agent(receiver.url)
    await post.announced(agent_id)
    await post.round()
    async with post.database.writing() as session:
        await session.delete(await session.get_one(WebhookEndpoint, endpoint_id))
        (await session.get_one(Agent, agent_id)).post_call_webhook_url = None
    post.wait(6)
    await post.round()
    assert len(receiver.requests) == 2
    assert {(d.status, d.reason) for d in await post.log()} == {
        ("cancelled", "endpoint_deleted"),
        ("cancelled", "webhook_removed"),
    }


async def test_a_call_that_is_deleted_takes_its_webhooks_along(post: Post, receiver: Receiver):
    receiver.statuses = [500]
    await post.announced(await post.agent(receiver.url))
    await post.round()
    async with post.database.writing() as session:
        await session.execute(sa.delete(CallRow))
    post.wait(6)
    assert await post.round() == 0
    assert await post.log() == []
    assert await post.tries() == []


async def test_a_secret_that_cannot_be_read_is_a_failed_try(post: Post, receiver: Receiver):
    agent_id = await post.agent(receiver.url)
    async with post.database.writing() as session:
        (await session.get_one(Agent, agent_id)).post_call_webhook_secret = "v1:nonsense"
    await post.announced(agent_id)
    await post.round()
    assert receiver.requests == []
    delivery = await post.only()
    assert (delivery.status, delivery.last_error) == (
        "pending",
        "the signing secret cannot be read",
    )
