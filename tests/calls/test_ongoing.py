"""All live calls on one stream: what it tells, to whom, from whichever process, and its limits."""

from __future__ import annotations

import uuid
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import OperationalError
from tests.calls.sse import Sse, parse
from tests.calls.test_calls_api import START, stored
from tests.calls.test_events import end
from tests.fakes.api import Api

from chorus.calls import ongoing
from chorus.calls.ongoing import Ongoing, OngoingStream
from chorus.calls.switchboard import Switchboard
from chorus.calls.tables import CallEvent, CallRow
from chorus.errors import Error

LIVE: dict[str, Any] = {"status": "in_progress", "answered_at": START, "ended_at": None}


async def placed(api: Api, *calls: dict[str, Any]) -> list[uuid.UUID]:
    """Calls that this process holds: those of nobody are ended as lost."""
    board: Switchboard = api.app.state.switchboard
    held = {"lease_owner": board.heartbeat.name}
    return await stored(api, *({**held, **call} for call in calls))


async def note(api: Api, call_id: uuid.UUID, seq: int, kind: str, /, **data: Any) -> None:
    organization_id = await api.organization_id()
    async with api.process.database.writing() as session:
        session.add(
            CallEvent(
                organization_id=organization_id,
                call_id=call_id,
                seq=seq,
                at_ms=seq * 100,
                kind=kind,
                data=data,
            )
        )


async def shown(api: Api) -> list[dict[str, Any]]:
    answer = await api.get("/v1/calls/live")
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]["calls"]


@asynccontextmanager
async def followed(
    api: Api, live: Ongoing, organization_id: uuid.UUID | None = None
) -> AsyncGenerator[AsyncGenerator[list[Sse], None], None]:
    """What a stream is sent, block by block."""
    stream = OngoingStream(organization_id or await api.organization_id())
    live.enter(stream)
    body = live.follow(stream)
    assert await anext(body) == b"retry: 1000\n\n"

    async def told() -> AsyncGenerator[list[Sse], None]:
        async for part in body:
            found = [parse(block) for block in part.decode().split("\n\n") if block]
            yield [event for event in found if event is not None]

    try:
        yield told()
    finally:
        live.leave(stream)
        await body.aclose()


async def test_what_a_call_is_at(api: Api):
    agent = await api.made("/v1/agents", {"name": "Ada"})
    talked, _, leg, _ = await placed(
        api,
        {**LIVE, "agent_id": uuid.UUID(agent["id"])},
        {"status": "ringing"},
        LIVE,
        {"status": "queued"},
    )
    async with api.process.database.writing() as session:
        await session.execute(
            sa.update(CallRow).where(CallRow.id == leg).values(parent_call_id=talked)
        )
    first, second = await shown(api)
    assert (first["agentName"], first["status"]) == ("Ada", "in_progress")
    assert (second["agentName"], second["status"]) == (None, "ringing")
    assert (first["floor"], first["lastLine"], first["turnCount"]) == (None, None, 0)
    by = f"member {uuid.uuid4()}"
    for seq, (kind, data, field, value) in enumerate(
        [
            ("speech_started", {"turn": 1}, "floor", "caller"),
            ("turn_committed", {"turn": 1, "text": "Hello"}, "floor", "thinking"),
            ("reply_started", {"turn": 1}, "floor", "agent"),
            ("leg_held", {"leg": "caller"}, "onHold", True),
            ("leg_resumed", {"leg": "caller"}, "onHold", False),
            ("turn_latency", {"turn": 1, "sentMs": 812}, "latencyMs", 812),
            ("reply_heard", {"turn": 1, "heard": "x" * 400}, "turnCount", 1),
            ("engine_failed", {"vendor": "v", "detail": "busy"}, "problem", "v · busy"),
            ("supervisor_mode", {"id": "a", "by": by, "mode": "talk"}, "takenOverBy", by),
            ("supervisor_left", {"id": "b", "by": by}, "takenOverBy", by),
            ("supervisor_left", {"id": "a", "by": by}, "takenOverBy", None),
        ],
        1,
    ):
        await note(api, talked, seq, kind, **data)
        assert (await shown(api))[0][field] == value, kind
    line = (await shown(api))[0]["lastLine"]
    assert line == {"role": "assistant", "content": "x" * 300, "atMs": 700}
    async with await api.another_organization() as other:
        assert (await other.get("/v1/calls/live")).json()["data"] == {"calls": [], "total": 0}
    assert (await api.client_with(None).get("/v1/calls/live")).status_code == 401


