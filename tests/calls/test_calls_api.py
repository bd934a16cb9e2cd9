"""/v1/calls on both databases: placing, listing, reading."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.fakes.api import Api

from chorus.calls.tables import CallEvent, CallRow

NUMBER = {
    "number": "+14155550000",
    "twilioAccountSid": "AC" + "0" * 32,
    "twilioAuthToken": "t",
}
START = datetime(2025, 1, 15, 10, 30, tzinfo=UTC)


async def parties(api: Api, **agent: Any) -> dict[str, Any]:
    """What a call is placed with."""
    return {
        "agentId": (await api.made("/v1/agents", {"name": "Ada", **agent}))["id"],
        "phoneNumberId": (await api.made("/v1/phone-numbers", NUMBER))["id"],
        "to": "+14155551234",
    }


async def stored(api: Api, *calls: dict[str, Any]) -> list[uuid.UUID]:
    """Calls as the runtime leaves them, an hour apart."""
    organization_id = await api.organization_id()
    rows = [
        CallRow(
            **{
                "organization_id": organization_id,
                "agent_id": uuid.uuid4(),
                "provider": "twilio",
                "direction": "inbound",
                "status": "completed",
                "customer_number": f"+1415555{place:04}",
                "created_at": START + timedelta(hours=place),
                **call,
            }
        )
        for place, call in enumerate(calls)
    ]
    async with api.process.database.writing() as session:
        session.add_all(rows)
        await session.flush()
        return [row.id for row in rows]


FINISHED: dict[str, Any] = {
    "call_sid": "CA1",
    "duration_seconds": 245,
    "cost_micros": 250_001,
    "turn_count": 12,
    "transcript": [{"role": "assistant", "content": "Hi"}, {"role": "user", "content": "Yes"}],
    "analysis": {"summary": "They agreed.", "extractions": {"mood": "good"}},
    "timeline": {"turns": [{"turn": 1, "totalMs": 431}]},
    "ended_reason": "agent_ended",
    "context_variables": {"name": "Jane"},
    "meta": {"campaign": "x"},
    "started_at": START,
    "answered_at": START,
    "ended_at": START + timedelta(seconds=245),
}


@pytest.mark.parametrize("path", ["/v1/calls", "/api/calls/outbound"])
async def test_a_call_is_queued(api: Api, path: str):
    wish = await parties(api)
    variables = {"customer": "Jane", "n": 5, "ok": True, "list": [1, {"a": None}]}
    made = await api.made(path, {**wish, "contextVariables": variables, "metadata": {"a": "b"}})
    assert made["status"] == "queued"
    assert made["direction"] == "outbound"
    assert made["provider"] == "twilio"
    assert made["customerNumber"] == "+14155551234"
    assert made["agentId"] == wish["agentId"]
    assert made["phoneNumberId"] == wish["phoneNumberId"]
    assert made["organizationId"] == str(await api.organization_id())
    assert made["contextVariables"] == variables
    assert made["metadata"] == {"a": "b"}
    assert made["turnCount"] == 0
    assert made["transferCalls"] == []
    for unknown in ("callSid", "durationSeconds", "cost", "recordingUrl", "transcript", "analysis"):
        assert made[unknown] is None
    assert (await api.get(f"/v1/calls/{made['id']}")).json()["data"]["id"] == made["id"]


@pytest.mark.parametrize(
    ("change", "status", "says"),
    [
        ({"agentId": str(uuid.uuid4())}, 404, "Agent not found"),
        ({"phoneNumberId": str(uuid.uuid4())}, 404, "Phone number not found"),
        ({"to": "5551234"}, 400, "E.164"),
        ({"to": None}, 400, "To must be a string"),
        ({"contextVariables": []}, 400, "Context variables must be an object"),
        ({"metadata": "x"}, 400, "Metadata must be an object"),
        ({"from": "+14155550000"}, 400, "from is not a known field"),
    ],
)
async def test_what_is_refused(sqlite_api: Api, change: dict[str, Any], status: int, says: str):
    wish = {**await parties(sqlite_api), **change}
    response = await sqlite_api.post("/v1/calls", json=wish)
    assert response.status_code == status
    assert says in response.text


async def test_an_inactive_agent_places_no_calls(sqlite_api: Api):
    wish = await parties(sqlite_api, isActive=False)
    response = await sqlite_api.post("/v1/calls", json=wish)
    assert response.status_code == 400
    assert response.json()["details"][0]["field"] == "agentId"


async def test_a_finished_call(api: Api):
    [id] = await stored(api, FINISHED)
    call = (await api.get(f"/v1/calls/{id}")).json()["data"]
    assert call["cost"] == 0.250001
    assert call["transcript"] == FINISHED["transcript"]
    assert call["analysis"] == {**FINISHED["analysis"], "problems": []}
    assert call["startedAt"] == "2025-01-15T10:30:00.000Z"
    assert call["endedAt"] == "2025-01-15T10:34:05.000Z"
    assert call["turns"] is None
    assert "tokenHash" not in call
    detailed = (await api.get(f"/v1/calls/{id}?include=turns")).json()["data"]
    assert detailed == {**call, "turns": [{"turn": 1, "totalMs": 431}]}
    assert (await api.get(f"/v1/calls/{id}?include=all")).status_code == 400
    [listed] = (await api.get("/v1/calls")).json()["data"]
    assert listed == {
        name: value
        for name, value in call.items()
        if name not in ("transcript", "transcriptUrl", "analysis", "turns", "lineQuality")
    }


async def test_the_legs_of_a_transfer(api: Api):
    [parent] = await stored(
        api, {**FINISHED, "transfer_type": "warm", "transfer_status": "completed"}
    )
    [leg] = await stored(
        api,
        {
            **FINISHED,
            "parent_call_id": parent,
            "transfer_type": "warm",
            "transfer_status": "connected",
            "cost_micros": 10_000,
        },
    )
    call = (await api.get(f"/v1/calls/{parent}")).json()["data"]
    [shown] = call["transferCalls"]
    assert shown["id"] == str(leg)
    assert (shown["transferType"], shown["transferStatus"]) == ("warm", "connected")
    assert shown["cost"] == 0.01
    assert shown["transcript"] == FINISHED["transcript"]
    assert (await api.get(f"/v1/calls/{leg}")).json()["data"]["parentCallId"] == str(parent)
    # A list has the legs too, and leaves out of them what it leaves out of calls.
    del shown["transcript"]
    listed = (await api.get("/v1/calls")).json()["data"]
    assert {call["id"]: call["transferCalls"] for call in listed} == {
        str(parent): [shown],
        str(leg): [],
    }


async def test_filters(api: Api):
    agent = await api.made("/v1/agents", {"name": "Grace Hopper"})
    number = uuid.uuid4()
    ids = await stored(
        api,
        {"agent_id": uuid.UUID(agent["id"])},
        {"status": "failed", "phone_number_id": number},
        {"direction": "outbound", "status": "failed", "ended_reason": "busy"},
        {"customer_number": "+442071838750"},
    )

    async def found(query: str) -> list[int]:
        body = (await api.get(f"/v1/calls?{query}")).json()
        assert body["pagination"]["total"] >= len(body["data"])
        return [ids.index(uuid.UUID(call["id"])) for call in body["data"]]

    assert await found("") == [3, 2, 1, 0]
    assert await found("status=failed") == [2, 1]
    assert await found("status=failed&direction=outbound") == [2]
    assert await found("status=failed&endedReason=busy") == [2]
    assert await found(f"agentId={agent['id']}") == [0]
    assert await found(f"phoneNumberId={number}") == [1]
    assert await found("search=hopper") == [0]
    assert await found("search=4420") == [3]
    assert await found("search=+4420") == [3]  # a plus in a URL means a space
    assert await found("search=+") == [3, 2, 1, 0]
    assert await found("from=2025-01-15T11:30:00Z&to=2025-01-15T13:30:00Z") == [2, 1]
    assert await found("from=2025-01-15T14:30:00%2B02:00&to=2025-01-15T13:00:00Z") == [2]
    assert await found("limit=1&offset=1") == [2]
    body = (await api.get("/v1/calls?status=failed&limit=1&offset=5")).json()
    assert (body["data"], body["pagination"]["total"]) == ([], 2)
    for wrong in (
        "status=done",
        "direction=up",
        "agentId=1",
        "from=yesterday",
        "from=2025-01-15T11:30:00",
    ):
        assert (await api.get(f"/v1/calls?{wrong}")).status_code == 400, wrong


async def test_events(api: Api):
    [id] = await stored(api, FINISHED)
    organization_id = await api.organization_id()
    async with api.process.database.writing() as session:
        session.add_all(
            CallEvent(
                organization_id=organization_id,
                call_id=id,
                seq=seq,
                at_ms=seq * 20,
                kind="turn_committed",
                data={"turn": seq},
            )
            for seq in (2, 1, 3)
        )
    body = (await api.get(f"/v1/calls/{id}/events?limit=2")).json()
    assert [(e["seq"], e["atMs"], e["kind"], e["data"]) for e in body["data"]] == [
        (1, 20, "turn_committed", {"turn": 1}),
        (2, 40, "turn_committed", {"turn": 2}),
    ]
    assert body["pagination"] == {
        "total": 3,
        "limit": 2,
        "offset": 0,
        "totalIsExact": True,
        "nextCursor": "2",
    }
    rest = (await api.get(f"/v1/calls/{id}/events?limit=2&after=2")).json()
    assert [event["seq"] for event in rest["data"]] == [3]
    assert rest["pagination"]["nextCursor"] is None
    assert (await api.get(f"/v1/calls/{uuid.uuid4()}/events")).status_code == 404


async def test_a_number_of_a_carrier_without_a_line_is_refused_at_once(sqlite_api: Api):
    """One that was stored while simulated carriers were allowed."""
    api = sqlite_api
    wish = await parties(api)
    number = await api.made("/v1/phone-numbers", {"number": "+14155550001", "provider": "loopback"})
    api.app.state.switchboard.carriers.pop("loopback", None)
    refused = await api.post("/v1/calls", json={**wish, "phoneNumberId": number["id"]})
    assert (refused.status_code, refused.json()["details"]) == (
        400,
        [
            {
                "field": "phoneNumberId",
                "message": "Phone number is of loopback, which places no calls yet",
            }
        ],
    )


async def test_a_carrier_that_tells_no_mailbox_from_a_person_is_not_asked_to(sqlite_api: Api):
    api = sqlite_api
    wish = {**await parties(api), "detectMachine": True}
    made = await api.made("/v1/calls", wish)
    async with api.process.database.reading() as session:
        assert (await session.get_one(CallRow, uuid.UUID(made["id"]))).detect_machine
    settings = {"provider": "sip", "sipMode": "ip_allowlist", "sipIp": "1.1.1.1"}
    number = await api.made("/v1/phone-numbers", {"number": "+14155550002", **settings})
    refused = await api.post("/v1/calls", json={**wish, "phoneNumberId": number["id"]})
    assert refused.status_code == 400
    assert refused.json()["details"][0]["field"] == "detectMachine"
