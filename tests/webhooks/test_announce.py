"""Which events become which deliveries, and what they say."""

from __future__ import annotations

import json
import uuid
from datetime import timedelta
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest
import sqlalchemy as sa
from tests.webhooks.conftest import START, Post, Receiver

from chorus.agents.tables import Agent
from chorus.calls.tables import CallRow
from chorus.recordings.links import Links
from chorus.webhooks import announce

FIELDS = [
    *("event", "callId", "organizationId", "agentId", "phoneNumberId", "direction", "status"),
    *("isFinal", "customerNumber", "durationSeconds", "duration", "startedAt", "endedAt"),
    *("recordingUrl", "transcriptUrl", "transcript", "summary", "extractedData"),
    *("answeredBy", "endedReason", "endedDetail", "cost", "contextVariables", "metadata"),
]


async def test_the_body_is_the_calls_record(post: Post, receiver: Receiver):
    agent_id = await post.agent(receiver.url)
    call_id = await post.announced(agent_id)
    await post.round()
    [asked] = receiver.requests
    assert list(asked.json) == FIELDS
    links = Links(post.settings, post.switchboard.secrets)
    told = asked.json
    for name in ("recording", "transcript"):
        url = urlsplit(told.pop(f"{name}Url"))
        assert url.path.startswith(f"/{name}s/{call_id}.")
        query = dict(parse_qsl(url.query))
        assert links.check(name, call_id, query["expires"], query["signature"]) > 0
    assert told == {
        "event": "call.completed",
        "callId": str(call_id),
        "organizationId": str(post.organization_id),
        "agentId": str(agent_id),
        "phoneNumberId": None,
        "direction": "inbound",
        "status": "completed",
        "isFinal": True,
        "customerNumber": "+14155551234",
        "durationSeconds": 245,
        "duration": 245,
        "startedAt": "2025-01-15T10:30:00.000Z",
        "endedAt": "2025-01-15T10:34:05.000Z",
        "transcript": [{"role": "assistant", "content": "Grüß Gott"}],
        "summary": "They agreed.",
        "extractedData": {"mood": "good"},
        "endedReason": "agent_ended",
        "answeredBy": None,
        "endedDetail": None,
        "cost": 0.250001,
        "contextVariables": {"name": "Jane"},
        "metadata": {"campaign": "x"},
    }
    assert asked.method == "POST"
    assert asked.headers["content-type"] == "application/json"


async def test_why_a_call_failed_is_told(post: Post, receiver: Receiver):
    why = {"ended_reason": "provider_error", "ended_detail": "the trunk is down"}
    await post.announced(await post.agent(receiver.url), status="failed", **why)
    await post.round()
    told = receiver.requests[0].json
    assert (told["endedReason"], told["endedDetail"]) == ("provider_error", "the trunk is down")


async def test_what_is_not_known_is_null(post: Post, receiver: Receiver):
    nothing = dict.fromkeys(
        ("duration_seconds", "cost_micros", "recording_path", "transcript", "analysis"), None
    )
    await post.announced(await post.agent(receiver.url), **nothing)
    await post.round()
    told = receiver.requests[0].json
    assert list(told) == FIELDS
    for name in ("duration", "cost", "recordingUrl", "transcriptUrl", "summary", "extractedData"):
        assert told[name] is None


async def test_an_event_is_announced_once(post: Post, receiver: Receiver):
    agent_id = await post.agent(receiver.url)
    await post.endpoint(receiver.url)
    call_id = await post.announced(agent_id)
    for _ in range(3):
        await announce.call_over(post.switchboard, call_id)
    assert len(await post.log()) == 2
    assert await post.round() == 2
    # A step that is repeated after the delivery changes nothing either.
    await announce.announce(post.switchboard, str(call_id), "call.completed")
    assert await post.round() == 0
    # Who came to it later gets it then.
    await post.endpoint(receiver.url)
    await announce.call_over(post.switchboard, call_id)
    assert await post.round() == 1


