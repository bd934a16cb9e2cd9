"""Deliveries under way: whose they are, and what a process that dies or stops leaves of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import sqlalchemy as sa
from tests.fakes.http_peer import HttpPeer, respond
from tests.webhooks.conftest import Post, Receiver, post_on

from chorus.webhooks import deliver, due
from chorus.webhooks.schedule import SCHEDULE_S
from chorus.webhooks.tables import WebhookDelivery


async def test_two_processes_never_try_one_delivery_at_once(post: Post):
    here = 0
    most = 0

    async def slow() -> AsyncIterator[bytes]:
        nonlocal here, most
        here += 1
        most = max(most, here)
        await asyncio.sleep(0.05)
        here -= 1
        yield respond(500)

    async with HttpPeer(lambda _: slow()) as peer:
        await post.announced(await post.agent(peer.url))
        others = [post.another(name) for name in ("two", "three")]
        for wait_s in (0, 6, 70):
            post.wait(wait_s)
            await asyncio.gather(*(each.look() for each in (post.deliveries, *others)))
            for each in (post.deliveries, *others):
                await each.settled()
        assert len(peer.requests) == 3
    assert most == 1


async def test_one_slow_receiver_does_not_hold_up_the_others(post: Post, receiver: Receiver):
    released = asyncio.Event()

    async def stuck() -> AsyncIterator[bytes]:
        await released.wait()
        yield respond(200)

    async with HttpPeer(lambda _: stuck()) as peer:
        # Told apart from the receiver by its host.
        stuck_url = peer.url.replace("127.0.0.1", "localhost")
        agent_id = await post.agent(stuck_url)
        for _ in range(due.TO_A_HOST + 5):
            await post.announced(agent_id)
        assert await post.deliveries.look() == due.TO_A_HOST
        assert await post.deliveries.look() == 0
        await post.announced(await post.agent(receiver.url))
        assert await post.deliveries.look() == 1
        while not receiver.requests:
            await asyncio.sleep(0.01)
        released.set()
        await post.deliveries.settled()
        assert await post.round() == 5


async def test_what_was_under_way_when_a_process_died(post: Post, receiver: Receiver):
    await post.announced(await post.agent(receiver.url))
    async with post.database.writing() as session:
        now = await post.now(session)
        [lost] = await due.take(session, now, [], "dead", 10)
    post.wait(due.LEASE_S - 1)
    assert await post.round() == 0
    post.wait(2)
    assert await post.round() == 1
    first, second = await post.tries()
    assert first.id == lost.attempt_id
    assert first.error is not None
    assert "server stopped" in first.error
    assert (second.number, second.status_code) == (2, 200)
    # The dead one was only slow: what it says now comes too late to change anything.
    async with post.database.writing() as session:
        await deliver.record.record(session, now, lost, deliver.Result(error="late"))
    assert (await post.only()).status == "delivered"


async def test_a_process_that_is_back_goes_on_at_once(post: Post, receiver: Receiver):
    await post.announced(await post.agent(receiver.url))
    async with post.database.writing() as session:
        await due.take(session, await post.now(session), [], "one", 10)
    running = asyncio.create_task(post.deliveries.run())
    while (await post.only()).status != "delivered":
        await asyncio.sleep(0.02)
    running.cancel()
    await asyncio.wait({running})
    assert len(receiver.requests) == 1


async def test_a_delivery_that_kills_every_process_ends(post: Post):
    await post.announced(await post.agent("http://127.0.0.1:1/"))

    async def taken() -> int:
        async with post.database.writing() as session:
            return len(await due.take(session, await post.now(session), [], "x", 10))

    for wait_s in SCHEDULE_S:
        assert await taken() == 1
        post.wait(due.LEASE_S + 1)
        if wait_s > due.LEASE_S:
            assert await taken() == 0
        post.wait(wait_s)
    assert await post.round() == 0
    assert (await post.only()).status == "failed"


async def test_processes_that_die_one_after_the_other_use_up_no_tries(
    post: Post, receiver: Receiver
):
    """As often as you like within the minute that the second lost try waits."""
    await post.announced(await post.agent(receiver.url))
    for _ in range(3 * len(SCHEDULE_S)):
        async with post.database.writing() as session:
            now = await post.now(session)
            await due.take_back(session, now, "x")
            await due.take(session, now, [], "x", 10)
        post.wait(1.5)
    delivery = await post.only()
    assert (delivery.status, delivery.tries) == ("pending", 3)
    post.wait(61)
    async with post.database.writing() as session:
        await due.take_back(session, await post.now(session), "x")
    assert await post.round() == 1
    assert (await post.only()).status == "delivered"


async def test_a_server_that_stops_gives_back_what_is_under_way(
    post: Post, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
):
    async def stuck() -> AsyncIterator[bytes]:
        await asyncio.sleep(60)
        yield b""

    monkeypatch.setattr(deliver, "_STOP_S", 0.1)
    receiver.statuses = [stuck]
    await post.announced(await post.agent(receiver.url))
    running = asyncio.create_task(post.deliveries.run())
    while not receiver.requests:
        await asyncio.sleep(0.01)
    running.cancel()
    await asyncio.wait({running})
    delivery = await post.only()
    assert (delivery.status, delivery.attempt_id, delivery.tries) == ("pending", None, 0)
    assert await post.round() == 1
    assert (await post.only()).status == "delivered"
    assert [each.number for each in await post.tries()] == [1, 2]


async def test_a_try_that_begins_too_late_is_left(post: Post, receiver: Receiver):
    await post.announced(await post.agent(receiver.url))
    async with post.database.writing() as session:
        [taken] = await due.take(session, await post.now(session), [], "one", 10)
    late = due.Taken(
        taken.delivery_id, taken.attempt_id, taken.organization_id, taken.host, taken.at - 20
    )
    await post.deliveries._deliver(late)  # pyright: ignore[reportPrivateUsage]
    assert receiver.requests == []
    assert await post.round() == 1


async def test_what_is_announced_goes_out_at_once(post: Post, receiver: Receiver):
    running = asyncio.create_task(post.deliveries.run())
    await asyncio.sleep(0.2)
    loop = asyncio.get_running_loop()
    waits: list[float] = []
    for _ in range(3):
        await post.announced(await post.agent(receiver.url))
        began, had = loop.time(), len(receiver.requests)
        while len(receiver.requests) == had:
            await asyncio.sleep(0.005)
        waits.append(loop.time() - began)
    running.cancel()
    await asyncio.wait({running})
    assert min(waits) < 0.5


async def test_the_log_holds_no_secret(post: Post, receiver: Receiver):
    await post.announced(await post.agent(receiver.url, "very secret"))
    await post.round()
    [tried] = await post.tries()
    assert "very secret" not in str(tried.request_headers)
    stored = (await post.only()).secret
    assert stored is not None
    assert stored.startswith("v1:")


async def test_the_look_uses_its_index(tmp_path: Any):
    post = await post_on(tmp_path)
    async with post.database.reading() as session:
        query = sa.select(WebhookDelivery.id).where(WebhookDelivery.due_at <= sa.text("1"))
        text = str(query.order_by(WebhookDelivery.due_at).compile(session.get_bind()))
        plan = await session.execute(sa.text(f"EXPLAIN QUERY PLAN {text}"))
        assert "ix_webhook_deliveries_due" in str(plan.all())
    await post.database.close()
