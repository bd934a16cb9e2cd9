"""GET /v1/tools/{id}/history."""

from __future__ import annotations

import uuid
from typing import Any

from tests.fakes.api import Api
from tests.test_lists import calls

from chorus.calls.tables import CallEvent

TOOL = {"name": "find_table", "description": "Finds.", "config": {"url": "https://a.example"}}


async def happened(api: Api, call_id: str, *events: tuple[str, dict[str, Any]]) -> None:
    async with api.process.database.writing() as session:
        for seq, (kind, data) in enumerate(events, 1):
            session.add(
                CallEvent(
                    organization_id=await api.organization_id(),
                    call_id=uuid.UUID(call_id),
                    seq=seq,
                    at_ms=1000 * seq,
                    kind=kind,
                    data=data,
                )
            )


async def test_uses_in_calls_stand_with_their_results(api: Api):
    tool = await api.made("/v1/tools", TOOL)
    path = f"/v1/tools/{tool['id']}/history"
    assert (await api.get(path)).json()["data"] == {"calls": 0, "uses": []}
    [first] = await calls(api, 1)
    [second] = await calls(api, 1)
    done = {"id": "1", "name": "find_table", "ok": True, "status": 200, "elapsedMs": 41}
    await happened(
        api,
        first,
        ("tool_called", {"id": "1", "name": "find_table", "arguments": '{"people": 5}'}),
        ("tool_called", {"id": "2", "name": "other", "arguments": "{}"}),
        ("tool_result", {**done, "result": {"code": "B427"}}),
        ("tool_result", {**done, "id": "2", "ok": False, "result": "no"}),
    )
    # The same id in another call is another use; this one had no result.
    await happened(api, second, ("tool_called", {"id": "1", "name": "find_table"}))
    found = (await api.get(path)).json()["data"]
    assert found["calls"] == 2
    newest, use = found["uses"]
    assert (newest["callId"], newest["ok"], newest["result"]) == (second, None, None)
    assert use["callId"] == first
    assert (use["arguments"], use["atMs"], use["elapsedMs"]) == ('{"people": 5}', 1000, 41)
    assert (use["ok"], use["status"], use["result"]) == (True, 200, '{"code":"B427"}')
    stranger = await api.another_organization()
    assert (await stranger.get(path)).status_code == 404
    # What a tool was asked is what was said in a call.
    tools_only = await api.another_organization(scopes=["tools:read"])
    assert (await tools_only.get(path)).status_code == 403