@pytest.mark.parametrize("status", ["failed", "no_answer"])
async def test_a_call_that_failed_is_over_too(post: Post, receiver: Receiver, status: str):
    await post.endpoint(f"{receiver.url}/both", "call.completed", "call.failed")
    await post.endpoint(f"{receiver.url}/failed", "call.failed")
    await post.endpoint(f"{receiver.url}/completed", "call.completed")
    await post.announced(await post.agent(f"{receiver.url}/agent"), status=status)
    await post.round()
    assert {(asked.target, asked.json["event"]) for asked in receiver.requests} == {
        ("/both", "call.completed"),
        ("/both", "call.failed"),
        ("/failed", "call.failed"),
        ("/completed", "call.completed"),
        ("/agent", "call.completed"),
    }
    assert {asked.json["status"] for asked in receiver.requests} == {status}


async def test_a_call_that_was_held_is_no_failure(post: Post, receiver: Receiver):
    await post.endpoint(receiver.url, "call.failed", "call.started")
    await post.announced()
    assert await post.log() == []


async def test_started_is_in_the_transaction_that_answers(post: Post, receiver: Receiver):
    await post.endpoint(receiver.url, "call.started")
    agent_id = await post.agent(receiver.url)
    call_id = await post.call(agent_id, status="ringing", ended_at=None, transcript=None)

    async def answer() -> None:
        async with post.database.writing() as session:
            call = await session.get_one(CallRow, call_id)
            await session.execute(
                sa.update(CallRow)
                .values(status="in_progress")
                .execution_options(synchronize_session=False)
            )
            await announce.call_answered(session, post.switchboard, call)
            assert not post.switchboard.announced.is_set()
            if rolled_back:
                raise RuntimeError

    rolled_back = True
    with pytest.raises(RuntimeError):
        await answer()
    assert await post.log() == []
    assert not post.switchboard.announced.is_set()
    rolled_back = False
    await answer()
    assert post.switchboard.announced.is_set()
    await post.round()
    [asked] = receiver.requests
    assert (asked.json["event"], asked.json["status"]) == ("call.started", "in_progress")
    assert asked.json["endedAt"] is None


async def test_nobody_who_wants_it(post: Post, receiver: Receiver):
    await post.announced()
    await post.announced(await post.agent(None))
    endpoint_id, _ = await post.endpoint(receiver.url)
    await post.switch(endpoint_id, is_active=False)
    await post.announced()
    await announce.call_over(post.switchboard, uuid.uuid4())
    assert await post.log() == []


async def test_a_leg_of_a_transfer_is_a_part_of_its_call(post: Post, receiver: Receiver):
    await post.endpoint(receiver.url)
    parent = await post.call()
    await post.announced(parent_call_id=parent)
    assert await post.log() == []


async def test_the_body_is_fixed_when_it_is_announced(post: Post, receiver: Receiver):
    receiver.statuses = [500]
    call_id = await post.announced(await post.agent(receiver.url))
    await post.round()
    async with post.database.writing() as session:
        changed = {"status": "failed", "ended_at": START + timedelta(days=1)}
        await session.execute(sa.update(CallRow).where(CallRow.id == call_id).values(changed))
    post.wait(6)
    await post.round()
    first, second = receiver.requests
    assert first.body == second.body
    assert json.loads(second.body)["status"] == "completed"


async def test_an_agent_that_is_deleted_before_has_no_webhook(post: Post, receiver: Receiver):
    agent_id = await post.agent(receiver.url)
    call_id = await post.call(agent_id)
    async with post.database.writing() as session:
        await session.execute(sa.delete(Agent))
    await announce.call_over(post.switchboard, call_id)
    assert await post.log() == []


def test_the_documentation_names_every_field():
    text = (Path(__file__).parents[2] / "docs" / "webhooks.md").read_text()
    assert [name for name in FIELDS if f"`{name}`" not in text] == []
