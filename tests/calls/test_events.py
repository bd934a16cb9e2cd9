"""Following a call without a server: what is streamed, from where, to whom, and until when."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import pytest
import sqlalchemy as sa
from starlette.types import Message
from tests.calls.sse import Sse, parse
from tests.calls.test_calls_api import FINISHED, stored
from tests.fakes.api import Api

from chorus.calls import events
from chorus.calls.events import EventStream, Stream, Streams
from chorus.calls.live_routes import prefers_stream
from chorus.calls.switchboard import Switchboard
from chorus.calls.tables import CallEvent, CallRow
from chorus.errors import Error

STREAM = {"accept": "text/event-stream"}


def streams_of(api: Api) -> Streams:
    board: Switchboard = api.app.state.switchboard
    return board.streams


async def add(api: Api, id: uuid.UUID, *seqs: int) -> None:
    organization_id = await api.organization_id()
    async with api.process.database.writing() as session:
        session.add_all(
            CallEvent(
                organization_id=organization_id,
                call_id=id,
                seq=seq,
                at_ms=seq * 20,
                kind="words",
                data={"text": f"line {seq}\nüber\r\n\u2028"},
            )
            for seq in seqs
        )


async def a_call(api: Api, count: int, **changes: Any) -> uuid.UUID:
    [id] = await stored(api, {**FINISHED, **changes})
    id = uuid.UUID(str(id))
    await add(api, id, *range(1, count + 1))
    return id


LIVE = {"status": "in_progress", "ended_at": None, "ended_reason": None}


async def end(api: Api, id: uuid.UUID) -> None:
    async with api.process.database.writing() as session:
        await session.execute(
            sa.update(CallRow)
            .where(CallRow.id == id)
            .values(status="completed", ended_reason="customer_ended", ended_at=sa.func.now())
        )


def parsed(text: str) -> list[Sse]:
    found = [parse(block) for block in text.split("\n\n") if block]
    return [event for event in found if event is not None]


async def test_a_call_that_is_over_is_replayed(api: Api, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(events, "BATCH", 3)
    id = await a_call(api, 6)
    path = f"/v1/calls/{id}/events"
    pages = (await api.get(path)).json()["data"]
    answer = await api.get(path, headers=STREAM)
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.headers["cache-control"] == "no-store"
    *told, last = parsed(answer.text)
    assert [event.data for event in told] == pages
    assert [(e.id, e.kind) for e in told] == [(n, "words") for n in range(1, 7)]
    assert (last.kind, last.id, last.data["status"]) == ("end", None, "completed")
    for query, headers, first in (
        ("?stream=true&after=4", {}, 5),
        ("?after=4", STREAM, 5),
        ("?after=1", {**STREAM, "last-event-id": "5"}, 6),
        ("?after=6", STREAM, None),
    ):
        answer = await api.get(path + query, headers=headers)
        assert parsed(answer.text)[0].id == first
    after = (await api.get(f"{path}?after=4")).json()
    assert [e["seq"] for e in after["data"]] == [5, 6]
    assert after["pagination"]["total"] == 2


async def test_what_is_refused(sqlite_api: Api):
    api = sqlite_api
    id = await a_call(api, 1)
    path = f"/v1/calls/{id}/events"
    for query, headers, field in (
        ("?stream=1&limit=5", {}, "limit"),
        ("?stream=1&after=-1", {}, "after"),
        ("?stream=perhaps", {}, "stream"),
        ("", {**STREAM, "last-event-id": "x"}, "Last-Event-ID"),
        ("", {**STREAM, "last-event-id": "99999999999"}, "Last-Event-ID"),
    ):
        answer = await api.get(path + query, headers=headers)
        assert answer.status_code == 400, query
        assert [d["field"] for d in answer.json()["details"]] == [field]
    assert (await api.get(f"/v1/calls/{uuid.uuid4()}/events", headers=STREAM)).status_code == 404
    async with await api.another_organization() as other:
        assert (await other.get(path, headers=STREAM)).status_code == 404
    assert (await api.client_with(None).get(path, headers=STREAM)).status_code == 401


@pytest.mark.parametrize(
    ("accept", "streams"),
    [
        ("", False),
        ("*/*", False),
        ("application/json", False),
        ("text/event-stream", True),
        ("Text/Event-Stream; charset=utf-8", True),
        ("application/json, text/event-stream;q=0.5", False),
        ("text/event-stream, application/json;q=0.9", True),
        ("text/event-stream;q=0", False),
        ("text/event-stream;q=much", False),
    ],
)
def test_who_is_streamed_to(accept: str, streams: bool):
    assert prefers_stream(accept) is streams


async def test_a_live_call_is_followed_to_its_end(api: Api):
    id = await a_call(api, 2, **LIVE)
    streams = streams_of(api)
    stream = Stream(await api.organization_id(), id, 1)
    streams.enter(stream)
    body = streams.follow(stream)

    async def more() -> str:
        async with asyncio.timeout(10):
            return (await anext(body)).decode()

    assert await more() == "retry: 1000\n\n"
    assert [e.id for e in parsed(await more())] == [2]
    await add(api, id, 3)
    assert [e.id for e in parsed(await more())] == [3]
    await add(api, id, 4, 5)
    await end(api, id)
    assert [e.id for e in parsed(await more())] == [4, 5]
    assert [e.kind for e in parsed(await more())] == ["end"]
    with pytest.raises(StopAsyncIteration):
        await more()
    streams.leave(stream)


async def test_a_silent_call_has_a_heartbeat(sqlite_api: Api, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(events, "HEARTBEAT_S", 0.01)
    id = await a_call(sqlite_api, 0, **LIVE)
    stream = Stream(await sqlite_api.organization_id(), id, 0)
    body = streams_of(sqlite_api).follow(stream)
    assert [await anext(body) for _ in range(3)][1:] == [b": still here\n\n"] * 2
    monkeypatch.setattr(events, "LONGEST_S", 0.0)
    again = streams_of(sqlite_api).follow(stream)
    assert [part async for part in again] == [b"retry: 1000\n\n"]


async def test_a_process_that_stops_sends_what_there_is(sqlite_api: Api):
    id = await a_call(sqlite_api, 1, **LIVE)
    streams = streams_of(sqlite_api)
    stream = Stream(await sqlite_api.organization_id(), id, 0)
    streams.enter(stream)
    body = streams.follow(stream)
    assert [await anext(body) for _ in range(2)][1].startswith(b"id: 1\n")
    waiting = asyncio.ensure_future(anext(body))
    await asyncio.sleep(0)
    streams.close()
    with pytest.raises(StopAsyncIteration):
        await waiting
    with pytest.raises(Error, match="as many calls as it can"):
        streams.enter(Stream(stream.organization_id, id, 0))


async def test_there_is_room_for_so_many(sqlite_api: Api, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(events, "MAX_OF_ORGANIZATION", 1)
    id = await a_call(sqlite_api, 1)
    path = f"/v1/calls/{id}/events"
    streams = streams_of(sqlite_api)
    taken = Stream(await sqlite_api.organization_id(), id, 0)
    streams.enter(taken)
    refused = await sqlite_api.get(path, headers=STREAM)
    assert (refused.status_code, refused.json()["code"]) == (429, "too_many_streams")
    assert refused.headers["retry-after"] == "5"
    streams.leave(taken)
    for _ in range(3):
        assert (await sqlite_api.get(path, headers=STREAM)).status_code == 200
    monkeypatch.setattr(events, "MAX_STREAMS", 0)
    assert (await sqlite_api.get(path, headers=STREAM)).status_code == 503


async def test_a_reader_that_takes_nothing_is_dropped(
    sqlite_api: Api, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setattr(events, "PATIENCE_S", 0.05)
    id = await a_call(sqlite_api, 3, **LIVE)
    streams = streams_of(sqlite_api)
    organization_id = await sqlite_api.organization_id()
    never = asyncio.Event()

    async def send(message: Message) -> None:
        if message["type"] == "http.response.body" and b"id: 1" in message["body"]:
            await never.wait()

    async def receive() -> Message:
        await never.wait()
        raise AssertionError

    response = EventStream(streams, Stream(organization_id, id, 0))
    monkeypatch.setattr(events, "MAX_OF_ORGANIZATION", 1)
    async with asyncio.timeout(10):
        await response({"type": "http", "asgi": {"spec_version": "2.3"}}, receive, send)
    assert "too slow" in caplog.text
    # Its place is free again.
    streams.enter(Stream(organization_id, id, 0))


# --- waiting for the end ---------------------------------------------------------------------


async def test_a_call_that_is_over_is_not_waited_for(sqlite_api: Api):
    id = await a_call(sqlite_api, 1)
    # Less than what is asked for; long enough for a slow disk.
    async with asyncio.timeout(40):
        shown = (await sqlite_api.get(f"/v1/calls/{id}?wait=60")).json()["data"]
    assert shown["isFinal"] is True
    [listed] = (await sqlite_api.get("/v1/calls")).json()["data"]
    assert listed["isFinal"] is True


async def test_the_end_of_a_call_is_waited_for(api: Api):
    id = await a_call(api, 3, **LIVE)
    assert (await api.get(f"/v1/calls/{id}")).json()["data"]["isFinal"] is False
    waiting = asyncio.ensure_future(api.get(f"/v1/calls/{id}?wait=60"))
    await until_open(api, 1)
    streams = streams_of(api)
    await streams._look()  # pyright: ignore[reportPrivateUsage]  its events are no end
    await asyncio.sleep(0)
    assert not waiting.done()
    await end(api, id)
    async with asyncio.timeout(10):
        shown = (await waiting).json()["data"]
    assert (shown["status"], shown["isFinal"]) == ("completed", True)
    await until_open(api, 0)


async def test_a_wait_ends_without_the_call(sqlite_api: Api, monkeypatch: pytest.MonkeyPatch):
    id = await a_call(sqlite_api, 0, **LIVE)
    async with asyncio.timeout(10):
        shown = (await sqlite_api.get(f"/v1/calls/{id}?wait=1")).json()["data"]
    assert (shown["status"], shown["isFinal"]) == ("in_progress", False)
    for wrong in ("-1", "61", "1.5", "long"):
        refused = await sqlite_api.get(f"/v1/calls/{id}?wait={wrong}")
        assert refused.status_code == 400
        assert refused.json()["details"][0]["field"] == "wait"
    monkeypatch.setattr(events, "MAX_OF_ORGANIZATION", 0)
    assert (await sqlite_api.get(f"/v1/calls/{id}?wait=9")).status_code == 429


async def test_others_calls_cannot_be_waited_for(sqlite_api: Api):
    id = await a_call(sqlite_api, 0, **LIVE)
    other = await sqlite_api.another_organization()
    async with asyncio.timeout(20):
        assert (await other.get(f"/v1/calls/{id}?wait=60")).status_code == 404


async def test_a_process_that_stops_lets_those_go_who_wait(sqlite_api: Api):
    id = await a_call(sqlite_api, 0, **LIVE)
    waiting = asyncio.ensure_future(sqlite_api.get(f"/v1/calls/{id}?wait=60"))
    await until_open(sqlite_api, 1)
    streams_of(sqlite_api).close()
    async with asyncio.timeout(20):
        assert (await waiting).json()["data"]["isFinal"] is False
        again = await sqlite_api.get(f"/v1/calls/{id}?wait=60")
    assert again.json()["data"]["isFinal"] is False


async def test_who_hangs_up_does_not_wait_on(sqlite_api: Api):
    id = await a_call(sqlite_api, 0, **LIVE)
    streams = streams_of(sqlite_api)
    stream = Stream(await sqlite_api.organization_id(), id, 0, for_end=True)
    gone = asyncio.Event()

    async def is_gone() -> None:
        await gone.wait()

    waiting = asyncio.ensure_future(streams.until_over(stream, 60, is_gone))
    await until_open(sqlite_api, 1)
    gone.set()
    async with asyncio.timeout(20):
        await waiting
    await until_open(sqlite_api, 0)


async def until_open(api: Api, count: int) -> None:
    streams = streams_of(api)
    async with asyncio.timeout(20):
        while len(streams._open) != count:  # pyright: ignore[reportPrivateUsage]
            await asyncio.sleep(0.005)
