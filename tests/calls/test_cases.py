"""Test cases made of calls: what they hold, who may make one, and what ends them."""

from __future__ import annotations

import uuid
from typing import Any

import sqlalchemy as sa
from tests.fakes.api import Api

from chorus.calls import kept
from chorus.calls.tables import CallEvent, CallRow
from chorus.db import utcnow

# A turn that is taken back, one that cuts the agent short, and a tool.
EVENTS: list[tuple[int, str, dict[str, Any]]] = [
    (400, "reply_started", {"turn": None}),
    (2300, "reply_heard", {"turn": None, "heardMs": 1900, "heard": "Good evening."}),
    (3980, "speech_started", {"turn": 1, "onsetMs": 3900}),
    (5000, "speech_paused", {"turn": 1}),
    (5200, "turn_committed", {"turn": 1, "text": "A table for four"}),
    (5300, "retracted", {"turn": 1}),
    (5310, "speech_started", {"turn": 1, "onsetMs": 5250}),
    (6200, "speech_paused", {"turn": 1}),
    (6400, "turn_committed", {"turn": 1, "text": "A table for four on Friday"}),
    (6900, "reply_started", {"turn": 1}),
    (7400, "speech_started", {"turn": 2, "onsetMs": 7350}),
    (7700, "reply_heard", {"turn": 1, "heardMs": 700, "heard": "With", "interrupted": True}),
    (8000, "speech_paused", {"turn": 2}),
    (8200, "turn_committed", {"turn": 2, "text": "No, five"}),
    (8300, "tool_called", {"turn": 2, "id": "t", "name": "find", "arguments": '{"people": 5}'}),
    (8400, "tool_result", {"id": "t", "name": "find", "ok": True, "result": "secret of the tool"}),
    (9000, "turn_unanswered", {"turn": 3, "text": "Hello?"}),
]


async def called(api: Api, *, events: Any = EVENTS, **values: Any) -> dict[str, Any]:
    """A call of a new agent, which is over unless `values` say otherwise."""
    agent = await api.made("/v1/agents", {"name": "Bistro"})
    organization_id = await api.organization_id()
    row = CallRow(
        **{
            "organization_id": organization_id,
            "agent_id": uuid.UUID(agent["id"]),
            "agent_version": 1,
            "provider": "twilio",
            "direction": "inbound",
            "status": "completed",
            "customer_number": "+14155550199",
            "ended_reason": "agent_ended",
            "ended_at": utcnow(),
            "context_variables": {"shop": "Lind"},
            "analysis": {"summary": "s", "extractions": {"people": 5}, "problems": []},
            **values,
        }
    )
    async with api.process.database.writing() as session:
        session.add(row)
        await session.flush()
        for seq, (at_ms, kind, data) in enumerate(events, 1):
            one = {"organization_id": organization_id, "call_id": row.id, "seq": seq}
            session.add(CallEvent(**one, at_ms=at_ms, kind=kind, data=data))
    return {"callId": str(row.id), "agentId": agent["id"]}


async def test_a_call_is_kept_turn_by_turn_with_what_came_of_it(api: Api):
    call = await called(api)
    made = await api.made("/v1/test-cases", {"callId": call["callId"]})
    assert (made["agentId"], made["callId"]) == (call["agentId"], call["callId"])
    assert (made["name"], made["agentVersion"]) == ("A table for four on Friday", 1)
    assert made["contextVariables"] == {"shop": "Lind"}
    told = [
        (line["role"], line["content"], line["startedAtMs"], line["endedAtMs"], line["interrupted"])
        for line in made["script"]
    ]
    assert told == [
        ("assistant", "Good evening.", 400, 2300, False),
        ("user", "A table for four on Friday", 3900, 6200, False),
        ("assistant", "With", 6900, 7600, True),
        ("user", "No, five", 7350, 8000, False),
        ("user", "Hello?", None, 9000, False),
    ]
    assert made["expected"] == {
        "endedReason": "agent_ended",
        "tools": [{"name": "find", "arguments": '{"people": 5}'}],
        "extractions": {"people": 5},
    }
    path = f"/v1/test-cases/{made['id']}"
    assert (await api.get(path)).json()["data"] == made
    [listed] = (await api.get("/v1/test-cases", params={"agentId": call["agentId"]})).json()["data"]
    assert listed["id"] == made["id"]
    assert "script" not in listed
    for narrowed in ({"agentId": str(uuid.uuid4())}, {"search": "no such"}):
        assert (await api.get("/v1/test-cases", params=narrowed)).json()["data"] == []
    wish = {"name": "Five", "expected": {"tools": [{"name": "find"}]}}
    changed = (await api.patch(path, json=wish)).json()["data"]
    assert changed["name"] == "Five"
    assert changed["expected"] == {
        "endedReason": None,
        "tools": [{"name": "find", "arguments": ""}],
        "extractions": {},
    }
    assert changed["script"] == made["script"]
    assert (await api.delete(path)).status_code == 200
    assert (await api.get(path)).status_code == 404