async def test_a_stream_is_told_what_changes_and_nothing_else(api: Api):
    live = Ongoing(api.process.database)
    one, two = await placed(api, LIVE, {"status": "ringing"})
    async with followed(api, live) as told, followed(api, live, uuid.uuid4()) as others:
        await live.look()
        [all_of_them] = await anext(told)
        assert (all_of_them.kind, all_of_them.data["total"]) == ("calls", 2)
        assert [call["id"] for call in all_of_them.data["calls"]] == [str(one), str(two)]
        [nothing] = await anext(others)
        assert nothing.data == {"calls": [], "total": 0}

        await live.look()  # of which nobody is told
        await note(api, one, 1, "turn_committed", turn=1, text="a\u2028b")
        await live.look()
        [changed] = await anext(told)
        assert (changed.kind, changed.data["id"]) == ("call", str(one))
        assert changed.data["lastLine"]["content"] == "a\u2028b"

        # Several looks while the reader takes nothing: it is told the last.
        await note(api, one, 2, "reply_started", turn=1)
        await live.look()
        await note(api, one, 3, "reply_heard", turn=1, heard="Yes")
        await live.look()
        await end(api, two)
        later = {"created_at": START + timedelta(hours=9)}
        [three] = await placed(api, {"status": "ringing", **later})
        await live.look()
        changed, new, gone = await anext(told)
        assert (changed.data["floor"], changed.data["lastLine"]["content"]) == (None, "Yes")
        assert (new.kind, new.data["id"]) == ("call", str(three))
        assert (gone.kind, gone.data) == ("gone", {"ids": [str(two)], "total": 2})

        # Whoever comes later begins with all there is.
        async with followed(api, live) as late:
            [all_of_them] = await anext(late)
            ids = {call["id"] for call in all_of_them.data["calls"]}
            assert ids == {str(one), str(three)}


async def test_a_call_of_another_process_with_a_long_past(api: Api):
    [id] = await placed(api, LIVE)
    organization_id = await api.organization_id()
    async with api.process.database.writing() as session:
        session.add_all(
            CallEvent(
                organization_id=organization_id,
                call_id=id,
                seq=seq,
                at_ms=seq,
                kind="turn_committed",
                data={"turn": seq, "text": f"line {seq}"},
            )
            for seq in range(1, 90)
        )
    assert [call["turnCount"] for call in await shown(api)] == [89]


async def test_there_is_room_for_so_many(sqlite_api: Api, monkeypatch: pytest.MonkeyPatch):
    api = sqlite_api
    monkeypatch.setattr(ongoing, "MOST", 2)
    monkeypatch.setattr(ongoing, "MAX_OF_ORGANIZATION", 1)
    await placed(api, LIVE, LIVE, LIVE)
    found = (await api.get("/v1/calls/live")).json()["data"]
    assert (len(found["calls"]), found["total"]) == (2, 3)
    board: Switchboard = api.app.state.switchboard
    taken = OngoingStream(await api.organization_id())
    board.ongoing.enter(taken)
    refused = await api.get("/v1/calls/live", headers={"accept": "text/event-stream"})
    assert (refused.status_code, refused.json()["code"]) == (429, "too_many_streams")
    board.ongoing.leave(taken)
    monkeypatch.setattr(ongoing, "LONGEST_S", 0.0)
    answer = await api.get("/v1/calls/live", headers={"accept": "text/event-stream"})
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.text == "retry: 1000\n\n"
    board.ongoing.close()
    with pytest.raises(Error, match="as many as it can"):
        board.ongoing.enter(taken)


async def test_streams_end_when_the_database_is_gone(
    sqlite_api: Api, monkeypatch: pytest.MonkeyPatch
):
    board: Switchboard = sqlite_api.app.state.switchboard
    live = board.ongoing
    looks = 0

    async def fails() -> None:
        nonlocal looks
        looks += 1
        raise OperationalError("select", {}, OSError("gone"))

    monkeypatch.setattr(live, "look", fails)
    monkeypatch.setattr(ongoing, "LOOK_EVERY_S", 0.01)
    async with followed(sqlite_api, live) as told:
        assert [part async for part in told] == []
    assert looks >= ongoing.FAILED_LOOKS


async def test_a_silent_stream_has_a_heartbeat(sqlite_api: Api, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(ongoing, "HEARTBEAT_S", 0.01)
    live = Ongoing(sqlite_api.process.database)
    stream = OngoingStream(await sqlite_api.organization_id())
    body = live.follow(stream)
    assert [await anext(body) for _ in range(3)][1:] == [b": still here\n\n"] * 2
    await body.aclose()