async def test_what_cannot_be_kept_is_told(sqlite_api: Api):
    silent = await called(sqlite_api, events=[])
    going = await called(sqlite_api, ended_at=None, status="in_progress")
    of_old = await called(
        sqlite_api,
        events=[],
        transcript=[{"role": "assistant", "content": "Hi"}, {"role": "user", "content": "Yes"}],
    )
    for call, code in ((silent, "nothing_said"), (going, "call_not_ended")):
        answer = await sqlite_api.post("/v1/test-cases", json={"callId": call["callId"]})
        assert (answer.status_code, answer.json()["code"]) == (409, code)
    made = await sqlite_api.made("/v1/test-cases", {"callId": of_old["callId"], "name": "Old"})
    assert [(line["content"], line["endedAtMs"]) for line in made["script"]] == [
        ("Hi", None),
        ("Yes", None),
    ]


async def test_a_key_copies_no_call_that_it_may_not_read(sqlite_api: Api):
    call = await called(sqlite_api)
    for scopes, status in ((["test-cases:write"], 403), (["test-cases:write", "calls:read"], 201)):
        key = await sqlite_api.made("/v1/api-keys", {"name": "k", "scopes": scopes})
        async with sqlite_api.client_with(key["key"]) as client:
            answer = await client.post("/v1/test-cases", json={"callId": call["callId"]})
            assert answer.status_code == status, answer.text


async def test_a_copy_goes_with_the_words_that_somebody_has_deleted(api: Api):
    kept, gone = await called(api), await called(api)
    for call in (kept, gone):
        await api.made("/v1/test-cases", {"callId": call["callId"]})
    assert (await api.delete(f"/v1/calls/{gone['callId']}/transcript")).status_code == 200
    listed = (await api.get("/v1/test-cases")).json()["data"]
    assert [each["callId"] for each in listed] == [kept["callId"]]
    # Those of an agent go with it; those of a call that is gone stay.
    async with api.process.database.writing() as session:
        await session.execute(sa.delete(CallEvent))
        await session.execute(sa.delete(CallRow))
    assert len((await api.get("/v1/test-cases")).json()["data"]) == 1
    assert (await api.delete(f"/v1/agents/{kept['agentId']}")).status_code == 200
    assert (await api.get("/v1/test-cases")).json()["data"] == []


async def test_what_no_request_may_say_of_a_tool_is_left_out(api: Api):
    odd = [
        (8300 + n, "tool_called", {"turn": 2, "id": f"t{n}", "name": name, "arguments": arguments})
        for n, (name, arguments) in enumerate(
            [(" ", "{}"), ("find\na table", "x" * 40_000), *[("find", {"n": 1})] * 300]
        )
    ]
    call = await called(api, events=[*EVENTS, *odd])
    made = await api.made("/v1/test-cases", {"callId": call["callId"]})
    tools = made["expected"]["tools"]
    assert len(tools) == 200
    assert tools[1] == {"name": "find a table", "arguments": ""}
    # What was answered can be sent back.
    path = f"/v1/test-cases/{made['id']}"
    answer = await api.patch(path, json={"expected": made["expected"]})
    assert answer.status_code == 200, answer.text


async def test_copies_can_be_deleted_when_a_retention_has_emptied_the_call(api: Api):
    call = await called(api)
    made = await api.made("/v1/test-cases", {"callId": call["callId"]})
    async with api.process.database.writing() as session:
        row = await session.get_one(CallRow, uuid.UUID(call["callId"]))
        assert await kept.delete_texts(session, api.process.secrets, row, "retention")
    path = f"/v1/calls/{call['callId']}/transcript"
    assert (await api.get(f"/v1/test-cases/{made['id']}")).status_code == 200
    assert (await api.delete(path)).status_code == 200
    assert (await api.get(f"/v1/test-cases/{made['id']}")).status_code == 404
    assert (await api.delete(path)).status_code == 404
